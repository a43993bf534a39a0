//! `/{camid}/watch/{uid}/`: the websocket over which the vendor's player is offered a WebRTC session
//! (contract section 14).

use crate::AppState;
use crate::error::ApiError;
use crate::media::admit_ticket;
use crate::native::socket::send;
use crate::native::whep::{engine, wants_opus};
use crate::params::Params;
use crate::webrtc::{WebRtc, WebRtcSession, WebRtcWanted};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Path, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use framewell_access::MediaScope;
use framewell_model::ChannelId;
use framewell_wire::webrtc::signalling::{self, MAX_MESSAGE, Said};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Time for the client's greeting, and then for its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a silent client is asked whether it is there.
const PING: Duration = Duration::from_secs(15);

/// The upgrade with room for session descriptions.
pub(crate) struct Upgrade(WebSocketUpgrade);

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await;
        let upgrade = upgrade
            .map_err(|_| ApiError::invalid("this is a websocket, and the request asks for none"))?;
        let upgrade = upgrade.max_message_size(MAX_MESSAGE);
        Ok(Self(upgrade.max_frame_size(MAX_MESSAGE)))
    }
}

pub(crate) async fn watch(
    State(state): State<AppState>,
    Path((camid, _uid)): Path<(String, String)>,
    params: Params,
    request: axum::extract::Request,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("this camera");
    let channel = ChannelId::parse_stored(&camid).ok_or_else(missing)?;
    let ticket = admit_ticket(&state, &params, &MediaScope::Live(channel)).await?;
    let wanted = WebRtcWanted {
        channel,
        has_recorded: false,
        wants_opus: wants_opus(&params)?,
        holder: ticket.holder,
        peer: params.peer(),
    };
    let engine = engine(&state)?;
    let (mut parts, _) = request.into_parts();
    let Upgrade(upgrade) = Upgrade::from_request_parts(&mut parts, &()).await?;
    let protocol = parts.headers.get(header::SEC_WEBSOCKET_PROTOCOL).is_some();
    if protocol {
        tracing::debug!(channel.id = %channel, "a signalling client names a subprotocol; there is none");
    }
    let speaking = move |socket| speak(socket, engine, wanted);
    Ok(upgrade.on_upgrade(speaking).into_response())
}

async fn speak(mut socket: WebSocket, engine: Arc<dyn WebRtc>, wanted: WebRtcWanted) {
    let Some(()) = greet(&mut socket).await else {
        return;
    };
    let session = match engine.offer(wanted).await {
        Ok(session) => session,
        Err(refusal) => return complain(&mut socket, &refusal.message).await,
    };
    let id = session.id.clone();
    negotiate(&mut socket, &*engine, session).await;
    // The session outlives its signalling by nothing: the vendor's client closes both.
    engine.end(id).await;
}

/// Waits for `HELLO` and returns it.
async fn greet(socket: &mut WebSocket) -> Option<()> {
    let heard = tokio::time::timeout(PATIENCE, next_text(socket))
        .await
        .ok()??;
    if !signalling::is_greeting(&heard) {
        complain(socket, "HELLO was expected").await;
        return None;
    }
    send(socket, Message::text("HELLO")).await
}

async fn negotiate(socket: &mut WebSocket, engine: &dyn WebRtc, session: WebRtcSession) {
    let WebRtcSession {
        id, description, ..
    } = session;
    let offer = json!({ "from": id, "sdp": { "type": "offer", "sdp": description } });
    let started = format!("SESSION_STARTED {id}");
    for text in [started, offer.to_string()] {
        if send(socket, Message::text(text)).await.is_none() {
            return;
        }
    }
    let mut closed = engine.closed(id.clone());
    let mut ping = tokio::time::interval(PING);
    loop {
        tokio::select! {
            () = &mut closed => {
                let _gone = send(socket, Message::text(format!("SESSION_STOPPED {id}"))).await;
                return;
            }
            heard = next_text(socket) => {
                let Some(heard) = heard else { return };
                if let Err(words) = hear(engine, &id, &heard).await {
                    return complain(socket, &words).await;
                }
            }
            _ = ping.tick() => {
                if send(socket, Message::Ping(bytes::Bytes::new())).await.is_none() {
                    return;
                }
            }
        }
    }
}

/// An answer is handed on; everything else is passed over.
async fn hear(engine: &dyn WebRtc, id: &str, text: &str) -> Result<(), String> {
    let answer = match signalling::read(text) {
        Said::Nothing => return Ok(()),
        Said::OtherDescription => return Err("an answer was expected".to_owned()),
        Said::Answer(answer) => answer,
    };
    let accepted = engine.accept(id.to_owned(), answer).await;
    accepted.map_err(|refusal| refusal.message)
}

async fn complain(socket: &mut WebSocket, words: &str) {
    // Whoever is told may have gone.
    let _gone = send(socket, Message::text(format!("ERROR {words}"))).await;
}

/// The next text; `None` when the client has gone. Pings are answered by the library.
async fn next_text(socket: &mut WebSocket) -> Option<String> {
    loop {
        match socket.recv().await?.ok()? {
            Message::Text(text) => return Some(text.to_string()),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}
