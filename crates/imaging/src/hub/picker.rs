//! Which pictures a push gets: those nearest to the points of an even grid in capture time.

use crate::Grid;
use crate::grid::PERIOD as STEP;
use framewell_model::WallTime;

/// What to do with a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Not due.
    Skip,
    /// Take it.
    Take {
        /// Number of the picture in its push.
        sequence: u64,
        /// The grid point that it is for; with no rate its capture time.
        due: WallTime,
    },
    /// It lies behind the end of the push.
    Over,
}

/// What a push wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// No picture before this.
    pub(crate) from: WallTime,
    /// No picture at or after this.
    pub(crate) until: Option<WallTime>,
    /// The rate; `None`: every picture.
    pub(crate) grid: Option<Grid>,
    pub(crate) is_keys_only: bool,
}

/// Chooses among pictures that come in presentation order. Copying it and going on from the copy
/// repeats its choices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Picker {
    rule: Rule,
    /// Place of the last picture seen, taken or not, and the grid point that was served last.
    last: Option<(i128, i128)>,
    /// Capture time of the last picture of the push's time, and its distance to the one before.
    seen: Option<(WallTime, i64)>,
    next_sequence: u64,
}

impl Picker {
    pub(crate) const fn new(rule: Rule) -> Self {
        Self {
            rule,
            last: None,
            seen: None,
            next_sequence: 0,
        }
    }

    pub(crate) const fn is_keys_only(&self) -> bool {
        self.rule.is_keys_only
    }

    /// The next picture in presentation order.
    ///
    /// Of the pictures around a grid point the nearest is taken, as far as the distance to the picture
    /// before tells: so a camera whose pictures jitter around the grid points of the very rate it has
    /// loses none. A grid point without a picture stays without: gaps in time are gaps.
    pub(crate) fn choose(&mut self, wall: WallTime, is_key: bool) -> Choice {
        if self.rule.until.is_some_and(|until| wall >= until) {
            return Choice::Over;
        }
        if wall < self.rule.from || (self.rule.is_keys_only && !is_key) {
            return Choice::Skip;
        }
        let step = self.seen.map_or(0, |(seen, _)| wall.micros_since(seen));
        self.seen = Some((wall, step));
        let due = match self.rule.grid {
            None => wall,
            Some(grid) => match self.serve(grid, wall) {
                Some(index) => point(grid, index),
                None => return Choice::Skip,
            },
        };
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        Choice::Take { sequence, due }
    }

    /// Pictures up to this one, which comes next, were never seen: counts those that would have been
    /// chosen, so that they show as dropped. With no rate that is an estimate.
    pub(crate) fn overrun(&mut self, next: WallTime) {
        let Some((seen, step)) = self.seen else {
            return;
        };
        let missed = match (self.rule.grid, self.last) {
            (Some(grid), Some((_, served))) => {
                let nearest = (grid.place(next) + STEP / 2).div_euclid(STEP);
                nearest - served - 1
            }
            _ if step > 0 => i128::from((next.micros_since(seen) + step / 2) / step - 1),
            _ => 0,
        };
        self.next_sequence += u64::try_from(missed).unwrap_or(0);
    }

    /// The grid point that the picture is for, if it is for one.
    fn serve(&mut self, grid: Grid, wall: WallTime) -> Option<i128> {
        let place = grid.place(wall);
        let nearest = (place + STEP / 2).div_euclid(STEP);
        let Some((before, served)) = self.last else {
            self.last = Some((place, nearest));
            return Some(nearest);
        };
        let step = place - before;
        if step < -STEP {
            // The camera's clock was set back; this is another time.
            self.last = Some((place, nearest));
            return Some(nearest);
        }
        let slack = (step.max(0) / 2).min(STEP / 2);
        if place + slack < (served + 1) * STEP {
            self.last = Some((place, served));
            return None;
        }
        let reached = if step > STEP + STEP / 2 {
            nearest
        } else {
            place.div_euclid(STEP)
        };
        let index = reached.max(served + 1);
        self.last = Some((place, index));
        Some(index)
    }

    /// Before this capture time nothing is taken.
    pub(crate) fn next_due(&self) -> WallTime {
        let due = match (self.rule.grid, self.last) {
            (Some(grid), Some((_, served))) => {
                point(grid, served).plus_micros(grid.period_us() / 2)
            }
            _ => self.rule.from,
        };
        due.max(self.rule.from)
    }
}

