//! Retention: documents and events that are older than their channel's `meta_max_age` go.

use crate::Insight;
use framewell_catalog::{Error, META_MAX_AGE};
use framewell_model::{WallClock, WallTime};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often old ones are looked for; they live at most this much longer than they may.
const ROUND: Duration = Duration::from_secs(60);
/// Rows per step: few, so that writers never wait long for the database.
const AT_ONCE: u64 = 1_000;
const HOUR_US: f64 = 3_600e6;

impl Insight {
    /// One round: deletes what is older than allowed at `now`; how many documents and events.
    pub async fn sweep(&self, now: WallTime) -> Result<u64, Error> {
        let mut total = 0;
        for (channel, hours) in self.catalog.channels_with_limit(META_MAX_AGE).await? {
            let Some(before) = before(now, hours) else {
                continue;
            };
            let catalog = &self.catalog;
            let documents = || catalog.delete_documents_before(channel, before, AT_ONCE);
            let events = || catalog.delete_events_before(channel, before, AT_ONCE);
            total += in_steps(documents).await? + in_steps(events).await?;
        }
        Ok(total)
    }

    /// Sweeps every minute until `stop`.
    pub async fn sweep_until(self, clock: Arc<dyn WallClock>, stop: CancellationToken) {
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = rounds.tick() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                swept = self.sweep(clock.now()) => if let Err(error) = swept {
                    tracing::warn!(error = &error as &dyn std::error::Error, "clean-up of metadata stopped early; it goes on in the next round");
                }
            }
        }
    }
}

/// Until a step finds less than it may take; how many in all.
async fn in_steps<F>(mut step: impl FnMut() -> F) -> Result<u64, Error>
where
    F: Future<Output = Result<u64, Error>>,
{
    let mut total = 0;
    loop {
        let deleted = step().await?;
        total += deleted;
        if deleted < AT_ONCE {
            return Ok(total);
        }
    }
}

/// The oldest moment that is kept; `None` keeps everything.
fn before(now: WallTime, hours: f64) -> Option<WallTime> {
    // A millennium: older documents do not exist, and the cast stays exact.
    const MOST_HOURS: f64 = 8_766_000.0;
    if !(0.0..=MOST_HOURS).contains(&hours) {
        return None;
    }
    // At most 3.2e16, which fits.
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    let micros = (hours * HOUR_US) as i64;
    Some(now.plus_micros(-micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_may_be_fractions_and_nonsense_keeps_everything() {
        let now = WallTime::from_secs(10_000_000);
        assert_eq!(before(now, 0.5), Some(WallTime::from_secs(9_998_200)));
        assert_eq!(before(now, 0.0), Some(now));
        for hours in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(before(now, hours), None, "{hours}");
        }
    }
}
