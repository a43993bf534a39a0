//! `/media/event/{channel}/{name}.json`: the JSON file of an event, fetched without a header (contract
//! section 10.1).

use super::check_ticket;
use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use framewell_access::MediaScope;
use framewell_model::{ChannelId, EventId};

pub(crate) async fn show_event_file(
    State(state): State<AppState>,
    Path((channel, name)): Path<(String, String)>,
    params: Params,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("this file");
    let channel: ChannelId = channel.parse().map_err(|_| missing())?;
    let event = name.strip_suffix(".json").ok_or_else(missing)?;
    let event: EventId = event.parse().map_err(|_| missing())?;
    check_ticket(&state, &params, &MediaScope::EventFile(channel, event))?;
    let body = state.catalog.load_event_file(event).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "private, no-cache"),
    ];
    Ok((headers, body).into_response())
}
