//! From capture times to the times of a rendered file. Pure.

use framewell_model::{TimeRange, WallTime};

/// Pictures come this far apart at least: what is faster is left out.
const LEAST_STEP_TICKS: i64 = 90_000 / 60;
/// What is not sped up may be early by so much, so that a camera of 60 pictures a second, whose times are not quite
/// even, loses none.
const EARLY_TICKS: i64 = LEAST_STEP_TICKS / 2;

/// The clock of a rendered file: begins at the start of the clip, runs at its speed, and stands still in holes.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    range: TimeRange,
    speed: f64,
    /// Where nothing is recorded, within the range.
    holes: Vec<TimeRange>,
    last_ticks: Option<i64>,
    /// When the next picture may come.
    due_ticks: i64,
}

impl Timeline {
    pub(crate) fn new(range: TimeRange, speed: f64) -> Self {
        Self {
            range,
            speed,
            holes: Vec::new(),
            last_ticks: None,
            due_ticks: 0,
        }
    }

    /// Nothing is recorded here.
    pub(crate) fn skip(&mut self, hole: TimeRange) {
        let start = hole.start.max(self.range.start);
        let end = hole.end.min(self.range.end);
        if start < end {
            self.holes.push(TimeRange { start, end });
        }
    }

    /// 90,000ths of a second of the file.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "days of microseconds are far below 2^53"
    )]
    pub(crate) fn ticks(&self, at: WallTime) -> i64 {
        let at = at.max(self.range.start).min(self.range.end);
        let missed = |hole: &TimeRange| hole.end.min(at).micros_since(hole.start).max(0);
        let missed_us: i64 = self.holes.iter().map(missed).sum();
        let played_us = at.micros_since(self.range.start) - missed_us;
        (played_us as f64 * 0.09 / self.speed).round() as i64
    }

    /// The time of the next picture; `None` if it comes too close behind the one before.
    pub(crate) fn place(&mut self, captured: WallTime) -> Option<i64> {
        let ticks = self.ticks(captured);
        let early = if self.speed > 1.0 { 0 } else { EARLY_TICKS };
        let is_behind = self.last_ticks.is_none_or(|last| ticks > last);
        if !is_behind || ticks + early < self.due_ticks {
            return None;
        }
        self.last_ticks = Some(ticks);
        self.due_ticks = self.due_ticks.max(ticks) + LEAST_STEP_TICKS;
        Some(ticks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(speed: f64) -> Timeline {
        let at = WallTime::from_secs;
        Timeline::new(TimeRange::new(at(1_000), at(1_100)).unwrap(), speed)
    }

    fn ms(millis: i64) -> WallTime {
        WallTime::from_micros(1_000_000_000 + millis * 1_000)
    }

    #[test]
    fn the_picture_on_screen_at_the_start_is_at_0() {
        let mut timeline = timeline(1.0);
        assert_eq!(timeline.place(ms(-30)), Some(0));
        assert_eq!(timeline.place(ms(10)), Some(900));
        assert_eq!(timeline.place(ms(10)), None, "times rise");
    }

    #[test]
    fn a_clip_at_its_own_speed_has_sixty_pictures_a_second() {
        let mut fast = timeline(1.0);
        let placed = (0..10_000).filter_map(|n| fast.place(ms(n)));
        assert!((590..=601).contains(&placed.count()));
        let mut even = timeline(1.0);
        let uneven = |n: i64| WallTime::from_micros(1_000_000_000 + n * 16_667 + (n % 3) * 2_000);
        let placed = (0..600).filter_map(|n| even.place(uneven(n)));
        assert_eq!(placed.count(), 600, "none is lost");
    }

    #[test]
    fn holes_collapse_and_speed_counts() {
        let mut timeline = timeline(2.0);
        assert_eq!(timeline.place(ms(1_000)), Some(45_000));
        timeline.skip(TimeRange::new(ms(2_000), ms(10_000)).unwrap());
        assert_eq!(timeline.ticks(ms(1_900)), 85_500, "before the hole");
        assert_eq!(timeline.place(ms(10_000)), Some(90_000));
        assert_eq!(timeline.ticks(ms(200_000)), (100_000 - 8_000) * 45);
    }

    #[test]
    fn a_fast_clip_leaves_pictures_out() {
        let mut timeline = timeline(10.0);
        let placed = (0..100).filter_map(|n| timeline.place(ms(n * 40)));
        // 25 pictures a second, ten times as fast: every fifth at most.
        assert_eq!(placed.count(), 20);
    }
}
