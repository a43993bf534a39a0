//! What all WebSockets of this face share (RFC 6455): an upgrade that bounds what a client may say,
//! patience with a client that takes nothing, and an end that says why.

use crate::error::ApiError;
use crate::multipart::error_object;
use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::header;
use axum::http::request::Parts;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};
use std::time::Duration;

/// A client that does not take a message for this long is disconnected.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest message that a client may send, in bytes: what clients say to any of our sockets is short.
const MAX_MESSAGE: usize = 4 << 10;
/// Most characters of a close frame's reason: at most 123 bytes fit (RFC 6455 section 5.5).
const REASON_CHARS: usize = 40;

/// The upgrade, if the request asks for one.
pub(crate) struct Upgrade(pub(crate) Option<WebSocketUpgrade>);

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let asks = parts.headers.contains_key(header::UPGRADE);
        match WebSocketUpgrade::from_request_parts(parts, state).await {
            Ok(upgrade) => {
                let bounded = upgrade.max_message_size(MAX_MESSAGE);
                Ok(Self(Some(bounded.max_frame_size(MAX_MESSAGE))))
            }
            Err(_) if asks => Err(ApiError::invalid(
                "the upgrade is none to WebSocket (RFC 6455)",
            )),
            Err(_) => Ok(Self(None)),
        }
    }
}

/// `None` if the client is gone or takes nothing.
pub(crate) async fn send(socket: &mut WebSocket, message: Message) -> Option<()> {
    let sending = tokio::time::timeout(WRITE_TIMEOUT, socket.send(message));
    sending.await.ok()?.ok()
}

/// Says why it ends, in words and as a close code (RFC 6455 section 7.4.1), and ends.
pub(crate) async fn close(socket: &mut WebSocket, error: Option<ApiError>) {
    let reason = reason_of(error.as_ref());
    close_saying(socket, error, reason).await;
}

/// What a close frame says, short enough for it.
pub(crate) fn reason_of(error: Option<&ApiError>) -> String {
    match error {
        Some(error) => error.message.chars().take(REASON_CHARS).collect(),
        None => "the end that was asked for".to_owned(),
    }
}

/// As [`close`], with a reason of its own in the close frame.
pub(crate) async fn close_saying(socket: &mut WebSocket, error: Option<ApiError>, reason: String) {
    let code = code_of(error.as_ref());
    close_with(socket, describe_end(error), code, reason).await;
}

/// The close code for an end with or without an error (RFC 6455 section 7.4.1).
pub(crate) const fn code_of(error: Option<&ApiError>) -> u16 {
    match error {
        Some(_) => close_code::POLICY,
        None => close_code::NORMAL,
    }
}

/// Sends a last object, and ends.
pub(crate) async fn close_with(socket: &mut WebSocket, end: Value, code: u16, reason: String) {
    let end = end.to_string();
    if send(socket, Message::Text(end.into())).await.is_none() {
        return;
    }
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    let _gone = send(socket, Message::Close(Some(frame))).await;
}

/// The last object of anything that goes on until it ends.
pub(crate) fn describe_end(error: Option<ApiError>) -> Value {
    match error {
        Some(error) => json!({ "type": "end", "error": error_object(error) }),
        None => json!({ "type": "end" }),
    }
}

/// A binary message: length of the header, header, picture.
pub(crate) fn framed(header: &Value, data: &Bytes) -> Bytes {
    let header = header.to_string();
    let length = u32::try_from(header.len()).expect("a header has some hundred bytes");
    let mut message = BytesMut::with_capacity(4 + header.len() + data.len());
    message.put_u32(length);
    message.put_slice(header.as_bytes());
    message.put_slice(data);
    message.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_message_is_length_header_picture() {
        let message = framed(&json!({"a": 1}), &Bytes::from_static(b"jpeg"));
        assert_eq!(&message[..], b"\0\0\0\x07{\"a\":1}jpeg");
    }
}
