//! What a camera really did, for tests to compare with.

use framewell_model::WallTime;
use std::sync::{Arc, Mutex, PoisonError};

/// Which frame a camera captured when; cheap to clone.
///
/// Scripted clock faults do not touch it: the camera may lie in its sender reports, never here.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    epochs: Arc<Mutex<Vec<Epoch>>>,
}

/// An unbroken showing of one clip, again and again.
#[derive(Debug, Clone)]
struct Epoch {
    /// Capture time of presentation time 0 of the first lap.
    zero: WallTime,
    /// Capture times of one lap relative to its start, in display order.
    times_us: Arc<[i64]>,
    /// Length of a lap.
    lap_us: i64,
}

impl Epoch {
    fn capture(&self, lap: i64, frame: usize) -> Option<WallTime> {
        let time = *self.times_us.get(frame)?;
        Some(self.zero.plus_micros(lap * self.lap_us + time))
    }

    /// Capture of `frame` in the lap that brings it nearest to `near`.
    fn nearest(&self, frame: usize, near: WallTime) -> Option<WallTime> {
        let first = self.capture(0, frame)?;
        let lap = (near.micros_since(first) + self.lap_us / 2).div_euclid(self.lap_us);
        self.capture(lap.max(0), frame)
    }
}

impl Truth {
    pub(super) fn begin(&self, zero: WallTime, times_us: Arc<[i64]>, lap_us: i64) {
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        epochs.push(Epoch {
            zero,
            times_us,
            lap_us: lap_us.max(1),
        });
    }

    /// When the frame with this number in its stamp was captured, the time nearest to `near` (a clip
    /// that is played again and again shows every frame many times). `None` before the first frame
    /// and for live cameras, whose stamps say it themselves.
    #[must_use]
    pub fn capture_near(&self, frame: u32, near: WallTime) -> Option<WallTime> {
        let frame = usize::try_from(frame).ok()?;
        let epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        let captures = epochs.iter().filter_map(|e| e.nearest(frame, near));
        captures.min_by_key(|capture| capture.micros_since(near).abs())
    }

    /// Capture times of all frames from `from` on and before `to`, ascending, whether anybody watched or not.
    /// None for live cameras.
    #[must_use]
    pub fn captures(&self, from: WallTime, to: WallTime) -> Vec<WallTime> {
        let epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut captures = Vec::new();
        for (index, epoch) in epochs.iter().enumerate() {
            let end = epochs.get(index + 1).map_or(to, |next| next.zero.min(to));
            let first_lap = from
                .micros_since(epoch.zero)
                .div_euclid(epoch.lap_us)
                .max(0);
            let last_lap = end.micros_since(epoch.zero).div_euclid(epoch.lap_us);
            let laps = (first_lap..=last_lap).flat_map(|lap| {
                (0..epoch.times_us.len()).filter_map(move |frame| epoch.capture(lap, frame))
            });
            captures.extend(laps.filter(|at| *at >= from && *at < end));
        }
        captures
    }

    /// Number and capture time of the frame that the camera last captured at or before `at`.
    #[must_use]
    pub fn frame_at(&self, at: WallTime) -> Option<(u32, WallTime)> {
        let epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = epochs.iter().rev().find(|e| e.zero <= at)?;
        let since = at.micros_since(epoch.zero);
        let (lap, within) = (since / epoch.lap_us, since % epoch.lap_us);
        let frame = epoch.times_us.partition_point(|time| *time <= within);
        let frame = frame.checked_sub(1)?;
        Some((u32::try_from(frame).ok()?, epoch.capture(lap, frame)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_in_every_lap_and_after_a_change_of_clip() {
        let truth = Truth::default();
        let at = WallTime::from_micros;
        truth.begin(at(1_000), Arc::new([0, 40, 80]), 120);
        assert_eq!(truth.capture_near(1, at(1_045)), Some(at(1_040)));
        assert_eq!(truth.capture_near(1, at(1_270)), Some(at(1_280)));
        assert_eq!(truth.capture_near(3, at(1_000)), None);
        assert_eq!(truth.frame_at(at(1_199)), Some((1, at(1_160))));
        assert_eq!(truth.frame_at(at(999)), None);
        truth.begin(at(2_000), Arc::new([0]), 50);
        assert_eq!(truth.capture_near(0, at(2_049)), Some(at(2_050)));
        assert_eq!(truth.frame_at(at(2_051)), Some((0, at(2_050))));
        let all: Vec<i64> = truth
            .captures(at(1_850), at(2_101))
            .iter()
            .map(|at| at.micros())
            .collect();
        assert_eq!(all, [1_880, 1_920, 1_960, 2_000, 2_050, 2_100]);
    }
}
