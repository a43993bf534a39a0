//! One unbroken stream time over many runs.

use framewell_media::AccessUnit;
use framewell_model::{RunId, WallTime};

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
}

impl StreamClock {
    /// Stream time of a unit in ticks of its track. The first unit of a run must be the key frame
    /// that the run starts with.
    pub(crate) fn place(&mut self, run: RunId, unit: &AccessUnit) -> i64 {
        let pts_us = unit.pts.micros();
        if self.run != Some(run) {
            self.run = Some(run);
            let start_us = self.newest.map_or(0, |(newest_us, wall)| {
                newest_us + unit.wall.micros_since(wall).clamp(MIN_STEP_US, MAX_STEP_US)
            });
            self.shift_us = start_us - pts_us;
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use framewell_media::TrackKind;
    use framewell_model::{ClockSource, MediaTime, Timescale};

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
}
