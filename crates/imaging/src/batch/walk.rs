//! From GOPs and holes in time order to what each GOP has to answer. Pure.

use super::choose::Aim;
use super::rule::Sampling;
use crate::Match;
use framewell_footage::{CONTINUITY_US, TICK_US};
use framewell_model::{FrameId, GapReason, TimeRange, WallTime};

/// Where a GOP lies in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) key: FrameId,
    /// From its key frame to the next one, or to the end of its last picture.
    pub(crate) range: TimeRange,
    /// Holes inside.
    pub(crate) pauses: Vec<TimeRange>,
}

/// A hole as the footage tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) range: TimeRange,
    pub(crate) reason: Option<GapReason>,
}

/// What comes next in time order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step<G> {
    /// A GOP to take pictures from.
    Take {
        gop: G,
        aim: Aim,
        /// The GOP behind it, where pictures of that one may be meant.
        next: Option<G>,
    },
    /// A hole, with the number of instants that have no picture because of it.
    Gap { hole: Hole, missing: u64 },
}

/// Walks along the time axis with one GOP held back: how far it answers depends on what follows.
#[derive(Debug)]
pub(crate) struct Walk<G> {
    range: TimeRange,
    sampling: Sampling,
    matching: Match,
    /// All up to here has been told before.
    done: WallTime,
    /// The held GOP answers from here on.
    from: WallTime,
    held: Option<(Place, G)>,
    hole: Option<Hole>,
}

impl<G: Clone> Walk<G> {
    /// Of a batch over `range` of which everything up to `done` has been told.
    pub(crate) fn new(
        range: TimeRange,
        sampling: Sampling,
        matching: Match,
        done: WallTime,
    ) -> Self {
        Self {
            range,
            sampling,
            matching,
            done,
            from: range.start,
            held: None,
            hole: None,
        }
    }

    /// A stretch without footage, behind all that came so far.
    pub(crate) fn hole(&mut self, hole: Hole) {
        self.hole = Some(match self.hole {
            None => hole,
            Some(known) => Hole {
                range: TimeRange {
                    start: known.range.start.min(hole.range.start),
                    end: known.range.end.max(hole.range.end),
                },
                reason: if hole.range.micros() > known.range.micros() {
                    hole.reason.or(known.reason)
                } else {
                    known.reason.or(hole.reason)
                },
            },
        });
    }

    /// A GOP, behind all that came so far.
    pub(crate) fn gop(&mut self, place: Place, gop: G) -> Vec<Step<G>> {
        let held = self.held.take();
        let hole = self.hole.take();
        if let Some((known, _)) = held.as_ref().filter(|(known, _)| known.key == place.key) {
            // Met again where recorded and live footage overlap; the later look knows more of it.
            let place = Place {
                range: TimeRange {
                    start: known.range.start,
                    ..place.range
                },
                ..place
            };
            self.held = Some((place, gop));
            return Vec::new();
        }
        let is_joined = |hole: &Hole| {
            let is_same_run = held.as_ref().is_some_and(|h| h.0.key.run == place.key.run);
            is_same_run && hole.range.micros() <= CONTINUITY_US
        };
        let hole = hole.filter(|hole| !is_joined(hole));
        // An instant that was rounded may lie a tick before its picture.
        let start = place.range.start.plus_micros(-TICK_US);
        let mut steps = Vec::new();
        if let Some((known, held)) = held {
            let end = match &hole {
                Some(hole) if !self.answers_holes() => hole.range.start,
                _ => start,
            };
            self.take(known, held, end, Some(gop.clone()), &mut steps);
            self.from = start;
        } else {
            if self.answers_holes() {
                // Instants in a hole that nothing precedes: told before the hole, as elsewhere.
                self.push(&gop, None, self.from, start, &mut steps);
            }
            self.from = start.max(self.range.start);
        }
        self.tell(hole, start, &mut steps);
        self.held = Some((place, gop));
        steps
    }

    /// The end of the range; nothing may follow. `next` is the first GOP behind it.
    pub(crate) fn finish(&mut self, next: Option<G>) -> Vec<Step<G>> {
        let mut steps = Vec::new();
        let end = self.range.end;
        let is_rounding = |hole: &Hole| hole.range.micros() <= TICK_US && self.held.is_some();
        let hole = self.hole.take().filter(|hole| !is_rounding(hole));
        if let Some((known, held)) = self.held.take() {
            let until = match &hole {
                Some(hole) if !self.answers_holes() => hole.range.start,
                _ => end,
            };
            self.take(known, held, until, next, &mut steps);
        }
        self.tell(hole, end, &mut steps);
        steps
    }

