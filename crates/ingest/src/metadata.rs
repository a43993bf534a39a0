//! The camera's metadata track, read over a connection of its own.
//!
//! Nothing that a camera does wrong there, a document without end, a time that jumps, costs a picture:
//! the session with the pictures does not know of this one. Documents are handed on as they came
//! (ONVIF Streaming Specification section 5.2.1.1: the marker bit ends one).

use crate::SessionError;
use crate::source::Target;
use bytes::Bytes;
use framewell_live::{SourceMessage, Track};
use framewell_model::{OutboundPolicy, WallClock};
use futures::StreamExt;
use retina::client::{
    InitialTimestampPolicy, PacketItem, PlayOptions, Playing, Session, SessionGroup,
    SessionOptions, SetupOptions, Stream, Transport,
};
use retina::rtp::ReceivedPacket;
use std::sync::Arc;
use std::time::Duration;
use tracing::debug;

/// Most bytes of a document; a longer one is dropped.
const MAX_DOCUMENT: usize = 256 << 10;
/// Cameras have few sessions to give; one that refuses is not asked often.
const PAUSE: Duration = Duration::from_secs(60);
/// Longest time until the camera has answered PLAY.
const CONNECT: Duration = Duration::from_secs(15);

/// Whether a camera offers metadata that can be read: XML as it is. Compressed forms are rare and left
/// alone.
pub(crate) fn is_offered(streams: &[Stream]) -> bool {
    stream_of(streams).is_some()
}

fn stream_of(streams: &[Stream]) -> Option<usize> {
    streams.iter().position(|stream| {
        stream.media() == "application" && stream.encoding_name() == "vnd.onvif.metadata"
    })
}

/// Reads the metadata of one camera for as long as it is polled.
#[derive(Debug, Clone)]
pub(crate) struct MetadataSession {
    pub(crate) target: Target,
    pub(crate) track: Track,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) outbound: OutboundPolicy,
}

impl MetadataSession {
    /// Connects again and again; never ends.
    pub(crate) async fn follow(self) {
        loop {
            let why = match tokio::time::timeout(CONNECT, Box::pin(self.open())).await {
                Ok(Ok(session)) => self.read(session).await,
                Ok(Err(error)) => error.to_string(),
                Err(_elapsed) => format!("no answer for {CONNECT:?}"),
            };
            debug!(why, "the camera's metadata ended");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn open(&self) -> Result<Session<Playing>, SessionError> {
        let opening = |error: retina::Error| SessionError::opening(&error);
        let options = SessionOptions::default()
            .creds(self.target.credentials.clone())
            .session_group(Arc::new(SessionGroup::default()))
            .user_agent(String::from("framewell"));
        let url = self.target.reachable(&self.outbound).await?;
        let mut session = Session::describe(url, options).await.map_err(opening)?;
        if let Some(index) = stream_of(session.streams()) {
            let options = SetupOptions::default().transport(Transport::Tcp(Default::default()));
            session.setup(index, options).await.map_err(opening)?;
        }
        let play = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
        session.play(play).await.map_err(opening)
    }

    /// Hands on documents until the session ends; why it did.
    async fn read(&self, mut session: Session<Playing>) -> String {
        let mut document = Assembler::default();
        loop {
            match session.next().await {
                Some(Ok(PacketItem::Rtp(packet))) => {
                    if let Some(whole) = document.push(&packet) {
                        self.track.tell(SourceMessage {
                            arrival: self.clock.now(),
                            document: whole,
                        });
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.to_string(),
                None => return String::from("closed by the camera"),
            }
        }
    }
}

/// Puts documents together.
#[derive(Debug, Default)]
struct Assembler {
    bytes: Vec<u8>,
    /// What comes is the rest of a document that is lost.
    is_broken: bool,
}

impl Assembler {
    fn push(&mut self, packet: &ReceivedPacket) -> Option<Bytes> {
        self.append(packet.payload(), packet.loss() > 0, packet.mark())
    }

    fn append(&mut self, payload: &[u8], is_after_loss: bool, is_last: bool) -> Option<Bytes> {
        // What was lost may have been the end of one document and the beginning of this.
        self.is_broken |= is_after_loss;
        if self.bytes.len() + payload.len() > MAX_DOCUMENT {
            self.is_broken = true;
        }
        if self.is_broken {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(payload);
        }
        if !is_last {
            return None;
        }
        let whole = std::mem::take(&mut self.bytes);
        let was_broken = std::mem::take(&mut self.is_broken);
        (!was_broken && !whole.is_empty()).then(|| Bytes::from(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_ends_a_document() {
        let mut document = Assembler::default();
        assert_eq!(document.append(b"<a", false, false), None);
        assert_eq!(document.append(b"/>", false, true).unwrap(), "<a/>");
        assert_eq!(document.append(b"<b/>", false, true).unwrap(), "<b/>");
    }

    #[test]
    fn a_document_with_a_hole_is_dropped_and_the_next_one_is_whole() {
        let mut document = Assembler::default();
        assert_eq!(document.append(b"<a", false, false), None);
        assert_eq!(document.append(b"/>", true, true), None);
        assert_eq!(document.append(b"<b/>", false, true).unwrap(), "<b/>");
    }

    #[test]
    fn a_document_without_end_holds_no_more_than_the_limit() {
        let mut document = Assembler::default();
        for _ in 0..1_000 {
            assert_eq!(document.append(&[b' '; 1_400], false, false), None);
            assert!(document.bytes.capacity() <= 2 * MAX_DOCUMENT);
        }
        assert_eq!(document.append(b"", false, true), None);
        assert_eq!(document.append(b"<b/>", false, true).unwrap(), "<b/>");
    }
}
