//! WHIP (RFC 9725): publishing over WebRTC with one HTTP request. The session is a resource like those of
//! [`super::whep`].

use super::channel_of;
use super::types::ErrorBody;
use super::whep::{SDP, check_type, created, engine, read_description, refused};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::media::admit_ticket;
use crate::origin::Origin;
use crate::params::Params;
use crate::webrtc::WebRtcWanted;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use framewell_access::MediaScope;
use framewell_model::ChannelId;

/// Publish over WebRTC (WHIP)
///
/// The body is an SDP offer that sends H.264 (packetization-mode=1) or H.265, and Opus if there is sound.
/// `Location` names the session: DELETE ends it. A key frame is asked for every two seconds. A channel with
/// a camera source takes no publisher, and a channel has one at a time.
#[utoipa::path(
    post,
    path = "/v1/channels/{id}/whip",
    tag = "video",
    params(("id" = i64, Path, description = "Channel")),
    request_body(content = String, content_type = "application/sdp"),
    responses(
        (status = 201, description = "SDP answer", body = String, content_type = "application/sdp"),
        (status = 400, description = "The offer makes no sense, or has nothing that can be recorded", body = ErrorBody),
        (status = 403, description = "The token does not allow to publish: it takes a token of level all", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, or WebRTC is off", body = ErrorBody),
        (status = 409, description = "Somebody else publishes", body = ErrorBody),
    ),
)]
pub(crate) async fn open_whip(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    params: Params,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let channel = channel_of(&state, &caller, &id).await?;
    let wanted = WebRtcWanted {
        channel,
        has_recorded: false,
        wants_opus: false,
        holder: (&caller.grant).into(),
        peer: params.peer(),
    };
    publish(&state, &origin, wanted, request).await
}

/// `/whip/{channel}?ticket=…`: the same for encoders that have a URL and no token.
pub(crate) async fn open_whip_by_ticket(
    State(state): State<AppState>,
    origin: Origin,
    params: Params,
    Path(channel): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("this channel");
    let channel: ChannelId = channel.parse().map_err(|_| missing())?;
    let ticket = admit_ticket(&state, &params, &MediaScope::Publish(channel)).await?;
    // A ticket outlives its channel.
    state.catalog.load_channel(channel).await?;
    let wanted = WebRtcWanted {
        channel,
        has_recorded: false,
        wants_opus: false,
        holder: ticket.holder,
        peer: params.peer(),
    };
    publish(&state, &origin, wanted, request).await
}

async fn publish(
    state: &AppState,
    origin: &Origin,
    wanted: WebRtcWanted,
    request: Request,
) -> Result<Response, ApiError> {
    let engine = engine(state)?;
    check_type(request.headers(), SDP)?;
    let offer = read_description(request, state).await?;
    let session = engine.publish(wanted, &offer).map_err(refused)?;
    Ok(created(origin, &session))
}
