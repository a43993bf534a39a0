//! Pauses between attempts: doubling, capped, jittered.

use crate::IngestConfig;
use std::time::Duration;

/// The pause before the next attempt.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(config: &IngestConfig) -> Self {
        let min = config.backoff_min.min(config.backoff_max);
        Self {
            min,
            max: config.backoff_max,
            next: min,
        }
    }

    /// The camera worked: the next failure is a first one.
    pub(crate) const fn reset(&mut self) {
        self.next = self.min;
    }

    /// The pause now; `roll` in 0.0 to 1.0 spreads it over its upper half, so that cameras that
    /// failed together do not all come back at once.
    pub(crate) fn pause(&mut self, roll: f64) -> Duration {
        let pause = self.next.mul_f64(0.5 + roll.clamp(0.0, 1.0) / 2.0);
        self.next = (self.next * 2).min(self.max);
        pause
    }

    /// The pause after refused credentials.
    pub(crate) fn long_pause(&self, roll: f64) -> Duration {
        self.max.mul_f64(0.5 + roll.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_start_anew_after_success() {
        let mut backoff = Backoff::new(&IngestConfig {
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(5),
            ..IngestConfig::default()
        });
        let pauses: Vec<u64> = (0..5).map(|_| backoff.pause(1.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
        backoff.reset();
        assert_eq!(backoff.pause(1.0).as_secs(), 1);
    }

    #[test]
    fn jitter_takes_away_at_most_half() {
        let config = IngestConfig::default();
        assert_eq!(
            Backoff::new(&config).pause(0.0) * 2,
            Backoff::new(&config).pause(1.0)
        );
    }
}
