//! What subscribers of `/v1/events/stream` and `/v1/metadata/stream` read, from history and live alike.
//!
//! Both are numbered by the catalog in the order in which they became visible, so one number is all that
//! a subscriber has to remember: it misses nothing behind it and sees nothing before it again.

use crate::AppState;
use crate::error::ApiError;
use framewell_catalog::meta::{Document, Filter};
use framewell_catalog::{EventFilter, Revisions};
use framewell_model::{ChannelId, Event, WallTime};
use serde_json::{Value, json};
use tokio::sync::watch;

/// Numbers that one question spans: a filter that matches little is answered in bounded steps.
const SPAN: i64 = 10_000;
/// Documents of one answer, which a slow client makes us keep.
const MOST_DOCUMENTS: u64 = 200;
/// Events of one answer: their tags are 64 KiB each at most, so these are 4 MiB.
const MOST_EVENTS: u64 = 64;

/// What is followed.
#[derive(Debug, Clone)]
pub(crate) enum Feed {
    /// Events.
    Events(EventFilter),
    /// Metadata documents.
    Documents(Filter),
}

/// A part of a feed.
#[derive(Debug)]
pub(crate) struct Step {
    /// Entries with their numbers, ascending.
    pub(crate) entries: Vec<(i64, Value)>,
    /// Everything up to this number is done with once the entries are.
    pub(crate) until: i64,
}

impl Feed {
    /// The word for an entry.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Events(_) => "event",
            Self::Documents(_) => "document",
        }
    }

    /// Moves when something is stored by this process.
    pub(crate) fn changes(&self, state: &AppState) -> watch::Receiver<i64> {
        match self {
            Self::Events(_) => state.catalog.event_changes(),
            Self::Documents(_) => state.catalog.document_changes(),
        }
    }

    /// The number of the newest entry, whoever may see it.
    pub(crate) async fn newest(&self, state: &AppState) -> Result<i64, ApiError> {
        Ok(match self {
            Self::Events(_) => state.catalog.newest_event_revision().await?,
            Self::Documents(_) => state.catalog.newest_document_revision().await?,
        })
    }

    /// What comes behind `after`, of what there is up to `newest`.
    pub(crate) async fn step(
        &self,
        state: &AppState,
        channels: &[ChannelId],
        after: i64,
        newest: i64,
    ) -> Result<Step, ApiError> {
        let until = newest.min(after.saturating_add(SPAN));
        let revisions = Revisions { after, until };
        let most = match self {
            Self::Events(_) => MOST_EVENTS,
            Self::Documents(_) => MOST_DOCUMENTS,
        };
        let entries: Vec<(i64, Value)> = match self {
            Self::Events(filter) => {
                let found = state
                    .catalog
                    .events_after(channels, filter, revisions, most);
                let numbered = |event: &Event| (event.revision, show_event(event));
                found.await?.iter().map(numbered).collect()
            }
            Self::Documents(filter) => {
                let found = state
                    .catalog
                    .documents_after(channels, filter, revisions, most);
                let numbered =
                    |(revision, document): &(i64, Document)| (*revision, show_document(document));
                found.await?.iter().map(numbered).collect()
            }
        };
        let is_cut = entries.len() as u64 == most;
        let last = entries.last().map(|(revision, _)| *revision);
        let until = last.filter(|_| is_cut).unwrap_or(until);
        Ok(Step { entries, until })
    }
}

/// Paths that lead from an entry to its pixels, good for the token that reads them.
fn links(channel: ChannelId, at: WallTime) -> Value {
    const AROUND_US: i64 = 5_000_000;
    let (start, end) = (at.plus_micros(-AROUND_US), at.plus_micros(AROUND_US));
    json!({
        "image": format!("/v1/channels/{channel}/image?at={at}"),
        "clip": format!("/v1/channels/{channel}/clip.mp4?start={start}&end={end}"),
        "live": format!("/v1/channels/{channel}/live"),
    })
}

fn show_event(event: &Event) -> Value {
    json!({
        "id": event.id,
        "channel": event.channel,
        "name": event.name,
        "time": event.time.to_rfc3339(),
        "created": event.created.to_rfc3339(),
        "source": event.source.as_str(),
        "tags": event.tags,
        "links": links(event.channel, event.time),
    })
}

fn show_document(document: &Document) -> Value {
    json!({
        "id": document.id,
        "channel": document.channel,
        "timestamp": document.timestamp.to_rfc3339(),
        "long": document.long,
        "float": document.float,
        "string": document.string,
        "raw_data": document.raw_data,
        "links": links(document.channel, document.timestamp),
    })
}
