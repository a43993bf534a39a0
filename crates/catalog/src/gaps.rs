//! Gap rows.

use crate::channel_rows::require;
use crate::channels::only;
use crate::deletions::JOINED_US;
use crate::segment_lists::published;
use crate::sql::{Row, Tx};
use crate::{Catalog, Error};
use framewell_model::{ChannelId, Gap, GapReason, TimeRange, WallTime};
use sea_query::{Expr, ExprTrait as _, InsertStatement, LockType, Order, Query, SelectStatement};

/// A hole to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewGap {
    /// Whose footage.
    pub channel: ChannelId,
    /// Where it begins.
    pub start: WallTime,
    /// Where it ends; `None` while it lasts.
    pub end: Option<WallTime>,
    /// Why.
    pub reason: GapReason,
}

impl Catalog {
    /// Records a gap. An open gap of the channel is closed first, at the new one's start. A gap without
    /// length leaves no row; one that ends before it starts is [`Error::Invalid`].
    pub async fn insert_gap(&self, gap: NewGap) -> Result<(), Error> {
        if gap.end.is_some_and(|end| end < gap.start) {
            let text = "a gap cannot end before it starts";
            return Err(Error::Invalid(text.into()));
        }
        let mut tx = self.begin("recording of a gap").await?;
        // One writer of gaps at a time, so that two callers cannot both find no open gap.
        require(&mut tx, gap.channel, None, LockType::NoKeyUpdate).await?;
        close_open_gap(&mut tx, gap.channel, gap.start).await?;
        if gap.end != Some(gap.start) {
            tx.execute(&insertion(gap)).await?;
        }
        tx.commit().await?;
        self.note_gap(gap);
        Ok(())
    }

    /// Footage of a range that was there is there no more. An open gap stays open; a gap of the same reason
    /// that touches the range is made one with it.
    pub async fn join_past_gap(
        &self,
        channel: ChannelId,
        range: TimeRange,
        reason: GapReason,
    ) -> Result<(), Error> {
        let mut tx = self.begin("recording of a past gap").await?;
        require(&mut tx, channel, None, LockType::NoKeyUpdate).await?;
        join_gap(&mut tx, channel, range, reason).await?;
        tx.commit().await
    }

    /// Ends the channel's open gap, if there is one; one that would have no length goes.
    pub async fn close_gap(&self, channel: ChannelId, end: WallTime) -> Result<(), Error> {
        let mut tx = self.begin("closing of a gap").await?;
        close_open_gap(&mut tx, channel, end).await?;
        tx.commit().await
    }

    /// Takes a range out of the channel's gaps: footage is there after all. What is left of a gap on either
    /// side of the range stays, with its reason, unless it is not longer than `slack_us`. Repeating it does
    /// nothing.
    pub async fn cut_gaps(
        &self,
        channel: ChannelId,
        range: TimeRange,
        slack_us: i64,
    ) -> Result<(), Error> {
        let mut tx = self.begin("cutting of gaps").await?;
        require(&mut tx, channel, None, LockType::NoKeyUpdate).await?;
        let end = Expr::col("end_us");
        let overlapping = Query::select()
            .columns(["id", "channel", "start_us", "end_us", "reason"])
            .from("gap")
            .and_where(Expr::col("channel").eq(channel.get()))
            .and_where(Expr::col("start_us").lt(range.end.micros()))
            .and_where(end.clone().is_null().or(end.gt(range.start.micros())))
            .take();
        for row in tx.fetch(&overlapping).await? {
            let found = gap(&row)?;
            let delete = Query::delete()
                .from_table("gap")
                .and_where(Expr::col("id").eq(row.get::<i64>("id")?))
                .take();
            tx.execute(&delete).await?;
            let before = (
                found.start,
                Some(range.start.min(found.end.unwrap_or(range.start))),
            );
            let after = (range.end.max(found.start), found.end);
            for (start, end) in [before, after] {
                if end.is_none_or(|end| end.micros_since(start) > slack_us) {
                    let left = NewGap {
                        channel,
                        start,
                        end,
                        reason: found.reason,
                    };
                    tx.execute(&insertion(left)).await?;
                }
            }
        }
        tx.commit().await
    }

    /// Gaps that overlap a range, ascending. An open gap reaches into the future.
    pub async fn gaps_in(&self, channel: ChannelId, range: TimeRange) -> Result<Vec<Gap>, Error> {
        let end = Expr::col("end_us");
        let select = select(channel)
            .and_where(Expr::col("start_us").lt(range.end.micros()))
            .and_where(end.clone().is_null().or(end.gt(range.start.micros())))
            .order_by("start_us", Order::Asc)
            .order_by("id", Order::Asc)
            .take();
        let rows = self.read("search for gaps", &select).await?;
        rows.iter().map(gap).collect()
    }

