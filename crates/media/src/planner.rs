//! Where a recording is cut into fragments and segments.

use std::time::Duration;

/// What to do before writing the next video access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Append to the open fragment.
    None,
    /// Close the open fragment and start another in the same segment.
    Fragment,
    /// Close the open segment; the unit starts a new one.
    Segment,
}

/// Cuts segments at the first key frame past the target length, fragments at key frames and, in
/// long GOPs, once a second.
#[derive(Debug, Clone)]
pub struct SegmentPlanner {
    _target: Duration,
}

impl SegmentPlanner {
    /// `target` segment length; `fragment` longest fragment.
    #[must_use]
    pub fn new(target: Duration, fragment: Duration) -> Self {
        let _ = fragment;
        Self { _target: target }
    }

    /// Asks about the next video unit: its DTS in microseconds of the run, whether it is a key frame,
    /// and whether new parameters or a new run begin with it.
    pub fn next(&mut self, dts_us: i64, is_key: bool, is_discontinuity: bool) -> Cut {
        let _ = (dts_us, is_key, is_discontinuity);
        todo!()
    }
}
