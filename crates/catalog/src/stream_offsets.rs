//! How far sub streams were from their main streams, run by run.

use crate::sql::Row;
use crate::{Catalog, Error};
use framewell_model::{ChannelId, OffsetBasis, RunId, StreamOffset, WallTime};
use sea_query::{Expr, ExprTrait as _, OnConflict, Order, Query};

const COLUMNS: [&str; 6] = [
    "run",
    "channel",
    "measured_us",
    "offset_us",
    "error_us",
    "basis",
];

impl Catalog {
    /// Stores what was measured in a run of a sub stream, in the place of what was known before. A stream
    /// that is gone has none: [`Error::Database`] then, by the reference.
    pub async fn put_stream_offset(
        &self,
        sub: ChannelId,
        offset: &StreamOffset,
    ) -> Result<(), Error> {
        let put = Query::insert()
            .into_table("stream_offset")
            .columns(COLUMNS)
            .values_panic([
                offset.run.uuid().into(),
                sub.get().into(),
                offset.measured.micros().into(),
                offset.offset_us.into(),
                offset.error_us.into(),
                offset.basis.as_str().into(),
            ])
            .on_conflict(
                OnConflict::column("run")
                    .update_columns(COLUMNS.into_iter().skip(2))
                    .to_owned(),
            )
            .take();
        self.execute("storing of a stream's offset", &put)
            .await
            .map(drop)
    }

    /// Offsets of a sub stream's runs that were measured at or after `since`, newest first, at most `limit`.
    pub async fn list_stream_offsets(
        &self,
        sub: ChannelId,
        since: WallTime,
        limit: u64,
    ) -> Result<Vec<StreamOffset>, Error> {
        let select = Query::select()
            .columns(COLUMNS)
            .from("stream_offset")
            .and_where(Expr::col("channel").eq(sub.get()))
            .and_where(Expr::col("measured_us").gte(since.micros()))
            .order_by("measured_us", Order::Desc)
            .limit(limit)
            .take();
        let rows = self.read("list of offsets of streams", &select).await?;
        rows.iter().map(stream_offset).collect()
    }

    /// Forgets offsets that were measured before `before`; how many.
    pub async fn forget_stream_offsets(&self, before: WallTime) -> Result<u64, Error> {
        let delete = Query::delete()
            .from_table("stream_offset")
            .and_where(Expr::col("measured_us").lt(before.micros()))
            .take();
        self.execute("forgetting of offsets of streams", &delete)
            .await
    }
}

fn stream_offset(row: &Row) -> Result<StreamOffset, Error> {
    Ok(StreamOffset {
        run: RunId::from_uuid(row.get("run")?),
        measured: WallTime::from_micros(row.get("measured_us")?),
        offset_us: row.get("offset_us")?,
        error_us: row.get("error_us")?,
        basis: row.word("basis", OffsetBasis::from_word)?,
    })
}