    /// Whether an instant in a hole has a picture: the one before or after the hole.
    const fn answers_holes(&self) -> bool {
        matches!(self.sampling, Sampling::Grid(_))
            && matches!(self.matching, Match::Before | Match::After | Match::Nearest)
    }

    /// The held GOP answers up to `end`, in pieces between its pauses.
    fn take(&self, place: Place, gop: G, end: WallTime, next: Option<G>, out: &mut Vec<Step<G>>) {
        let mut from = self.from;
        if !self.answers_holes() {
            for pause in place.pauses {
                self.push(&gop, None, from, pause.start, out);
                let resumed = pause.end.plus_micros(-TICK_US);
                let (range, reason) = (pause, None);
                self.tell(Some(Hole { range, reason }), resumed, out);
                from = resumed;
            }
        }
        self.push(&gop, next, from, end, out);
    }

    fn push(
        &self,
        gop: &G,
        next: Option<G>,
        from: WallTime,
        end: WallTime,
        out: &mut Vec<Step<G>>,
    ) {
        let start = from.max(self.range.start).max(self.done.plus_micros(1));
        let end = end.min(self.range.end);
        let aim = Aim {
            sampling: self.sampling,
            matching: self.matching,
            window: TimeRange {
                start,
                end: end.max(start),
            },
        };
        if !aim.is_empty() {
            let gop = gop.clone();
            out.push(Step::Take { gop, aim, next });
        }
    }

    /// A hole whose instants end at `until`, unless it has been told.
    fn tell(&self, hole: Option<Hole>, until: WallTime, out: &mut Vec<Step<G>>) {
        let Some(mut hole) = hole else {
            return;
        };
        hole.range.start = hole.range.start.max(self.range.start);
        hole.range.end = hole.range.end.min(self.range.end);
        if hole.range.micros() <= 0 || told_with(&hole) <= self.done {
            return;
        }
        let instants = TimeRange {
            start: hole.range.start,
            end: until.min(hole.range.end).max(hole.range.start),
        };
        let missing = match self.sampling {
            Sampling::Grid(grid) if !self.answers_holes() => grid.count(instants),
            _ => 0,
        };
        let missing = u64::try_from(missing).unwrap_or_default();
        out.push(Step::Gap { hole, missing });
    }
}

