//! Metadata documents: write, merge, search (contract section 11).

mod document;
mod filter;

pub use document::{InputDocument, Outcome, Patch};
pub use filter::parse_filter;

use framewell_catalog::meta::{Document, Filter, Sort};
use framewell_catalog::{Catalog, Page, Slice};
use framewell_model::{ChannelId, ErrorKind, HasKind};

/// A refused request as a whole; element errors are in [`Outcome`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A filter, sort or limit that cannot be understood; the text says where.
    #[error("{0}")]
    Invalid(String),
    /// The database.
    #[error("metadata store failed")]
    Catalog(#[from] framewell_catalog::Error),
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::InvalidArgument,
            Self::Catalog(source) => source.kind(),
        }
    }
}

/// The service; cheap to clone.
#[derive(Debug, Clone)]
pub struct Insight {
    catalog: Catalog,
}

impl Insight {
    /// Over this catalog.
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        Self { catalog }
    }

    /// Stores documents of one channel; one outcome per element, same order. An element with an id
    /// replaces that document, without one it is created. A bad element does not stop the others.
    pub async fn post(
        &self,
        channel: ChannelId,
        elements: Vec<serde_json::Value>,
    ) -> Result<Vec<Outcome>, Error> {
        let _ = (channel, elements, &self.catalog);
        todo!()
    }

    /// Merges partial documents (by id) into stored ones, map by map.
    pub async fn merge(
        &self,
        channel: ChannelId,
        elements: Vec<serde_json::Value>,
    ) -> Result<Vec<Outcome>, Error> {
        let _ = (channel, elements);
        todo!()
    }

    /// Deletes documents by id.
    pub async fn delete(
        &self,
        channel: ChannelId,
        elements: Vec<serde_json::Value>,
    ) -> Result<Vec<Outcome>, Error> {
        let _ = (channel, elements);
        todo!()
    }

    /// Searches documents of these channels.
    pub async fn find(
        &self,
        channels: &[ChannelId],
        filter: &Filter,
        sort: &[Sort],
        slice: Slice,
    ) -> Result<Page<Document>, Error> {
        let _ = (channels, filter, sort, slice);
        todo!()
    }

    /// Deletes what matches; how many.
    pub async fn delete_matching(
        &self,
        channels: &[ChannelId],
        filter: &Filter,
    ) -> Result<u64, Error> {
        let _ = (channels, filter);
        todo!()
    }
}
