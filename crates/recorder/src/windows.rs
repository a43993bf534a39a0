//! Which times a channel that records by event is to keep, and which GOPs of the ring lie in them.
//! Sans-IO.
//!
//! A GOP is kept as a whole or not at all: a recording goes from the key frame at or before the start of
//! its window to the first key frame behind its end, and can be extended without being cut.

use framewell_live::{GopId, GopSpan};
use framewell_model::{TimeRange, WallTime};
use std::ops::RangeInclusive;

/// Windows of a channel that wait for their time, or are being recorded. Events that follow on each other
/// make one window; so many that do not are events announced for the future, of which the furthest go.
const MOST_WINDOWS: usize = 256;

/// Stretches of recorded GOPs that are remembered; the ring is shorter than what falls out.
const MOST_STRETCHES: usize = 1_024;

/// Times to be kept: ascending, none touches the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Windows(Vec<TimeRange>);

impl Windows {
    /// Adds a time; windows that overlap or touch become one.
    pub(crate) fn add(&mut self, mut new: TimeRange) {
        self.0.retain(|known| {
            let is_apart = known.end < new.start || new.end < known.start;
            if !is_apart {
                new.start = new.start.min(known.start);
                new.end = new.end.max(known.end);
            }
            is_apart
        });
        let place = self.0.partition_point(|known| known.start < new.start);
        self.0.insert(place, new);
        self.0.truncate(MOST_WINDOWS);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a GOP from `start` up to `end` has a picture in one of the windows.
    pub(crate) fn wants(&self, start: WallTime, end: WallTime) -> bool {
        self.0
            .iter()
            .any(|window| start <= window.end && window.start < end)
    }

    /// The window that has begun last at `now`.
    pub(crate) fn begun(&self, now: WallTime) -> Option<TimeRange> {
        self.0
            .iter()
            .rev()
            .find(|window| window.start <= now)
            .copied()
    }

    /// Whether nothing that is captured from `now` on lies in a window that has begun.
    pub(crate) fn is_over(&self, now: WallTime) -> bool {
        self.is_over_since(now, now)
    }

    /// Whether all windows that have begun `now` ended before `at`.
    pub(crate) fn is_over_since(&self, now: WallTime, at: WallTime) -> bool {
        self.begun(now).is_none_or(|window| window.end < at)
    }

    /// When the next window begins.
    pub(crate) fn next_start(&self, now: WallTime) -> Option<WallTime> {
        let mut starts = self.0.iter().map(|window| window.start);
        starts.find(|start| *start > now)
    }

    /// Forgets windows that ended before this moment.
    pub(crate) fn forget_before(&mut self, at: WallTime) {
        self.0.retain(|window| window.end >= at);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// GOPs of which units were written: stretches, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Recorded(Vec<(GopId, GopId)>);

impl Recorded {
    pub(crate) fn insert(&mut self, gop: GopId) {
        let place = self.0.partition_point(|(first, _)| *first <= gop);
        if let Some((_, last)) = place.checked_sub(1).and_then(|at| self.0.get_mut(at)) {
            if gop <= *last {
                return;
            }
            if gop == *last + 1 {
                *last = gop;
                return self.join(place);
            }
        }
        self.0.insert(place, (gop, gop));
        self.join(place + 1);
        if self.0.len() > MOST_STRETCHES {
            self.0.remove(0);
        }
    }

    /// Joins the stretch at `place` with the one before it, if nothing lies between.
    fn join(&mut self, place: usize) {
        let (Some(before), Some((first, last))) = (
            place.checked_sub(1).and_then(|at| self.0.get(at)),
            self.0.get(place).copied(),
        ) else {
            return;
        };
        if before.1 + 1 == first {
            self.0[place - 1].1 = last;
            self.0.remove(place);
        }
    }

    pub(crate) fn contains(&self, gop: GopId) -> bool {
        let place = self.0.partition_point(|(first, _)| *first <= gop);
        place
            .checked_sub(1)
            .and_then(|at| self.0.get(at))
            .is_some_and(|(_, last)| gop <= *last)
    }

    /// The newest recorded GOP.
    pub(crate) fn newest(&self) -> Option<GopId> {
        self.0.last().map(|(_, last)| *last)
    }
}

/// What the ring holds of the windows and is not recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Complete stretches of one run each that lie before what is recorded or being recorded: events that
    /// were told late.
    pub(crate) older: Vec<RangeInclusive<GopId>>,
    /// Where recording goes on.
    pub(crate) next: Option<GopId>,
}

/// When a GOP of the ring ends: where the next one begins. One that still grows, and the last one of the
/// ring, reach to `now` at least.
pub(crate) fn end_of(spans: &[GopSpan], gop: GopId, now: WallTime) -> WallTime {
    let next = spans.iter().find(|span| span.id == gop + 1);
    next.map_or_else(|| now.plus_micros(1), |next| next.start)
}

/// `reading` is the GOP that the recording in progress has come to.
pub(crate) fn plan(
    spans: &[GopSpan],
    windows: &Windows,
    recorded: &Recorded,
    reading: Option<GopId>,
    now: WallTime,
) -> Plan {
    let border = reading.or_else(|| recorded.newest()).unwrap_or_default();
    let mut plan = Plan::default();
    let mut run = None;
    for span in spans {
        let end = end_of(spans, span.id, now);
        if recorded.contains(span.id) || !windows.wants(span.start, end) {
            continue;
        }
        if span.id > border {
            plan.next = plan.next.or(Some(span.id));
        } else if span.is_closed && reading != Some(span.id) {
            match plan.older.last_mut() {
                Some(stretch) if *stretch.end() + 1 == span.id && run == Some(span.run) => {
                    *stretch = *stretch.start()..=span.id;
                }
                _ => plan.older.push(span.id..=span.id),
            }
            run = Some(span.run);
        }
    }
    if reading.is_some() {
        plan.next = None;
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::RunId;
    use uuid::Uuid;

    fn at(secs: i64) -> WallTime {
        WallTime::from_secs(secs)
    }

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange::new(at(start), at(end)).unwrap()
    }

    fn windows(ranges: &[(i64, i64)]) -> Windows {
        let mut windows = Windows::default();
        for (start, end) in ranges {
            windows.add(range(*start, *end));
        }
        windows
    }

    /// A GOP every 2 s from 100 s on, the last one open.
    fn ring(first: GopId, count: u64) -> Vec<GopSpan> {
        (first..first + count)
            .map(|id| GopSpan {
                id,
                run: RunId::from_uuid(Uuid::from_u128(1)),
                start: at(100 + 2 * i64::try_from(id - 1).unwrap()),
                is_closed: id + 1 < first + count,
            })
            .collect()
    }

    #[test]
    fn windows_that_touch_become_one() {
        let all = windows(&[(10, 20), (40, 50), (15, 30), (30, 39)]);
        assert_eq!(all.0, [range(10, 39), range(40, 50)]);
        assert_eq!(windows(&[(40, 50), (10, 20), (5, 60)]).0, [range(5, 60)]);
    }

    #[test]
    fn a_gop_is_wanted_from_the_key_frame_before_to_the_first_one_behind() {
        let some = windows(&[(10, 20)]);
        assert!(!some.wants(at(6), at(10)));
        assert!(some.wants(at(8), at(11)));
        assert!(some.wants(at(20), at(22)));
        assert!(!some.wants(at(21), at(30)));
        assert!(some.is_over(at(9)) && some.is_over(at(21)));
        assert!(!some.is_over(at(10)) && !some.is_over(at(20)));
    }

    #[test]
    fn of_too_many_windows_the_furthest_go() {
        let mut many = Windows::default();
        for n in (0..1_000).rev() {
            many.add(range(n * 10, n * 10 + 5));
        }
        assert_eq!(many.0.len(), MOST_WINDOWS);
        assert_eq!(many.0[0], range(0, 5));
        many.forget_before(at(6));
        assert_eq!(many.0[0], range(10, 15));
    }

    #[test]
    fn recorded_stretches_grow_together() {
        let mut recorded = Recorded::default();
        for gop in [5, 7, 6, 1, 9, 2, 5] {
            recorded.insert(gop);
        }
        assert_eq!(recorded.0, [(1, 2), (5, 7), (9, 9)]);
        recorded.insert(8);
        assert_eq!(recorded.0, [(1, 2), (5, 9)]);
        assert!(recorded.contains(8) && !recorded.contains(3) && !recorded.contains(10));
        assert_eq!(recorded.newest(), Some(9));
    }

    #[test]
    fn recording_begins_in_the_past_of_the_ring() {
        let ring = ring(1, 10);
        let plan_for = |windows: &Windows, recorded: &Recorded, reading| {
            plan(&ring, windows, recorded, reading, at(119))
        };
        let none = Recorded::default();
        let found = plan_for(&windows(&[(105, 115)]), &none, None);
        assert_eq!(found.next, Some(3), "the GOP of 104 s");
        assert!(found.older.is_empty());
        assert_eq!(
            plan_for(&windows(&[(50, 99)]), &none, None),
            Plan::default()
        );
        let open = plan_for(&windows(&[(119, 130)]), &none, None);
        assert_eq!(open.next, Some(10));
        let ahead = plan_for(&windows(&[(125, 130)]), &none, None);
        assert_eq!(ahead.next, None);
    }

    #[test]
    fn what_is_told_late_is_recorded_beside_what_is_there() {
        let ring = ring(1, 10);
        let mut recorded = Recorded::default();
        for gop in 5..8 {
            recorded.insert(gop);
        }
        let late = windows(&[(101, 104), (112, 114)]);
        let found = plan(&ring, &late, &recorded, None, at(119));
        assert_eq!(found.older, [1..=3]);
        assert_eq!(found.next, Some(8));
        let found = plan(&ring, &late, &recorded, Some(9), at(119));
        assert_eq!(found.older, [1..=3, 8..=8]);
        assert_eq!(found.next, None);
    }
}
