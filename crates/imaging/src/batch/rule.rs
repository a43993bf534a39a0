//! Which instants of a range are wanted.

use framewell_model::{TimeRange, WallTime};
use std::ops::RangeInclusive;

/// Periods that can be asked for, in microseconds: 1 ms to 31 days.
pub const PERIOD_US: RangeInclusive<i64> = 1_000..=31 * 86_400_000_000;
/// Pictures per second that can be asked for.
pub const RATE: RangeInclusive<f64> = 0.000_01..=1_000.0;
/// Numbers of evenly spaced pictures that can be asked for.
pub const COUNT: RangeInclusive<u32> = 1..=100_000;
/// Most instants that one request may name: more than eleven days at one a second.
pub const MAX_INSTANTS: i64 = 1_000_000;

/// How to choose pictures of a range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// One every so many microseconds, the first at the start of the range.
    Every(i64),
    /// So many a second, the first at the start of the range.
    Rate(f64),
    /// So many, evenly spaced in time; the first picture and the last picture of the footage in the range
    /// are among them.
    Count(u32),
    /// Every key frame captured in the range.
    Keyframes,
    /// The first picture of the range, then each one that differs by at least this much from the one
    /// chosen before it: mean absolute difference of luma, 0 (same) to 1 (black to white).
    Changes(f32),
    /// Every picture captured in the range.
    All,
}

impl Rule {
    /// Says what is wrong with the rule, if anything is, and what the limit is.
    pub fn check(&self) -> Result<(), String> {
        match *self {
            Self::Every(period) if !PERIOD_US.contains(&period) => Err(format!(
                "a picture every {} s is outside 1 ms to 31 days",
                seconds(period)
            )),
            Self::Rate(rate) if !RATE.contains(&rate) => Err(format!(
                "{rate} pictures per second is outside {} to {}",
                RATE.start(),
                RATE.end()
            )),
            Self::Count(count) if !COUNT.contains(&count) => Err(format!(
                "a count of {count} is outside {} to {}",
                COUNT.start(),
                COUNT.end()
            )),
            Self::Changes(threshold) if !(0.0..=1.0).contains(&threshold) => Err(format!(
                "a scene threshold of {threshold} is outside 0 to 1"
            )),
            _ => Ok(()),
        }
    }

    /// How many instants the rule has in a range; `None` for rules that have none. The rule has passed
    /// [`Rule::check`].
    #[must_use]
    pub fn instants(&self, range: TimeRange) -> Option<u64> {
        match self.over(range, range) {
            Sampling::Grid(grid) => Some(u64::try_from(grid.count(range)).unwrap_or_default()),
            _ => None,
        }
    }

    /// The rule for a range. `footage` is what there is of it, which only [`Rule::Count`] looks at.
    pub(crate) fn over(self, range: TimeRange, footage: TimeRange) -> Sampling {
        match self {
            Self::Every(period) => Sampling::Grid(Grid::new(range.start, period, 1, None)),
            Self::Rate(rate) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "checked to be at most 10^9"
                )]
                let per_million_s = (rate * 1e6).round() as i64;
                let period = (1_000_000_000_000, per_million_s.max(1));
                Sampling::Grid(Grid::new(range.start, period.0, period.1, None))
            }
            Self::Count(count) => {
                let steps = i64::from(count) - 1;
                // The last picture is on screen just before the end.
                let span = footage.micros().saturating_sub(AT_END_US).max(0);
                Sampling::Grid(Grid::new(footage.start, span, steps.max(1), Some(steps)))
            }
            Self::Keyframes => Sampling::Keyframes,
            Self::Changes(threshold) => Sampling::Changes(threshold),
            Self::All => Sampling::All,
        }
    }
}

/// So long before the end of a picture's time on screen it is surely still the one that is meant, with
/// the tolerance for rounding.
const AT_END_US: i64 = framewell_footage::TICK_US + 1;

/// A rule with its instants fixed, so that it means the same when it is resumed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sampling {
    Grid(Grid),
    Keyframes,
    Changes(f32),
    All,
}

/// Instants at equal distances: `start + k * span / steps`, rounded, for `k` from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) start: WallTime,
    /// Microseconds; 0 only if all instants are one.
    pub(crate) span: i64,
    /// At least 1.
    pub(crate) steps: i64,
    /// The greatest `k`, if there is one.
    pub(crate) last: Option<i64>,
}

impl Grid {
    pub(crate) const fn new(start: WallTime, span: i64, steps: i64, last: Option<i64>) -> Self {
        Self {
            start,
            span,
            steps,
            last,
        }
    }

    /// The instant with this number.
    pub(crate) fn at(&self, number: i64) -> WallTime {
        let (span, steps) = (i128::from(self.span), i128::from(self.steps));
        let distance = (i128::from(number) * span + steps / 2).div_euclid(steps);
        self.start
            .plus_micros(i64::try_from(distance).unwrap_or(i64::MAX))
    }

