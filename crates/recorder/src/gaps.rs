//! Every hole between recorded footage becomes a row with its reason; `ledger` writes them.

use framewell_footage::CONTINUITY_US;
use framewell_model::{GapReason, TimeRange, WallTime};

/// A change of a channel's gap rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GapChange {
    /// Footage is missing from `start` on.
    Open { start: WallTime, reason: GapReason },
    /// Footage was missing in `range`.
    Past { range: TimeRange, reason: GapReason },
    /// Footage is back.
    Close { end: WallTime },
    /// Footage of `range` was recorded and then lost; an open gap stays open.
    Lost { range: TimeRange },
    /// The same, because room had to be made.
    Discarded { range: TimeRange, size_bytes: i64 },
}

const NEVER: WallTime = WallTime::from_micros(i64::MAX);

/// How far a channel's footage reaches, and why it does not go on. Sans-IO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Coverage {
    /// End of the newest footage; `None` if there never was any: then nothing can be missing.
    tail: Option<WallTime>,
    /// Reason of the open gap.
    open: Option<GapReason>,
    /// Why the next hole without a better reason will be there.
    expected: Option<GapReason>,
    /// Nothing is missing from before this moment, and the next footage follows on nothing: the channel
    /// records by event, and nothing was wanted.
    wanted_from: Option<WallTime>,
    /// Start of the newest footage without a hole.
    since: Option<WallTime>,
}

impl Coverage {
    /// As the catalog remembers it.
    pub(crate) const fn recovered(tail: Option<WallTime>, open: Option<GapReason>) -> Self {
        Self {
            tail,
            open,
            expected: None,
            wanted_from: None,
            since: None,
        }
    }

    /// The newest footage without a hole; `None` if there never was any.
    pub(crate) fn newest(&self) -> Option<TimeRange> {
        TimeRange::new(self.since?, self.tail?)
    }

    /// Footage was written.
    pub(crate) fn footage(&mut self, range: TimeRange) -> Option<GapChange> {
        let tail = self.tail;
        self.tail = Some(tail.map_or(range.end, |tail| tail.max(range.end)));
        let expected = self.expected.take();
        let follows_nothing = self.wanted_from.take().is_some();
        if self.open.take().is_some() {
            self.since = Some(range.start);
            return Some(GapChange::Close { end: range.start });
        }
        let hole = tail.and_then(|tail| TimeRange::new(tail, range.start));
        let hole = hole.filter(|hole| hole.micros() > CONTINUITY_US);
        if hole.is_some() || self.since.is_none() {
            self.since = Some(range.start);
        }
        let hole = hole.filter(|_| !follows_nothing)?;
        Some(GapChange::Past {
            range: hole,
            reason: expected.unwrap_or(GapReason::CameraOffline),
        })
    }

    /// No footage is wanted from `at` on: what is missing behind it is no gap.
    pub(crate) fn idle(&mut self, at: WallTime) -> Option<GapChange> {
        self.expected = None;
        self.wanted_from = Some(NEVER);
        let end = self.tail.map_or(at, |tail| at.max(tail));
        self.open.take().map(|_| GapChange::Close { end })
    }

    /// Footage is wanted again, from `from` on. Footage that reaches behind `from` has to go on without a
    /// hole.
    pub(crate) fn begin(&mut self, from: WallTime) {
        if self.wanted_from.is_some() {
            self.wanted_from = self.tail.is_none_or(|tail| tail <= from).then_some(from);
        }
    }

    /// If footage does not go on where it stopped, this will be why.
    pub(crate) fn expect(&mut self, reason: GapReason) {
        self.expected = Some(reason);
    }

