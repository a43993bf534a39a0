//! WHEP (draft-ietf-wish-whep, after RFC 9725): watching over WebRTC with one HTTP request.
//!
//! The session that a POST makes is a resource of its own, `/webrtc/{session}`. Its name is random and
//! is all that ending it takes: whoever could read it could end it anyway.

use super::stream_of;
use super::types::ErrorBody;
use crate::auth::Caller;
use crate::body::read_bounded;
use crate::error::ApiError;
use crate::media::{admit_ticket, check_ticket};
use crate::origin::Origin;
use crate::params::Params;
use crate::webrtc::{WebRtc, WebRtcRefusal, WebRtcSession, WebRtcWanted};
use crate::{AppState, native};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use framewell_access::MediaScope;
use framewell_model::{ChannelId, ErrorKind};
use std::sync::Arc;

pub(crate) const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// Longest session description; browsers' have some 10 KiB.
pub(crate) const MAX_DESCRIPTION: usize = 64 << 10;

/// Watch live over WebRTC (WHEP)
///
/// The body is an SDP offer that receives video, and audio and a data channel if wanted; the answer
/// carries all candidates, over UDP and TCP. `Location` names the session: DELETE ends it, PATCH takes
/// trickled candidates. The camera's own coding is sent, H.264 or H.265 and G.711 or Opus. What a
/// client cannot play is refused with 406, which names the protocols that carry it; sound that WebRTC
/// does not carry is left out, with a `Warning`, unless `audio=opus` asks for it to be transcoded.
#[utoipa::path(
    post,
    path = "/v1/channels/{id}/whep",
    tag = "video",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
        ("audio" = Option<String>, Query, description = "`opus`: sound in AAC and G.711 becomes Opus. `source` (default): it is sent as it is, or left out"),
    ),
    request_body(content = String, content_type = "application/sdp"),
    responses(
        (status = 201, description = "SDP answer", body = String, content_type = "application/sdp"),
        (status = 400, description = "The offer makes no sense", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, or WebRTC is off", body = ErrorBody),
        (status = 406, description = "WebRTC cannot carry this channel to this client", body = ErrorBody),
        (status = 503, description = "The camera sends nothing, or all places are taken", body = ErrorBody),
    ),
)]
pub(crate) async fn open_whep(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    params: Params,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let channel = stream_of(&state, &caller, &id, &params).await?;
    let wanted = WebRtcWanted {
        channel,
        has_recorded: true,
        wants_opus: wants_opus(&params)?,
        holder: (&caller.grant).into(),
        peer: params.peer(),
    };
    play(&state, &origin, wanted, request).await
}

/// `/whep/{channel}?ticket=…`: the same for pages that have a URL and no token.
pub(crate) async fn open_whep_by_ticket(
    State(state): State<AppState>,
    origin: Origin,
    params: Params,
    Path(channel): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("this channel");
    let channel = ChannelId::parse_stored(&channel).ok_or_else(missing)?;
    // A ticket for all footage opens live video, too.
    let footage = MediaScope::Footage(channel);
    let has_recorded = check_ticket(&state, &params, &footage).is_ok();
    let scope = if has_recorded {
        footage
    } else {
        MediaScope::Live(channel)
    };
    let ticket = admit_ticket(&state, &params, &scope).await?;
    let wanted = WebRtcWanted {
        channel,
        has_recorded,
        wants_opus: wants_opus(&params)?,
        holder: ticket.holder,
        peer: params.peer(),
    };
    play(&state, &origin, wanted, request).await
}

/// What the parameter `audio` says.
pub(crate) fn wants_opus(params: &Params) -> Result<bool, ApiError> {
    match params.get("audio") {
        None | Some("source") => Ok(false),
        Some("opus") => Ok(true),
        Some(_) => Err(ApiError::invalid("audio is source or opus")),
    }
}

async fn play(
    state: &AppState,
    origin: &Origin,
    wanted: WebRtcWanted,
    request: Request,
) -> Result<Response, ApiError> {
    let engine = engine(state)?;
    check_type(request.headers(), SDP)?;
    let offer = read_description(request, state).await?;
    let session = engine.play(wanted, offer).await.map_err(refused)?;
    Ok(created(origin, &session))
}

/// The engine, where the server has one.
pub(crate) fn engine(state: &AppState) -> Result<Arc<dyn WebRtc>, ApiError> {
    let off = || ApiError::not_found("WebRTC on this server (webrtc.listen is empty)");
    state.webrtc.clone().ok_or_else(off)
}

pub(crate) fn check_type(headers: &HeaderMap, wanted: &'static str) -> Result<(), ApiError> {
    let given = headers.get(header::CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let error = ApiError::invalid(format!("the body has to be {wanted}"));
    Err(error.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

pub(crate) async fn read_description(
    request: Request,
    state: &AppState,
) -> Result<String, ApiError> {
    let (bytes, _reserved) = read_bounded(request, state, MAX_DESCRIPTION).await?;
    String::from_utf8(bytes.into()).map_err(|_| ApiError::invalid("the body is not UTF-8"))
}

/// 201 with the answer (RFC 9725 section 4.2).
pub(crate) fn created(origin: &Origin, session: &WebRtcSession) -> Response {
    let location = format!("{}/webrtc/{}", origin.base(), session.id);
    let headers = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, location),
        (header::ETAG, etag(&session.id)),
        (HeaderName::from_static("accept-patch"), FRAGMENT.to_owned()),
    ];
    let body = session.description.clone();
    let mut response = (StatusCode::CREATED, headers, body).into_response();
    if let Some(why) = &session.left_out {
        // RFC 7234 section 5.5; 299 is a warning without a meaning of its own.
        let text = format!("299 framewell \"no sound: {why}\"");
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(header::WARNING, value);
        }
    }
    response
}

/// Names the ICE session; there is one only, because restarts are not taken.
fn etag(id: &str) -> String {
    let short: String = id.chars().take(8).collect();
    format!("\"{short}\"")
}

pub(crate) fn refused(refusal: WebRtcRefusal) -> ApiError {
    let error = ApiError::new(refusal.kind, refusal.message);
    if refusal.instead.is_empty() {
        return error;
    }
    let protocols: Vec<String> = refusal
        .instead
        .iter()
        .map(|p| p.to_ascii_lowercase())
        .collect();
    error
        .with_status(StatusCode::NOT_ACCEPTABLE)
        .with_detail("protocols", protocols)
}

/// Trickled candidates (RFC 8840). They are taken and not needed: this side is ICE-lite and learns a
/// client's addresses from its checks. A restart of ICE is refused (RFC 9725 section 4.3.3).
pub(crate) async fn patch_session(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let engine = engine(&state)?;
    if !engine.is_open(&id) {
        return Err(no_session());
    }
    check_type(request.headers(), FRAGMENT)?;
    match request
        .headers()
        .get(header::IF_MATCH)
        .map(HeaderValue::as_bytes)
    {
        Some(b"*") => {
            let words = "ICE is not restarted here: open another session";
            let error = ApiError::invalid(words);
            return Err(error.with_status(StatusCode::UNPROCESSABLE_ENTITY));
        }
        Some(tag) if tag != etag(&id).as_bytes() => {
            let error = ApiError::new(ErrorKind::FailedPrecondition, "the ETag is another one");
            return Err(error.with_status(StatusCode::PRECONDITION_FAILED));
        }
        _ => {}
    }
    read_description(request, &state).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn end_session(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let engine = native::whep::engine(&state)?;
    if engine.end(id).await {
        return Ok(StatusCode::OK);
    }
    Err(no_session())
}

fn no_session() -> ApiError {
    ApiError::not_found("this session")
}
