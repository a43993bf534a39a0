//! One segment of footage.

use framewell_blob::ObjectKey;
use framewell_fmp4::SegmentIndex;
use framewell_model::{
    ChannelId, ClockSource, RecordId, RunId, Segment, SegmentId, TimeRange, WallTime,
};
use std::path::PathBuf;
use std::sync::Arc;

/// Where a segment's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A complete object.
    Object(ObjectKey),
    /// A spool file; only the bytes that the index covers may be read.
    Spool(PathBuf),
}

/// A segment of footage, with the index of its fragments so far.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Row number once the segment is published.
    pub record: Option<RecordId>,
    /// Identity.
    pub id: SegmentId,
    /// Whose footage.
    pub channel: ChannelId,
    /// The unbroken piece it belongs to.
    pub run: RunId,
    /// Place within the run.
    pub sequence: i64,
    /// Capture times.
    pub range: TimeRange,
    /// Where the times come from.
    pub clock: ClockSource,
    /// Bytes that may be read.
    pub size_bytes: u64,
    /// Fragments.
    pub index: Arc<SegmentIndex>,
    /// Where the bytes are.
    pub location: Location,
}

/// Largest hole between two segments of one run that is rounding and clock correction, not missing
/// video: the wall clock of a run is adjusted at key frames, and the end of a segment is its last
/// picture's capture time plus that picture's duration. Less than three pictures at 30 per second.
pub const CONTINUITY_US: i64 = 100_000;

impl Piece {
    /// Whether `next` follows without a hole: same run, and no more than [`CONTINUITY_US`] between.
    #[must_use]
    pub fn continues_into(&self, next: &Self) -> bool {
        self.run == next.run
            && self.range.start <= next.range.start
            && next.first_shown().micros_since(self.range.end) <= CONTINUITY_US
    }

    /// Capture time of the first picture shown. Before the start of [`Piece::range`] if the segment
    /// begins with an open GOP: its leading pictures refer to the segment before (H.265 section 3.81,
    /// RASL).
    pub(crate) fn first_shown(&self) -> WallTime {
        let shown = self.index.fragments.first().map(|f| f.wall_of(f.min_pts));
        shown.map_or(self.range.start, |shown| shown.min(self.range.start))
    }

    /// The key of the segment's object, which exists once it is published.
    #[must_use]
    pub const fn object_key(&self) -> ObjectKey {
        ObjectKey::Segment {
            channel: self.channel,
            start: self.range.start,
            id: self.id,
        }
    }
}

/// A published segment as a piece.
impl TryFrom<Segment> for Piece {
    type Error = framewell_fmp4::Error;

    fn try_from(row: Segment) -> Result<Self, Self::Error> {
        let index = SegmentIndex::decode(&row.index)?;
        Ok(Self {
            record: Some(row.record),
            id: row.id,
            channel: row.channel,
            run: row.run,
            sequence: row.sequence,
            range: row.range,
            clock: row.clock,
            size_bytes: u64::try_from(row.size_bytes).unwrap_or_default(),
            index: Arc::new(index),
            location: Location::Object(ObjectKey::Segment {
                channel: row.channel,
                start: row.range.start,
                id: row.id,
            }),
        })
    }
}
