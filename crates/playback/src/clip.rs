//! Clips: virtual MP4 files over stored segments.

use crate::ByteStream;
use framewell_model::{ChannelId, ErrorKind, HasKind, TimeRange};
use std::ops::Range;

/// A clip that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClipError {
    /// Nothing is recorded in the whole range.
    #[error("channel {channel} has no footage between {} and {}", range.start, range.end)]
    Empty {
        /// The channel.
        channel: ChannelId,
        /// The range.
        range: TimeRange,
    },
    /// Longer than one file may be.
    #[error("a clip of {} s is longer than the limit of {limit_s} s", range.micros() / 1_000_000)]
    TooLong {
        /// The range.
        range: TimeRange,
        /// Seconds.
        limit_s: u64,
    },
    /// The footage.
    #[error("{0}")]
    Footage(#[from] framewell_footage::Error),
    /// The file cannot be laid out.
    #[error("laying out the clip failed")]
    Layout(#[from] framewell_fmp4::Error),
}

impl HasKind for ClipError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Empty { .. } => ErrorKind::NotFound,
            Self::TooLong { .. } => ErrorKind::InvalidArgument,
            Self::Footage(source) => source.kind(),
            Self::Layout(source) => source.kind(),
        }
    }
}

/// An opened clip: everything but the media bytes.
#[derive(Debug, Clone)]
pub struct Clip {
    /// Bytes of the whole file.
    pub len: u64,
    /// Strong validator: the same clip of the same footage has the same one.
    pub etag: String,
    /// Presented range.
    pub range: TimeRange,
    /// Holes inside the range, which the file skips.
    pub gaps: Vec<TimeRange>,
}

impl Clip {
    /// Streams a byte range of the file; media is read as the client takes it.
    #[must_use]
    pub fn stream(&self, range: Range<u64>) -> ByteStream {
        let _ = range;
        todo!()
    }
}
