//! The time that a viewer's packets carry: one that only runs forward, over the ends of runs, over
//! jumps from live to recorded and back, and over changes of speed. Sans-IO.

use framewell_model::RunId;

/// Places units on the time of a session, in microseconds since it began.
///
/// Inside a stretch it advances with media time, divided by the speed. A stretch begins at the
/// session's own age, so a pause in the stream is a pause of the same length for the player.
#[derive(Debug)]
pub(super) struct PlayClock {
    stretch: Option<Stretch>,
    speed: f64,
}

#[derive(Debug, Clone, Copy)]
struct Stretch {
    run: RunId,
    media_us: i64,
    play_us: i64,
}

impl PlayClock {
    pub(super) const fn new() -> Self {
        Self {
            stretch: None,
            speed: 1.0,
        }
    }

    /// The next unit begins a stretch of its own.
    pub(super) fn cut(&mut self, speed: f64) {
        self.stretch = None;
        self.speed = speed;
    }

    /// Time of a unit of `run` at `media_us`; `age_us` is how long the session has lasted.
    pub(super) fn place(&mut self, run: RunId, media_us: i64, age_us: i64) -> i64 {
        let stretch = match self.stretch {
            Some(stretch) if stretch.run == run => stretch,
            _ => *self.stretch.insert(Stretch {
                run,
                media_us,
                play_us: age_us,
            }),
        };
        stretch.play_us + self.scaled(media_us - stretch.media_us)
    }

    /// Time of a unit of the present stretch; `None` for one that lies before it or is of another run.
    pub(super) fn place_behind(&self, run: RunId, media_us: i64) -> Option<i64> {
        let stretch = self.stretch.filter(|stretch| stretch.run == run)?;
        let since_us = media_us - stretch.media_us;
        (since_us >= 0).then(|| stretch.play_us + self.scaled(since_us))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "microseconds of a stretch are far from 2^53"
    )]
    fn scaled(&self, media_us: i64) -> i64 {
        if self.speed == 1.0 {
            return media_us;
        }
        (media_us as f64 / self.speed) as i64
    }
}

/// The timestamps of one track, in its ticks: each after the one before.
#[derive(Debug)]
pub(super) struct Ticks {
    rate: u32,
    last: i64,
}

impl Ticks {
    pub(super) const fn new(rate: u32) -> Self {
        Self { rate, last: -1 }
    }

    /// Ticks of a session time.
    pub(super) fn at(&self, play_us: i64) -> i64 {
        play_us.max(0).saturating_mul(i64::from(self.rate)) / 1_000_000
    }

    /// The timestamp of the next unit: of `play_us`, or just behind the one before.
    pub(super) fn next(&mut self, play_us: i64) -> u64 {
        self.last = self.at(play_us).max(self.last + 1);
        u64::try_from(self.last).unwrap_or(0)
    }

    /// The timestamp of a picture that is sent only for those behind it: as close before `play_us` as
    /// `left` more of its kind allow. A player shows the newest of pictures that are due together, so a
    /// viewer who begins in the middle of a GOP sees the present, not the GOP played through.
    pub(super) fn squeezed(&mut self, play_us: i64, left: usize) -> u64 {
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        self.last = self.at(play_us).saturating_sub(left).max(self.last + 1);
        u64::try_from(self.last).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(n: u8) -> RunId {
        format!("00000000-0000-7000-8000-00000000000{n}")
            .parse()
            .unwrap()
    }

    #[test]
    fn a_stretch_begins_at_the_age_and_goes_on_with_media_time() {
        let mut clock = PlayClock::new();
        assert_eq!(clock.place(run(1), 700_000, 10_000), 10_000);
        assert_eq!(clock.place(run(1), 740_000, 55_000), 50_000);
        assert_eq!(clock.place(run(2), 0, 5_000_000), 5_000_000);
        clock.cut(2.0);
        assert_eq!(clock.place(run(2), 100_000, 6_000_000), 6_000_000);
        assert_eq!(clock.place(run(2), 180_000, 6_020_000), 6_040_000);
    }

    #[test]
    fn sound_has_a_place_behind_the_first_picture_of_its_run() {
        let mut clock = PlayClock::new();
        assert_eq!(clock.place_behind(run(1), 0), None);
        clock.place(run(1), 700_000, 10_000);
        assert_eq!(clock.place_behind(run(1), 680_000), None);
        assert_eq!(clock.place_behind(run(1), 720_000), Some(30_000));
        assert_eq!(clock.place_behind(run(2), 720_000), None);
    }

    #[test]
    fn timestamps_only_run_forward() {
        let mut ticks = Ticks::new(90_000);
        assert_eq!(ticks.next(1_000_000), 90_000);
        assert_eq!(ticks.next(1_000_000), 90_001);
        assert_eq!(ticks.next(0), 90_002);
        assert_eq!(ticks.next(2_000_000), 180_000);
    }

    #[test]
    fn pictures_of_the_past_lie_just_before_the_present() {
        let mut ticks = Ticks::new(90_000);
        let squeezed: Vec<u64> = (1..=3)
            .rev()
            .map(|left| ticks.squeezed(1_000_000, left))
            .collect();
        assert_eq!(squeezed, [89_997, 89_998, 89_999]);
        assert_eq!(ticks.next(1_000_000), 90_000);
        // No room left before the present: still forward.
        assert_eq!(ticks.squeezed(1_000_000, 5), 90_001);
    }
}
