//! Waiting for a database or a store that is away.

use std::error::Error;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
/// Long enough to be no load on something that struggles, short enough to be back at once, and to try again
/// a few times while the server stops.
const LONGEST: Duration = Duration::from_secs(3);

/// Doubling pauses; the first failure is a warning, the ones after it are details.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes a failed attempt at `what`; how long to wait before the next one.
    pub(crate) fn failed(&mut self, what: &str, error: &(dyn Error + 'static)) -> Duration {
        if self.failures == 0 {
            tracing::warn!(what, error, "cannot be written now; trying until it can");
        } else {
            tracing::debug!(what, failures = self.failures, error, "still failing");
        }
        let pause = FIRST
            .saturating_mul(1 << self.failures.min(10))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..8)
            .map(|_| backoff.failed("test", &std::io::Error::other("away")))
            .collect();
        assert_eq!(pauses[..3], [FIRST, FIRST * 2, FIRST * 4]);
        assert_eq!(pauses[7], LONGEST);
    }
}
