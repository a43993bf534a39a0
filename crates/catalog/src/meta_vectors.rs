//! Vectors of documents, as nearest-neighbour searches read them. What is near is not decided here.

use crate::meta::Scope;
use crate::meta_native_rows::vector_of;
use crate::sql::{Dialect, Row};
use crate::{Catalog, Error, Revisions};
use framewell_model::{AccountId, ChannelId, WallTime};
use sea_query::{Expr, ExprTrait as _, Order, Query, SelectStatement};

/// What stands for a vector in an index in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SketchRow {
    /// Row number of the document.
    pub number: i64,
    /// Who owns its channel.
    pub account: AccountId,
    /// Its channel.
    pub channel: ChannelId,
    /// Its moment.
    pub timestamp: WallTime,
    /// How many numbers the vector has.
    pub dimensions: usize,
    /// The sketch.
    pub sketch: Vec<u8>,
}

/// The columns that [`sketch_of`] reads, of sketches and their channels.
fn columns_of_sketches(mut select: SelectStatement) -> SelectStatement {
    let columns = [
        "document",
        "channel",
        "timestamp_us",
        "dimensions",
        "sketch",
    ];
    let channel = Expr::col(("channel", "id"));
    select
        .columns(columns.map(|column| ("meta_sketch", column)))
        .column(("channel", "account"))
        .inner_join("channel", channel.equals(("meta_sketch", "channel")))
        .take()
}

fn sketch_of(row: &Row) -> Result<SketchRow, Error> {
    let dimensions: i64 = row.get("dimensions")?;
    Ok(SketchRow {
        number: row.get("document")?,
        account: row.id("account", AccountId::new)?,
        channel: row.id("channel", ChannelId::stored)?,
        timestamp: WallTime::from_micros(row.get("timestamp_us")?),
        dimensions: usize::try_from(dimensions).unwrap_or(0),
        sketch: row.get("sketch")?,
    })
}

/// Vectors of a scope that are looked up first, before its documents are gone through.
const FEW_VECTORS: u64 = 20_000;

impl Catalog {
    /// Sketches of the vectors of all channels with the revisions of their documents and in their order,
    /// `most` at most. A document that was changed has a new revision; one that was deleted is not told.
    /// It looks at every document of those revisions, with a vector or without.
    pub async fn sketches_after(
        &self,
        revisions: Revisions,
        most: u64,
    ) -> Result<Vec<(i64, SketchRow)>, Error> {
        let change = |column| Expr::col(("meta_change", column));
        let changed = Query::select()
            .column(("meta_change", "revision"))
            .from("meta_change")
            .inner_join(
                "meta_sketch",
                change("document").equals(("meta_sketch", "document")),
            )
            .take();
        let select = columns_of_sketches(changed)
            .and_where(change("revision").gt(revisions.after))
            .and_where(change("revision").lte(revisions.until))
            .order_by(("meta_change", "revision"), Order::Asc)
            .limit(most)
            .take();
        self.search("load of sketches", async |search| {
            let rows = search.fetch(&select).await?;
            let told = |row: &Row| Ok((row.get("revision")?, sketch_of(row)?));
            rows.iter().map(told).collect()
        })
        .await
    }

    /// Sketches of the vectors of all channels by the numbers of their documents, from behind `after` on,
    /// `most` at most. It costs what it returns, however many documents have no vector.
    pub async fn sketches_from(&self, after: i64, most: u64) -> Result<Vec<SketchRow>, Error> {
        let sketches = Query::select().from("meta_sketch").take();
        let select = columns_of_sketches(sketches)
            .and_where(Expr::col(("meta_sketch", "document")).gt(after))
            .order_by(("meta_sketch", "document"), Order::Asc)
            .limit(most)
            .take();
        self.search("load of sketches", async |search| {
            let rows = search.fetch(&select).await?;
            rows.iter().map(sketch_of).collect()
        })
        .await
    }

    /// Row numbers of documents in scope that have a vector of so many numbers, ascending, `most` at
    /// most.
    pub async fn numbers_with_vectors(
        &self,
        scope: Scope<'_>,
        dimensions: usize,
        most: u64,
    ) -> Result<Vec<i64>, Error> {
        let dimensions = i64::try_from(dimensions).unwrap_or(i64::MAX);
        self.search("search for vectors", async |search| {
            let dialect = search.dialect();
            let few = Ord::max(most, FEW_VECTORS);
            let sketches = sketches_of(scope, dimensions, dialect)
                .limit(few + 1)
                .take();
            let numbers = numbers(&search.fetch(&sketches).await?, "document")?;
            let is_all = numbers.len() as u64 <= few;
            let select = if is_all {
                let number = Expr::col(("meta_document", "number"));
                let among = dialect.is_one_of(number, &numbers);
                scope.plain(dialect)?.and_where(among).take()
            } else {
                scope.select(search).await?
            };
            let matching = select
                .clone()
                .column(("meta_document", "number"))
                .and_where(Expr::col(("meta_document", "vector_len")).eq(dimensions))
                .limit(most)
                .take();
            self::numbers(&search.fetch(&matching).await?, "number")
        })
        .await
    }

    /// The vectors of those of these documents that are in scope, in no order.
    pub async fn vectors(
        &self,
        scope: Scope<'_>,
        numbers: &[i64],
    ) -> Result<Vec<(i64, Vec<f32>)>, Error> {
        self.search("load of vectors", async |search| {
            let dialect = search.dialect();
            let number = || Expr::col(("meta_document", "number"));
            let select = scope
                .plain(dialect)?
                .column(("meta_document", "number"))
                .column(("meta_vector", "vector"))
                .inner_join("meta_vector", number().equals(("meta_vector", "document")))
                .and_where(dialect.is_one_of(number(), numbers))
                .take();
            let rows = search.fetch(&select).await?;
            rows.iter()
                .map(|row| {
                    let bytes: Vec<u8> = row.get("vector")?;
                    Ok((row.get("number")?, vector_of(&bytes)))
                })
                .collect()
        })
        .await
    }
}

/// Documents with vectors of so many numbers in scope, whatever else they have.
fn sketches_of(scope: Scope<'_>, dimensions: i64, dialect: Dialect) -> SelectStatement {
    let column = |name| Expr::col(("meta_sketch", name));
    let ids: Vec<i64> = scope.channels.iter().map(|channel| channel.get()).collect();
    let is_from = |start: WallTime| column("timestamp_us").gte(start.micros());
    let is_until = |end: WallTime| column("timestamp_us").lt(end.micros());
    Query::select()
        .column(("meta_sketch", "document"))
        .from("meta_sketch")
        .and_where(column("dimensions").eq(dimensions))
        .and_where(dialect.is_one_of(column("channel"), &ids))
        .and_where_option(scope.start.map(is_from))
        .and_where_option(scope.end.map(is_until))
        .take()
}

/// Ascending.
fn numbers(rows: &[Row], column: &'static str) -> Result<Vec<i64>, Error> {
    let mut numbers = rows
        .iter()
        .map(|row| row.get(column))
        .collect::<Result<Vec<i64>, _>>()?;
    numbers.sort_unstable();
    Ok(numbers)
}
