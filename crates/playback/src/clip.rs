//! Clips: virtual MP4 files over stored segments.

use crate::ByteStream;
use crate::read::{Chunk, stream_chunks};
use framewell_fmp4::{ClipPlan, PieceData};
use framewell_footage::{Footage, Piece};
use framewell_model::{ChannelId, ErrorKind, HasKind, TimeRange};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

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
    #[error("a clip of {} s is longer than the limit of {limit_s} s", (range.micros() + 999_999) / 1_000_000)]
    TooLong {
        /// The range.
        range: TimeRange,
        /// Seconds.
        limit_s: u64,
    },
    /// Too much is open at once; later may work.
    #[error("too many and too long clips are being read")]
    Busy,
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
            Self::Busy => ErrorKind::ResourceExhausted,
            Self::Footage(source) => source.kind(),
            Self::Layout(source) => source.kind(),
        }
    }
}

/// An opened clip: everything but the media bytes. Cheap to clone.
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
    source: Arc<Source>,
}

/// What the bytes are made of.
#[derive(Debug)]
struct Source {
    footage: Footage,
    /// By the numbers that the plan uses.
    pieces: Vec<Piece>,
    plan: ClipPlan,
    /// Its part of what may be open.
    _place: OwnedSemaphorePermit,
}

impl Clip {
    pub(crate) fn new(
        footage: Footage,
        pieces: Vec<Piece>,
        plan: ClipPlan,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            len: plan.len,
            etag: etag(&pieces, &plan),
            range: plan.range,
            gaps: gaps(&pieces, plan.range),
            source: Arc::new(Source {
                footage,
                pieces,
                plan,
                _place: place,
            }),
        }
    }

    /// Streams a byte range of the file; media is read as the client takes it.
    #[must_use]
    pub fn stream(&self, range: Range<u64>) -> ByteStream {
        let range = range.start.min(self.len)..range.end.min(self.len);
        let source = Arc::clone(&self.source);
        let chunks = source
            .plan
            .slice(range)
            .into_iter()
            .map(|piece| match piece.data {
                PieceData::Memory(bytes) => Chunk::Memory(bytes),
                PieceData::Segment { segment, range } => Chunk::Stored {
                    piece: segment,
                    range,
                },
            })
            .collect();
        stream_chunks(chunks, move |number, range| {
            let source = Arc::clone(&source);
            async move { source.footage.read(&source.pieces[number], range).await }
        })
    }
}

/// Version of the file layout: to be raised when the same footage gives other bytes.
const LAYOUT_VERSION: u8 = 1;

/// Hash of all that the bytes are made of. Media bytes never change under a segment id, so places
/// stand for them; the headers are small and are hashed as they are.
fn etag(pieces: &[Piece], plan: &ClipPlan) -> String {
    let mut hash = Sha256::new();
    hash.update([LAYOUT_VERSION]);
    for piece in &plan.pieces {
        match &piece.data {
            PieceData::Memory(bytes) => hash.update(bytes),
            PieceData::Segment { segment, range } => {
                hash.update(pieces[*segment].id.uuid().as_bytes());
                hash.update(range.start.to_be_bytes());
                hash.update(range.end.to_be_bytes());
            }
        }
    }
    hash.finalize()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Holes between the pieces, cut to the presented range.
fn gaps(pieces: &[Piece], presented: TimeRange) -> Vec<TimeRange> {
    pieces
        .windows(2)
        .filter(|pair| !pair[0].continues_into(&pair[1]))
        .filter_map(|pair| {
            let start = pair[0].range.end.max(presented.start);
            let end = pair[1].range.start.min(presented.end);
            TimeRange::new(start, end)
        })
        .filter(|gap| gap.start < gap.end)
        .collect()
}
