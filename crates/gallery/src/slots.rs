//! Whole multiples of a period since the epoch: where periodic pictures fall, before and after a restart.

use framewell_model::WallTime;

/// The first multiple of the period behind a moment. The period is more than 0.
pub(crate) fn slot_after(at: WallTime, period_us: i64) -> WallTime {
    let period = period_us.max(1);
    let number = at.micros().div_euclid(period);
    WallTime::from_micros(number.saturating_add(1).saturating_mul(period))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_multiples_and_lie_behind() {
        let after = |at, period| slot_after(WallTime::from_micros(at), period).micros();
        assert_eq!(after(0, 10), 10);
        assert_eq!(after(9, 10), 10);
        assert_eq!(after(10, 10), 20);
        assert_eq!(after(-1, 10), 0);
        assert_eq!(after(i64::MAX, 10), i64::MAX);
    }
}
