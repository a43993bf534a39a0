//! Events that the server itself finds: cameras that go and come back, footage that is missing.
//!
//! A source is watched where it is; nothing in ingest or recording waits for the database.

use crate::Insight;
use crate::events::{GAP_EVENT, NETWORK_EVENT, STORAGE_EVENT};
use crate::onvif;
use crate::onvif_events::OnvifEvents;
use framewell_catalog::{EventFilter, NewGap, Order, Slice};
use framewell_live::{Registry, SourceMessage, SourceState};
use framewell_model::{
    ChannelId, ChannelStatus, EventSource, GapReason, NewEvent, StreamKind, WallClock, WallTime,
};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// New channels are noticed within this time.
const LOOK_FOR_CHANNELS: Duration = Duration::from_secs(1);
/// A store that is down makes a gap every few seconds; one event a minute and cause says enough.
const SAME_AGAIN_US: i64 = 60_000_000;

/// The service.
#[derive(Debug, Clone)]
pub struct CameraEvents {
    insight: Insight,
    registry: Registry,
    clock: Arc<dyn WallClock>,
}

impl CameraEvents {
    /// Joins the parts.
    #[must_use]
    pub fn new(insight: Insight, registry: Registry, clock: Arc<dyn WallClock>) -> Self {
        Self {
            insight,
            registry,
            clock,
        }
    }

    /// Watches until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let gaps = self.clone().follow_gaps();
        let cameras = self.follow_cameras();
        tokio::select! {
            () = stop.cancelled() => {}
            () = gaps => {}
            () = cameras => {}
        }
    }

    /// One task for each track; it ends when its track does.
    async fn follow_cameras(self) {
        let mut followed: BTreeMap<ChannelId, watch::Receiver<SourceState>> = BTreeMap::new();
        let mut tasks = JoinSet::new();
        let mut rounds = tokio::time::interval(LOOK_FOR_CHANNELS);
        loop {
            rounds.tick().await;
            followed.retain(|_, state| state.has_changed().is_ok());
            while tasks.try_join_next().is_some() {}
            let tracks = self.registry.channels().into_iter();
            // The events of a camera are those of its main stream.
            let main = tracks.filter(|(channel, _)| channel.stream() == StreamKind::Main);
            for (channel, track) in main {
                let state = track.source_state();
                let is_followed = followed
                    .get(&channel)
                    .is_some_and(|known| known.same_channel(&state));
                if !is_followed {
                    followed.insert(channel, state.clone());
                    tasks.spawn(self.clone().follow_camera(channel, state));
                    tasks.spawn(self.clone().follow_messages(channel, track.messages()));
                }
            }
        }
    }

    async fn follow_camera(self, channel: ChannelId, mut state: watch::Receiver<SourceState>) {
        let mut told = self.last_told(channel).await;
        loop {
            let now = state.borrow_and_update().clone();
            if let Some(word) = word(now.status)
                && word != told
            {
                told = word;
                self.tell_network(channel, word, &now).await;
            }
            if state.changed().await.is_err() {
                return;
            }
        }
    }

    /// What the camera itself has seen, where it says so.
    async fn follow_messages(
        self,
        channel: ChannelId,
        mut messages: broadcast::Receiver<SourceMessage>,
    ) {
        let mut events = OnvifEvents::new(channel);
        loop {
            let message = match messages.recv().await {
                Ok(message) => message,
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(channel.id = %channel, missed, "the camera says more than can be stored");
                    continue;
                }
                Err(RecvError::Closed) => return,
            };
            for said in onvif::notifications(&message.document) {
                if let Some(event) = events.take(said, message.arrival) {
                    self.store(&event).await;
                }
            }
        }
    }

    /// What the last stored event said, so that a restart neither repeats nor misses a change. A camera
    /// that nothing was ever said about was online.
    async fn last_told(&self, channel: ChannelId) -> &'static str {
        let filter = EventFilter {
            names: Some(vec![NETWORK_EVENT.to_owned()]),
            ..EventFilter::default()
        };
        let newest = Slice {
            limit: 1,
            offset: 0,
        };
        let found = self
            .insight
            .catalog
            .list_events(&[channel], &filter, Order::Descending, newest)
            .await;
        let said = found.ok().and_then(|page| {
            let event = page.items.into_iter().next()?;
            event.tags.get("state").cloned()
        });
        let known = [ONLINE, OFFLINE, UNAUTHORIZED];
        let said = known.into_iter().find(|word| said.as_deref() == Some(word));
        said.unwrap_or(ONLINE)
    }

    async fn tell_network(&self, channel: ChannelId, word: &str, state: &SourceState) {
        let mut tags = BTreeMap::from([("state".to_owned(), word.to_owned())]);
        if let Some(detail) = &state.detail {
            tags.insert("detail".to_owned(), detail.clone());
        }
        self.tell(channel, NETWORK_EVENT, state.since, tags).await;
    }

    async fn follow_gaps(self) {
        let mut gaps = self.insight.catalog.gap_notices();
        let mut told: HashMap<(ChannelId, GapReason), WallTime> = HashMap::new();
        loop {
            let gap = match gaps.recv().await {
                Ok(gap) => gap,
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "more gaps at once than events can be made of");
                    continue;
                }
                Err(RecvError::Closed) => return,
            };
            let Some(name) = name_of(gap.reason) else {
                continue;
            };
            let now = self.clock.now();
            told.retain(|_, at| now.micros_since(*at) < SAME_AGAIN_US);
            if let Entry::Vacant(new) = told.entry((gap.channel, gap.reason)) {
                new.insert(now);
                self.tell_gap(name, &gap).await;
            }
        }
    }

    async fn tell_gap(&self, name: &str, gap: &NewGap) {
        let tags = BTreeMap::from([("reason".to_owned(), gap.reason.as_str().to_owned())]);
        self.tell(gap.channel, name, gap.start, tags).await;
    }

    async fn tell(
        &self,
        channel: ChannelId,
        name: &str,
        time: WallTime,
        tags: BTreeMap<String, String>,
    ) {
        let event = NewEvent {
            channel,
            name: name.to_owned(),
            time,
            source: EventSource::Server,
            tags,
        };
        self.store(&event).await;
    }

    async fn store(&self, event: &NewEvent) {
        self.insight.report_or_log(event, self.clock.now()).await;
    }
}

const ONLINE: &str = "online";
const OFFLINE: &str = "offline";
const UNAUTHORIZED: &str = "unauthorized";

/// `None` for a channel that nobody wants video from: that is no news.
const fn word(status: ChannelStatus) -> Option<&'static str> {
    match status {
        ChannelStatus::Active => Some(ONLINE),
        ChannelStatus::Offline => Some(OFFLINE),
        ChannelStatus::Unauthorized => Some(UNAUTHORIZED),
        ChannelStatus::Inactive => None,
    }
}

/// `None` for gaps that are wanted, or that the camera's own event tells.
const fn name_of(reason: GapReason) -> Option<&'static str> {
    match reason {
        GapReason::StorageFailed | GapReason::StorageFull => Some(STORAGE_EVENT),
        GapReason::RecorderLagged
        | GapReason::PacketLoss
        | GapReason::DataLoss
        | GapReason::ServerDown
        | GapReason::Unknown => Some(GAP_EVENT),
        GapReason::CameraOffline | GapReason::Unauthorized | GapReason::RecordingOff => None,
    }
}
