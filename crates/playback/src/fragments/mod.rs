//! Streams of fragmented MP4, live and recorded, for HTTP, WebSocket and Media Source Extensions.
//!
//! Live: a fragment for each picture, made once for all readers of a channel ([`Live`]). Recorded, with a
//! look-back or with a cursor: cut for the one reader, paced, and handed over to the shared fragments as
//! soon as it has caught up with them. The transport is the caller's.
//!
//! A fragment is a box with its [`Cursor`], `prft` with the capture time, `moof` and `mdat`. The clock of
//! the stream is the wall clock.

mod chunker;
mod cursor;
mod fanout;
mod feed;
mod piece;
#[cfg(test)]
mod tests;
mod window;

pub use cursor::{BadCursor, Cursor};
pub use feed::{Feed, Notice, Part, Request};
pub use piece::{CURSOR_BOX, Init, NOTICE_BOX, Piece, Tracks};

use crate::Playback;
use crate::replay::ReplayError;
use fanout::{Fanouts, LiveReader};
use framewell_live::{Registry, Start, Wake};
use framewell_model::{ChannelId, ChannelStatus, ErrorKind, HasKind};
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for the first key frame of a camera that just connected.
const MAX_START_WAIT: Duration = Duration::from_secs(10);

/// A stream that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The camera delivers nothing, or has no key frame yet.
    #[error("channel {0} is not streaming yet")]
    NotLive(ChannelId),
    /// Sound alone was asked for.
    #[error("channel {0} has no audio")]
    NoAudio(ChannelId),
    /// What is recorded cannot be read, or nothing is.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotLive(_) => ErrorKind::Unavailable,
            Self::NoAudio(_) => ErrorKind::NotFound,
            Self::Replay(error) => error.kind(),
        }
    }
}

/// Live fragments of all channels; cheap to clone.
#[derive(Debug, Clone)]
pub struct Live {
    fanouts: Fanouts,
}

impl Live {
    /// Over these tracks.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self {
            fanouts: Fanouts::new(registry),
        }
    }

    /// A reader that goes on exactly behind `cursor`; `None` if the shared fragments do not have that place.
    fn join(&self, channel: ChannelId, tracks: Tracks, cursor: &Cursor) -> Option<LiveReader> {
        self.fanouts.join(channel, tracks, cursor)
    }

    /// Waits a short while for the first key frame of a camera that just connected.
    async fn ready(&self, channel: ChannelId, tracks: Tracks) -> Result<LiveReader, Error> {
        let not_live = || Error::NotLive(channel);
        let track = self.fanouts.registry().get(channel).ok_or_else(not_live)?;
        let deadline = Instant::now() + MAX_START_WAIT;
        let mut news = track.subscribe(Start::NewestKey);
        while track.newest_gop().is_none_or(|gop| gop.is_closed) {
            let may_come = track.source_state().borrow().status == ChannelStatus::Active;
            let wait = tokio::time::timeout_at(deadline, news.next(Wake::Flush));
            if !may_come || wait.await.is_err() {
                return Err(not_live());
            }
        }
        let has_audio = track.parameters().is_some_and(|p| p.audio.is_some());
        if tracks == Tracks::Audio && !has_audio {
            return Err(Error::NoAudio(channel));
        }
        self.fanouts.open(channel, tracks).ok_or_else(not_live)
    }
}

impl Playback {
    /// A stream of fragments. See [`Request`].
    ///
    /// # Errors
    /// Live: [`Error::NotLive`] if the camera delivers nothing. Recorded: what [`Playback::catch_up`]
    /// says.
    pub async fn fragments(&self, channel: ChannelId, request: Request) -> Result<Feed, Error> {
        Feed::open(self, channel, request).await
    }
}
