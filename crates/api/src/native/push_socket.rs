//! A push over a WebSocket (RFC 6455).
//!
//! Binary messages are pictures: length of a JSON header as 4 bytes big endian, the header, the
//! picture. Text messages of the server are JSON objects with a `type`: `error` (the push goes on),
//! `gap` (pictures were lost before they were decoded), `end`. A client that asked for a window sends
//! `{"ack": sequence}`.

use super::group_live::describe_image;
use super::push::{Next, Push};
use super::socket::{close, framed, send};
use crate::multipart::error_object;
use crate::picture;
use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use framewell_imaging::{Error, LiveImage};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// How often a client is asked whether it is there.
const PING: Duration = Duration::from_secs(15);
/// A client that says nothing for this long, not even to a ping, is gone.
const SILENCE: Duration = Duration::from_secs(45);

/// What a client may say.
#[derive(Debug, Deserialize)]
struct Ack {
    /// Sequence of the newest picture that it is done with.
    ack: u64,
}

/// The pictures on their way to a client that says what it has got.
#[derive(Debug)]
struct Window {
    size: Option<u64>,
    /// Sequences of pictures that were sent and not acknowledged, ascending.
    open: std::collections::VecDeque<u64>,
}

impl Window {
    fn is_open(&self) -> bool {
        let open = u64::try_from(self.open.len()).unwrap_or(u64::MAX);
        self.size.is_none_or(|size| open < size)
    }

    fn sent(&mut self, sequence: u64) {
        if self.size.is_some() {
            self.open.push_back(sequence);
        }
    }

    fn acknowledged(&mut self, sequence: u64) {
        while self.open.front().is_some_and(|open| *open <= sequence) {
            self.open.pop_front();
        }
    }
}

/// Speaks until one of both ends it.
pub(crate) async fn speak(mut push: Push, mut socket: WebSocket, window: Option<u64>) {
    let mut window = Window {
        size: window,
        open: std::collections::VecDeque::new(),
    };
    let mut ping = tokio::time::interval(PING);
    let mut heard_at = Instant::now();
    loop {
        tokio::select! {
            next = push.next(), if window.is_open() => {
                let sent = match next {
                    Next::Picture(image) => {
                        window.sent(image.sequence);
                        send(&mut socket, Message::Binary(message(&push, &image))).await
                    }
                    Next::Trouble(error) => {
                        let event = describe_trouble(&error).to_string();
                        send(&mut socket, Message::Text(event.into())).await
                    }
                    Next::End => return close(&mut socket, None).await,
                    Next::Shut(error) => return close(&mut socket, Some(error)).await,
                };
                if sent.is_none() {
                    return;
                }
            }
            heard = socket.recv() => {
                heard_at = Instant::now();
                match heard {
                    Some(Ok(Message::Text(text))) => {
                        if let Ok(Ack { ack }) = serde_json::from_str(&text) {
                            window.acknowledged(ack);
                        }
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    // Pings are answered by the library.
                    Some(Ok(_)) => {}
                }
                if let Some(error) = push.shut_if_due().await {
                    return close(&mut socket, Some(error)).await;
                }
            }
            _ = ping.tick() => {
                if heard_at.elapsed() > SILENCE {
                    return;
                }
                if send(&mut socket, Message::Ping(Bytes::new())).await.is_none() {
                    return;
                }
                if let Some(error) = push.shut_while_waiting(!window.is_open()).await {
                    return close(&mut socket, Some(error)).await;
                }
            }
        }
    }
}

fn message(push: &Push, image: &LiveImage) -> Bytes {
    let mut header = describe_image(&image.image, push.state.clock.now());
    header["type"] = json!("picture");
    header["sequence"] = json!(image.sequence);
    header["dropped"] = json!(image.dropped);
    framed(&header, &image.image.data)
}

fn describe_trouble(error: &Error) -> Value {
    let kind = if matches!(error, Error::Overrun { .. }) {
        "gap"
    } else {
        "error"
    };
    json!({ "type": kind, "error": error_object(picture::explain_ref(error)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_opens_with_what_is_acknowledged() {
        let mut window = Window {
            size: Some(2),
            open: std::collections::VecDeque::new(),
        };
        window.sent(4);
        assert!(window.is_open());
        window.sent(9);
        assert!(!window.is_open());
        window.acknowledged(8);
        assert!(window.is_open());
        window.sent(10);
        window.acknowledged(10);
        assert!(window.open.is_empty());
    }
}
