//! How often a publisher's time may jump.

use std::time::Duration;
use tokio::time::Instant;

/// Most runs that begin within [`WINDOW`]. Every run costs readers a new start, and the recorder a segment
/// and its entry in the catalogue; a publisher could begin one with every picture. A camera is not bound by
/// this: it is ours.
const MAX_RUNS: u64 = 10;
/// Counted anew after this long.
const WINDOW: Duration = Duration::from_secs(10);

/// Counts the runs of one publisher.
#[derive(Debug, Default)]
pub(super) struct JumpLimit {
    /// When the present window began, and how many runs there were before it.
    window: Option<(Instant, u64)>,
}

impl JumpLimit {
    /// Takes in how many runs have begun in all; true if these are too many for their time.
    pub(super) fn is_exceeded(&mut self, runs: u64, now: Instant) -> bool {
        match self.window {
            Some((begun, before)) if now.duration_since(begun) < WINDOW => {
                runs.saturating_sub(before) > MAX_RUNS
            }
            _ => {
                self.window = Some((now, runs));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_may_come_now_and_then_but_not_all_the_time() {
        let start = Instant::now();
        let mut limit = JumpLimit::default();
        let exceeds_at = |limit: &mut JumpLimit, runs: u64, s| {
            limit.is_exceeded(runs, start + Duration::from_secs(s))
        };
        for run in 1..1_000 {
            assert!(!exceeds_at(&mut limit, run, run));
        }
        let mut limit = JumpLimit::default();
        assert!((1..=11).all(|run| !exceeds_at(&mut limit, run, 1)));
        assert!(exceeds_at(&mut limit, 12, 2));
    }
}
