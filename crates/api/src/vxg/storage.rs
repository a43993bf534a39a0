//! `/api/v2/storage/timeline/{camid}/` (contract section 7.3).

use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use crate::vxg::ids::path_id;
use crate::vxg::list::MAX_LONG_LIMIT;
use crate::vxg::time::query_time;
use axum::Json;
use axum::extract::{Path, State};
use framewell_catalog::{Order, Slice};
use framewell_model::{ChannelId, TimeRange, WallTime};
use serde_json::{Map, Value, json};

/// Pauses up to this long do not split a period: the player takes 2 s and more for a hole.
const MERGE_US: i64 = 2_000_000;
/// Default number of periods in one answer.
const DEFAULT_PERIODS: usize = 1_000;

pub(crate) async fn show_timeline(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channel: ChannelId = path_id(&id, "camera")?;
    caller.check(&state, channel).await?;
    let slices = slices(&params)?;
    let limit = params.number::<usize>("limit")?.unwrap_or(DEFAULT_PERIODS);
    let limit = limit.min(usize::try_from(MAX_LONG_LIMIT).unwrap_or(DEFAULT_PERIODS));
    let offset = params.number::<usize>("offset")?.unwrap_or(0);
    let periods = match range(&state, channel, &params).await? {
        Some(range) => {
            let timeline = state.playback.timeline(channel, range, MERGE_US).await?;
            timeline.periods
        }
        None => Vec::new(),
    };
    let pairs: Vec<Value> = periods
        .iter()
        .skip(offset)
        .take(limit)
        .map(|period| json!([period.start.to_naive_text(), whole_seconds(period)]))
        .collect();
    // The object is there even if it is empty: the player reads it unguarded.
    let object = Map::from_iter([(slices, Value::from(pairs))]);
    Ok(Json(json!({
        "meta": { "limit": limit, "offset": offset, "total_count": 1, "next": null, "previous": null },
        "objects": [object],
    })))
}

/// Rounded down, so that a player never looks for pictures behind the end.
fn whole_seconds(period: &TimeRange) -> i64 {
    period.micros() / 1_000_000
}

/// The key of the answer: clients read exactly the number that they asked for.
fn slices(params: &Params) -> Result<String, ApiError> {
    match params.number::<u8>("slices")? {
        None => Ok("1".to_owned()),
        Some(number) => Ok(number.to_string()),
    }
}

/// The asked range, open ends filled in; `None` if nothing is recorded or the range is empty.
async fn range(
    state: &AppState,
    channel: ChannelId,
    params: &Params,
) -> Result<Option<TimeRange>, ApiError> {
    let end = query_time(params, "end")?.unwrap_or(state.clock.now());
    let start = query_time(params, "start")?;
    let start = match start {
        Some(start) => start,
        None => match oldest(state, channel).await? {
            Some(start) => start,
            None => return Ok(None),
        },
    };
    Ok(TimeRange::new(start, end))
}

async fn oldest(state: &AppState, channel: ChannelId) -> Result<Option<WallTime>, ApiError> {
    let first = Slice {
        limit: 1,
        offset: 0,
    };
    let page = state
        .catalog
        .list_segments(channel, None, None, Order::Ascending, first)
        .await?;
    Ok(page.items.first().map(|segment| segment.range.start))
}
