//! Live HLS with fMP4 segments (RFC 8216).

use bytes::Bytes;
use framewell_live::Registry;
use framewell_model::{ChannelId, ErrorKind, HasKind};

/// A live playlist or segment that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The camera delivers nothing, or not enough yet.
    #[error("channel {0} is not streaming yet")]
    NotLive(ChannelId),
    /// The segment is not in the window.
    #[error("segment {1} of channel {0} is not in the live window")]
    NoSegment(ChannelId, u64),
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotLive(_) => ErrorKind::Unavailable,
            Self::NoSegment(..) => ErrorKind::NotFound,
        }
    }
}

/// Live HLS of all channels; packaging starts when somebody asks and ends when nobody does.
#[derive(Debug, Clone)]
pub struct Live {
    registry: Registry,
}

impl Live {
    /// Over these tracks.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// Multivariant playlist: codecs, resolution, the one rendition. `query` (for example
    /// `ticket=…`) is appended to every URI.
    pub async fn multivariant(&self, channel: ChannelId, query: &str) -> Result<String, Error> {
        let _ = (channel, query, &self.registry);
        todo!()
    }

    /// Media playlist. Waits a short while for the first segments of a stream that just started.
    pub async fn playlist(&self, channel: ChannelId, query: &str) -> Result<String, Error> {
        let _ = (channel, query);
        todo!()
    }

    /// Init segment number `epoch` (a new one after a change of parameters).
    pub async fn init(&self, channel: ChannelId, epoch: u64) -> Result<Bytes, Error> {
        let _ = (channel, epoch);
        todo!()
    }

    /// Media segment.
    pub async fn segment(&self, channel: ChannelId, sequence: u64) -> Result<Bytes, Error> {
        let _ = (channel, sequence);
        todo!()
    }
}
