//! Metadata documents and the typed filter over them (contract section 11).

use crate::channel_rows::not_found;
use crate::channels::only;
use crate::meta_candidates::few_candidates;
use crate::meta_changes::renew;
use crate::meta_filter::{condition, order};
use crate::meta_native_rows::{delete_of, put_native};
use crate::meta_rows::{ROWS_AT_ONCE, check, document, fields, upsert, with_columns};
use crate::meta_text::put_words;
use crate::slice::count;
use crate::sql::{Dialect, Tx};
use crate::{Catalog, Error, Page, Slice};
use framewell_model::{ChannelId, WallTime};
use sea_query::{Expr, ExprTrait as _, LockType, Order, Query, SelectStatement};
use std::collections::{BTreeMap, BTreeSet};

pub use crate::meta_buckets::{Bucket, BucketQuery, Measured, Spread};
pub use crate::meta_match::Scanned;
pub use crate::meta_native::{Bounds, Frame, KeyPoint, Model, Native, Object, Region, Vector};
pub use crate::meta_pages::DocumentPage;
pub use crate::meta_search::{DocumentSearch, Moment, Scope};
pub use crate::meta_text::TextQuery;
pub use crate::meta_vectors::SketchRow;

/// A stored document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Id, unique in the channel.
    pub id: String,
    /// The channel it is about.
    pub channel: ChannelId,
    /// The moment it is about.
    pub timestamp: WallTime,
    /// 64-bit integers by name.
    pub long: BTreeMap<String, i64>,
    /// Finite numbers by name.
    pub float: BTreeMap<String, f64>,
    /// Texts by name.
    pub string: BTreeMap<String, String>,
    /// Free text.
    pub raw_data: Option<String>,
    /// What the compatible face does not show.
    pub native: Native,
}

/// A field of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// The moment.
    Timestamp,
    /// The id.
    Id,
    /// Free text.
    RawData,
    /// An integer by name.
    Long(String),
    /// A number by name.
    Float(String),
    /// A text by name.
    String(String),
    /// The frame that it is about, as text.
    Frame,
    /// The name of the model that made it.
    ModelName,
    /// The version of the model.
    ModelVersion,
    /// Of any of its objects.
    Object(ObjectField),
}

/// A field of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectField {
    /// Its class.
    Label,
    /// How sure the engine is.
    Score,
    /// Its id over time.
    Track,
    /// Where it is, see [`Object::region`].
    Region,
}

/// A value to compare with, of the field's type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// For [`Field::Long`].
    Long(i64),
    /// For [`Field::Float`], and for [`Field::Long`] when the client sent a fraction.
    Float(f64),
    /// For texts and ids.
    Text(String),
    /// For [`Field::Timestamp`].
    Time(WallTime),
}

/// A test of one field. A document that lacks the field matches only `Ne` and `Exists(false)`.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Equal.
    Eq(Value),
    /// Not equal, or absent.
    Ne(Value),
    /// Greater.
    Gt(Value),
    /// Greater or equal.
    Gte(Value),
    /// Less.
    Lt(Value),
    /// Less or equal.
    Lte(Value),
    /// One of.
    In(Vec<Value>),
    /// Text contains all of these words, in any case; a word is a run of letters and digits. A text
    /// with several words stands for all of them.
    WordsIn(Vec<String>),
    /// The field is there, or is not.
    Exists(bool),
    /// A region has a point in common with this one.
    Intersects(Region),
}

/// A filter over documents.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of; empty matches everything.
    And(Vec<Filter>),
    /// Any of; empty matches nothing.
    Or(Vec<Filter>),
    /// None of.
    Not(Box<Filter>),
    /// A test of one field.
    Leaf(Field, Test),
    /// One object meets all of these at once; no test finds any object. `Ne` and `Exists(false)` hold of
    /// an object that lacks the field.
    Object(Vec<(ObjectField, Test)>),
    /// Words of texts and raw data.
    Text(TextQuery),
}

/// A sort key; ties are broken by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// By what; documents that lack it come last.
    pub field: Field,
    /// Largest first.
    pub is_descending: bool,
}

