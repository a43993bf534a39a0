//! Metadata documents and the typed filter over them (contract section 11).

use crate::channel_rows::not_found;
use crate::channels::only;
use crate::meta_filter::{condition, order};
use crate::meta_rows::{
    FieldRow, ROWS_AT_ONCE, check, document, fields, insert_fields, upsert, with_columns,
};
use crate::slice::count;
use crate::sql::{Dialect, Tx};
use crate::{Catalog, Error, Page, Slice};
use framewell_model::{ChannelId, WallTime};
use sea_query::{Expr, ExprTrait as _, LockType, Query, SelectStatement};
use std::collections::{BTreeMap, BTreeSet};

/// A stored document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Opaque id.
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
    /// Inserts or replaces documents, all or none. Of two with one id the last one counts.
    ///
    /// [`Error::NotFound`] names a channel that does not exist; [`Error::AlreadyExists`] an id that a
    /// document of another channel has; [`Error::Invalid`] a number that is not finite, or a name or an
    /// id that is empty or longer than 512 bytes.
    pub async fn put_documents(&self, documents: &[Document]) -> Result<(), Error> {
        // By id, so that two callers at once lock rows in the same order.
        let by_id: BTreeMap<&str, &Document> = documents
            .iter()
            .map(|document| (document.id.as_str(), document))
            .collect();
        let documents: Vec<&Document> = by_id.into_values().collect();
        documents.iter().try_for_each(|document| check(document))?;
        let mut tx = self.begin("storing of documents").await?;
        let channels = documents.iter().map(|document| document.channel).collect();
        require_all(&mut tx, &channels).await?;
        for some in documents.chunks(ROWS_AT_ONCE) {
            put(&mut tx, some).await?;
        }
        tx.commit().await
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
        found.sort_by(|one, other| one.id.cmp(&other.id));
        found.dedup_by(|one, other| one.id == other.id);
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
        const OPERATION: &str = "search for documents";
        let is_match = condition(filter, self.dialect())?;
        let matching = among(channels, self.dialect())
            .and_where_option(self.few_candidates(channels, filter).await?)
            .and_where(is_match)
            .take();
        let total = only(&self.read(OPERATION, &count(&matching)).await?)?.get("total")?;
        let mut page = with_columns(matching);
        order(&mut page, sort);
        slice.apply(&mut page);
        let rows = self.read(OPERATION, &page).await?;
        let items = rows.iter().map(document).collect::<Result<_, _>>()?;
        Ok(Page { items, total })
    }

    /// Deletes documents of these channels that match; how many. Errors as of
    /// [`Catalog::find_documents`].
    pub async fn delete_matching_documents(
        &self,
        channels: &[ChannelId],
        filter: &Filter,
    ) -> Result<u64, Error> {
        let is_match = condition(filter, self.dialect())?;
        let delete = Query::delete()
            .from_table("meta_document")
            .and_where(is_among(channels, self.dialect()))
            .and_where_option(self.few_candidates(channels, filter).await?)
            .and_where(is_match)
            .take();
        self.execute("deletion of matching documents", &delete)
            .await
    }
}

fn is_among(channels: &[ChannelId], dialect: Dialect) -> Expr {
    let ids: Vec<i64> = channels.iter().map(|channel| channel.get()).collect();
    dialect.is_one_of(Expr::col(("meta_document", "channel")), &ids)
}

/// Documents of these channels; no columns yet.
fn among(channels: &[ChannelId], dialect: Dialect) -> SelectStatement {
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
        .map(|row| row.id("id", ChannelId::new))
        .collect::<Result<BTreeSet<_>, _>>()?;
    match channels.difference(&found).next() {
        Some(missing) => Err(not_found(*missing)),
        None => Ok(()),
    }
}

async fn put(tx: &mut Tx, documents: &[&Document]) -> Result<(), Error> {
    let mut numbers: BTreeMap<String, i64> = BTreeMap::new();
    for row in tx.fetch(&upsert(documents)?).await? {
        numbers.insert(row.get("id")?, row.get("number")?);
    }
    let ids: Vec<i64> = numbers.values().copied().collect();
    let outdated = Query::delete()
        .from_table("meta_field")
        .and_where(tx.dialect().is_one_of(Expr::col("document"), &ids))
        .take();
    tx.execute(&outdated).await?;
    let mut rows: Vec<FieldRow<'_>> = Vec::new();
    for document in documents {
        // The row of another channel was left alone, so it did not come back.
        let number = numbers
            .get(&document.id)
            .ok_or_else(|| Error::AlreadyExists {
                what: format!("document {:?}", document.id),
            })?;
        rows.extend(fields(*number, document));
    }
    for some in rows.chunks(ROWS_AT_ONCE) {
        tx.execute(&insert_fields(some)).await?;
    }
    Ok(())
}
