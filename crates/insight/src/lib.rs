//! Metadata documents: write, merge, search (contract section 11). Events, and what channels do on them
//! (section 10).
//!
//! What belongs here: typed documents, their limits, what a write does to stored ones, the filter
//! language, which events the server itself makes. What does not: HTTP, envelopes, and how a face writes its times (callers pass a
//! [`ReadTime`]).

mod camera_events;
mod document;
mod events;
pub mod feed;
mod filter;
mod janitor;
mod json;
mod native;
mod near;
mod objects;
mod onvif;
mod onvif_events;
pub mod rules;
mod sketch;
mod vectors;

pub use camera_events::CameraEvents;
pub use document::{
    InputDocument, MAX_BATCH, MAX_FIELDS, MAX_ID_BYTES, MAX_NAME_BYTES, MAX_RAW_BYTES,
    MAX_TEXT_BYTES, Outcome, Patch,
};
pub use events::{BUILT_IN_EVENTS, GAP_EVENT, NETWORK_EVENT, STORAGE_EVENT};
pub use filter::{
    MAX_DEPTH, MAX_SEARCH_BYTES, MAX_SORT_KEYS, MAX_TESTS, matches_everything, parse_filter,
    parse_native_filter, parse_sort, text_filter,
};
pub use json::{ReadTime, parse_document, parse_id, parse_patch};
pub use native::{
    MAX_DATA_BYTES, MAX_DATA_DEPTH, MAX_DIMENSIONS, NativeDocument, NativePatch,
    parse_native_document, parse_native_patch, read_vector,
};
pub use near::{MAX_NEIGHBOURS, MOST_COMPARED, NearQuery, Neighbours};
pub use objects::{MAX_LABEL_BYTES, MAX_OBJECTS, MAX_POINTS};
pub use sketch::{SKETCH_WORDS, Sketch, distance, sketch};

use framewell_catalog::meta::{
    Bucket, BucketQuery, Document, DocumentPage, DocumentSearch, Filter, Moment, Scope, Sort,
};
use framewell_catalog::{Catalog, Page, Slice};
use framewell_model::{ChannelId, ErrorKind, HasKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Mutex;
use uuid::Uuid;

/// A refused request as a whole; element errors are in [`Outcome`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A filter, sort or limit that cannot be understood; the text says where.
    #[error("{0}")]
    Invalid(String),
    /// What the database says about the request itself: it is too large, or took too long.
    #[error(transparent)]
    Refused(framewell_catalog::Error),
    /// The database.
    #[error("metadata store failed")]
    Catalog(#[source] framewell_catalog::Error),
}

impl From<framewell_catalog::Error> for Error {
    fn from(error: framewell_catalog::Error) -> Self {
        use framewell_catalog::Error as Store;
        match error {
            Store::Database { .. } | Store::Corrupt { .. } => Self::Catalog(error),
            error => Self::Refused(error),
        }
    }
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::InvalidArgument,
            Self::Refused(source) | Self::Catalog(source) => source.kind(),
        }
    }
}

/// An element that was understood, or why it was not (the client reads the text).
pub type Parsed<T> = Result<T, String>;

/// Memory of the index of vectors where nobody says otherwise.
pub const DEFAULT_INDEX_BYTES: usize = 256 << 20;

/// The service; cheap to clone.
#[derive(Debug, Clone)]
pub struct Insight {
    catalog: Catalog,
    index: Arc<Mutex<vectors::Index>>,
    compared_always: usize,
}

