//! Makes footage of events: follows the events in the order in which they became visible, and tells the
//! recorder of those around which it is kept.
//!
//! Whoever stores an event does not wait for this, and it does not matter which process stored it. What
//! happened while the server was down is the recorder's to find out ([`Recorder::recover`]).

use framewell_catalog::{Catalog, Error, EventFilter, Revisions};
use framewell_model::{ChannelId, Event, StreamKind};
use framewell_recorder::{Reach, Recorder};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Events of other processes on the same database are noticed within this time.
const POLL: Duration = Duration::from_secs(1);
/// After an error of the database.
const PAUSE: Duration = Duration::from_secs(1);
/// Events of one answer.
const MOST_EVENTS: u64 = 64;

/// Tag of an event whose time before it is not all kept: `partial`, or `none`.
const RECORDING_TAG: &str = "recording";

/// The service.
#[derive(Debug)]
pub(crate) struct EventRecording {
    pub(crate) catalog: Catalog,
    pub(crate) recorder: Recorder,
    /// Revision of the newest event before the recorder looked at what is stored: what came since is
    /// followed from here. An event seen by both is kept once.
    pub(crate) since: i64,
}

impl EventRecording {
    /// Runs until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let following = Box::pin(self.follow());
        stop.run_until_cancelled(following).await;
    }

    async fn follow(self) {
        let mut changes = self.catalog.event_changes();
        let mut cursor = self.since;
        // Before it knows the channels' modes it would keep nothing around them.
        self.recorder.until_wanted().await;
        loop {
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
            changes.mark_unchanged();
            if let Err(error) = self.catch_up(&mut cursor).await {
                pause(&error).await;
            }
        }
    }

    async fn catch_up(&self, cursor: &mut i64) -> Result<(), Error> {
        let newest = self.catalog.newest_event_revision().await?;
        if *cursor >= newest {
            return Ok(());
        }
        let mut names: BTreeMap<ChannelId, BTreeSet<String>> = BTreeMap::new();
        for (channel, name) in self.catalog.list_recorded_events().await? {
            names.entry(channel).or_default().insert(name);
        }
        let channels: Vec<ChannelId> = names.keys().copied().collect();
        if channels.is_empty() {
            *cursor = newest;
        }
        while *cursor < newest {
            let revisions = Revisions::behind(*cursor, newest);
            let filter = EventFilter::default();
            let found = self
                .catalog
                .events_after(&channels, &filter, revisions, MOST_EVENTS);
            let found = found.await?;
            for event in &found.events {
                let known = names.get(&event.channel);
                if known.is_some_and(|names| names.contains(&event.name)) {
                    self.record(event).await;
                }
            }
            *cursor = found.next().unwrap_or(revisions.until);
        }
        Ok(())
    }

    async fn record(&self, event: &Event) {
        let reach = self
            .recorder
            .record_around(event.channel, event.time, event.source);
        // Its sub stream is told of nothing but the event: what the main one misses counts.
        let sub = event.channel.of(StreamKind::Sub);
        let _reach = self.recorder.record_around(sub, event.time, event.source);
        let word = match reach {
            Reach::NotWanted | Reach::Whole => return,
            Reach::Partial => "partial",
            Reach::Nothing => "none",
        };
        tracing::info!(channel.id = %event.channel, event.id = %event.id, time = %event.time, reach = word, "the time before an event is not all in the ring");
        let tagged = self.catalog.put_event_tag(event.id, RECORDING_TAG, word);
        if let Err(error) = tagged.await {
            tracing::warn!(event.id = %event.id, error = &error as &dyn std::error::Error, "event is not tagged");
        }
    }
}

async fn pause(error: &Error) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "events cannot be followed; trying again"
    );
    tokio::time::sleep(PAUSE).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_blob::BlobStore;
    use framewell_catalog::CatalogConfig;
    use framewell_footage::Spool;
    use framewell_live::{Registry, RingConfig, SystemClock};
    use framewell_model::{
        EventProcessing, EventSource, NewChannel, NewEvent, RecMode, Secret, WallClock, WallTime,
    };
    use framewell_recorder::{Policy, RecorderConfig, Rolls};
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Instant;

    fn recorder(dir: &Path, catalog: &Catalog) -> Recorder {
        let clock: Arc<dyn WallClock> = Arc::new(SystemClock);
        let config = RecorderConfig {
            spool_dir: dir.join("spool"),
            segment: Duration::from_secs(2),
            fragment: Duration::from_secs(1),
            max_bytes: None,
            room: framewell_recorder::RoomConfig::default(),
            rolls: Rolls {
                pre: Duration::from_secs(2),
                post: Duration::from_secs(3),
            },
        };
        let registry = Registry::new(RingConfig::default(), Arc::clone(&clock));
        let blobs = BlobStore::local(&dir.join("objects")).unwrap();
        Recorder::new(
            config,
            registry,
            blobs,
            catalog.clone(),
            Spool::new(),
            clock,
        )
    }

    async fn channel(catalog: &Catalog, now: WallTime) -> ChannelId {
        let account = catalog.create_account("tests", now).await.unwrap().id;
        let new = NewChannel {
            name: "gate".into(),
            rec_mode: RecMode::ByEvent,
            timezone: "UTC".into(),
            source: None,
            retention_s: None,
            meta: BTreeMap::new(),
        };
        let channel = catalog.create_channel(account, &new, now).await.unwrap().id;
        let processing = EventProcessing {
            record: true,
            ..EventProcessing::new("door", true)
        };
        let stored = catalog.put_event_processing(channel, &processing);
        stored.await.unwrap();
        channel
    }

    #[tokio::test]
    async fn an_event_between_recovery_and_the_first_look_is_heard() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("db").display());
        let config = CatalogConfig {
            url: Secret::new(url),
            max_connections: 4,
        };
        let catalog = Catalog::open(&config).await.unwrap();
        let now = SystemClock.now();
        let channel = channel(&catalog, now).await;
        let recorder = recorder(dir.path(), &catalog);
        let since = catalog.newest_event_revision().await.unwrap();
        let event = NewEvent {
            channel,
            name: "door".into(),
            time: now,
            source: EventSource::Api,
            tags: BTreeMap::new(),
        };
        let stored = catalog.insert_event(&event, |_| Vec::new(), now);
        let event = stored.await.unwrap();
        let follower = EventRecording {
            catalog: catalog.clone(),
            recorder: recorder.clone(),
            since,
        };
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(follower.run(CancellationToken::new()));
        let policy = Policy {
            mode: RecMode::ByEvent,
            retention: None,
            max_bytes: None,
            rolls: None,
        };
        recorder.set_wanted(BTreeMap::from([(channel, policy)]));
        // The ring is empty, which the recorder says of an event that it hears of.
        let started = Instant::now();
        loop {
            let event = catalog.load_event(event.id).await.unwrap();
            if event
                .tags
                .get(RECORDING_TAG)
                .is_some_and(|word| word == "none")
            {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "not heard");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tasks.shutdown().await;
    }
}