fn point(grid: Grid, index: i128) -> WallTime {
    grid.instant(i64::try_from(index).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH_US: i64 = 1_714_000_000_000_000;

    fn at(micros: i64) -> WallTime {
        WallTime::from_micros(EPOCH_US + micros)
    }

    fn picker(fps: Option<f64>) -> Picker {
        Picker::new(Rule {
            from: at(0),
            until: None,
            grid: fps.map(|fps| Grid::new(fps).unwrap()),
            is_keys_only: false,
        })
    }

    /// Which of the pictures at these times are taken.
    fn taken(picker: &mut Picker, walls: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let is_taken = |wall: &i64| matches!(picker.choose(at(*wall), false), Choice::Take { .. });
        walls.into_iter().filter(is_taken).collect()
    }

    #[test]
    fn a_rate_takes_an_even_share_for_ever() {
        let walls = (0..25 * 3600).map(|index| index * 40_000);
        let taken = taken(&mut picker(Some(2.0)), walls);
        assert_eq!(taken.len(), 7_200);
        for (index, wall) in (0..).zip(&taken) {
            let off = wall - index * 500_000;
            assert!((-20_000..=20_000).contains(&off), "{index}: {off}");
        }
    }

    #[test]
    fn the_cameras_own_rate_takes_every_picture_in_spite_of_jitter() {
        for phase in (0..40_000).step_by(1_000) {
            let jitter = |index: i64| (index * 7_919) % 4_001 - 2_000;
            let walls = (0..500).map(|index| 40_000 + index * 40_000 + phase + jitter(index));
            let count = taken(&mut picker(Some(25.0)), walls).len();
            assert!(count >= 499, "phase {phase}: {count}");
        }
    }

    #[test]
    fn no_rate_and_rates_above_the_cameras_take_everything() {
        let walls = || (0..100).map(|index| index * 40_000);
        for fps in [None, Some(30.0), Some(100.0), Some(1e3)] {
            assert_eq!(taken(&mut picker(fps), walls()).len(), 100, "{fps:?}");
        }
    }

    #[test]
    fn a_gap_in_time_is_a_gap() {
        let before = (0..50).map(|index| index * 40_000);
        let after = (0..50).map(|index| 10_000_000 + index * 40_000);
        let mut picker = picker(Some(5.0));
        let taken = taken(&mut picker, before.chain(after));
        let gaps = taken.windows(2).filter(|pair| pair[1] - pair[0] > 300_000);
        assert_eq!((taken.len(), gaps.count()), (20, 1));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_the_push() {
        let walls = (0..50)
            .map(|index| 60_000_000 + index * 40_000)
            .chain((0..50).map(|index| index * 40_000));
        assert_eq!(taken(&mut picker(Some(5.0)), walls).len(), 20);
    }

    #[test]
    fn sequence_counts_the_chosen_and_the_end_is_exclusive() {
        let mut picker = Picker::new(Rule {
            from: at(100_000),
            until: Some(at(300_000)),
            grid: Grid::new(10.0),
            is_keys_only: false,
        });
        let choices: Vec<Choice> = (0..9)
            .map(|index| picker.choose(at(index * 50_000), false))
            .collect();
        let take = |sequence, due| Choice::Take {
            sequence,
            due: at(due),
        };
        let expected = [
            Choice::Skip,
            Choice::Skip,
            take(0, 100_000),
            Choice::Skip,
            take(1, 200_000),
            Choice::Skip,
            Choice::Over,
            Choice::Over,
            Choice::Over,
        ];
        assert_eq!(choices, expected);
    }

    #[test]
    fn a_copy_repeats_the_choices() {
        let mut first = picker(Some(3.0));
        taken(&mut first, (0..40).map(|index| index * 40_000));
        let mut second = first;
        let rest = || (40..80).map(|index| index * 40_000);
        assert_eq!(taken(&mut first, rest()), taken(&mut second, rest()));
    }

    #[test]
    fn what_was_missed_is_counted() {
        for (fps, missed) in [(Some(5.0), 9), (None, 49)] {
            let mut picker = picker(fps);
            let before = (0..=50).map(|index| index * 40_000);
            let taken = taken(&mut picker, before).len() as u64;
            picker.overrun(at(100 * 40_000));
            let next = picker.choose(at(100 * 40_000), false);
            assert!(
                matches!(next, Choice::Take { sequence, .. } if sequence == taken + missed),
                "{fps:?} {taken} {next:?}"
            );
        }
    }

    #[test]
    fn nothing_is_taken_before_it_is_due() {
        let mut picker = picker(Some(1.0));
        let mut due = picker.next_due();
        for index in 0..200 {
            let wall = at(index * 40_000);
            if picker.choose(wall, false) != Choice::Skip {
                assert!(wall >= due, "{index}");
            }
            due = picker.next_due();
        }
    }

    #[test]
    fn key_frames_alone_are_picked_among_themselves() {
        let mut picker = picker(Some(1.0));
        picker.rule.is_keys_only = true;
        let choose = |index: i64| picker.choose(at(index * 40_000), index % 50 == 0);
        let taken: Vec<Choice> = (0..200)
            .map(choose)
            .filter(|c| *c != Choice::Skip)
            .collect();
        assert_eq!(taken.len(), 4);
    }
}
