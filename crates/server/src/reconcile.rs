//! Keeps ingest and recorder in step with the channels in the catalog.

use crate::schedule;
use framewell_catalog::Catalog;
use framewell_gallery::{ChannelPolicy, Gallery};
use framewell_ingest::Ingest;
use framewell_ingest::publish::{Ended, Publishers};
use framewell_live::Registry;
use framewell_model::{Channel, ChannelId, WallClock};
use framewell_recorder::{Policy, Recorder, Rolls};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Changes by other processes on the same database are noticed within this time.
const POLL: Duration = Duration::from_secs(5);

/// What has to follow the catalog.
#[derive(Debug)]
pub(crate) struct Reconciler {
    pub(crate) catalog: Catalog,
    pub(crate) registry: Registry,
    pub(crate) ingest: Ingest,
    pub(crate) publishers: Publishers,
    pub(crate) recorder: Recorder,
    pub(crate) gallery: Gallery,
    pub(crate) clock: Arc<dyn WallClock>,
    /// Applied where a channel does not say how much it keeps around an event.
    pub(crate) default_rolls: Rolls,
    /// Applied where a channel has no retention of its own.
    pub(crate) default_retention: Option<Duration>,
}

impl Reconciler {
    /// Runs until `stop`: at every change notice, and every few seconds.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut changes = self.catalog.channel_changes();
        loop {
            changes.mark_unchanged();
            // Before the catalog is read: whoever publishes by now does so to a channel that existed.
            let published = self.publishers.channels();
            match self.catalog.all_channels().await {
                Ok(channels) => self.apply(&channels, &published),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "reading the channels failed; will try again"
                    );
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                _ = changes.changed() => {}
                () = tokio::time::sleep(POLL.min(schedule::until_next_minute(self.clock.now()))) => {}
            }
        }
    }

    fn apply(&self, channels: &[Channel], published: &[ChannelId]) {
        let sources = channels
            .iter()
            .filter_map(|channel| Some((channel.id, channel.source.clone()?)))
            .collect();
        let policies = channels
            .iter()
            .map(|channel| (channel.id, self.policy(channel)))
            .collect();
        self.ingest.set_wanted(sources);
        self.recorder.set_wanted(policies);
        let pictures = channels
            .iter()
            .map(|channel| (channel.id, self.picture_policy(channel)))
            .collect();
        self.gallery.set_wanted(pictures);
        let known: BTreeSet<ChannelId> = channels.iter().map(|channel| channel.id).collect();
        for id in published.iter().filter(|id| !known.contains(id)) {
            self.publishers.end(*id, Ended::ChannelDeleted);
        }
        for (id, _) in self.registry.channels() {
            if !known.contains(&id) {
                self.registry.remove(id);
            }
        }
    }

    fn policy(&self, channel: &Channel) -> Policy {
        Policy {
            mode: schedule::mode(channel, self.clock.now()),
            retention: self.retention(channel),
            max_bytes: channel
                .max_bytes
                .and_then(|bytes| u64::try_from(bytes).ok()),
            rolls: Some(Rolls::of(channel, self.default_rolls)),
        }
    }

    fn picture_policy(&self, channel: &Channel) -> ChannelPolicy {
        ChannelPolicy {
            retention: self.retention(channel),
            live_period_us: channel.image_period_us,
        }
    }

    fn retention(&self, channel: &Channel) -> Option<Duration> {
        let own = channel.retention_s.and_then(|s| u64::try_from(s).ok());
        own.map(Duration::from_secs).or(self.default_retention)
    }
}
