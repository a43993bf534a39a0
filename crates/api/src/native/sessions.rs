//! `/v1/sessions`: who reads and publishes video.

use super::types::ErrorBody;
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use framewell_access::sessions::{EndReason, Protocol, SessionId, SessionView};
use framewell_model::{ChannelId, Holder, Right};
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Sessions of video.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionList {
    /// Oldest first.
    sessions: Vec<SessionBody>,
    /// Bits per second that all of them together took in the last second.
    bitrate_bps: u64,
}

/// Somebody who reads or publishes video.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionBody {
    /// Key.
    #[schema(example = "5f0c1b2a99d04e17")]
    id: String,
    /// `rtsp`, `rtmp`, `hls`, `webrtc`, `mp4` (an HTTP answer) or `websocket`.
    #[schema(example = "rtsp")]
    protocol: &'static str,
    /// `live`, `recorded` or `publish`.
    #[schema(example = "live")]
    activity: &'static str,
    /// Channel.
    channel: i64,
    /// Which stream of it: `main` or `sub`.
    #[schema(example = "main")]
    stream: &'static str,
    /// Address of the other side, where it is known, for the token that opened the session and for those that may
    /// end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "10.0.0.7:51544")]
    peer: Option<String>,
    /// When it began.
    started: String,
    /// When it ends by itself, where it does not outlive its ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    expire: Option<String>,
    /// Bytes sent to a reader, or received from a publisher.
    bytes: u64,
    /// Bits in the last second.
    bitrate_bps: u64,
    /// Pictures that were left out because the reader was slow.
    missed_frames: u64,
}

/// Where others watch from is for those who may end their sessions.
fn show(view: &SessionView, caller: &Caller) -> SessionBody {
    let is_own = view.new.holder == Holder::from(&caller.grant);
    let may_know = is_own || caller.grant.rights.has(Right::Configure);
    SessionBody {
        id: view.id.to_string(),
        protocol: view.new.protocol.as_str(),
        activity: view.new.activity.as_str(),
        channel: view.new.channel.main().get(),
        stream: view.new.channel.stream().as_str(),
        peer: view
            .new
            .peer
            .filter(|_| may_know)
            .map(|peer| peer.to_string()),
        started: view.started.to_rfc3339(),
        expire: view.new.expire.map(framewell_model::WallTime::to_rfc3339),
        bytes: view.bytes,
        bitrate_bps: view.bits_per_s,
        missed_frames: view.missed_frames,
    }
}

/// List sessions of video
///
/// Everybody who reads or publishes a channel of this token now, over any protocol: RTSP, RTMP, HLS, WebRTC,
/// fragmented MP4. An HLS player is listed until it has fetched nothing for half a minute.
#[utoipa::path(
    get,
    path = "/v1/sessions",
    tag = "sessions",
    params(
        ("channel" = Option<i64>, Query, description = "Of this channel only"),
        ("protocol" = Option<String>, Query, description = "Over this protocol only, for example `rtsp`"),
    ),
    responses(
        (status = 200, description = "The sessions", body = SessionList),
        (status = 400, description = "No such protocol", body = ErrorBody),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn list_sessions(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
) -> Result<Json<SessionList>, ApiError> {
    let protocol = params.get("protocol").map(read_protocol).transpose()?;
    let channels = match params.number::<ChannelId>("channel")? {
        Some(channel) => {
            caller.check(&state, channel).await?;
            BTreeSet::from([channel])
        }
        None => state
            .access
            .channels(&caller.grant)
            .await?
            .into_iter()
            .collect(),
    };
    let mut views = state
        .sessions
        .list(|channel| channels.contains(&channel.main()));
    views.retain(|view| protocol.is_none_or(|protocol| view.new.protocol == protocol));
    Ok(Json(SessionList {
        bitrate_bps: views.iter().map(|view| view.bits_per_s).sum(),
        sessions: views.iter().map(|view| show(view, &caller)).collect(),
    }))
}

/// End a session
///
/// The client is disconnected at once; a reader over HLS gets 403 until its ticket ends. Over the other protocols
/// nothing keeps it from coming back with a ticket that is still good: revoke the token to keep it out.
#[utoipa::path(
    delete,
    path = "/v1/sessions/{id}",
    tag = "sessions",
    params(("id" = String, Path, description = "Session")),
    responses(
        (status = 204, description = "It is being ended"),
        (status = 403, description = "The token may not change settings", body = ErrorBody),
        (status = 404, description = "No such session of a channel behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn end_session(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let missing = || ApiError::not_found("a session with this id");
    let id: SessionId = id.parse().map_err(|()| missing())?;
    let view = state.sessions.get(id).ok_or_else(missing)?;
    let what = String::from("a session with this id");
    caller.check_hidden(&state, view.new.channel, what).await?;
    if state.sessions.end(id, EndReason::Ended) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(missing())
    }
}

fn read_protocol(word: &str) -> Result<Protocol, ApiError> {
    Protocol::from_word(word).ok_or_else(|| {
        let known = Protocol::ALL.map(Protocol::as_str).join(", ");
        ApiError::invalid(format!("protocol is none of {known}"))
    })
}
