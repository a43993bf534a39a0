//! A stream of fragments over a WebSocket (RFC 6455): binary messages are MP4, text messages say what
//! it is.

use super::socket::{close_with, code_of, reason_of, send};
use super::stream_mp4::{Next, Stream, describe, describe_waiting};
use crate::error::ApiError;
use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use framewell_playback::fragments::{Init, Part};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// How often a client is asked whether it is there.
const PING: Duration = Duration::from_secs(15);
/// A client that says nothing for this long, not even to a ping, is gone.
const SILENCE: Duration = Duration::from_secs(45);

/// Speaks until one of both ends it.
pub(crate) async fn speak(mut stream: Stream, mut socket: WebSocket) {
    let mut ping = tokio::time::interval(PING);
    let mut heard_at = Instant::now();
    loop {
        tokio::select! {
            next = stream.next() => {
                let sent = match next {
                    Next::Part(part) => send_part(&mut socket, &part).await,
                    Next::Waiting => send_object(&mut socket, &describe_waiting()).await,
                    Next::End(error) => return end(&stream, &mut socket, error).await,
                };
                if sent.is_none() {
                    return;
                }
            }
            heard = socket.recv() => {
                heard_at = Instant::now();
                match heard {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    // Pings are answered by the library; what else a client says means nothing here.
                    Some(Ok(_)) => {}
                }
            }
            _ = ping.tick() => {
                if heard_at.elapsed() > SILENCE {
                    return;
                }
                if send(&mut socket, Message::Ping(Bytes::new())).await.is_none() {
                    return;
                }
            }
        }
    }
}

async fn send_part(socket: &mut WebSocket, part: &Part) -> Option<()> {
    match part {
        Part::Init(init) => {
            send_object(socket, &describe_init(init)).await?;
            send(socket, Message::Binary(init.bytes.clone())).await
        }
        Part::Fragment(piece) => send(socket, Message::Binary(piece.wire.clone())).await,
        Part::Notice(notice) => send_object(socket, &describe(notice)).await,
    }
}

async fn send_object(socket: &mut WebSocket, object: &Value) -> Option<()> {
    send(socket, Message::Text(object.to_string().into())).await
}

async fn end(stream: &Stream, socket: &mut WebSocket, error: Option<ApiError>) {
    let (code, reason) = (code_of(error.as_ref()), reason_of(error.as_ref()));
    close_with(socket, stream.describe_end(error), code, reason).await;
}

fn describe_init(init: &Init) -> Value {
    let size = init.size;
    json!({
        "type": "init",
        "mime": format!("video/mp4; codecs=\"{}\"", init.codecs),
        "codecs": init.codecs,
        "width": size.map(|(width, _)| width),
        "height": size.map(|(_, height)| height),
    })
}
