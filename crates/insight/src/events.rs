//! Events: storing them, and what a channel does then (contract section 10.5).

use crate::{Error, Insight};
use framewell_catalog::{EVENT_SNAPSHOT_JOB, IMAGE_TASK_JOB, NewJob};
use framewell_model::{AccountId, ChannelId, Event, EventId, EventProcessing, NewEvent, WallTime};
use serde_json::json;

/// Names that every channel knows without being told. Their events come from the camera or from this
/// server.
pub const BUILT_IN_EVENTS: [&str; 4] = ["motion", NETWORK_EVENT, GAP_EVENT, STORAGE_EVENT];

/// The camera went away, or came back; the tag `state` says which.
pub const NETWORK_EVENT: &str = "network";
/// Footage is missing; the tag `reason` says why.
pub const GAP_EVENT: &str = "recording_gap";
/// The disk or the object store refused footage.
pub const STORAGE_EVENT: &str = "storage";

/// Time between two pictures of an event.
const PICTURE_PERIOD_US: i64 = 1_000_000;
/// How long an event lasts, for its pictures, where nobody says, in seconds.
const DEFAULT_PERIOD_S: i64 = 10;
/// Most pictures of one event.
const MOST_PICTURES: i64 = 600;

/// What a channel does on events of a name that nobody has set anything for.
fn unset(name: &str) -> EventProcessing {
    EventProcessing::new(name, !BUILT_IN_EVENTS.contains(&name))
}

/// The jobs that follow from an event.
pub(crate) fn jobs_of(
    account: AccountId,
    new: &NewEvent,
    processing: &EventProcessing,
    now: WallTime,
) -> impl FnOnce(EventId) -> Vec<NewJob> + Send + 'static {
    let (channel, start) = (new.channel, new.time);
    let (wants_snapshot, wants_images) = (processing.snapshot, processing.generate_images);
    let lasts_s = processing.period_s.unwrap_or(DEFAULT_PERIOD_S);
    let end = start.plus_micros(lasts_s.clamp(1, MOST_PICTURES) * PICTURE_PERIOD_US);
    move |id| {
        let snapshot = wants_snapshot.then(|| NewJob {
            kind: EVENT_SNAPSHOT_JOB,
            account,
            channel: Some(channel),
            parameters: json!({ "event": id }),
            dedup: Some(id.to_string()),
            due: start.max(now),
        });
        let images = wants_images.then(|| NewJob {
            kind: IMAGE_TASK_JOB,
            account,
            channel: Some(channel),
            parameters: json!({
                "start_us": start.micros(),
                "end_us": end.micros(),
                "period_us": PICTURE_PERIOD_US,
            }),
            dedup: Some(id.to_string()),
            // The last pictures take a moment from the camera.
            due: end.plus_micros(PICTURE_PERIOD_US).max(now),
        });
        snapshot.into_iter().chain(images).collect()
    }
}

impl Insight {
    /// Stores an event. With `snapshot` set for its name, the picture of its instant follows as a durable
    /// job.
    pub async fn create_event(
        &self,
        account: AccountId,
        new: &NewEvent,
        now: WallTime,
    ) -> Result<Event, Error> {
        let processing = self.event_processing(new.channel, &new.name).await?;
        self.store_event(account, new, &processing, now).await
    }

    /// Stores an event that a camera or this server reports; `None` if the channel does not want to hear
    /// of that name.
    pub async fn report_event(
        &self,
        new: &NewEvent,
        now: WallTime,
    ) -> Result<Option<Event>, Error> {
        let processing = self.event_processing(new.channel, &new.name).await?;
        if !processing.receive {
            return Ok(None);
        }
        let account = self.catalog.load_channel(new.channel).await?.account;
        let event = self.store_event(account, new, &processing, now).await?;
        Ok(Some(event))
    }

    /// As [`Insight::report_event`], for a source with nobody to tell of an error: it is logged.
    pub async fn report_or_log(&self, new: &NewEvent, now: WallTime) {
        if let Err(error) = self.report_event(new, now).await {
            tracing::warn!(channel.id = %new.channel, error = &error as &dyn std::error::Error, "event {} is lost", new.name);
        }
    }

    async fn store_event(
        &self,
        account: AccountId,
        new: &NewEvent,
        processing: &EventProcessing,
        now: WallTime,
    ) -> Result<Event, Error> {
        let jobs = jobs_of(account, new, processing, now);
        let notify = processing.notify;
        let stored = self.catalog.insert_told_event(new, notify, jobs, now);
        Ok(stored.await?)
    }

    /// What a channel does on events of this name.
    pub async fn event_processing(
        &self,
        channel: ChannelId,
        name: &str,
    ) -> Result<EventProcessing, Error> {
        let set = self.catalog.load_event_processing(channel, name).await?;
        Ok(set.unwrap_or_else(|| unset(name)))
    }

    /// What a channel does on events of each name that it knows, ascending by name.
    pub async fn list_event_processing(
        &self,
        channel: ChannelId,
    ) -> Result<Vec<EventProcessing>, Error> {
        let mut known = self.catalog.list_event_processing(channel).await?;
        for name in BUILT_IN_EVENTS {
            if !known.iter().any(|processing| processing.name == name) {
                known.push(unset(name));
            }
        }
        known.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(known)
    }
}
