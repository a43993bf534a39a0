//! The box that makes a segment explain itself (architecture invariant 3).

use framewell_model::{ChannelId, ClockSource, RunId, SegmentId, WallTime};

/// Who a segment is, stored in a `uuid` box inside its `moov`, so that a catalog can be rebuilt from
/// the objects alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentIdentity {
    /// Its own id.
    pub segment: SegmentId,
    /// Whose footage.
    pub channel: ChannelId,
    /// The unbroken piece it belongs to.
    pub run: RunId,
    /// Place within the run, from 0.
    pub sequence: i64,
    /// Capture time of the first picture.
    pub wall_start: WallTime,
    /// Where that time comes from.
    pub clock: ClockSource,
}
