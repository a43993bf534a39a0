//! Which footage goes. What is doomed is written down, and what a hold keeps is not doomed.

use crate::channel_rows::require;
use crate::channels::only;
use crate::deletions::{Tally, joined, note, tally_of};
use crate::gaps::join_gap;
use crate::holds::{is_free, keeper};
use crate::segment_rows::{is_state, range};
use crate::segments::change_state;
use crate::sql::{Row, Tx};
use crate::{Catalog, Error};
use framewell_model::{
    ChannelId, DeletionReason, ErrorKind, GapReason, HasKind as _, RecordId, SegmentState,
    StreamKind, TimeRange, WallTime,
};
use sea_query::{Expr, ExprTrait as _, LockType, Order, Query, SelectStatement};
use std::collections::BTreeSet;

/// Footage that is to go because of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// Whose; `None`: of all channels.
    pub channel: Option<ChannelId>,
    /// How many bytes have to go.
    pub bytes: i64,
    /// Most segments in one go.
    pub limit: u64,
    /// Why. [`DeletionReason::Pressure`] leaves a gap row too.
    pub reason: DeletionReason,
}

/// A segment that goes.
struct Victim {
    record: RecordId,
    tally: Tally,
}

impl Catalog {
    /// Dooms one segment, staged or published, for a `DELETE` by a user. Repeating it does nothing.
    /// [`Error::Held`] if a hold keeps it.
    pub async fn doom_segment(&self, record: RecordId, now: WallTime) -> Result<(), Error> {
        let mut tx = self.begin("dooming of a segment").await?;
        let select = victims()
            .column("state")
            .and_where(Expr::col("record").eq(record.get()))
            .take();
        let candidates = tx.fetch(&select).await?;
        lock_channels(&mut tx, &candidates).await?;
        let rows = tx
            .fetch(&select.clone().lock(LockType::Update).take())
            .await?;
        let Some(row) = rows.first() else {
            return Err(Error::not_found(format!("segment {record}")));
        };
        let victim = victim(row)?;
        if row.get::<String>("state")? == SegmentState::Doomed.as_str() {
            return Ok(());
        }
        let Tally { channel, range, .. } = victim.tally;
        if let Some(name) = keeper(&mut tx, channel, Some(range), now).await? {
            let what = format!("record {record}");
            return Err(Error::Held { what, name });
        }
        doom(&mut tx, &[victim], DeletionReason::Request, now).await?;
        tx.commit().await
    }

    /// Gives up a segment, staged or published, whose object is lost: its row goes and a gap says that its
    /// footage is lost (`data_loss`), in one step. [`Error::Held`] if a hold keeps it, [`Error::NotFound`] if
    /// it is gone or doomed.
    pub async fn give_up_segment(&self, record: RecordId, now: WallTime) -> Result<(), Error> {
        let mut tx = self.begin("giving up of a segment").await?;
        let select = victims()
            .and_where(Expr::col("record").eq(record.get()))
            .and_where(Expr::col("state").ne(SegmentState::Doomed.as_str()))
            .take();
        let candidates = tx.fetch(&select).await?;
        lock_channels(&mut tx, &candidates).await?;
        let rows = tx
            .fetch(&select.clone().lock(LockType::Update).take())
            .await?;
        let Some(row) = rows.first() else {
            return Err(Error::not_found(format!("segment {record}")));
        };
        let Tally { channel, range, .. } = victim(row)?.tally;
        if let Some(name) = keeper(&mut tx, channel, Some(range), now).await? {
            let what = format!("record {record}");
            return Err(Error::Held { what, name });
        }
        let delete = Query::delete()
            .from_table("segment")
            .and_where(Expr::col("record").eq(record.get()))
            .take();
        tx.execute(&delete).await?;
        note_gap(&mut tx, channel, range, GapReason::DataLoss).await?;
        tx.commit().await
    }

