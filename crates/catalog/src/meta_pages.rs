//! Pages of documents that are bounded by their bytes: a document may have a thousand objects, and a page
//! is in memory as a whole. First their places and sizes are read, then as many of them as fit.

use crate::Error;
use crate::meta::Document;
use crate::meta_rows::{document, with_columns};
use crate::sql::Row;
use crate::sql_search::Search;
use sea_query::{Expr, Query, SelectStatement};
use std::collections::HashMap;

/// Bytes of a document as it is stored.
const BYTES: &str = "CAST(OCTET_LENGTH(meta_document.body) \
    + COALESCE(OCTET_LENGTH(meta_document.raw_data), 0) \
    + COALESCE(OCTET_LENGTH(meta_document.native), 0) AS BIGINT)";

/// Documents with their places: as many as were asked for, or as fit into the bytes of a page
/// ([`crate::Catalog::with_most_document_bytes`]).
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentPage<P> {
    /// In the order that was asked for.
    pub documents: Vec<(P, Document)>,
    /// The last place that this page has dealt with, if there may be more behind it.
    pub next: Option<P>,
}

impl<P> Default for DocumentPage<P> {
    fn default() -> Self {
        Self {
            documents: Vec::new(),
            next: None,
        }
    }
}

/// Where a document is, and how long.
pub(crate) struct Place<P> {
    pub(crate) at: P,
    pub(crate) number: i64,
    bytes: i64,
}

impl<P> Place<P> {
    pub(crate) fn read(row: &Row, at: P) -> Result<Self, Error> {
        Ok(Self {
            at,
            number: row.get("number")?,
            bytes: row.get("bytes")?,
        })
    }
}

/// Adds the columns that [`Place::read`] reads.
pub(crate) fn with_size(mut select: SelectStatement) -> SelectStatement {
    select
        .column(("meta_document", "number"))
        .expr_as(Expr::cust(BYTES), "bytes")
        .take()
}

/// The documents of these places, up to so many bytes but one at least, so that whoever asks for the rest
/// gets on. `is_more`: there may be more behind the last place.
pub(crate) async fn load<P: Copy + Send + Sync>(
    search: &mut Search,
    mut places: Vec<Place<P>>,
    is_more: bool,
    most_bytes: i64,
) -> Result<DocumentPage<P>, Error> {
    if places.is_empty() {
        return Ok(DocumentPage::default());
    }
    let mut left = most_bytes;
    let fits = |place: &&Place<P>| {
        left = left.saturating_sub(place.bytes);
        left >= 0
    };
    let fitting = places.iter().take_while(fits).count().max(1);
    let is_more = is_more || fitting < places.len();
    places.truncate(fitting);
    let numbers: Vec<i64> = places.iter().map(|place| place.number).collect();
    let number = Expr::col(("meta_document", "number"));
    let select = with_columns(Query::select().from("meta_document").take())
        .column(("meta_document", "number"))
        .and_where(search.dialect().is_one_of(number, &numbers))
        .take();
    let mut loaded = HashMap::with_capacity(places.len());
    for row in search.fetch(&select).await? {
        loaded.insert(row.get::<i64>("number")?, document(&row)?);
    }
    // One that was deleted in between is missing.
    let found = |place: &Place<P>| Some((place.at, loaded.remove(&place.number)?));
    Ok(DocumentPage {
        next: places.last().filter(|_| is_more).map(|place| place.at),
        documents: places.iter().filter_map(found).collect(),
    })
}
