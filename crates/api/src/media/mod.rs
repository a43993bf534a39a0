//! Media by ticketed URL: `<img>`, `<video>` and download scripts send no header, so the right is in
//! the URL. Each ticket opens exactly one thing.

pub(crate) mod clip;
pub(crate) mod event_file;
pub(crate) mod hls;
pub(crate) mod hls_recorded;
pub(crate) mod image;
pub(crate) mod live;
pub(crate) mod record;
pub(crate) mod upload;

use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;
use framewell_access::sessions::{Activity, NewSession, Protocol, Session};
use framewell_access::{MediaScope, MediaTicket};
use framewell_model::{ChannelId, ErrorKind, HasKind};
use std::sync::Arc;

/// The session of a player that comes and goes: all that it fetches with one ticket.
async fn visit(
    state: &AppState,
    params: &Params,
    channel: ChannelId,
    activity: Activity,
) -> Result<Arc<Session>, ApiError> {
    let scope = match activity {
        Activity::Live => MediaScope::Live(channel),
        Activity::Recorded => MediaScope::Footage(channel),
        Activity::Publish => MediaScope::Publish(channel),
    };
    let ticket = admit_ticket(state, params, &scope).await?;
    let new = NewSession {
        protocol: Protocol::Hls,
        activity,
        channel,
        holder: ticket.holder,
        peer: params.peer(),
        expire: Some(ticket.expire),
        expected_bits_per_s: 0,
    };
    let text = params.get("ticket").unwrap_or_default();
    Ok(state.sessions.visit(text, new)?)
}

/// Refuses the request unless its ticket is for `scope`.
pub(crate) fn check_ticket(
    state: &AppState,
    params: &Params,
    scope: &MediaScope,
) -> Result<MediaTicket, ApiError> {
    let ticket = state.access.check_ticket(ticket_of(params)?, scope);
    let ticket = ticket.map_err(|error| ApiError::new(error.kind(), error.to_string()))?;
    params.introduce();
    Ok(ticket)
}

/// The same for what goes on for long, or opens much: the token behind the ticket has to stand, too.
pub(crate) async fn admit_ticket(
    state: &AppState,
    params: &Params,
    scope: &MediaScope,
) -> Result<MediaTicket, ApiError> {
    let ticket = ticket_of(params)?;
    let ticket = state.access.admit_ticket(ticket, scope).await?;
    params.introduce();
    Ok(ticket)
}

fn ticket_of(params: &Params) -> Result<&str, ApiError> {
    let ticket = params.get("ticket").filter(|ticket| !ticket.is_empty());
    ticket.ok_or_else(|| ApiError::new(ErrorKind::Unauthenticated, "this URL needs a ticket"))
}
