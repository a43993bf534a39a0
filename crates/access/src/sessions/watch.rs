//! What happens to open sessions by themselves: rates are taken, tickets end, tokens are revoked.

use super::{Activity, EndReason, Entry, Sessions};
use crate::{Access, Error, StreamUse};
use framewell_model::{ChannelId, Holder};
use futures::StreamExt;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often rates are taken and tickets are looked at.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// How often tokens are looked at.
const RECHECK_EVERY: Duration = Duration::from_secs(5);
/// Tokens that are looked at at once: fewer than the connections to the database, which others want too.
const RECHECKS: usize = 4;

impl Sessions {
    /// Watches over the sessions until `stop`: takes their rates each second, and ends those whose ticket
    /// ended at once and those whose token was revoked, or no longer opens the channel, within five seconds.
    pub async fn run(self, access: Access, stop: CancellationToken) {
        // Apart, so that a slow database holds up no ticket's end.
        tokio::join!(
            self.measure_often(&stop),
            self.recheck_often(&access, &stop)
        );
    }

    async fn measure_often(&self, stop: &CancellationToken) {
        let mut ticks = ticks(MEASURE_EVERY);
        let mut last = Instant::now();
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let now = Instant::now();
            self.measure(now.duration_since(last).as_secs_f64());
            last = now;
        }
    }

    async fn recheck_often(&self, access: &Access, stop: &CancellationToken) {
        let mut ticks = ticks(RECHECK_EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // A check that is under way has nothing to finish.
            stop.run_until_cancelled(self.recheck(access)).await;
        }
    }

    /// Takes rates, `elapsed_s` seconds after the last time, and ends what has expired.
    pub(super) fn measure(&self, elapsed_s: f64) {
        let now = self.shared.clock.now();
        for entry in self.entries() {
            entry.measure(elapsed_s);
            if entry.new.expire.is_some_and(|end| end <= now) {
                entry.end(EndReason::Expired);
            }
        }
        let gone = self.shared.visits.lock().sweep(now);
        drop(gone);
    }

    /// Ends the sessions of tokens that no longer open their channel, as [`Sessions::run`] does now and then. A
    /// database that is away for a moment ends nothing.
    pub async fn recheck(&self, access: &Access) {
        let mut alike: HashMap<(Holder, ChannelId, bool), Vec<Arc<Entry>>> = HashMap::new();
        for entry in self.entries() {
            let is_publisher = entry.new.activity == Activity::Publish;
            let key = (entry.new.holder, entry.new.channel, is_publisher);
            alike.entry(key).or_default().push(entry);
        }
        let checks = futures::stream::iter(alike.into_values());
        let checks = checks.for_each_concurrent(RECHECKS, async |entries| {
            if !still_opens(access, &entries[0]).await {
                entries
                    .iter()
                    .for_each(|entry| entry.end(EndReason::Revoked));
            }
        });
        checks.await;
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        self.shared.open.lock().values().cloned().collect()
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn still_opens(access: &Access, entry: &Entry) -> bool {
    let stream = match entry.new.activity {
        Activity::Publish => StreamUse::Publish,
        Activity::Live | Activity::Recorded => StreamUse::Watch,
    };
    let check = async {
        let grant = access.standing_grant(&entry.new.holder).await?;
        access
            .check_channel(&grant, entry.new.channel, stream.right())
            .await
    };
    match check.await {
        Ok(()) => true,
        Err(Error::Catalog(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "tokens of sessions cannot be checked"
            );
            true
        }
        Err(_) => false,
    }
}
