//! What the clocks of cameras did, run by run.

use crate::sql::Row;
use crate::{Catalog, Error};
use framewell_model::{ChannelId, RunClock, RunId, WallTime};
use sea_query::{Expr, ExprTrait as _, OnConflict, Order, Query};

const COLUMNS: [&str; 9] = [
    "run",
    "channel",
    "first_us",
    "last_us",
    "offset_us",
    "drift_ppb",
    "jumps",
    "largest_jump_us",
    "is_used",
];

impl Catalog {
    /// Stores what is known of the clock of a run, in the place of what was known before. A channel that
    /// is gone has none: [`Error::Database`] then, by the reference.
    pub async fn put_run_clock(&self, clock: &RunClock) -> Result<(), Error> {
        let put = Query::insert()
            .into_table("run_clock")
            .columns(COLUMNS)
            .values_panic([
                clock.run.uuid().into(),
                clock.channel.get().into(),
                clock.first.micros().into(),
                clock.last.micros().into(),
                clock.offset_us.into(),
                clock.drift_ppb.into(),
                clock.jumps.into(),
                clock.largest_jump_us.into(),
                clock.is_used.into(),
            ])
            .on_conflict(
                OnConflict::column("run")
                    .update_columns(COLUMNS.into_iter().skip(2))
                    .to_owned(),
            )
            .take();
        self.execute("storing of a run's clock", &put)
            .await
            .map(drop)
    }

    /// Clocks of a channel's runs that ended at or after `since`, newest first, at most `limit`.
    pub async fn list_run_clocks(
        &self,
        channel: ChannelId,
        since: WallTime,
        limit: u64,
    ) -> Result<Vec<RunClock>, Error> {
        let select = Query::select()
            .columns(COLUMNS)
            .from("run_clock")
            .and_where(Expr::col("channel").eq(channel.get()))
            .and_where(Expr::col("last_us").gte(since.micros()))
            .order_by("last_us", Order::Desc)
            .limit(limit)
            .take();
        let rows = self.read("list of clocks of runs", &select).await?;
        rows.iter().map(run_clock).collect()
    }

    /// Forgets clocks of runs that ended before `before`; how many.
    pub async fn forget_run_clocks(&self, before: WallTime) -> Result<u64, Error> {
        let delete = Query::delete()
            .from_table("run_clock")
            .and_where(Expr::col("last_us").lt(before.micros()))
            .take();
        self.execute("forgetting of clocks of runs", &delete).await
    }
}

fn run_clock(row: &Row) -> Result<RunClock, Error> {
    Ok(RunClock {
        run: RunId::from_uuid(row.get("run")?),
        channel: row.id("channel", ChannelId::stored)?,
        first: WallTime::from_micros(row.get("first_us")?),
        last: WallTime::from_micros(row.get("last_us")?),
        offset_us: row.get("offset_us")?,
        drift_ppb: row.get("drift_ppb")?,
        jumps: row.get("jumps")?,
        largest_jump_us: row.get("largest_jump_us")?,
        is_used: row.get("is_used")?,
    })
}
