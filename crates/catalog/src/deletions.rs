//! The account of what was deleted: written in the transaction that dooms it.

use crate::channels::only;
use crate::sql::{Row, Tx};
use crate::{Catalog, Error};
use framewell_model::{ChannelId, Deletion, DeletionReason, SegmentState, TimeRange, WallTime};
use sea_query::{Expr, ExprTrait as _, InsertStatement, Order, Query};

/// Pieces of footage that are no further apart than this are one entry, or one gap.
pub(crate) const JOINED_US: i64 = 1_000_000;
/// An entry grows for this long; then a new one begins, so that "when" stays exact to the hour.
const ENTRY_US: i64 = 3_600_000_000;

const COLUMNS: [&str; 8] = [
    "id",
    "channel",
    "start_us",
    "end_us",
    "size_bytes",
    "segments",
    "reason",
    "at_us",
];

/// Footage that goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) channel: ChannelId,
    pub(crate) range: TimeRange,
    pub(crate) size_bytes: i64,
    pub(crate) segments: i64,
}

impl Tally {
    fn joins(&self, range: TimeRange) -> bool {
        range.start.micros_since(self.range.end) <= JOINED_US
            && self.range.start.micros_since(range.end) <= JOINED_US
    }

    fn add(&mut self, other: &Self) {
        self.range.start = self.range.start.min(other.range.start);
        self.range.end = self.range.end.max(other.range.end);
        self.size_bytes = self.size_bytes.saturating_add(other.size_bytes);
        self.segments += other.segments;
    }
}

/// Neighbours put together, by channel and time.
pub(crate) fn joined(mut tallies: Vec<Tally>) -> Vec<Tally> {
    tallies.sort_by_key(|tally| (tally.channel, tally.range.start));
    let mut joined: Vec<Tally> = Vec::new();
    for tally in tallies {
        match joined.last_mut() {
            Some(last) if last.channel == tally.channel && last.joins(tally.range) => {
                last.add(&tally);
            }
            _ => joined.push(tally),
        }
    }
    joined
}