    /// Number of the first instant at or after `at`; `None` if there is none.
    pub(crate) fn first_from(&self, at: WallTime) -> Option<i64> {
        let distance = i128::from(at.micros_since(self.start));
        if distance <= 0 {
            return Some(0);
        }
        if self.span == 0 {
            return None;
        }
        let estimate = distance * i128::from(self.steps) / i128::from(self.span);
        // Rounding moves an instant by half a microsecond at most.
        let mut number = i64::try_from(estimate).ok()?.saturating_sub(1).max(0);
        while self.at(number) < at {
            number += 1;
        }
        self.last
            .is_none_or(|last| number <= last)
            .then_some(number)
    }

    /// The instants in a range, ascending, each once.
    pub(crate) fn within(&self, range: TimeRange) -> impl Iterator<Item = WallTime> {
        let (grid, first) = (*self, self.first_from(range.start));
        let numbers = first.into_iter().flat_map(|first| first..);
        let last = if grid.span == 0 { Some(0) } else { grid.last };
        numbers
            .take_while(move |number| last.is_none_or(|last| *number <= last))
            .map(move |number| grid.at(number))
            .take_while(move |at| *at < range.end)
    }

    /// How many instants lie in a range.
    pub(crate) fn count(&self, range: TimeRange) -> i64 {
        let until = |at| self.first_from(at).or(self.last.map(|last| last + 1));
        if range.micros() <= 0 {
            return 0;
        }
        // Numbers that do not fit are more than may ever be named.
        let none = if self.span == 0 { 1 } else { i64::MAX };
        let end = until(range.end).unwrap_or(none);
        end.saturating_sub(until(range.start).unwrap_or(none))
            .max(0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown to people")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(start_ms: i64, end_ms: i64) -> TimeRange {
        let at = |ms: i64| WallTime::from_micros(ms * 1_000);
        TimeRange::new(at(start_ms), at(end_ms)).unwrap()
    }

    fn instants(rule: Rule, range: TimeRange) -> Vec<i64> {
        let Sampling::Grid(grid) = rule.over(range, range) else {
            panic!("not a grid");
        };
        let all: Vec<i64> = grid.within(range).map(WallTime::micros).collect();
        assert_eq!(grid.count(range), i64::try_from(all.len()).unwrap());
        all
    }

    #[test]
    fn a_period_starts_at_the_start_of_the_range() {
        let found = instants(Rule::Every(500_000), range(10_100, 11_600));
        assert_eq!(found, [10_100_000, 10_600_000, 11_100_000]);
    }

    #[test]
    fn a_rate_does_not_drift() {
        let found = instants(Rule::Rate(30.0), range(0, 3_600_000));
        assert_eq!(found.len(), 108_000);
        assert_eq!(found[1], 33_333);
        assert_eq!(found[30 * 60 * 59], 59 * 60 * 1_000_000);
        assert_eq!(
            instants(Rule::Rate(0.5), range(0, 5_000)),
            [0, 2_000_000, 4_000_000]
        );
    }

    #[test]
    fn a_count_holds_both_ends() {
        let found = instants(Rule::Count(5), range(0, 4_000));
        assert_eq!(found.len(), 5);
        assert_eq!((found[0], found[4]), (0, 4_000_000 - AT_END_US));
        assert_eq!(instants(Rule::Count(1), range(7, 4_000)), [7_000]);
        assert_eq!(instants(Rule::Count(2), range(7, 8)).len(), 2);
        let empty = range(7, 7);
        assert!(instants(Rule::Count(9), empty).is_empty());
    }

    #[test]
    fn absurd_rules_are_refused_with_the_limit() {
        let why = |rule: Rule| rule.check().unwrap_err();
        assert!(why(Rule::Every(0)).contains("1 ms"));
        assert!(why(Rule::Every(-5)).contains("1 ms"));
        assert!(why(Rule::Every(i64::MAX)).contains("31 days"));
        for rate in [0.0, -1.0, 1e9, f64::NAN, f64::INFINITY] {
            assert!(why(Rule::Rate(rate)).contains("1000"), "{rate}");
        }
        assert!(why(Rule::Count(0)).contains("1 to 100000"));
        assert!(why(Rule::Count(100_001)).contains("1 to 100000"));
        assert!(why(Rule::Changes(1.5)).contains("0 to 1"));
        assert!(why(Rule::Changes(f32::NAN)).contains("0 to 1"));
        for rule in [
            Rule::Every(1_000),
            Rule::Rate(29.97),
            Rule::Changes(0.0),
            Rule::All,
        ] {
            assert_eq!(rule.check(), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn the_first_instant_from_a_moment_is_the_first(
            span in 1i64..10_000_000_000, steps in 1i64..100_000, at in -10_000_000i64..100_000_000_000,
        ) {
            prop_assume!(span / steps >= 1);
            let grid = Grid::new(WallTime::from_micros(5), span, steps, None);
            let at = WallTime::from_micros(at);
            let number = grid.first_from(at).unwrap();
            prop_assert!(grid.at(number) >= at);
            prop_assert!(number == 0 || grid.at(number - 1) < at);
        }
    }
}
