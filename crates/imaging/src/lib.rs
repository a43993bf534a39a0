//! Pictures of a channel: now, or at any recorded instant, exact to the frame.

use bytes::Bytes;
use framewell_decode::Pool;
use framewell_footage::Footage;
use framewell_live::Registry;
use framewell_model::{ChannelId, ClockSource, ErrorKind, HasKind, WallClock, WallTime};
use std::sync::Arc;

/// A picture that cannot be had. Never a placeholder instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// "Now" was asked, and the camera delivers nothing.
    #[error("channel {channel} is not streaming")]
    NotLive {
        /// The channel.
        channel: ChannelId,
        /// Capture time of its last picture in memory, if there is one.
        newest: Option<WallTime>,
    },
    /// The footage.
    #[error("{0}")]
    Footage(framewell_footage::Error),
    /// The decoder.
    #[error("decoding a picture of channel {channel} failed")]
    Decode {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: framewell_decode::Error,
    },
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotLive { .. } => ErrorKind::Unavailable,
            Self::Footage(source) => source.kind(),
            Self::Decode { source, .. } => source.kind(),
        }
    }
}

/// Which picture, and how big.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The channel.
    pub channel: ChannelId,
    /// The instant; `None` for the newest picture of the live stream. The picture returned is the one
    /// on screen at that instant: the last one captured at or before it.
    pub at: Option<WallTime>,
    /// Pixels; alone, keeps the aspect ratio.
    pub width: Option<u32>,
    /// Pixels; alone, keeps the aspect ratio.
    pub height: Option<u32>,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
}

/// A finished picture with the truth about its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// JPEG file.
    pub data: Bytes,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The instant asked for, or now.
    pub requested: WallTime,
    /// Capture time of the picture.
    pub captured: WallTime,
    /// Where that time comes from.
    pub clock: ClockSource,
    /// Whether the picture came from the live ring.
    pub is_live: bool,
}

/// The service; cheap to clone.
#[derive(Debug, Clone)]
pub struct Imaging {
    registry: Registry,
    footage: Footage,
    pool: Pool,
    clock: Arc<dyn WallClock>,
}

impl Imaging {
    /// Joins the parts.
    #[must_use]
    pub fn new(
        registry: Registry,
        footage: Footage,
        pool: Pool,
        clock: Arc<dyn WallClock>,
    ) -> Self {
        Self {
            registry,
            footage,
            pool,
            clock,
        }
    }

    /// Makes a picture.
    pub async fn image(&self, request: &Request) -> Result<Image, Error> {
        let _ = (
            request,
            &self.registry,
            &self.footage,
            &self.pool,
            &self.clock,
        );
        todo!()
    }
}
