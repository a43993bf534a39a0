//! `/media/live/{channel}/stream.mp4` and `/media/live/{channel}/stream`: live fragments by ticket.

use super::admit_ticket;
use crate::AppState;
use crate::error::ApiError;
use crate::native::socket::Upgrade;
use crate::native::stream_mp4::open_live;
use crate::params::Params;
use axum::extract::{Path, State};
use axum::response::Response;
use framewell_access::{MediaScope, MediaTicket};
use framewell_model::ChannelId;

/// The channel of a ticketed URL.
async fn admit(
    state: &AppState,
    channel: &str,
    params: &Params,
) -> Result<(ChannelId, MediaTicket), ApiError> {
    let channel =
        ChannelId::parse_stored(channel).ok_or_else(|| ApiError::not_found("this stream"))?;
    let ticket = admit_ticket(state, params, &MediaScope::Live(channel)).await?;
    Ok((channel, ticket))
}

pub(crate) async fn show_live_stream(
    State(state): State<AppState>,
    Path(channel): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let (channel, ticket) = admit(&state, &channel, &params).await?;
    open_live(state, channel, &ticket, &params, None).await
}

pub(crate) async fn follow_live_stream(
    State(state): State<AppState>,
    Path(channel): Path<String>,
    params: Params,
    upgrade: Upgrade,
) -> Result<Response, ApiError> {
    let (channel, ticket) = admit(&state, &channel, &params).await?;
    open_live(state, channel, &ticket, &params, Some(upgrade)).await
}