    /// Dooms published segments of a channel that end before `before` (retention), oldest first, at most
    /// `limit`; how many. Those that a hold keeps stay.
    pub async fn doom_segments_before(
        &self,
        channel: ChannelId,
        before: WallTime,
        limit: i64,
        now: WallTime,
    ) -> Result<u64, Error> {
        let mut tx = self.begin("dooming of old segments").await?;
        let oldest = victims()
            .and_where(Expr::col(("segment", "channel")).eq(channel.get()))
            .and_where(is_state(SegmentState::Published))
            .and_where(Expr::col(("segment", "end_us")).lt(before.micros()))
            .and_where(is_free(now))
            .order_by("end_us", Order::Asc)
            .limit(u64::try_from(limit).unwrap_or(0))
            .take();
        let rows = fetch_locked(&mut tx, &oldest).await?;
        let victims = rows.iter().map(victim).collect::<Result<Vec<_>, _>>()?;
        doom(&mut tx, &victims, DeletionReason::Age, now).await?;
        tx.commit().await?;
        Ok(victims.len() as u64)
    }

    /// Bytes of the objects of all published segments. Reads an index entry of each.
    pub async fn published_bytes(&self) -> Result<i64, Error> {
        self.sum_of_sizes(is_state(SegmentState::Published)).await
    }

    /// Bytes of the objects of a channel's published segments. Reads an index entry of each.
    pub async fn published_bytes_of(&self, channel: ChannelId) -> Result<i64, Error> {
        let of = Expr::col("channel").eq(channel.get());
        self.sum_of_sizes(of.and(is_state(SegmentState::Published)))
            .await
    }

    async fn sum_of_sizes(&self, which: Expr) -> Result<i64, Error> {
        let sum = Query::select()
            .expr_as(
                Expr::cust("CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT)"),
                "total",
            )
            .from("segment")
            .and_where(which)
            .take();
        only(&self.read("sum of segment sizes", &sum).await?)?.get("total")
    }

    /// Dooms published segments, those that were recorded first, until their objects make up the bytes of
    /// the excess; how many bytes they are. Those that a hold keeps stay: 0 if nothing may go.
    pub async fn doom_oldest_segments(&self, excess: Excess, now: WallTime) -> Result<i64, Error> {
        let mut tx = self.begin("dooming of the oldest segments").await?;
        let channel = excess.channel.map(ChannelId::get);
        // Of one channel by time, for which there is an index; of all as they came.
        let by = if channel.is_some() {
            "start_us"
        } else {
            "record"
        };
        let oldest = victims()
            .and_where_option(channel.map(|id| Expr::col(("segment", "channel")).eq(id)))
            .and_where(is_state(SegmentState::Published))
            .and_where(is_free(now))
            .order_by(by, Order::Asc)
            .limit(excess.limit)
            .take();
        let mut victims = Vec::new();
        let mut bytes = 0;
        for row in fetch_locked(&mut tx, &oldest).await? {
            if bytes >= excess.bytes {
                break;
            }
            let victim = victim(&row)?;
            bytes += victim.tally.size_bytes;
            victims.push(victim);
        }
        doom(&mut tx, &victims, excess.reason, now).await?;
        tx.commit().await?;
        Ok(bytes)
    }

    /// Writes down that footage that was never published had to go: a gap row, and an entry in the account
    /// of deletions.
    pub async fn note_discarded(
        &self,
        channel: ChannelId,
        range: TimeRange,
        size_bytes: i64,
        now: WallTime,
    ) -> Result<(), Error> {
        let mut tx = self.begin("account of discarded footage").await?;
        require(&mut tx, channel, None, LockType::NoKeyUpdate).await?;
        let tally = Tally {
            channel,
            range,
            size_bytes,
            segments: 1,
        };
        note(&mut tx, &tally, DeletionReason::Pressure, now).await?;
        join_gap(&mut tx, channel, range, GapReason::StorageFull).await?;
        tx.commit().await
    }
}

