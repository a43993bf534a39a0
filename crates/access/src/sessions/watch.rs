//! What happens to open sessions by themselves: rates are taken, tickets end, tokens are revoked.

use super::{Activity, EndReason, Entry, Sessions};
use crate::{Access, Error, StreamUse};
use framewell_model::{ChannelId, Holder};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often rates are taken and tickets are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Every so many times the tokens are looked at.
const RECHECK: u32 = 5;

impl Sessions {
    /// Watches over the sessions until `stop`: takes their rates each second, and ends those whose ticket
    /// ended at once and those whose token was revoked, or no longer opens the channel, within five seconds.
    pub async fn run(self, access: Access, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last, mut count) = (Instant::now(), 0_u32);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let now = Instant::now();
            self.measure(now.duration_since(last).as_secs_f64());
            last = now;
            count = count.wrapping_add(1);
            if count.is_multiple_of(RECHECK) {
                self.recheck(&access).await;
            }
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
        let mut known: HashMap<(Holder, ChannelId, bool), bool> = HashMap::new();
        for entry in self.entries() {
            let is_publisher = entry.new.activity == Activity::Publish;
            let key = (entry.new.holder, entry.new.channel, is_publisher);
            let stands = match known.get(&key) {
                Some(stands) => *stands,
                None => {
                    let stands = still_opens(access, &entry).await;
                    known.insert(key, stands);
                    stands
                }
            };
            if !stands {
                entry.end(EndReason::Revoked);
            }
        }
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        self.shared.open.lock().values().cloned().collect()
    }
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