    /// End of the newest published segment of a channel, and the start of its open gap: what the
    /// recorder needs after a restart.
    pub async fn recording_tail(
        &self,
        channel: ChannelId,
    ) -> Result<(Option<WallTime>, Option<Gap>), Error> {
        const OPERATION: &str = "search for the end of a recording";
        let newest = published(channel)
            .expr_as(Expr::col("end_us").max(), "newest_us")
            .take();
        let newest: Option<i64> = only(&self.read(OPERATION, &newest).await?)?.get("newest_us")?;
        let open = select(channel)
            .and_where(Expr::col("end_us").is_null())
            .take();
        let open = self.read(OPERATION, &open).await?;
        let open = open.first().map(gap).transpose()?;
        Ok((newest.map(WallTime::from_micros), open))
    }

    /// How far it is known of a channel what is missing: the newest end of a gap that is over, start of the open
    /// one, and end of deleted footage. `None` if nothing ever was missing.
    pub async fn told_until(&self, channel: ChannelId) -> Result<Option<WallTime>, Error> {
        const OPERATION: &str = "search for the end of what is missing";
        let mut until = None;
        for (table, column) in [
            ("gap", "end_us"),
            ("gap", "start_us"),
            ("deletion", "end_us"),
        ] {
            let newest = Query::select()
                .expr_as(Expr::col(column).max(), "newest_us")
                .from(table)
                .and_where(Expr::col("channel").eq(channel.get()))
                .take();
            let newest: Option<i64> =
                only(&self.read(OPERATION, &newest).await?)?.get("newest_us")?;
            until = Ord::max(until, newest);
        }
        Ok(until.map(WallTime::from_micros))
    }
}

/// Inserts a gap that is over, or makes it one with those of its reason that it touches.
pub(crate) async fn join_gap(
    tx: &mut Tx,
    channel: ChannelId,
    range: TimeRange,
    reason: GapReason,
) -> Result<(), Error> {
    let touching = Query::select()
        .columns(["id", "start_us", "end_us"])
        .from("gap")
        .and_where(Expr::col("channel").eq(channel.get()))
        .and_where(Expr::col("reason").eq(reason.as_str()))
        .and_where(Expr::col("end_us").gte(range.start.plus_micros(-JOINED_US).micros()))
        .and_where(Expr::col("start_us").lte(range.end.plus_micros(JOINED_US).micros()))
        .take();
    let mut whole = range;
    for row in tx.fetch(&touching).await? {
        let time = |column| Ok::<_, Error>(WallTime::from_micros(row.get(column)?));
        whole.start = whole.start.min(time("start_us")?);
        whole.end = whole.end.max(time("end_us")?);
        let delete = Query::delete()
            .from_table("gap")
            .and_where(Expr::col("id").eq(row.get::<i64>("id")?))
            .take();
        tx.execute(&delete).await?;
    }
    if whole.start < whole.end {
        tx.execute(&insertion(NewGap {
            channel,
            start: whole.start,
            end: Some(whole.end),
            reason,
        }))
        .await?;
    }
    Ok(())
}

pub(crate) fn insertion(gap: NewGap) -> InsertStatement {
    Query::insert()
        .into_table("gap")
        .columns(["channel", "start_us", "end_us", "reason"])
        .values_panic([
            gap.channel.get().into(),
            gap.start.micros().into(),
            gap.end.map(WallTime::micros).into(),
            gap.reason.as_str().into(),
        ])
        .take()
}

async fn close_open_gap(tx: &mut Tx, channel: ChannelId, end: WallTime) -> Result<(), Error> {
    let is_open = || {
        Expr::col("channel")
            .eq(channel.get())
            .and(Expr::col("end_us").is_null())
    };
    let drop_empty = Query::delete()
        .from_table("gap")
        .and_where(is_open())
        .and_where(Expr::col("start_us").gte(end.micros()))
        .take();
    tx.execute(&drop_empty).await?;
    let close = Query::update()
        .table("gap")
        .value("end_us", end.micros())
        .and_where(is_open())
        .take();
    tx.execute(&close).await.map(drop)
}

fn select(channel: ChannelId) -> SelectStatement {
    Query::select()
        .columns(["channel", "start_us", "end_us", "reason"])
        .from("gap")
        .and_where(Expr::col("channel").eq(channel.get()))
        .take()
}

fn gap(row: &Row) -> Result<Gap, Error> {
    let reason = |word: &str| {
        GapReason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == word)
    };
    Ok(Gap {
        channel: row.id("channel", ChannelId::stored)?,
        start: WallTime::from_micros(row.get("start_us")?),
        end: row.get::<Option<i64>>("end_us")?.map(WallTime::from_micros),
        reason: row.word("reason", reason)?,
    })
}
