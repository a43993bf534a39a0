//! Footage that cannot be found or read.

use crate::Piece;
use framewell_model::{ChannelId, ErrorKind, HasKind, SegmentId, TimeRange, WallTime};

/// Footage that cannot be found or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing is recorded at that instant.
    #[error("channel {channel} has no footage at {at}")]
    NoFootage {
        /// The channel.
        channel: ChannelId,
        /// The instant.
        at: WallTime,
        /// End of the footage before it.
        before: Option<WallTime>,
        /// Start of the footage after it.
        after: Option<WallTime>,
    },
    /// The database.
    #[error("looking up footage of channel {channel} failed")]
    Catalog {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: framewell_catalog::Error,
    },
    /// The object.
    #[error("reading {place} failed")]
    Blob {
        /// Which footage.
        place: Place,
        /// Why.
        source: framewell_blob::Error,
    },
    /// The spool file.
    #[error("reading {place} from the spool failed")]
    Spool {
        /// Which footage.
        place: Place,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes are not what the index says.
    #[error("{place} is damaged")]
    Damaged {
        /// Which footage.
        place: Place,
        /// Why.
        source: framewell_fmp4::Error,
    },
}

/// Names a segment for people: they find it by its time and its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Whose footage.
    pub channel: ChannelId,
    /// Which segment.
    pub segment: SegmentId,
    /// The segment's capture times.
    pub range: TimeRange,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (start, end) = (self.range.start, self.range.end);
        write!(
            f,
            "segment {} of channel {} ({start} to {end})",
            self.segment, self.channel
        )
    }
}

impl From<&Piece> for Place {
    fn from(piece: &Piece) -> Self {
        Self {
            channel: piece.channel,
            segment: piece.id,
            range: piece.range,
        }
    }
}

impl Error {
    /// The segment that cannot be read, if it is that.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        match self {
            Self::Blob { place, .. } | Self::Spool { place, .. } | Self::Damaged { place, .. } => {
                Some(place)
            }
            Self::NoFootage { .. } | Self::Catalog { .. } => None,
        }
    }
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoFootage { .. } => ErrorKind::NotFound,
            Self::Catalog { source, .. } => source.kind(),
            Self::Blob { source, .. } => match source.kind() {
                ErrorKind::NotFound => ErrorKind::DataLoss,
                kind => kind,
            },
            Self::Spool { .. } | Self::Damaged { .. } => ErrorKind::DataLoss,
        }
    }
}
