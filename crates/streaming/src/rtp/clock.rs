//! One unbroken stream time over many runs.

use framewell_media::AccessUnit;
use framewell_model::{RunId, Timescale, WallTime};

/// Least advance over a border between runs: one picture at 25 per second.
const MIN_STEP_US: i64 = 40_000;
/// Most advance over a border between runs. RTP time has 32 bits (13 h at 90 kHz) and clients take
/// half of that as a jump backwards; a camera whose clock was set also must not throw them out.
const MAX_STEP_US: i64 = 3_600_000_000;

/// Places the units of a channel on a stream time that goes on when a run ends and another begins.
///
/// Inside a run, stream time advances exactly with media time. Over a border it advances by the
/// wall time that passed, so a client sees an outage as a pause of its true length.
#[derive(Debug, Clone, Default)]
pub(crate) struct StreamClock {
    run: Option<RunId>,
    shift_us: i64,
    newest: Option<(i64, WallTime)>,
    /// Whether the next unit is not what came after the last one when they were captured.
    has_jumped: bool,
}

impl StreamClock {
    /// Stream time of a unit in ticks of its track. The first unit of a run must be the key frame
    /// that the run starts with.
    pub(crate) fn place(&mut self, run: RunId, unit: &AccessUnit) -> i64 {
        let pts_us = unit.pts.micros();
        if self.run != Some(run) {
            self.run = Some(run);
            self.shift_us = self.next_start_us(unit.wall) - pts_us;
            self.has_jumped = false;
        }
        let stream_us = pts_us + self.shift_us;
        if self
            .newest
            .is_none_or(|(newest_us, _)| newest_us < stream_us)
        {
            self.newest = Some((stream_us, unit.wall));
        }
        unit.pts.ticks + unit.pts.scale.from_micros(self.shift_us)
    }

    /// A reader goes elsewhere: the next unit, a key frame, is shown right behind the last one.
    pub(crate) const fn jump(&mut self) {
        self.run = None;
        self.has_jumped = true;
    }

    /// Stream time, in microseconds, of what was captured at `wall`. Next to the newest unit, or to the
    /// one captured at `key` that is placed next after a jump.
    pub(crate) fn stream_us(&self, wall: WallTime, key: WallTime) -> i64 {
        match self.newest {
            Some((newest_us, newest)) if self.run.is_some() => {
                newest_us + wall.micros_since(newest)
            }
            _ => self.next_start_us(key) + wall.micros_since(key),
        }
    }

    /// Stream time of the first unit of a run.
    fn next_start_us(&self, wall: WallTime) -> i64 {
        self.newest.map_or(0, |(newest_us, newest)| {
            let passed_us = if self.has_jumped {
                MIN_STEP_US
            } else {
                wall.micros_since(newest).clamp(MIN_STEP_US, MAX_STEP_US)
            };
            newest_us + passed_us
        })
    }
}

/// Stream time for a reader who plays faster or slower: RTP time is what the player's clock follows, so
/// it passes at the player's pace (RFC 2326 section 12.34 and appendix B).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Warp {
    times: f64,
    /// This stream time is sent as ..
    from_us: i64,
    /// .. this one.
    to_us: i64,
}

impl Default for Warp {
    fn default() -> Self {
        Self {
            times: 1.0,
            from_us: 0,
            to_us: 0,
        }
    }
}

impl Warp {
    /// Whether stream time is sent as it is.
    pub(crate) fn is_none(&self) -> bool {
        self.is_at_normal_speed() && self.from_us == self.to_us
    }

    /// Whether captured time and sent time pass alike.
    pub(crate) fn is_at_normal_speed(&self) -> bool {
        (self.times - 1.0).abs() < f64::EPSILON
    }

    /// What a stream time is sent as.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "differences within a play are far below 2^53 microseconds"
    )]
    pub(crate) fn apply_us(&self, stream_us: i64) -> i64 {
        self.to_us + ((stream_us - self.from_us) as f64 / self.times).round() as i64
    }

    /// From `stream_us` on, time passes `times` as fast.
    pub(crate) fn set_times(&mut self, times: f64, stream_us: i64) {
        let to_us = self.apply_us(stream_us);
        *self = Self {
            times,
            from_us: stream_us,
            to_us,
        };
    }

    /// Ticks of a track as they are sent.
    pub(crate) fn apply(&self, ticks: i64, scale: Timescale) -> i64 {
        if self.is_none() {
            return ticks;
        }
        scale.from_micros(self.apply_us(scale.to_micros(ticks)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use framewell_media::TrackKind;
    use framewell_model::{ClockSource, MediaTime};

    fn unit(ticks: i64, wall_us: i64) -> AccessUnit {
        let time = MediaTime::new(ticks, Timescale::HZ_90K);
        AccessUnit {
            track: TrackKind::Video,
            pts: time,
            dts: time,
            wall: WallTime::from_micros(wall_us),
            clock: ClockSource::CameraRtcp,
            is_key: true,
            data: Bytes::new(),
        }
    }

    fn runs() -> (RunId, RunId) {
        let run = |n: u8| {
            format!("00000000-0000-7000-8000-00000000000{n}")
                .parse()
                .unwrap()
        };
        (run(1), run(2))
    }

    #[test]
    fn time_goes_on_over_a_border_of_runs_by_the_wall_time_that_passed() {
        let (first, second) = runs();
        let mut clock = StreamClock::default();
        assert_eq!(clock.place(first, &unit(500, 10_000_000)), 0);
        assert_eq!(clock.place(first, &unit(500 + 3_600, 10_040_000)), 3_600);
        assert_eq!(clock.place(second, &unit(77, 12_040_000)), 3_600 + 180_000);
        assert_eq!(
            clock.place(second, &unit(77 + 3_600, 12_080_000)),
            7_200 + 180_000
        );
    }

    #[test]
    fn a_wall_clock_that_runs_backwards_still_advances() {
        let (first, second) = runs();
        let mut clock = StreamClock::default();
        clock.place(first, &unit(0, 10_000_000));
        assert_eq!(clock.place(second, &unit(0, 3_000_000)), 3_600);
    }

    #[test]
    fn after_a_jump_time_goes_on_with_the_next_picture() {
        let (first, _) = runs();
        let mut clock = StreamClock::default();
        assert_eq!(clock.place(first, &unit(0, 10_000_000)), 0);
        clock.jump();
        let key = WallTime::from_micros(500_000_000);
        assert_eq!(clock.stream_us(key.plus_micros(200_000), key), 240_000);
        assert_eq!(clock.place(first, &unit(900_000, 500_000_000)), 3_600);
        assert_eq!(clock.stream_us(key.plus_micros(200_000), key), 240_000);
    }

    #[test]
    fn a_change_of_speed_bends_time_and_does_not_break_it() {
        let mut warp = Warp::default();
        assert!(warp.is_none());
        warp.set_times(2.0, 1_000_000);
        assert_eq!(warp.apply_us(1_000_000), 1_000_000);
        assert_eq!(warp.apply_us(3_000_000), 2_000_000);
        assert_eq!(warp.apply(270_000, Timescale::HZ_90K), 180_000);
        warp.set_times(1.0, 3_000_000);
        assert_eq!(warp.apply_us(3_500_000), 2_500_000);
    }
}
