//! When the footage of a clip is there, or will not come any more. Pure.

use framewell_model::{TimeRange, WallTime};
use std::time::Duration;

/// A clip that does not wait still gets what is on its way: the recorder hands out a fragment when the next
/// one begins.
const SETTLE: Duration = Duration::from_secs(20);
/// Looking again costs one query.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Make the clip of what is there.
    Go,
    /// Look again later.
    Wait(Duration),
}

/// Everything that decides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    pub(crate) range: TimeRange,
    /// End of the newest footage of the channel.
    pub(crate) newest: Option<WallTime>,
    pub(crate) now: WallTime,
    /// How long after the end footage is waited for; `None`: the clip does not wait.
    pub(crate) max_wait: Option<Duration>,
}

impl Situation {
    /// Whether the whole range is recorded, or time is over.
    pub(crate) fn readiness(&self) -> Readiness {
        let end = self.range.end;
        if self.newest.is_some_and(|newest| newest >= end) || self.now >= self.deadline() {
            return Readiness::Go;
        }
        Readiness::Wait(self.pause())
    }

    /// Whether footage that is missing altogether may still come: a camera sends it later.
    pub(crate) fn may_still_come(&self) -> Readiness {
        if self.max_wait.is_none() || self.now >= self.deadline() {
            return Readiness::Go;
        }
        Readiness::Wait(LONGEST_PAUSE)
    }

    fn deadline(&self) -> WallTime {
        self.range.end + self.max_wait.unwrap_or(SETTLE).max(SETTLE)
    }

    /// Before the end until the end; behind it often at first, when a recording is most likely under way.
    fn pause(&self) -> Duration {
        let since_end_us = self.now.micros_since(self.range.end);
        let distance = Duration::from_micros(since_end_us.unsigned_abs());
        let pause = if since_end_us < 0 {
            distance + LOOK_AGAIN
        } else {
            distance / 4
        };
        pause.clamp(LOOK_AGAIN, LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn situation(newest: Option<i64>, now: i64, wait_s: Option<u64>) -> Situation {
        let at = WallTime::from_secs;
        Situation {
            range: TimeRange::new(at(1_000), at(1_060)).unwrap(),
            newest: newest.map(at),
            now: at(now),
            max_wait: wait_s.map(Duration::from_secs),
        }
    }

    fn wait(seconds: f64) -> Readiness {
        Readiness::Wait(Duration::from_secs_f64(seconds))
    }

    #[test]
    fn a_recorded_range_goes_at_once() {
        assert_eq!(
            situation(Some(1_060), 1_061, None).readiness(),
            Readiness::Go
        );
        assert_eq!(
            situation(Some(9_000), 9_001, Some(60)).readiness(),
            Readiness::Go
        );
    }

    #[test]
    fn what_is_on_its_way_is_waited_for_a_little_and_the_rest_only_if_asked() {
        assert_eq!(situation(Some(1_059), 1_060, None).readiness(), wait(0.5));
        assert_eq!(
            situation(Some(1_059), 1_080, None).readiness(),
            Readiness::Go
        );
        assert_eq!(situation(None, 1_080, None).readiness(), Readiness::Go);
        assert_eq!(situation(None, 1_100, Some(600)).readiness(), wait(10.0));
        assert_eq!(situation(None, 1_650, Some(600)).readiness(), wait(30.0));
        assert_eq!(situation(None, 1_660, Some(600)).readiness(), Readiness::Go);
        // Before the end: until then, but not for hours, in case that the clock is set.
        assert_eq!(situation(None, 1_050, Some(600)).readiness(), wait(10.5));
        assert_eq!(situation(None, 0, Some(600)).readiness(), wait(30.0));
    }

    #[test]
    fn footage_that_a_camera_may_send_later_is_waited_for_if_asked() {
        let situation = |wait_s| situation(Some(2_000), 1_100, wait_s);
        assert_eq!(situation(None).may_still_come(), Readiness::Go);
        assert_eq!(situation(Some(600)).may_still_come(), wait(30.0));
        assert_eq!(situation(Some(30)).may_still_come(), Readiness::Go);
    }
}