impl Catalog {
    /// Inserts or replaces documents, all or none; channel and id of those that were not there before. Ids
    /// are unique in a channel; of two documents with one id the last one counts.
    ///
    /// [`Error::NotFound`] names a channel that does not exist; [`Error::Invalid`] a number that is not finite, or a name or an
    /// id that is empty or longer than 512 bytes.
    pub async fn put_documents(
        &self,
        documents: &[Document],
    ) -> Result<BTreeSet<(ChannelId, String)>, Error> {
        // By id, so that two callers at once lock rows in the same order.
        let by_id: BTreeMap<(ChannelId, &str), &Document> = documents
            .iter()
            .map(|document| ((document.channel, document.id.as_str()), document))
            .collect();
        let documents: Vec<&Document> = by_id.into_values().collect();
        documents.iter().try_for_each(|document| check(document))?;
        let mut tx = self.begin("storing of documents").await?;
        let channels = documents.iter().map(|document| document.channel).collect();
        require_all(&mut tx, &channels).await?;
        let mut written = Written::default();
        for some in documents.chunks(ROWS_AT_ONCE) {
            put(&mut tx, some, &mut written).await?;
        }
        if written.numbers.is_empty() {
            return Ok(written.created);
        }
        let revision = renew(&mut tx, &written.numbers).await?;
        tx.commit().await?;
        self.note_documents(revision);
        Ok(written.created)
    }

    /// Documents by id among these channels, ascending by id; missing ones are left out.
    pub async fn load_documents(
        &self,
        channels: &[ChannelId],
        ids: &[String],
    ) -> Result<Vec<Document>, Error> {
        let mut found = Vec::new();
        for some in ids.chunks(ROWS_AT_ONCE) {
            let select = with_columns(among(channels, self.dialect()))
                .and_where(Expr::col(("meta_document", "id")).is_in(some))
                .take();
            for row in self.read("load of documents", &select).await? {
                found.push(document(&row)?);
            }
        }
        let key = |document: &Document| (document.id.clone(), document.channel);
        found.sort_by_cached_key(key);
        found.dedup_by(|one, other| key(one) == key(other));
        Ok(found)
    }

    /// Deletes documents by id among these channels, all or none; which were there, ascending.
    pub async fn delete_documents(
        &self,
        channels: &[ChannelId],
        ids: &[String],
    ) -> Result<Vec<String>, Error> {
        let mut tx = self.begin("deletion of documents").await?;
        let mut deleted = Vec::new();
        for some in ids.chunks(ROWS_AT_ONCE) {
            let delete = Query::delete()
                .from_table("meta_document")
                .and_where(is_among(channels, tx.dialect()))
                .and_where(Expr::col(("meta_document", "id")).is_in(some))
                .returning_col("id")
                .take();
            for row in tx.fetch(&delete).await? {
                deleted.push(row.get("id")?);
            }
        }
        tx.commit().await?;
        self.note_document_edit();
        deleted.sort_unstable();
        Ok(deleted)
    }

    /// Documents of these channels that match. Without sort keys they come by id. [`Error::Invalid`]
    /// for a value that is not of the field's type, and for filters of absurd size.
    pub async fn find_documents(
        &self,
        channels: &[ChannelId],
        filter: &Filter,
        sort: &[Sort],
        slice: Slice,
    ) -> Result<Page<Document>, Error> {
        let is_match = condition(filter, self.dialect())?;
        let mut in_channels = among(channels, self.dialect());
        self.search("search for documents", async |search| {
            let matching = in_channels
                .and_where_option(few_candidates(search, channels, filter).await?)
                .and_where(is_match)
                .take();
            let total = only(&search.fetch(&count(&matching)).await?)?.get("total")?;
            let mut page = with_columns(matching);
            order(&mut page, sort);
            slice.apply(&mut page);
            let rows = search.fetch(&page).await?;
            let items = rows.iter().map(document).collect::<Result<_, _>>()?;
            Ok(Page { items, total })
        })
        .await
    }

    /// Deletes documents of these channels that match; how many. Errors as of
    /// [`Catalog::find_documents`].
    pub async fn delete_matching_documents(
        &self,
        channels: &[ChannelId],
        filter: &Filter,
    ) -> Result<u64, Error> {
        let is_match = condition(filter, self.dialect())?;
        // Found first and deleted in small steps, so that no writer waits for a search.
        let numbers = self.matching_numbers(channels, filter, &is_match).await?;
        let mut deleted = 0;
        for some in numbers.chunks(ROWS_AT_ONCE) {
            let number = Expr::col(("meta_document", "number"));
            let delete = Query::delete()
                .from_table("meta_document")
                .and_where(self.dialect().is_one_of(number, some))
                // Somebody may have changed it since.
                .and_where(is_match.clone())
                .take();
            deleted += self
                .execute("deletion of matching documents", &delete)
                .await?;
        }
        self.note_document_edit();
        Ok(deleted)
    }

