//! `/media/rec/{channel}/{name}.mp4`: one recorded segment as a file.

use super::check_ticket;
use crate::AppState;
use crate::error::ApiError;
use crate::origin::record_of_name;
use crate::params::Params;
use crate::ranged::RangedFile;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use framewell_access::MediaScope;
use framewell_model::ChannelId;

pub(crate) async fn show_media_record(
    State(state): State<AppState>,
    Path((channel, name)): Path<(String, String)>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("this record");
    let channel: ChannelId = channel.parse().map_err(|_| missing())?;
    let record = record_of_name(&name).ok_or_else(missing)?;
    check_ticket(&state, &params, &MediaScope::Record(channel, record))?;
    let file = state.playback.record(channel, record).await?;
    let ranged = RangedFile {
        len: file.len,
        etag: &file.etag,
        content_type: "video/mp4",
        open: Box::new(|range| file.stream(range)),
    };
    ranged.respond(&headers)
}
