//! Decode times from presentation times in decoding order.

/// Deepest reordering that any level of H.264 or H.265 allows.
const MAX_DEPTH: usize = 16;
/// Distance of the decode times before the first presentation time of a run: a frame at 25 Hz in
/// 90 kHz ticks. The true frame duration is not known yet, and only the order matters there.
const LEAD_TICKS: i64 = 3_600;

/// Derives DTS for access units that carry only PTS (RTP does: RFC 6184 section 5.1).
///
/// With reorder depth `d`, the DTS of unit `n` in decoding order is the `(n - d)`-th smallest PTS of
/// its run; it is known when the unit arrives, so nothing is delayed. Always `dts <= pts`, strictly
/// increasing. The first `d` units, for which there is no such PTS, get times before the smallest one.
///
/// If a unit proves the depth too small, the depth grows. That unit is late already: its DTS is a
/// tick after the one before, which then lies after its PTS. So it is with a PTS that repeats an
/// earlier one, or that jumps back (which should begin a new run).
#[derive(Debug, Clone)]
pub struct DtsEstimator {
    depth: usize,
    /// The largest PTS so far, ascending, at most `MAX_DEPTH + 1` of them: the `(n - d)`-th smallest
    /// of `n + 1` is the `(d + 1)`-th largest.
    largest: Vec<i64>,
    last_dts: Option<i64>,
}

impl DtsEstimator {
    /// For a new run. `reorder_depth` from the parameter sets; it grows by itself if the stream
    /// proves it too small.
    #[must_use]
    pub fn new(reorder_depth: u8) -> Self {
        Self {
            depth: usize::from(reorder_depth).min(MAX_DEPTH),
            largest: Vec::with_capacity(MAX_DEPTH + 2),
            last_dts: None,
        }
    }

    /// DTS in the same ticks as `pts_ticks`. Units come in decoding order.
    pub fn place(&mut self, pts_ticks: i64) -> i64 {
        let rank = self.insert(pts_ticks);
        if rank > MAX_DEPTH {
            // No decoder could reorder this far: the clock of the stream jumped back.
            self.largest.clear();
            self.largest.push(pts_ticks);
        } else {
            self.depth = self.depth.max(rank);
        }
        let wanted = self.wanted();
        let dts = match self.last_dts {
            Some(last) => wanted.max(last.saturating_add(1)),
            None => wanted,
        };
        self.last_dts = Some(dts);
        dts
    }

    /// How many pictures may precede one in decoding order and follow it in output order, as far as
    /// the stream has shown.
    #[must_use]
    pub fn depth(&self) -> u8 {
        u8::try_from(self.depth).expect("at most 16")
    }

    /// Files a PTS; how many larger ones came before it.
    fn insert(&mut self, pts_ticks: i64) -> usize {
        let at = self.largest.partition_point(|pts| *pts <= pts_ticks);
        let rank = self.largest.len() - at;
        self.largest.insert(at, pts_ticks);
        if self.largest.len() > MAX_DEPTH + 1 {
            self.largest.remove(0);
        }
        rank
    }

    /// The rule, without regard to what was said before.
    fn wanted(&self) -> i64 {
        let newest = self.largest.len() - 1;
        match newest.checked_sub(self.depth) {
            Some(at) => self.largest[at],
            None => {
                let missing = i64::try_from(self.depth - newest).expect("at most 16");
                self.largest[0].saturating_sub(missing * LEAD_TICKS)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place_all(depth: u8, pts: &[i64]) -> Vec<i64> {
        let mut estimator = DtsEstimator::new(depth);
        pts.iter().map(|pts| estimator.place(*pts)).collect()
    }

    #[test]
    fn without_reordering_decode_time_is_presentation_time() {
        assert_eq!(place_all(0, &[0, 3600, 7200]), [0, 3600, 7200]);
    }

    #[test]
    fn a_pyramid_of_two_levels_starts_two_frames_early() {
        let frames: Vec<i64> = [0, 4, 2, 1, 3, 8, 6, 5, 7].map(|n| n * 3600).to_vec();
        let dts: Vec<i64> = (-2..7).map(|n| n * 3600).collect();
        assert_eq!(place_all(2, &frames), dts);
    }

    #[test]
    fn a_depth_that_is_too_small_grows_and_recovers() {
        let frames = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8].map(|n| n * 3600);
        let mut estimator = DtsEstimator::new(0);
        let dts: Vec<i64> = frames.iter().map(|pts| estimator.place(*pts)).collect();
        assert_eq!(estimator.depth(), 1);
        assert!(dts.is_sorted_by(|a, b| a < b), "{dts:?}");
        assert!(
            frames[4..]
                .iter()
                .zip(&dts[4..])
                .all(|(pts, dts)| dts <= pts)
        );
        assert_eq!(dts[5..], [4, 5, 6, 7, 8].map(|n| n * 3600)[..]);
    }

    #[test]
    fn a_clock_that_jumps_back_keeps_decode_times_rising() {
        let mut pts: Vec<i64> = (0..40).map(|n| 1_000_000 + n * 3600).collect();
        pts.extend((0..40).map(|n| n * 3600));
        let dts = place_all(0, &pts);
        assert!(dts.is_sorted_by(|a, b| a < b));
    }

    /// Presentation order of some frames of uneven distance, moved by at most `depth` places.
    fn reordered() -> impl Strategy<Value = (u8, Vec<i64>)> {
        (
            0u8..=4,
            prop::collection::vec((1i64..20_000, any::<u16>()), 1..120),
        )
            .prop_map(|(depth, steps)| {
                let mut pts = 0;
                let mut waiting = Vec::new();
                let mut decoded = Vec::new();
                for (step, choice) in steps {
                    pts += step;
                    waiting.push(pts);
                    // A frame leaves at most `depth` earlier ones behind.
                    if waiting.len() > usize::from(depth) {
                        let at = usize::from(choice) % waiting.len();
                        decoded.push(waiting.remove(at));
                    }
                }
                decoded.extend(waiting);
                (depth, decoded)
            })
    }

    /// The deepest reordering in a list of PTS in decoding order.
    fn true_depth(pts: &[i64]) -> usize {
        (0..pts.len())
            .map(|at| pts[..at].iter().filter(|p| **p > pts[at]).count())
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #[test]
        fn with_the_right_depth_no_unit_is_decoded_after_it_is_shown((_, pts) in reordered()) {
            // The lead of the first units needs a first picture that is shown first.
            let pts: Vec<i64> = std::iter::once(0).chain(pts).collect();
            let depth = true_depth(&pts).min(MAX_DEPTH);
            let dts = place_all(u8::try_from(depth).unwrap(), &pts);
            prop_assert!(dts.is_sorted_by(|a, b| a < b));
            if true_depth(&pts) <= MAX_DEPTH {
                prop_assert!(dts.iter().zip(&pts).all(|(dts, pts)| dts <= pts));
            }
        }

        #[test]
        fn decode_times_rise_whatever_comes(
            depth in any::<u8>(),
            pts in prop::collection::vec(-1_000_000i64..1_000_000, 1..200),
        ) {
            prop_assert!(place_all(depth, &pts).is_sorted_by(|a, b| a < b));
        }
    }
}
