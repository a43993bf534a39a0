//! Vectors of documents, as nearest-neighbour searches read them. What is near is not decided here.

use crate::meta::Scope;
use crate::meta_native_rows::vector_of;
use crate::{Catalog, Error, Revisions};
use framewell_model::{ChannelId, WallTime};
use sea_query::{Expr, ExprTrait as _, Order, Query};

/// What stands for a vector in an index in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SketchRow {
    /// Revision of the document.
    pub revision: i64,
    /// Row number of the document.
    pub number: i64,
    /// Its channel.
    pub channel: ChannelId,
    /// Its moment.
    pub timestamp: WallTime,
    /// How many numbers the vector has.
    pub dimensions: usize,
    /// The sketch.
    pub sketch: Vec<u8>,
}

impl Catalog {
    /// Sketches of the vectors of all channels in the order of the revisions of their documents, `most`
    /// at most. A document that was changed has a new revision; one that was deleted is not told.
    pub async fn sketches_after(
        &self,
        revisions: Revisions,
        most: u64,
    ) -> Result<Vec<SketchRow>, Error> {
        let change = |column| Expr::col(("meta_change", column));
        let select = Query::select()
            .columns(
                [
                    "document",
                    "channel",
                    "timestamp_us",
                    "dimensions",
                    "sketch",
                ]
                .map(|column| ("meta_sketch", column)),
            )
            .column(("meta_change", "revision"))
            .from("meta_change")
            .inner_join(
                "meta_sketch",
                change("document").equals(("meta_sketch", "document")),
            )
            .and_where(change("revision").gt(revisions.after))
            .and_where(change("revision").lte(revisions.until))
            .order_by(("meta_change", "revision"), Order::Asc)
            .limit(most)
            .take();
        self.search("load of sketches", async |search| {
            let rows = search.fetch(&select).await?;
            rows.iter()
                .map(|row| {
                    let dimensions: i64 = row.get("dimensions")?;
                    Ok(SketchRow {
                        revision: row.get("revision")?,
                        number: row.get("document")?,
                        channel: row.id("channel", ChannelId::new)?,
                        timestamp: WallTime::from_micros(row.get("timestamp_us")?),
                        dimensions: usize::try_from(dimensions).unwrap_or(0),
                        sketch: row.get("sketch")?,
                    })
                })
                .collect()
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
            let matching = scope
                .select(search)
                .await?
                .column(("meta_document", "number"))
                .and_where(Expr::col(("meta_document", "vector_len")).eq(dimensions))
                .limit(most)
                .take();
            let rows = search.fetch(&matching).await?;
            let mut numbers = rows
                .iter()
                .map(|row| row.get("number"))
                .collect::<Result<Vec<i64>, _>>()?;
            numbers.sort_unstable();
            Ok(numbers)
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
