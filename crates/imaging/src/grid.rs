//! The grid of instants that a rate stands for: the same one for every channel and every engine.
//!
//! Grid instants are `1 / rate` apart, counted from the epoch. For each of them the picture captured
//! nearest to it is the one that the rate chooses. Pictures of several channels then belong to the same
//! instant, and engines that ask at the same rate get the same pictures.

use framewell_model::WallTime;

/// A rate in pictures per second, kept in millionths, so that the grid is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid {
    micro_hz: i64,
}

/// Micro-hertz times microseconds from one grid instant to the next.
pub(crate) const PERIOD: i128 = 1_000_000_000_000;

impl Grid {
    /// For a rate from 0.00001 to 1,000 pictures per second; `None` outside.
    #[must_use]
    pub fn new(fps: f64) -> Option<Self> {
        if !(0.00001..=1_000.0).contains(&fps) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "between 10 and 10^9")]
        let micro_hz = (fps * 1e6).round() as i64;
        Some(Self { micro_hz })
    }

    /// Number of the grid instant nearest to a time.
    #[must_use]
    pub fn nearest(self, time: WallTime) -> i64 {
        let nearest = (self.place(time) + PERIOD / 2).div_euclid(PERIOD);
        i64::try_from(nearest).unwrap_or(i64::MAX)
    }

    /// Grid instants since the epoch, times [`PERIOD`]. Exact: a rate never drifts.
    pub(crate) fn place(self, time: WallTime) -> i128 {
        i128::from(time.micros()) * i128::from(self.micro_hz)
    }

    /// When a grid instant is, rounded down to a microsecond.
    #[must_use]
    pub fn instant(self, number: i64) -> WallTime {
        let micros = (i128::from(number) * PERIOD).div_euclid(i128::from(self.micro_hz));
        WallTime::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// Distance of two grid instants in microseconds, rounded down.
    #[must_use]
    pub const fn period_us(self) -> i64 {
        1_000_000_000_000 / self.micro_hz
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_belongs_to_the_instant_nearest_to_it() {
        for fps in [0.1, 1.0, 2.0, 3.0, 25.0, 29.97, 30.0] {
            let grid = Grid::new(fps).unwrap();
            let half_us = grid.period_us() / 2;
            for time in [0, 1_714_557_600_000_000, 1_714_557_600_123_457] {
                let number = grid.nearest(WallTime::from_micros(time));
                let instant = grid.instant(number);
                assert!((instant.micros() - time).abs() <= half_us + 1);
                for near in [0, 1 - half_us, half_us - 1] {
                    assert_eq!(grid.nearest(instant.plus_micros(near)), number, "{fps}");
                }
            }
        }
    }

    #[test]
    fn whole_rates_fall_on_whole_seconds() {
        let second = WallTime::from_secs(1_714_557_600);
        for fps in [1.0, 2.0, 5.0, 25.0] {
            let grid = Grid::new(fps).unwrap();
            assert_eq!(grid.instant(grid.nearest(second)), second);
        }
        assert_eq!(Grid::new(4.0).unwrap().period_us(), 250_000);
    }

    #[test]
    fn absurd_rates_have_no_grid() {
        for fps in [0.0, -1.0, 0.000_001, 1_001.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Grid::new(fps), None);
        }
    }
}
