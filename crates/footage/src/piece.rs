//! One segment of footage.

use framewell_blob::ObjectKey;
use framewell_fmp4::SegmentIndex;
use framewell_model::{ChannelId, ClockSource, RecordId, RunId, SegmentId, TimeRange};
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
