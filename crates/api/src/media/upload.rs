//! `PUT /upload/{channel}/{name}`: a file that was announced (contract section 7.2).

use super::admit_ticket;
use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;
use crate::upload::take_in;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use framewell_access::MediaScope;
use framewell_model::{ChannelId, WallTime};

/// 200 and nothing else is success for cameras; what was stored is in the list of records then.
pub(crate) async fn put_upload(
    State(state): State<AppState>,
    Path((channel, name)): Path<(String, String)>,
    params: Params,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let missing = || ApiError::not_found("this upload");
    let channel: ChannelId = channel.parse().map_err(|_| missing())?;
    let start = name.strip_suffix(".mp4").and_then(|name| name.parse().ok());
    // A name that is none belongs to no ticket.
    let start = WallTime::from_micros(start.unwrap_or(i64::MIN));
    let scope = MediaScope::Upload(channel, start);
    let ticket = admit_ticket(&state, &params, &scope).await?;
    // The channel may be gone since.
    state.catalog.load_channel(channel).await?;
    let imported = take_in(&state, ticket.holder, channel, start, request).await?;
    tracing::info!(channel.id = %channel, start = %imported.range.start, end = %imported.range.end, records = imported.records.len(), "footage was uploaded");
    Ok(StatusCode::OK)
}
