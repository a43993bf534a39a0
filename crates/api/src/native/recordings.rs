//! `/v1/channels/{id}/recordings`: footage that a camera recorded itself.

use super::types::{ErrorBody, FileBytes};
use super::{channel_of, instant};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use crate::upload::take_in;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use framewell_model::TimeRange;
use serde::Serialize;
use utoipa::ToSchema;

/// A range of time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RangeView {
    /// First moment.
    start: String,
    /// First moment after it.
    end: String,
}

impl RangeView {
    fn of(range: &TimeRange) -> Self {
        Self {
            start: range.start.to_rfc3339(),
            end: range.end.to_rfc3339(),
        }
    }
}

/// What became of an uploaded file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportView {
    /// Capture time of its first key frame.
    start: String,
    /// End of its last picture.
    end: String,
    /// What was stored of it.
    stored: Vec<RangeView>,
    /// What was left out, because footage of that time exists.
    existing: Vec<RangeView>,
    /// Ids of the new records.
    records: Vec<i64>,
}

/// Store footage that the camera recorded itself
///
/// The body is an MP4 file, progressive or fragmented, with H.264 or H.265 and, if it has sound, AAC, Opus
/// or G.711. Its samples are stored as if they had been recorded live: nothing is decoded or encoded. `start`
/// is the time of its first picture; where the file has an edit list, of the beginning of its presentation. Where footage exists already, that wins, group of pictures by group of
/// pictures, so the repetition of an upload changes nothing; gaps that the file covers are closed.
#[utoipa::path(
    post,
    path = "/v1/channels/{id}/recordings",
    tag = "video",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("start" = String, Query, description = "RFC 3339 time of the first moment of the file"),
    ),
    request_body(content = FileBytes, content_type = "video/mp4"),
    responses(
        (status = 201, description = "Something of it was stored", body = ImportView),
        (status = 200, description = "All of it was there already", body = ImportView),
        (status = 400, description = "No MP4 file that can be used, or a time that cannot be; the message says what is wrong", body = ErrorBody),
        (status = 403, description = "The token does not allow it", body = ErrorBody),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
        (status = 408, description = "The body stopped arriving, or arrived too slowly", body = ErrorBody),
        (status = 413, description = "The file is too large", body = ErrorBody),
        (status = 429, description = "As many uploads of this token or account run as one may have; see `Retry-After`", body = ErrorBody),
        (status = 503, description = "As many uploads run as may, or the store is away; see `Retry-After`", body = ErrorBody),
    ),
)]
pub(crate) async fn upload_recording(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    request: Request,
) -> Result<(StatusCode, Json<ImportView>), ApiError> {
    let channel = channel_of(&state, &caller, &id).await?;
    let start = instant(&params, "start", state.clock.now())?
        .ok_or_else(|| ApiError::invalid("start is missing: when was the file recorded?"))?;
    let imported = take_in(&state, &caller.grant, channel, start, request).await?;
    let status = match imported.stored.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    let view = ImportView {
        start: imported.range.start.to_rfc3339(),
        end: imported.range.end.to_rfc3339(),
        stored: imported.stored.iter().map(RangeView::of).collect(),
        existing: imported.existing.iter().map(RangeView::of).collect(),
        records: imported.records.iter().map(|id| id.get()).collect(),
    };
    Ok((status, Json(view)))
}
