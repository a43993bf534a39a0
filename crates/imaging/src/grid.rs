//! The grid of instants that a rate stands for: the same one for every channel and every engine.
//!
//! Time since the epoch is cut into cells of `1 / rate`; a grid instant is where a cell begins. Of each
//! cell the first picture captured in it is the one that the rate chooses. Pictures of several channels
//! then belong to the same instant, and engines that ask at the same rate get the same pictures.

use framewell_model::WallTime;

/// A rate in pictures per second, kept in millionths, so that the grid is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid {
    micro_hz: i64,
}

/// Micro-hertz times microseconds in one period.
const PERIOD: i128 = 1_000_000_000_000;

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

    /// Number of the cell that a capture time falls into.
    #[must_use]
    pub fn cell(self, captured: WallTime) -> i64 {
        let place = i128::from(captured.micros()) * i128::from(self.micro_hz);
        i64::try_from(place.div_euclid(PERIOD)).unwrap_or(i64::MAX)
    }

    /// Where a cell begins: the first microsecond in it.
    #[must_use]
    pub fn instant(self, cell: i64) -> WallTime {
        let rate = i128::from(self.micro_hz);
        let micros = (i128::from(cell) * PERIOD + rate - 1).div_euclid(rate);
        WallTime::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// Length of a cell in microseconds, rounded down.
    #[must_use]
    pub const fn period_us(self) -> i64 {
        1_000_000_000_000 / self.micro_hz
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_begins_at_its_instant_and_not_a_microsecond_before() {
        for fps in [0.1, 1.0, 2.0, 3.0, 25.0, 29.97, 30.0] {
            let grid = Grid::new(fps).unwrap();
            for start in [0, 1_714_557_600_000_000, 1_714_557_600_123_457] {
                let cell = grid.cell(WallTime::from_micros(start));
                let instant = grid.instant(cell);
                assert!(instant.micros() <= start);
                assert_eq!(grid.cell(instant), cell, "{fps}");
                assert_eq!(grid.cell(instant.plus_micros(-1)), cell - 1, "{fps}");
            }
        }
    }

    #[test]
    fn whole_rates_fall_on_whole_seconds() {
        let second = WallTime::from_secs(1_714_557_600);
        for fps in [1.0, 2.0, 5.0, 25.0] {
            let grid = Grid::new(fps).unwrap();
            assert_eq!(grid.instant(grid.cell(second)), second);
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
