//! Notices that a camera's media time jumped.

use framewell_model::{Timescale, WallTime};

/// Media time off by more than this did not pass, it jumped. Longer than the frame distance of any
/// camera worth recording, and than any reordering of frames.
const JUMP_US: i64 = 2_000_000;

/// How long media time is watched for standing still.
const STILL_WINDOW_US: i64 = 60_000_000;
/// Media time that passes at least in this window: a quarter of it. A network that is too slow for a
/// camera holds frames back, but not so many.
const STILL_PASSED_US: i64 = STILL_WINDOW_US / 4;

/// Compares media time with arrival time over one run.
///
/// Delays do not count as jumps: the network may hold frames back and deliver them in a burst. What
/// cannot be is a frame that arrives much earlier, by its media time, than the most punctual one
/// before it, or one that lies far before the newest. Nor may media time stand still while frames
/// arrive: whatever is cut by media time, such as a segment, would grow for ever.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JumpDetector {
    /// Smallest arrival time minus media time, in microseconds.
    punctual_us: i64,
    newest_us: i64,
    /// Arrival and newest media time when the present window of watching began.
    window_us: (i64, i64),
}

impl JumpDetector {
    /// With the first frame of a run.
    pub(crate) fn new(pts_ticks: i64, arrival: WallTime) -> Self {
        let media_us = Timescale::HZ_90K.to_micros(pts_ticks);
        Self {
            punctual_us: arrival.micros().saturating_sub(media_us),
            newest_us: media_us,
            window_us: (arrival.micros(), media_us),
        }
    }

    /// Takes in the next frame in decoding order; true if it does not belong to the run.
    pub(crate) fn is_jump(&mut self, pts_ticks: i64, arrival: WallTime) -> bool {
        let media_us = Timescale::HZ_90K.to_micros(pts_ticks);
        let delay_us = arrival.micros().saturating_sub(media_us);
        let is_forward = delay_us < self.punctual_us.saturating_sub(JUMP_US);
        let is_back = media_us < self.newest_us.saturating_sub(JUMP_US);
        if is_forward || is_back {
            return true;
        }
        self.punctual_us = self.punctual_us.min(delay_us);
        self.newest_us = self.newest_us.max(media_us);
        self.stands_still(arrival)
    }

    fn stands_still(&mut self, arrival: WallTime) -> bool {
        let (begun_us, before_us) = self.window_us;
        if arrival.micros().saturating_sub(begun_us) < STILL_WINDOW_US {
            return false;
        }
        self.window_us = (arrival.micros(), self.newest_us);
        self.newest_us.saturating_sub(before_us) < STILL_PASSED_US
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: i64 = 3_600;

    fn at_ms(ms: i64) -> WallTime {
        WallTime::from_micros(1_700_000_000_000_000 + ms * 1_000)
    }

    #[test]
    fn steady_frames_bursts_stalls_and_reordering_are_no_jumps() {
        let mut detector = JumpDetector::new(0, at_ms(0));
        // A stall of 8 s, then everything in one burst, with B-frames.
        for frame in [3, 1, 2, 6, 4, 5] {
            assert!(!detector.is_jump(frame * FRAME, at_ms(frame * 40)));
        }
        for frame in 7..200 {
            assert!(!detector.is_jump(frame * FRAME, at_ms(8_000)));
        }
    }

    #[test]
    fn a_slow_camera_whose_frames_come_late_is_no_jump() {
        let mut detector = JumpDetector::new(0, at_ms(0));
        for second in 1..20 {
            assert!(!detector.is_jump(second * 90_000, at_ms(second * 1_000 + 900)));
        }
    }

    #[test]
    fn media_time_far_ahead_or_far_back_is_a_jump() {
        let detector = JumpDetector::new(0, at_ms(0));
        for ticks in [90_000 * 3, 90_000 * 3_600, -90_000 * 3] {
            let mut detector = detector;
            assert!(!detector.is_jump(FRAME, at_ms(40)));
            assert!(detector.is_jump(ticks, at_ms(80)), "{ticks}");
        }
    }

    #[test]
    fn media_time_that_stands_still_is_a_jump() {
        for ticks_per_frame in [0, 1, FRAME / 5] {
            let mut detector = JumpDetector::new(0, at_ms(0));
            let mut is_jump = |frame| detector.is_jump(frame * ticks_per_frame, at_ms(frame * 40));
            assert!((1..=1_500).any(&mut is_jump), "{ticks_per_frame}");
        }
        let mut detector = JumpDetector::new(0, at_ms(0));
        // A network that delivers at half the speed.
        for frame in 1..9_000 {
            assert!(!detector.is_jump(frame * FRAME, at_ms(frame * 80)));
        }
    }

    #[test]
    fn drift_of_the_camera_clock_is_no_jump() {
        let mut detector = JumpDetector::new(0, at_ms(0));
        // 200 ppm fast for ten hours: 7 s in all.
        for second in 1..36_000 {
            let ticks = second * 90_000 + second * 18;
            assert!(!detector.is_jump(ticks, at_ms(second * 1_000)));
        }
    }
}
