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
    target_us: i64,
    fragment_us: i64,
    /// DTS of the first unit of the open segment and of the open fragment.
    open: Option<(i64, i64)>,
}

impl SegmentPlanner {
    /// `target` segment length; `fragment` longest fragment.
    #[must_use]
    pub fn new(target: Duration, fragment: Duration) -> Self {
        let micros = |length: Duration| i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
        Self {
            target_us: micros(target),
            fragment_us: micros(fragment),
            open: None,
        }
    }

    /// Asks about the next video unit: its DTS in microseconds of the run, whether it is a key frame,
    /// and whether new parameters or a new run begin with it.
    ///
    /// The first unit, and every discontinuity, is [`Cut::Segment`]. A segment never starts without
    /// a key frame otherwise: a GOP longer than the target makes a longer segment.
    pub fn next(&mut self, dts_us: i64, is_key: bool, is_discontinuity: bool) -> Cut {
        let Some((segment_us, fragment_us)) = self.open.filter(|_| !is_discontinuity) else {
            self.open = Some((dts_us, dts_us));
            return Cut::Segment;
        };
        if is_key && dts_us.saturating_sub(segment_us) >= self.target_us {
            self.open = Some((dts_us, dts_us));
            Cut::Segment
        } else if is_key || dts_us.saturating_sub(fragment_us) >= self.fragment_us {
            self.open = Some((segment_us, dts_us));
            Cut::Fragment
        } else {
            Cut::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 25 Hz with a key frame every `gop` frames.
    fn plan(gop: usize, frames: usize) -> Vec<Cut> {
        let mut planner = SegmentPlanner::new(Duration::from_secs(10), Duration::from_secs(1));
        (0..frames)
            .map(|n| planner.next(n as i64 * 40_000, n % gop == 0, false))
            .collect()
    }

    fn positions(cuts: &[Cut], wanted: Cut) -> Vec<usize> {
        (0..cuts.len()).filter(|at| cuts[*at] == wanted).collect()
    }

    #[test]
    fn segments_start_at_the_first_key_frame_past_the_target() {
        assert_eq!(positions(&plan(30, 700), Cut::Segment), [0, 270, 540]);
        assert_eq!(positions(&plan(25, 501), Cut::Segment), [0, 250, 500]);
    }

    #[test]
    fn a_long_gop_is_cut_once_a_second_and_never_into_segments() {
        let cuts = plan(1000, 600);
        assert_eq!(positions(&cuts, Cut::Segment), [0]);
        assert_eq!(positions(&cuts, Cut::Fragment).len(), 23);
        assert_eq!(positions(&cuts, Cut::Fragment)[0], 25);
    }

    #[test]
    fn a_discontinuity_starts_a_segment_even_when_time_goes_back() {
        let mut planner = SegmentPlanner::new(Duration::from_secs(10), Duration::from_secs(1));
        assert_eq!(planner.next(5_000_000, true, false), Cut::Segment);
        assert_eq!(planner.next(5_040_000, false, false), Cut::None);
        assert_eq!(planner.next(0, true, true), Cut::Segment);
        assert_eq!(planner.next(900_000, false, false), Cut::None);
        assert_eq!(planner.next(1_000_000, false, false), Cut::Fragment);
    }

    proptest! {
        #[test]
        fn every_key_frame_starts_a_fragment(keys in prop::collection::vec(any::<bool>(), 1..300)) {
            let mut planner = SegmentPlanner::new(Duration::from_secs(3), Duration::from_secs(1));
            for (n, is_key) in keys.into_iter().enumerate() {
                let cut = planner.next(n as i64 * 66_666, is_key, false);
                prop_assert!(!is_key || cut != Cut::None);
                prop_assert!(n == 0 || is_key || cut != Cut::Segment);
            }
        }
    }
}
