//! `/v1/channels/{id}/timeline`.

use super::types::{ErrorBody, GapView, PeriodView, TimelineView};
use super::{stream_of, time_range};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use axum::Json;
use axum::extract::{Path, State};
use framewell_model::WallTime;

/// Longest range of one answer.
const MAX_RANGE_US: i64 = 31 * 86_400_000_000;
/// Default longest pause that does not split a period.
const DEFAULT_MERGE_MS: u32 = 500;
/// Largest such pause that can be asked for: a day.
const MAX_MERGE_MS: u32 = 86_400_000;

/// Show what was recorded in a range, and why the rest was not
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/timeline",
    tag = "video",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
        ("start" = String, Query, description = "RFC 3339 time, or a distance before now such as `-1h`"),
        ("end" = Option<String>, Query, description = "The same; now if absent. At most 31 days after start"),
        ("merge_ms" = Option<u32>, Query, description = "Pauses up to this long do not split a period; 500 if absent"),
    ),
    responses(
        (status = 200, description = "Periods and gaps", body = TimelineView),
        (status = 400, description = "Bad or too long range", body = ErrorBody),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn show_timeline(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<TimelineView>, ApiError> {
    let channel = stream_of(&state, &caller, &id, &params).await?;
    let range = time_range(&params, state.clock.now(), MAX_RANGE_US)?;
    let merge_ms = params
        .number::<u32>("merge_ms")?
        .unwrap_or(DEFAULT_MERGE_MS);
    let merge_us = i64::from(merge_ms.min(MAX_MERGE_MS)) * 1_000;
    let timeline = state.playback.timeline(channel, range, merge_us).await?;
    let period = |period: &framewell_model::TimeRange| PeriodView {
        start: period.start.to_rfc3339(),
        end: period.end.to_rfc3339(),
    };
    let gap = |gap: &framewell_model::Gap| GapView {
        start: gap.start.to_rfc3339(),
        end: gap.end.map(WallTime::to_rfc3339),
        reason: gap.reason.as_str(),
    };
    Ok(Json(TimelineView {
        start: range.start.to_rfc3339(),
        end: range.end.to_rfc3339(),
        periods: timeline.periods.iter().map(period).collect(),
        gaps: timeline.gaps.iter().map(gap).collect(),
    }))
}
