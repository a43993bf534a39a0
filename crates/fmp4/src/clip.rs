//! Virtual MP4: a progressive file over ranges of stored segments, no byte of media copied.

use crate::{Error, Sample};
use bytes::Bytes;
use framewell_media::StreamParameters;
use framewell_model::TimeRange;
use std::ops::Range;
use std::sync::Arc;

/// One fragment that takes part in a clip.
#[derive(Debug, Clone)]
pub struct ClipSource {
    /// The caller's number of the segment that holds it.
    pub segment: usize,
    /// Its entry (place, wall time).
    pub entry: crate::FragmentEntry,
    /// Its samples, from [`crate::parse_fragment`].
    pub samples: Vec<Sample>,
    /// Parameters of its segment; a change makes a new sample entry.
    pub parameters: Arc<StreamParameters>,
}

/// Where the bytes of a piece come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PieceData {
    /// Made here (headers, sample tables).
    Memory(Bytes),
    /// To be read from a segment: the caller's number and the byte range in it.
    Segment {
        /// The caller's number, see [`ClipSource::segment`].
        segment: usize,
        /// Bytes in the segment.
        range: Range<u64>,
    },
}

/// A run of bytes of the virtual file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Place in the virtual file.
    pub range: Range<u64>,
    /// What is there.
    pub data: PieceData,
}

/// The layout of a virtual MP4: `ftyp moov mdat`, moov first, exact start and end by edit list.
#[derive(Debug, Clone)]
pub struct ClipPlan {
    /// Length of the virtual file in bytes.
    pub len: u64,
    /// All pieces, ascending and without holes.
    pub pieces: Vec<Piece>,
    /// Presented range: capture time of the first picture shown and end of the last one.
    pub range: TimeRange,
}

impl ClipPlan {
    /// Plans a clip of `wanted` over `sources` (time order; must start with a key fragment). Gaps
    /// between sources collapse: footage follows footage. The first picture shown is the one on
    /// screen at `wanted.start`; the last is the last one captured before `wanted.end`.
    pub fn build(wanted: TimeRange, sources: &[ClipSource]) -> Result<Self, Error> {
        let _ = (wanted, sources);
        todo!()
    }

    /// The pieces that overlap `range` of the virtual file, cut to it.
    #[must_use]
    pub fn slice(&self, range: Range<u64>) -> Vec<Piece> {
        let _ = range;
        todo!()
    }
}
