//! What subscribers read, from history and live alike, however they are told: streams, webhooks, MQTT.
//!
//! Entries are numbered by the catalog in the order in which they became visible, so one number, the
//! cursor, is all that a subscriber has to remember: it misses nothing behind it and sees nothing before
//! it again.
//!
//! New entries are read from the database once, into a `tail` in memory that all followers share. A
//! [`Follower`] that is further behind reads history for itself, with its own filter, until it has
//! reached the tail.

mod entry;
mod follower;
mod interest;
mod tail;

pub use entry::{Entry, Told, show_document};
pub use follower::Follower;
pub use interest::Interest;

use crate::Error;
use framewell_catalog::meta::{DocumentPage, Filter, Scanned};
use framewell_catalog::{Catalog, EventFilter, NewEvents, Revisions};
use framewell_model::ChannelId;
use std::collections::BTreeSet;
use std::sync::Arc;
use tail::Tail;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Documents of one answer; those that are long are cut by the catalog.
const MOST_DOCUMENTS: u64 = 200;
/// Events of one answer: new ones have 64 KiB of tags each at most, so these are 4 MiB; pages of older ones
/// with more are cut by the catalog.
const MOST_EVENTS: u64 = 64;

/// Which sequence of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedKind {
    /// Events.
    Events,
    /// Metadata documents.
    Documents,
}

/// What is followed.
#[derive(Debug, Clone)]
pub enum Topic {
    /// Events.
    Events(EventFilter),
    /// Metadata documents.
    Documents(Filter),
}

impl Topic {
    /// Which sequence the cursor is of.
    #[must_use]
    pub const fn kind(&self) -> FeedKind {
        match self {
            Self::Events(_) => FeedKind::Events,
            Self::Documents(_) => FeedKind::Documents,
        }
    }

    /// Whether an entry is wanted.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        self.matches_scanned(entry, entry.scanned().as_ref())
    }

    /// As [`Topic::matches`], for one entry and many topics; with [`Entry::scanned`] of that entry.
    #[must_use]
    pub fn matches_scanned(&self, entry: &Entry, scanned: Option<&Scanned<'_>>) -> bool {
        match (self, &entry.told) {
            (Self::Events(filter), Told::Event(event)) => filter.matches(event),
            (Self::Documents(filter), Told::Document(_)) => {
                scanned.is_some_and(|scanned| filter.matches_scanned(scanned))
            }
            _ => false,
        }
    }

    /// An error for a filter that no search takes.
    pub fn check(&self, catalog: &Catalog) -> Result<(), Error> {
        match self {
            Self::Events(filter) => filter.check()?,
            Self::Documents(filter) => {
                catalog.check_filter(filter)?;
                crate::filter::check_word_tests(filter)?;
            }
        }
        Ok(())
    }
}

impl FeedKind {
    /// The word for an entry.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Events => "event",
            Self::Documents => "document",
        }
    }

    /// Moves when something is stored by this process.
    fn changes(self, catalog: &Catalog) -> watch::Receiver<i64> {
        match self {
            Self::Events => catalog.event_changes(),
            Self::Documents => catalog.document_changes(),
        }
    }

    /// Grows when something stored is changed in place or deleted.
    fn edits(self, catalog: &Catalog) -> u64 {
        match self {
            Self::Events => catalog.event_edits(),
            Self::Documents => catalog.document_edits(),
        }
    }

    /// The number of the newest entry, whoever may see it; 0 if there was none.
    pub async fn newest(self, catalog: &Catalog) -> Result<i64, Error> {
        Ok(match self {
            Self::Events => catalog.newest_event_revision().await?,
            Self::Documents => catalog.newest_document_revision().await?,
        })
    }

    const fn most(self) -> u64 {
        match self {
            Self::Events => MOST_EVENTS,
            Self::Documents => MOST_DOCUMENTS,
        }
    }
}

/// A part of a feed.
#[derive(Debug)]
pub struct Step {
    /// Ascending by number.
    pub entries: Vec<Arc<Entry>>,
    /// Everything up to this number is done with once the entries are.
    pub until: i64,
}

impl Step {
    /// `next`: there may be more entries behind this number, up to `until`.
    fn of(entries: Vec<Entry>, next: Option<i64>, until: i64) -> Self {
        Self {
            entries: entries.into_iter().map(Arc::new).collect(),
            until: next.unwrap_or(until),
        }
    }
}

/// Reads a part of history from the database: what comes behind `after`, of what there is up to `newest`,
/// on these channels or all.
pub async fn read_history(
    catalog: &Catalog,
    topic: &Topic,
    channels: Option<&BTreeSet<ChannelId>>,
    after: i64,
    newest: i64,
) -> Result<Step, Error> {
    let (kind, revisions) = (topic.kind(), Revisions::behind(after, newest));
    let Some(channels) = channels else {
        let mut step = read_all(catalog, kind, revisions).await?;
        step.entries.retain(|entry| topic.matches(entry));
        return Ok(step);
    };
    let channels: Vec<ChannelId> = channels.iter().copied().collect();
    let (entries, next) = match topic {
        Topic::Events(filter) => {
            let found = catalog.events_after(&channels, filter, revisions, kind.most());
            events(found.await?)
        }
        Topic::Documents(filter) => {
            let found = catalog.documents_after(&channels, filter, revisions, kind.most());
            documents(found.await?)
        }
    };
    Ok(Step::of(entries, next, revisions.until))
}

/// Entries, and behind which number there may be more.
fn events(found: NewEvents) -> (Vec<Entry>, Option<i64>) {
    let next = found.next();
    let entries = found.events.into_iter().map(Entry::event);
    (entries.collect(), next)
}

/// The same of documents.
fn documents(found: DocumentPage<i64>) -> (Vec<Entry>, Option<i64>) {
    let entries = found.documents.into_iter().map(Entry::document);
    (entries.collect(), found.next)
}

async fn read_all(catalog: &Catalog, kind: FeedKind, revisions: Revisions) -> Result<Step, Error> {
    let (entries, next) = match kind {
        FeedKind::Events => events(catalog.all_events_after(revisions, kind.most()).await?),
        FeedKind::Documents => {
            documents(catalog.all_documents_after(revisions, kind.most()).await?)
        }
    };
    Ok(Step::of(entries, next, revisions.until))
}

/// All feeds of this process; cheap to clone. [`Feeds::run`] has to run somewhere for followers to hear
/// of anything new.
#[derive(Debug, Clone)]
pub struct Feeds {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    catalog: Catalog,
    events: Tail,
    documents: Tail,
}

impl Feeds {
    /// Nobody follows yet, so nothing is read.
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        let inner = Inner {
            catalog,
            events: Tail::default(),
            documents: Tail::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Reads new entries for all followers, as long as there are some, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let events = self.follow(FeedKind::Events);
        let documents = self.follow(FeedKind::Documents);
        tokio::select! {
            () = stop.cancelled() => {}
            () = events => {}
            () = documents => {}
        }
    }

    /// How many follow; new entries are read while somebody does.
    #[must_use]
    pub fn followers(&self, kind: FeedKind) -> usize {
        self.tail(kind).followers()
    }

    fn tail(&self, kind: FeedKind) -> &Tail {
        match kind {
            FeedKind::Events => &self.inner.events,
            FeedKind::Documents => &self.inner.documents,
        }
    }

    async fn follow(&self, kind: FeedKind) {
        tail::follow(self.tail(kind), &self.inner.catalog, kind).await;
    }
}