/// What has been told once a hole has been told: an instant up to a tick before its end may mean the
/// picture behind it.
pub(crate) fn told_with(hole: &Hole) -> WallTime {
    let until = hole.range.end.plus_micros(-TICK_US - 1);
    until.max(hole.range.start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Rule;

    fn at(ms: i64) -> WallTime {
        WallTime::from_micros(ms * 1_000)
    }

    fn range(start_ms: i64, end_ms: i64) -> TimeRange {
        TimeRange::new(at(start_ms), at(end_ms)).unwrap()
    }

    fn place(run: u32, start_ms: i64, end_ms: i64) -> Place {
        Place {
            key: FrameId {
                run: format!("01900000-0000-7000-8000-{run:012}")
                    .parse()
                    .unwrap(),
                ticks: start_ms * 90,
            },
            range: range(start_ms, end_ms),
            pauses: Vec::new(),
        }
    }

    fn hole(start_ms: i64, end_ms: i64) -> Hole {
        Hole {
            range: range(start_ms, end_ms),
            reason: None,
        }
    }

    /// What is taken: GOP, first and last instant in ms; holes: -1, start, end, missing.
    fn show(steps: &[Step<i64>]) -> Vec<Vec<i64>> {
        let ms = |at: WallTime| at.micros().div_euclid(1_000);
        steps
            .iter()
            .map(|step| match step {
                Step::Take { gop, aim, .. } => {
                    vec![*gop, ms(aim.window.start), ms(aim.window.end)]
                }
                Step::Gap { hole, missing } => {
                    let (start, end) = (ms(hole.range.start), ms(hole.range.end));
                    vec![-1, start, end, i64::try_from(*missing).unwrap()]
                }
            })
            .collect()
    }

    fn walk(rule: Rule, matching: Match, whole: TimeRange, done: WallTime) -> Vec<Step<i64>> {
        let mut walk = Walk::new(whole, rule.over(whole, whole), matching, done);
        let mut steps = walk.gop(place(1, 0, 2_000), 0);
        // Rounding between two GOPs of one run is no hole.
        walk.hole(hole(2_000, 2_050));
        steps.extend(walk.gop(place(1, 2_050, 4_000), 1));
        walk.hole(hole(4_000, 9_000));
        steps.extend(walk.gop(place(2, 9_000, 11_000), 2));
        steps.extend(walk.gop(place(2, 9_000, 11_500), 2));
        walk.hole(hole(11_500, 20_000));
        steps.extend(walk.finish(Some(3)));
        steps
    }

    #[test]
    fn gops_answer_up_to_the_next_and_holes_are_told_once() {
        let whole = range(500, 15_000);
        let steps = walk(Rule::Every(500_000), Match::Exact, whole, at(499));
        let expected = [
            vec![0, 500, 2_049],
            vec![1, 2_049, 4_000],
            vec![-1, 4_000, 9_000, 10],
            vec![2, 8_999, 11_500],
            vec![-1, 11_500, 15_000, 7],
        ];
        assert_eq!(show(&steps), expected);
    }

    #[test]
    fn with_other_matching_the_gops_around_answer_for_a_hole() {
        let whole = range(500, 15_000);
        for matching in [Match::Before, Match::After, Match::Nearest] {
            let steps = walk(Rule::Every(500_000), matching, whole, at(499));
            let expected = [
                vec![0, 500, 2_049],
                vec![1, 2_049, 8_999],
                vec![-1, 4_000, 9_000, 0],
                vec![2, 8_999, 15_000],
                vec![-1, 11_500, 15_000, 0],
            ];
            assert_eq!(show(&steps), expected);
            let Step::Take { next, .. } = &steps[3] else {
                panic!("no footage");
            };
            assert_eq!(*next, Some(3));
        }
    }

    #[test]
    fn a_walk_goes_on_behind_anything_it_told() {
        let whole = range(500, 15_000);
        let all = walk(Rule::Every(500_000), Match::Exact, whole, at(499));
        for (told, step) in all.iter().enumerate() {
            let done = match step {
                Step::Take { aim, .. } => aim.window.end.plus_micros(-1),
                Step::Gap { hole, .. } => told_with(hole),
            };
            let rest = walk(Rule::Every(500_000), Match::Exact, whole, done);
            assert_eq!(show(&rest), show(&all[told + 1..]), "behind {told}");
        }
        let rest = walk(Rule::Every(500_000), Match::Exact, whole, at(3_000));
        assert_eq!(show(&rest)[0], [1, 3_000, 4_000]);
    }

    #[test]
    fn gops_without_an_instant_are_passed_by() {
        let whole = range(500, 15_000);
        let steps = walk(Rule::Every(10_000_000), Match::Exact, whole, at(499));
        let taken: Vec<i64> = show(&steps).iter().map(|step| step[0]).collect();
        assert_eq!(taken, [0, -1, 2, -1]);
    }

    #[test]
    fn a_pause_inside_a_gop_is_a_hole() {
        let whole = range(0, 4_000);
        let mut place = place(1, 0, 4_000);
        place.pauses = vec![range(1_000, 3_000)];
        let rule = Rule::Every(500_000).over(whole, whole);
        let mut walk = Walk::new(whole, rule, Match::Exact, at(-1));
        assert!(walk.gop(place, 7).is_empty());
        let expected = [
            vec![7, 0, 1_000],
            vec![-1, 1_000, 3_000, 4],
            vec![7, 2_999, 4_000],
        ];
        assert_eq!(show(&walk.finish(None)), expected);
    }

    #[test]
    fn a_range_without_footage_is_one_hole() {
        let whole = range(0, 4_000);
        let rule = Rule::Every(500_000).over(whole, whole);
        let mut walk = Walk::<i64>::new(whole, rule, Match::Exact, at(-1));
        walk.hole(hole(0, 3_000));
        walk.hole(hole(3_000, 4_000));
        assert_eq!(show(&walk.finish(None)), [vec![-1, 0, 4_000, 8]]);
    }
}