/// The rows that a statement picks, with their channels locked before it picks them for good: what it says
/// of holds stays true until the transaction ends.
async fn fetch_locked(tx: &mut Tx, select: &SelectStatement) -> Result<Vec<Row>, Error> {
    let candidates = tx.fetch(select).await?;
    lock_channels(tx, &candidates).await?;
    let mut records = Vec::with_capacity(candidates.len());
    for row in &candidates {
        records.push(row.id("record", RecordId::new)?.get());
    }
    // Of those only: meanwhile segments of other channels may have come to be among the oldest.
    let again = select
        .clone()
        .and_where(
            tx.dialect()
                .is_one_of(Expr::col(("segment", "record")), &records),
        )
        .lock(LockType::Update)
        .take();
    tx.fetch(&again).await
}

/// Locks the channels of these segments: nobody makes a hold there until the transaction
/// ends. Before any lock on a segment, as who deletes a channel does. One that is gone has no holds.
async fn lock_channels(tx: &mut Tx, segments: &[Row]) -> Result<(), Error> {
    let mut channels = BTreeSet::new();
    for row in segments {
        let channel = row.id("channel", ChannelId::stored)?;
        // Where the holds of its sub stream are, too; and first, as who deletes a channel does.
        channels.insert((channel.main(), StreamKind::Main));
        channels.insert((channel.main(), channel.stream()));
    }
    for (channel, stream) in &channels {
        match require(tx, channel.of(*stream), None, LockType::NoKeyUpdate).await {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Rows of segments as [`victim`] reads them.
fn victims() -> SelectStatement {
    Query::select()
        .columns(["record", "channel", "start_us", "end_us", "size_bytes"])
        .from("segment")
        .take()
}

fn victim(row: &Row) -> Result<Victim, Error> {
    Ok(Victim {
        record: row.id("record", RecordId::new)?,
        tally: Tally {
            channel: row.id("channel", ChannelId::stored)?,
            range: range(row)?,
            size_bytes: row.get("size_bytes")?,
            segments: 1,
        },
    })
}

async fn doom(
    tx: &mut Tx,
    victims: &[Victim],
    reason: DeletionReason,
    now: WallTime,
) -> Result<(), Error> {
    if victims.is_empty() {
        return Ok(());
    }
    let records: Vec<i64> = victims.iter().map(|victim| victim.record.get()).collect();
    let doom = change_state(SegmentState::Doomed, now)
        .and_where(tx.dialect().is_one_of(Expr::col("record"), &records))
        .take();
    tx.execute(&doom).await?;
    let tallies = victims.iter().map(|victim| victim.tally).collect();
    for tally in joined(tallies) {
        note(tx, &tally, reason, now).await?;
        if reason == DeletionReason::Pressure {
            note_gap(tx, tally.channel, tally.range, GapReason::StorageFull).await?;
        }
    }
    Ok(())
}

/// Says that footage is missing; a deleted channel has no gaps.
async fn note_gap(
    tx: &mut Tx,
    channel: ChannelId,
    range: TimeRange,
    reason: GapReason,
) -> Result<(), Error> {
    match require(tx, channel, None, LockType::NoKeyUpdate).await {
        Ok(_) => join_gap(tx, channel, range, reason).await,
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Dooms all segments of a channel that is being deleted. [`Error::Held`] while a hold stands.
pub(crate) async fn doom_channel(
    tx: &mut Tx,
    channel: ChannelId,
    now: WallTime,
) -> Result<(), Error> {
    if let Some(name) = keeper(tx, channel, None, now).await? {
        let what = format!("channel {channel}");
        return Err(Error::Held { what, name });
    }
    // Without footage, too: files that wait in the spool are told by it that nobody wants them.
    let nothing = Tally {
        channel,
        range: TimeRange {
            start: now,
            end: now,
        },
        size_bytes: 0,
        segments: 0,
    };
    let tally = tally_of(tx, channel).await?.unwrap_or(nothing);
    note(tx, &tally, DeletionReason::Channel, now).await?;
    let doom = change_state(SegmentState::Doomed, now)
        .and_where(Expr::col("channel").eq(channel.get()))
        .and_where(Expr::col("state").ne(SegmentState::Doomed.as_str()))
        .take();
    tx.execute(&doom).await.map(drop)
}