impl Catalog {
    /// What was deleted of a channel, newest first, at most `limit` entries, of which all are older than
    /// the one with the number `before`.
    pub async fn list_deletions(
        &self,
        channel: ChannelId,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Deletion>, Error> {
        let select = Query::select()
            .columns(COLUMNS)
            .from("deletion")
            .and_where(Expr::col("channel").eq(channel.get()))
            .and_where_option(before.map(|before| Expr::col("id").lt(before)))
            .order_by("id", Order::Desc)
            .limit(limit)
            .take();
        let rows = self.read("list of deletions", &select).await?;
        rows.iter().map(deletion).collect()
    }

    /// What was deleted of a channel that lies in a range, by the start of it, at most `limit` entries.
    pub async fn deletions_in(
        &self,
        channel: ChannelId,
        range: TimeRange,
        limit: u64,
    ) -> Result<Vec<Deletion>, Error> {
        let select = Query::select()
            .columns(COLUMNS)
            .from("deletion")
            .and_where(Expr::col("channel").eq(channel.get()))
            .and_where(Expr::col("start_us").lt(range.end.micros()))
            .and_where(Expr::col("end_us").gt(range.start.micros()))
            .order_by("start_us", Order::Asc)
            .order_by("id", Order::Asc)
            .limit(limit)
            .take();
        let rows = self.read("search for deletions", &select).await?;
        rows.iter().map(deletion).collect()
    }

    /// Whether the account says that this channel was deleted with its footage. A database that never knew
    /// the channel, because it is new or another one, does not say so.
    pub async fn is_deleted_channel(&self, channel: ChannelId) -> Result<bool, Error> {
        let select = Query::select()
            .column("id")
            .from("deletion")
            .and_where(Expr::col("channel").eq(channel.get()))
            .and_where(Expr::col("reason").eq(DeletionReason::Channel.as_str()))
            .limit(1)
            .take();
        let rows = self.read("search for a deleted channel", &select).await?;
        Ok(!rows.is_empty())
    }

    /// Forgets entries that are older than `before`; how many.
    pub async fn forget_deletions(&self, before: WallTime) -> Result<u64, Error> {
        let delete = Query::delete()
            .from_table("deletion")
            .and_where(Expr::col("at_us").lt(before.micros()))
            .take();
        self.execute("forgetting of deletions", &delete).await
    }
}

/// When a channel or stream of this number was deleted last, as far as the account goes back.
pub(crate) async fn last_deleted(
    tx: &mut Tx,
    channel: ChannelId,
) -> Result<Option<WallTime>, Error> {
    let newest = Query::select()
        .column("at_us")
        .from("deletion")
        .and_where(Expr::col("channel").eq(channel.get()))
        .and_where(Expr::col("reason").eq(DeletionReason::Channel.as_str()))
        .order_by("id", Order::Desc)
        .limit(1)
        .take();
    let rows = tx.fetch(&newest).await?;
    let at = rows.first().map(|row| row.get("at_us")).transpose()?;
    Ok(at.map(WallTime::from_micros))
}

/// Writes down that this goes, in the newest entry if that is about its neighbour.
pub(crate) async fn note(
    tx: &mut Tx,
    tally: &Tally,
    reason: DeletionReason,
    now: WallTime,
) -> Result<(), Error> {
    let newest = Query::select()
        .columns([
            "id",
            "start_us",
            "end_us",
            "size_bytes",
            "segments",
            "at_us",
        ])
        .from("deletion")
        .and_where(Expr::col("channel").eq(tally.channel.get()))
        .and_where(Expr::col("reason").eq(reason.as_str()))
        .and_where(Expr::col("at_us").gt(now.plus_micros(-ENTRY_US).micros()))
        .order_by("id", Order::Desc)
        .limit(1)
        .take();
    let mut tally = *tally;
    // A deleted stream may be made again, and deleted again: its entry says when.
    let is_whole = reason == DeletionReason::Channel;
    if let Some(row) = tx.fetch(&newest).await?.first().filter(|_| !is_whole) {
        let known = Tally {
            channel: tally.channel,
            range: range(row)?,
            size_bytes: row.get("size_bytes")?,
            segments: row.get("segments")?,
        };
        let grown_us = tally.range.end.micros_since(known.range.start);
        if known.joins(tally.range) && grown_us <= 24 * ENTRY_US {
            tally.add(&known);
            let update = Query::update()
                .table("deletion")
                .value("start_us", tally.range.start.micros())
                .value("end_us", tally.range.end.micros())
                .value("size_bytes", tally.size_bytes)
                .value("segments", tally.segments)
                .and_where(Expr::col("id").eq(row.get::<i64>("id")?))
                .take();
            return tx.execute(&update).await.map(drop);
        }
    }
    tx.execute(&insertion(&tally, reason, now)).await.map(drop)
}

fn insertion(tally: &Tally, reason: DeletionReason, now: WallTime) -> InsertStatement {
    Query::insert()
        .into_table("deletion")
        .columns([
            "channel",
            "start_us",
            "end_us",
            "size_bytes",
            "segments",
            "reason",
            "at_us",
        ])
        .values_panic([
            tally.channel.get().into(),
            tally.range.start.micros().into(),
            tally.range.end.micros().into(),
            tally.size_bytes.into(),
            tally.segments.into(),
            reason.as_str().into(),
            now.micros().into(),
        ])
        .take()
}

/// All that is left of a channel; `None` if that is nothing.
pub(crate) async fn tally_of(tx: &mut Tx, channel: ChannelId) -> Result<Option<Tally>, Error> {
    let sum = Query::select()
        .expr_as(Expr::col("start_us").min(), "start_us")
        .expr_as(Expr::col("end_us").max(), "end_us")
        .expr_as(
            Expr::cust("CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT)"),
            "size_bytes",
        )
        .expr_as(Expr::cust("COUNT(*)"), "segments")
        .from("segment")
        .and_where(Expr::col("channel").eq(channel.get()))
        .and_where(Expr::col("state").ne(SegmentState::Doomed.as_str()))
        .take();
    let rows = tx.fetch(&sum).await?;
    let row = only(&rows)?;
    let segments: i64 = row.get("segments")?;
    if segments == 0 {
        return Ok(None);
    }
    Ok(Some(Tally {
        channel,
        range: range(row)?,
        size_bytes: row.get("size_bytes")?,
        segments,
    }))
}

fn range(row: &Row) -> Result<TimeRange, Error> {
    crate::segment_rows::range(row)
}

fn deletion(row: &Row) -> Result<Deletion, Error> {
    let reason = |word: &str| {
        DeletionReason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == word)
    };
    Ok(Deletion {
        number: row.get("id")?,
        channel: row.id("channel", ChannelId::stored)?,
        range: range(row)?,
        size_bytes: row.get("size_bytes")?,
        segments: row.get("segments")?,
        reason: row.word("reason", reason)?,
        at: WallTime::from_micros(row.get("at_us")?),
    })
}
