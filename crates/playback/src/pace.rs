//! When the units of a replay are due.

use framewell_media::AccessUnit;
use std::time::Duration;
use tokio::time::Instant;

/// A reader that is later than this is not hurried to catch up: its clock starts anew.
const MAX_LATE: Duration = Duration::from_secs(2);

/// How fast recorded time passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times as fast as it was recorded, at least 0.01.
    Times(f64),
    /// As fast as the client takes it.
    Unpaced,
}

/// Says when units are due, by their decoding times. Units that are not shown are due at once: they are
/// only needed to decode the first that is.
#[derive(Debug)]
pub struct Pacer {
    speed: Speed,
    /// Media time in microseconds, and when it is due.
    anchor: Option<(i64, Instant)>,
}

impl Pacer {
    /// Starts with the first unit that is shown.
    #[must_use]
    pub const fn new(speed: Speed) -> Self {
        Self {
            speed,
            anchor: None,
        }
    }

    /// Goes on with another speed from the next unit on.
    pub const fn set_speed(&mut self, speed: Speed) {
        self.speed = speed;
        self.anchor = None;
    }

    /// The next unit is due when it is there: to be called at every `Begin` and hole, which are
    /// skipped and not waited through, and after a pause.
    pub const fn restart(&mut self) {
        self.anchor = None;
    }

    /// When to send `unit`; not later than `now` if it is due.
    pub fn due(&mut self, unit: &AccessUnit, is_shown: bool, now: Instant) -> Instant {
        let Speed::Times(times) = self.speed else {
            return now;
        };
        if !is_shown {
            return now;
        }
        let media_us = unit.dts.micros();
        if let Some((anchor_us, at)) = self.anchor {
            let passed_us = media_us.saturating_sub(anchor_us);
            let due = match u64::try_from(passed_us) {
                Ok(passed_us) => at + Duration::from_micros(passed_us).div_f64(times.max(0.01)),
                // Of another track, and a little before the first unit.
                Err(_) => at,
            };
            if now.saturating_duration_since(due) <= MAX_LATE {
                return due;
            }
        }
        self.anchor = Some((media_us, now));
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use framewell_media::TrackKind;
    use framewell_model::{ClockSource, MediaTime, Timescale, WallTime};

    fn unit(ms: i64) -> AccessUnit {
        let time = MediaTime::new(ms * 90, Timescale::HZ_90K);
        AccessUnit {
            track: TrackKind::Video,
            pts: time,
            dts: time,
            wall: WallTime::from_micros(ms * 1_000),
            clock: ClockSource::CameraRtcp,
            is_key: false,
            data: Bytes::new(),
        }
    }

    /// Milliseconds from `begin` at which a unit is due, if asked `now_ms` after it.
    fn due_ms(pacer: &mut Pacer, begin: Instant, ms: i64, is_shown: bool, now_ms: u64) -> u128 {
        let now = begin + Duration::from_millis(now_ms);
        let due = pacer.due(&unit(ms), is_shown, now);
        due.saturating_duration_since(begin).as_millis()
    }

    #[test]
    fn units_are_due_by_recorded_time_and_speed() {
        let begin = Instant::now();
        for (speed, expected) in [(1.0, 400), (2.0, 200), (0.5, 800)] {
            let mut pacer = Pacer::new(Speed::Times(speed));
            assert_eq!(due_ms(&mut pacer, begin, 9_000, false, 0), 0);
            assert_eq!(due_ms(&mut pacer, begin, 10_000, true, 0), 0);
            assert_eq!(due_ms(&mut pacer, begin, 10_400, true, 0), expected);
        }
        let mut pacer = Pacer::new(Speed::Unpaced);
        assert_eq!(due_ms(&mut pacer, begin, 10_000, true, 0), 0);
        assert_eq!(due_ms(&mut pacer, begin, 99_000, true, 7), 7);
    }

    #[test]
    fn a_short_delay_is_made_up_for_and_a_long_one_is_not() {
        let begin = Instant::now();
        let mut pacer = Pacer::new(Speed::Times(1.0));
        due_ms(&mut pacer, begin, 0, true, 0);
        assert_eq!(due_ms(&mut pacer, begin, 1_000, true, 2_500), 1_000);
        assert_eq!(due_ms(&mut pacer, begin, 2_000, true, 9_000), 9_000);
        assert_eq!(due_ms(&mut pacer, begin, 2_040, true, 9_000), 9_040);
    }

    #[test]
    fn a_hole_is_not_waited_through() {
        let begin = Instant::now();
        let mut pacer = Pacer::new(Speed::Times(1.0));
        due_ms(&mut pacer, begin, 0, true, 0);
        pacer.restart();
        assert_eq!(due_ms(&mut pacer, begin, 3_600_000, true, 40), 40);
        assert_eq!(due_ms(&mut pacer, begin, 3_600_040, true, 40), 80);
    }
}