    async fn matching_numbers(
        &self,
        channels: &[ChannelId],
        filter: &Filter,
        is_match: &Expr,
    ) -> Result<Vec<i64>, Error> {
        let mut in_channels = among(channels, self.dialect());
        self.search("search for documents to delete", async |search| {
            let matching = in_channels
                .column(("meta_document", "number"))
                .and_where_option(few_candidates(search, channels, filter).await?)
                .and_where(is_match.clone())
                .take();
            let rows = search.fetch(&matching).await?;
            rows.iter().map(|row| row.get("number")).collect()
        })
        .await
    }

    /// Deletes the oldest documents of a channel from before a moment, `most` at most; how many.
    pub async fn delete_documents_before(
        &self,
        channel: ChannelId,
        before: WallTime,
        most: u64,
    ) -> Result<u64, Error> {
        let oldest = among(&[channel], self.dialect())
            .column(("meta_document", "number"))
            .and_where(Expr::col(("meta_document", "timestamp_us")).lt(before.micros()))
            .order_by(("meta_document", "timestamp_us"), Order::Asc)
            .limit(most)
            .take();
        let delete = Query::delete()
            .from_table("meta_document")
            .and_where(Expr::col("number").in_subquery(oldest))
            .take();
        self.execute("deletion of old documents", &delete).await
    }
}

pub(crate) fn is_among(channels: &[ChannelId], dialect: Dialect) -> Expr {
    let ids: Vec<i64> = channels.iter().map(|channel| channel.get()).collect();
    dialect.is_one_of(Expr::col(("meta_document", "channel")), &ids)
}

/// Documents of these channels; no columns yet.
pub(crate) fn among(channels: &[ChannelId], dialect: Dialect) -> SelectStatement {
    Query::select()
        .from("meta_document")
        .and_where(is_among(channels, dialect))
        .take()
}

/// Fails unless all channels exist; they stay until the transaction ends.
async fn require_all(tx: &mut Tx, channels: &BTreeSet<ChannelId>) -> Result<(), Error> {
    let ids: Vec<i64> = channels.iter().map(|channel| channel.get()).collect();
    let select = Query::select()
        .column("id")
        .from("channel")
        .and_where(tx.dialect().is_one_of(Expr::col("id"), &ids))
        .lock(LockType::KeyShare)
        .take();
    let rows = tx.fetch(&select).await?;
    let found = rows
        .iter()
        .map(|row| row.id("id", ChannelId::stored))
        .collect::<Result<BTreeSet<_>, _>>()?;
    match channels.difference(&found).next() {
        Some(missing) => Err(not_found(*missing)),
        None => Ok(()),
    }
}

/// What was written so far.
#[derive(Default)]
struct Written {
    numbers: Vec<(i64, ChannelId)>,
    created: BTreeSet<(ChannelId, String)>,
}

/// Writes documents; adds them to `written`.
async fn put(tx: &mut Tx, documents: &[&Document], written: &mut Written) -> Result<(), Error> {
    let mut numbers: BTreeMap<(i64, String), (i64, bool)> = BTreeMap::new();
    let mut replaced = Vec::new();
    for row in upsert(tx, documents).await? {
        if !row.is_new {
            replaced.push(row.number);
        }
        numbers.insert((row.channel, row.id), (row.number, row.is_new));
    }
    delete_of(tx, "meta_field", &replaced).await?;
    let mut numbered: Vec<(i64, &Document)> = Vec::with_capacity(documents.len());
    for document in documents {
        let key = (document.channel.get(), document.id.clone());
        let missing = || Error::corrupt("number", "a stored document did not come back");
        let ((_, id), (number, is_new)) = numbers.remove_entry(&key).ok_or_else(missing)?;
        written.numbers.push((number, document.channel));
        if is_new {
            written.created.insert((document.channel, id));
        }
        numbered.push((number, document));
    }
    tx.insert(&fields(&numbered)).await?;
    put_native(tx, &numbered, &replaced).await?;
    put_words(tx, &numbered, &replaced).await
}
