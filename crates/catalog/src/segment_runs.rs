//! Published segments of a run: the way from a frame id to its footage.

use crate::segment_lists::published;
use crate::segment_rows::{segment, with_columns};
use crate::{Catalog, Error};
use framewell_model::{ChannelId, RunId, Segment};
use sea_query::{Expr, ExprTrait as _, Order};

impl Catalog {
    /// The smallest and the largest place in a run that published segments of this channel have.
    pub async fn run_sequences(
        &self,
        channel: ChannelId,
        run: RunId,
    ) -> Result<Option<(i64, i64)>, Error> {
        let ends = [Order::Asc, Order::Desc].map(|order| {
            published(channel)
                .column("sequence")
                .and_where(Expr::col("run").eq(run.uuid()))
                .order_by("sequence", order)
                .limit(1)
                .take()
        });
        let mut found = Vec::with_capacity(2);
        for end in &ends {
            let rows = self.read("search for a run", end).await?;
            let Some(row) = rows.first() else {
                return Ok(None);
            };
            found.push(row.get("sequence")?);
        }
        Ok(Some((found[0], found[1])))
    }

    /// The published segment of a run with the largest place up to `sequence`.
    pub async fn run_segment(
        &self,
        channel: ChannelId,
        run: RunId,
        sequence: i64,
    ) -> Result<Option<Segment>, Error> {
        let select = with_columns(published(channel))
            .and_where(Expr::col("run").eq(run.uuid()))
            .and_where(Expr::col("sequence").lte(sequence))
            .order_by("sequence", Order::Desc)
            .limit(1)
            .take();
        let rows = self.read("search for a segment of a run", &select).await?;
        rows.first().map(segment).transpose()
    }
}
