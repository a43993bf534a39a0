//! Webhooks: events and documents posted to URLs.
//!
//! A [`Dispatcher`] hears of new entries and makes a durable job for each webhook that wants one of them;
//! the [`WebhookHandler`] of that job reads what the webhook has not been told yet, posts it, and moves
//! the webhook's cursor. The cursor is the truth: a job that is lost, or done twice, changes nothing but
//! when something is told.
//!
//! One webhook has at most one job, so its deliveries are in order. A delivery that fails is tried again
//! with growing pauses, during which its job waits and occupies nothing; then it is kept as a failure, and
//! the webhook goes on behind it.

mod batch;
mod client;
mod dispatcher;
mod handler;
mod replay;
mod sign;

pub use client::{Lookup, OutboundClient, Post, Refused, SystemLookup};
pub use dispatcher::Dispatcher;
pub use handler::WebhookHandler;
pub use replay::ReplayHandler;
pub use sign::sign;

use std::time::Duration;

/// How deliveries are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Attempts until a delivery is given up.
    pub attempts: i64,
    /// First pause after a failure; doubles.
    pub first_pause: Duration,
    /// Longest pause; `Retry-After` counts up to it, too.
    pub longest_pause: Duration,
    /// Longest time from connecting to the end of the answer.
    pub timeout: Duration,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            attempts: 12,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(600),
            timeout: Duration::from_secs(10),
        }
    }
}

impl WebhookConfig {
    /// How long to wait after the n-th failure, from 1: between half of the doubled pause and all of it,
    /// so that many webhooks of one broken server do not come back at once; not less than the other side
    /// asked for.
    fn pause(&self, attempt: i64, asked: Option<Duration>, chance: f64) -> Duration {
        let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(30);
        let whole = self.first_pause.saturating_mul(1 << doublings);
        let pause = whole.min(self.longest_pause).mul_f64(0.5 + chance / 2.0);
        pause.max(asked.unwrap_or_default()).min(self.longest_pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_with_jitter_and_are_at_least_what_was_asked_for() {
        let config = WebhookConfig::default();
        let pause = |attempt, asked, chance| config.pause(attempt, asked, chance).as_secs_f64();
        let longest: Vec<f64> = (1..=12).map(|n| pause(n, None, 1.0)).collect();
        assert_eq!(longest[..4], [1.0, 2.0, 4.0, 8.0]);
        assert_eq!(longest[10..], [600.0, 600.0]);
        assert!((pause(3, None, 0.0) - 2.0).abs() < 1e-9);
        let asked = Some(Duration::from_secs(30));
        assert!((pause(1, asked, 1.0) - 30.0).abs() < 1e-9);
        let days = Some(Duration::from_secs(1_000_000));
        assert!((pause(1, days, 1.0) - 600.0).abs() < 1e-9);
    }
}