impl Insight {
    /// Over this catalog.
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        Self {
            catalog,
            index: Arc::new(Mutex::new(vectors::Index::new(DEFAULT_INDEX_BYTES))),
            compared_always: near::COMPARED_ALWAYS,
        }
    }

    /// With so much memory for the index of vectors (default 256 MiB: three million vectors of any length).
    /// Beyond it the oldest are found only by exact searches.
    #[must_use]
    pub fn with_vector_memory(mut self, bytes: usize) -> Self {
        self.index = Arc::new(Mutex::new(vectors::Index::new(bytes)));
        self
    }

    /// With another number of vectors that are all compared, whoever asks (default 20,000).
    #[must_use]
    pub fn with_compared_always(mut self, vectors: usize) -> Self {
        self.compared_always = vectors;
        self
    }

    /// Stores documents of one channel; one outcome per element, same order. An element with an id that
    /// the channel knows replaces that document, with another id it is created under it, without an id
    /// under a new one. So a write with ids may be repeated. A bad element does not stop the others. Two
    /// elements with one id: the later one stays.
    pub async fn post(
        &self,
        channel: ChannelId,
        elements: Vec<Parsed<InputDocument>>,
    ) -> Result<Vec<Outcome>, Error> {
        check_batch(elements.len())?;
        let mut changed = BTreeMap::new();
        let outcomes: Vec<Outcome> = elements
            .into_iter()
            .map(|element| place(channel, element, &mut changed))
            .collect();
        let created = self.put(changed).await?;
        let told = |outcome| match outcome {
            Outcome::Created(id) if !created.contains(&id) => Outcome::Done(id),
            outcome => outcome,
        };
        Ok(outcomes.into_iter().map(told).collect())
    }

    /// Merges partial documents (by id) into stored ones, map by map. Two patches of one document
    /// apply one after the other.
    pub async fn merge(
        &self,
        channel: ChannelId,
        elements: Vec<Parsed<Patch>>,
    ) -> Result<Vec<Outcome>, Error> {
        check_batch(elements.len())?;
        let ids = elements
            .iter()
            .filter_map(|element| Some(element.as_ref().ok()?.id.clone()));
        let stored = self.load(channel, ids).await?;
        let mut changed = BTreeMap::new();
        let outcomes = elements
            .into_iter()
            .map(|element| patch(element, &stored, &mut changed))
            .collect();
        self.put(changed).await?;
        Ok(outcomes)
    }

    /// Deletes documents of the channel by id.
    pub async fn delete(
        &self,
        channel: ChannelId,
        elements: Vec<Parsed<String>>,
    ) -> Result<Vec<Outcome>, Error> {
        check_batch(elements.len())?;
        let ids: BTreeSet<String> = elements.iter().filter_map(|e| e.clone().ok()).collect();
        let ids: Vec<String> = ids.into_iter().collect();
        let deleted = if ids.is_empty() {
            Vec::new()
        } else {
            self.catalog.delete_documents(&[channel], &ids).await?
        };
        let deleted: BTreeSet<String> = deleted.into_iter().collect();
        let outcome = |element: Parsed<String>| match element {
            Ok(id) if deleted.contains(&id) => Outcome::Done(id),
            Ok(id) => Outcome::NotFound(id),
            Err(why) => Outcome::Refused(why),
        };
        Ok(elements.into_iter().map(outcome).collect())
    }

    /// Searches documents of these channels.
    pub async fn find(
        &self,
        channels: &[ChannelId],
        filter: &Filter,
        sort: &[Sort],
        slice: Slice,
    ) -> Result<Page<Document>, Error> {
        if channels.is_empty() {
            return Ok(Page {
                items: Vec::new(),
                total: 0,
            });
        }
        let found = self.catalog.find_documents(channels, filter, sort, slice);
        Ok(found.await?)
    }

    /// A page of a search in the order of time.
    pub async fn search(&self, query: &DocumentSearch<'_>) -> Result<DocumentPage<Moment>, Error> {
        if query.scope.channels.is_empty() {
            return Ok(DocumentPage::default());
        }
        Ok(self.catalog.search_documents(query).await?)
    }

    /// How many documents there are.
    pub async fn count(&self, scope: Scope<'_>) -> Result<i64, Error> {
        if scope.channels.is_empty() {
            return Ok(0);
        }
        Ok(self.catalog.count_documents(scope).await?)
    }

    /// How many documents there are in each interval of time.
    pub async fn count_by_time(&self, query: &BucketQuery<'_>) -> Result<Vec<Bucket>, Error> {
        if query.scope.channels.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.catalog.count_by_time(query).await?)
    }

    /// Deletes what matches; how many.
    pub async fn delete_matching(
        &self,
        channels: &[ChannelId],
        filter: &Filter,
    ) -> Result<u64, Error> {
        if channels.is_empty() {
            return Ok(0);
        }
        let deleted = self.catalog.delete_matching_documents(channels, filter);
        Ok(deleted.await?)
    }

    async fn load(
        &self,
        channel: ChannelId,
        ids: impl Iterator<Item = String>,
    ) -> Result<BTreeMap<String, Document>, Error> {
        let ids: BTreeSet<String> = ids.collect();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let ids: Vec<String> = ids.into_iter().collect();
        let documents = self.catalog.load_documents(&[channel], &ids).await?;
        Ok(documents.into_iter().map(|d| (d.id.clone(), d)).collect())
    }

    /// Stores documents of one channel; ids of those that were not there.
    async fn put(&self, changed: BTreeMap<String, Document>) -> Result<BTreeSet<String>, Error> {
        if changed.is_empty() {
            return Ok(BTreeSet::new());
        }
        let documents: Vec<Document> = changed.into_values().collect();
        let created = self.catalog.put_documents(&documents).await?;
        Ok(created.into_iter().map(|(_, id)| id).collect())
    }
}

fn check_batch(len: usize) -> Result<(), Error> {
    if len > MAX_BATCH {
        return Err(Error::Invalid(format!(
            "one write takes {MAX_BATCH} documents at most"
        )));
    }
    Ok(())
}

/// Puts one posted element among the changed documents; created, as far as these know.
fn place(
    channel: ChannelId,
    element: Parsed<InputDocument>,
    changed: &mut BTreeMap<String, Document>,
) -> Outcome {
    let input = match element {
        Ok(input) => input,
        Err(why) => return Outcome::Refused(why),
    };
    let id = input
        .id
        .clone()
        .unwrap_or_else(|| Uuid::now_v7().simple().to_string());
    let document = input.into_document(channel, id.clone());
    if let Err(why) = document::check_limits(&document) {
        return Outcome::Refused(why);
    }
    let earlier = changed.insert(id.clone(), document);
    if earlier.is_some() {
        Outcome::Done(id)
    } else {
        Outcome::Created(id)
    }
}

fn patch(
    element: Parsed<Patch>,
    stored: &BTreeMap<String, Document>,
    changed: &mut BTreeMap<String, Document>,
) -> Outcome {
    let patch = match element {
        Ok(patch) => patch,
        Err(why) => return Outcome::Refused(why),
    };
    let id = patch.id.clone();
    let Some(before) = changed.get(&id).or_else(|| stored.get(&id)) else {
        return Outcome::NotFound(id);
    };
    let mut document = before.clone();
    patch.apply(&mut document);
    if let Err(why) = document::check_limits(&document) {
        return Outcome::Refused(why);
    }
    changed.insert(id.clone(), document);
    Outcome::Done(id)
}