    /// No footage is coming, because of `reason`. A gap that is open for another reason ends `at`,
    /// and the new one begins there.
    pub(crate) fn missing(&mut self, reason: GapReason, at: WallTime) -> Option<GapChange> {
        let tail = self.tail?;
        if self.wanted_from == Some(NEVER) {
            return None;
        }
        let start = match (self.open, self.wanted_from.take()) {
            (Some(open), _) if open == reason => return None,
            (Some(_), _) => at.max(tail),
            (None, Some(from)) => at.max(from).max(tail),
            (None, None) => tail,
        };
        self.open = Some(reason);
        self.expected = None;
        Some(GapChange::Open { start, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> WallTime {
        WallTime::from_secs(secs)
    }

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange::new(at(start), at(end)).unwrap()
    }

    #[test]
    fn nothing_is_missing_where_nothing_ever_was() {
        let mut coverage = Coverage::default();
        assert_eq!(coverage.missing(GapReason::CameraOffline, at(5)), None);
        assert_eq!(coverage.footage(range(10, 11)), None);
    }

    #[test]
    fn a_gap_begins_at_the_last_picture_and_ends_at_the_next() {
        let mut coverage = Coverage::default();
        coverage.footage(range(10, 20));
        assert_eq!(
            coverage.missing(GapReason::CameraOffline, at(25)),
            Some(GapChange::Open {
                start: at(20),
                reason: GapReason::CameraOffline
            })
        );
        assert_eq!(coverage.missing(GapReason::CameraOffline, at(30)), None);
        assert_eq!(
            coverage.footage(range(40, 41)),
            Some(GapChange::Close { end: at(40) })
        );
    }

    #[test]
    fn a_new_reason_begins_when_it_begins() {
        let mut coverage = Coverage::recovered(Some(at(20)), Some(GapReason::ServerDown));
        assert_eq!(
            coverage.missing(GapReason::Unauthorized, at(50)),
            Some(GapChange::Open {
                start: at(50),
                reason: GapReason::Unauthorized
            })
        );
    }

    #[test]
    fn a_hole_seen_afterwards_has_the_expected_reason() {
        let mut coverage = Coverage::default();
        coverage.footage(range(10, 20));
        coverage.expect(GapReason::RecorderLagged);
        assert_eq!(
            coverage.footage(range(26, 30)),
            Some(GapChange::Past {
                range: range(20, 26),
                reason: GapReason::RecorderLagged
            })
        );
        assert_eq!(coverage.footage(range(30, 40)), None);
    }

    #[test]
    fn rounding_and_overlap_are_no_holes() {
        let mut coverage = Coverage::default();
        coverage.footage(range(10, 20));
        let start = at(20).plus_micros(CONTINUITY_US);
        assert_eq!(coverage.footage(TimeRange { start, end: at(30) }), None);
        assert_eq!(coverage.footage(range(25, 28)), None);
        assert_eq!(coverage.footage(range(30, 31)), None);
    }

    #[test]
    fn between_recordings_by_event_nothing_is_missing() {
        let mut coverage = Coverage::default();
        coverage.footage(range(10, 20));
        assert_eq!(coverage.idle(at(20)), None);
        coverage.begin(at(40));
        assert_eq!(coverage.footage(range(41, 50)), None);
        assert_eq!(coverage.newest(), Some(range(41, 50)));
        assert_eq!(
            coverage.missing(GapReason::CameraOffline, at(52)),
            Some(GapChange::Open {
                start: at(50),
                reason: GapReason::CameraOffline
            }),
            "but inside one it is"
        );
        assert_eq!(
            coverage.idle(at(60)),
            Some(GapChange::Close { end: at(60) })
        );
    }

    #[test]
    fn a_recording_by_event_that_reaches_into_footage_has_to_follow_on_it() {
        let mut coverage = Coverage::default();
        coverage.footage(range(10, 20));
        coverage.idle(at(20));
        coverage.begin(at(18));
        coverage.expect(GapReason::RecorderLagged);
        assert_eq!(
            coverage.footage(range(22, 30)),
            Some(GapChange::Past {
                range: range(20, 22),
                reason: GapReason::RecorderLagged
            })
        );
    }

    #[test]
    fn a_camera_that_was_away_before_an_event_is_missing_from_its_recording_on() {
        let mut coverage = Coverage::default();
        coverage.footage(range(10, 20));
        coverage.idle(at(20));
        coverage.begin(at(40));
        assert_eq!(
            coverage.missing(GapReason::CameraOffline, at(25)),
            Some(GapChange::Open {
                start: at(40),
                reason: GapReason::CameraOffline
            })
        );
    }
}
