//! Makes footage of events: follows the events in the order in which they became visible, and tells the
//! recorder of those around which it is kept.
//!
//! Whoever stores an event does not wait for this, and it does not matter which process stored it. What
//! happened while the server was down is the recorder's to find out ([`Recorder::recover`]).

use framewell_catalog::{Catalog, Error, EventFilter, Revisions};
use framewell_model::{ChannelId, Event};
use framewell_recorder::{Reach, Recorder};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Events of other processes on the same database are noticed within this time.
const POLL: Duration = Duration::from_secs(1);
/// After an error of the database.
const PAUSE: Duration = Duration::from_secs(1);
/// Revisions that one question spans.
const SPAN: i64 = 10_000;
/// Events of one answer.
const MOST_EVENTS: u64 = 64;

/// Tag of an event whose time before it is not all kept: `partial`, or `none`.
const RECORDING_TAG: &str = "recording";

/// The service.
#[derive(Debug)]
pub(crate) struct EventRecording {
    pub(crate) catalog: Catalog,
    pub(crate) recorder: Recorder,
}

impl EventRecording {
    /// Runs until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let following = Box::pin(self.follow());
        stop.run_until_cancelled(following).await;
    }

    async fn follow(self) {
        let mut changes = self.catalog.event_changes();
        let mut cursor = loop {
            match self.catalog.newest_event_revision().await {
                Ok(newest) => break newest,
                Err(error) => pause(&error).await,
            }
        };
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
            let until = newest.min(cursor.saturating_add(SPAN));
            let revisions = Revisions {
                after: *cursor,
                until,
            };
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
            let last = found.events.last().map(|event| event.revision);
            *cursor = last.filter(|_| found.is_cut).unwrap_or(until);
        }
        Ok(())
    }

    async fn record(&self, event: &Event) {
        let reach = self
            .recorder
            .record_around(event.channel, event.time, event.source);
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
