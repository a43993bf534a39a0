//! Finding and reading footage.

use crate::{CompressedGop, Piece, Spool};
use bytes::Bytes;
use framewell_blob::BlobStore;
use framewell_catalog::Catalog;
use framewell_media::StreamParameters;
use framewell_model::{ChannelId, ErrorKind, HasKind, TimeRange, WallTime};
use std::ops::Range;
use std::sync::Arc;

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
    #[error("reading footage of channel {channel} failed")]
    Blob {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: framewell_blob::Error,
    },
    /// The spool file.
    #[error("reading spooled footage of channel {channel} failed")]
    Spool {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes are not what the index says.
    #[error("footage of channel {channel} is damaged")]
    Damaged {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: framewell_fmp4::Error,
    },
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

/// Recorded footage, published or spooled; cheap to clone.
#[derive(Debug, Clone)]
pub struct Footage {
    catalog: Catalog,
    blobs: BlobStore,
    spool: Spool,
}

impl Footage {
    /// Joins the parts.
    #[must_use]
    pub fn new(catalog: Catalog, blobs: BlobStore, spool: Spool) -> Self {
        Self {
            catalog,
            blobs,
            spool,
        }
    }

    /// Segments with footage in `range`, ascending by start, each once (a segment in the spool and
    /// in the catalog counts as published).
    pub async fn pieces(&self, channel: ChannelId, range: TimeRange) -> Result<Vec<Piece>, Error> {
        let _ = (channel, range, &self.catalog, &self.blobs, &self.spool);
        todo!()
    }

    /// Bytes of a segment.
    pub async fn read(&self, piece: &Piece, range: Range<u64>) -> Result<Bytes, Error> {
        let _ = (piece, range);
        todo!()
    }

    /// Parameters of a segment, from its init part.
    pub async fn parameters(&self, piece: &Piece) -> Result<Arc<StreamParameters>, Error> {
        let _ = piece;
        todo!()
    }

    /// The GOP on screen at `at`, its samples from the key frame up to all that can be shown at or
    /// before `at` (with reordering, the whole GOP). Reads only the fragments needed.
    /// [`Error::NoFootage`] in a gap: `at` must lie within a segment's range.
    pub async fn gop_at(&self, channel: ChannelId, at: WallTime) -> Result<CompressedGop, Error> {
        let _ = (channel, at);
        todo!()
    }
}
