//! Segment rows: staged, published, doomed, gone.

use crate::channel_rows::require;
use crate::channels::only;
use crate::deletions::last_deleted;
use crate::segment_rows::{insert, is_state, staged};
use crate::sql::Tx;
use crate::{Catalog, Error};
use framewell_model::{
    ChannelId, ClockSource, RecordId, RunId, Seal, SegmentId, SegmentState, StreamKind, TimeRange,
    WallTime,
};
use sea_query::{Expr, ExprTrait as _, LockType, Order, Query, UpdateStatement};

/// Longest segment in microseconds: one hour, far more than any recorder is set to.
///
/// Overlap queries rely on it: a segment that reaches into a range starts at most this long before it, so
/// the index by start answers them however many years of rows lie before.
pub const MAX_SEGMENT_US: i64 = 3_600_000_000;

/// A finished segment about to become an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSegment {
    /// Identity inside the object.
    pub id: SegmentId,
    /// Whose footage.
    pub channel: ChannelId,
    /// The unbroken piece it belongs to.
    pub run: RunId,
    /// Place within the run, from 0.
    pub sequence: i64,
    /// Capture times.
    pub range: TimeRange,
    /// Where they come from.
    pub clock: ClockSource,
    /// Bytes of the object.
    pub size_bytes: i64,
    /// RFC 6381 codecs.
    pub codecs: String,
    /// Encoded fragment index.
    pub index: Vec<u8>,
}

/// What is known of a finished segment beside its row, as far as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct SegmentFacts<'a> {
    /// Digest of the object; not known of footage from before there were digests.
    pub seal: Option<&'a Seal>,
    /// Its samples without their sizes, encoded; empty: not known.
    pub sample_runs: &'a [u8],
    /// Their sizes, encoded; empty: not known.
    pub sample_sizes: &'a [u8],
}

/// A row that a crash may have left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedSegment {
    /// Row number.
    pub record: RecordId,
    /// Identity.
    pub id: SegmentId,
    /// Whose footage.
    pub channel: ChannelId,
    /// Start, which is part of the object key.
    pub start: WallTime,
}

impl Catalog {
    /// First step of publishing: the row exists, readers do not see it. Repeating it with the same
    /// [`SegmentId`] returns the same row number; a row that is still staged takes the new values, since
    /// what a crash left may be shorter.
    ///
    /// [`Error::NotFound`] if the channel is gone, [`Error::Invalid`] beyond [`MAX_SEGMENT_US`].
    pub async fn stage_segment(
        &self,
        segment: &NewSegment,
        now: WallTime,
    ) -> Result<RecordId, Error> {
        self.stage_known_segment(segment, SegmentFacts::default(), now)
            .await
    }

    /// [`Catalog::stage_segment`] with the digest of the object.
    pub async fn stage_sealed_segment(
        &self,
        segment: &NewSegment,
        seal: Option<&Seal>,
        now: WallTime,
    ) -> Result<RecordId, Error> {
        let facts = SegmentFacts {
            seal,
            ..SegmentFacts::default()
        };
        self.stage_known_segment(segment, facts, now).await
    }

    /// [`Catalog::stage_segment`] with all that is known of it.
    pub async fn stage_known_segment(
        &self,
        segment: &NewSegment,
        facts: SegmentFacts<'_>,
        now: WallTime,
    ) -> Result<RecordId, Error> {
        let length_us = segment.range.micros();
        if !(0..=MAX_SEGMENT_US).contains(&length_us) {
            let text = format!("a segment of {length_us} us is too long or ends before it starts");
            return Err(Error::Invalid(text));
        }
        let mut tx = self.begin("staging of a segment").await?;
        require(&mut tx, segment.channel, None, LockType::KeyShare).await?;
        refuse_of_deleted(&mut tx, segment).await?;
        tx.execute(&insert(segment, facts, now)).await?;
        let select = Query::select()
            .column("record")
            .from("segment")
            .and_where(Expr::col("id").eq(segment.id.uuid()))
            .take();
        let record = only(&tx.fetch(&select).await?)?.id("record", RecordId::new)?;
        tx.commit().await?;
        Ok(record)
    }

    /// Second step, after the object is complete: readers see it. Repeating it does nothing.
    /// [`Error::NotFound`] if the row is gone or doomed, for example with its channel.
    pub async fn publish_segment(&self, record: RecordId, now: WallTime) -> Result<(), Error> {
        let publish = change_state(SegmentState::Published, now)
            .and_where(Expr::col("record").eq(record.get()))
            .and_where(is_state(SegmentState::Staged).or(is_state(SegmentState::Published)))
            .take();
        let count = self.execute("publishing of a segment", &publish).await?;
        found(count, record)
    }

    /// Rows in state staged, oldest first, for the janitor.
    pub async fn list_staged_segments(&self, limit: i64) -> Result<Vec<StagedSegment>, Error> {
        self.list_by_state(SegmentState::Staged, limit).await
    }

    /// Removes a staged row whose file and object are both lost.
    pub async fn drop_staged_segment(&self, record: RecordId) -> Result<(), Error> {
        self.delete_in_state(record, SegmentState::Staged).await
    }

    /// Dooms the staged row of a segment whose file had to go, if there is one: its object may be there in
    /// part or whole.
    pub async fn doom_staged_segment(&self, id: SegmentId, now: WallTime) -> Result<(), Error> {
        let doom = change_state(SegmentState::Doomed, now)
            .and_where(Expr::col("id").eq(id.uuid()))
            .and_where(is_state(SegmentState::Staged))
            .take();
        self.execute("dooming of a staged segment", &doom)
            .await
            .map(drop)
    }

    /// Doomed rows whose objects may be deleted, oldest first.
    pub async fn list_doomed_segments(&self, limit: i64) -> Result<Vec<StagedSegment>, Error> {
        self.list_by_state(SegmentState::Doomed, limit).await
    }

    /// Last step: the object is gone, the row goes.
    pub async fn delete_doomed_segment(&self, record: RecordId) -> Result<(), Error> {
        self.delete_in_state(record, SegmentState::Doomed).await
    }

    async fn list_by_state(
        &self,
        state: SegmentState,
        limit: i64,
    ) -> Result<Vec<StagedSegment>, Error> {
        let select = Query::select()
            .columns(["record", "id", "channel", "start_us"])
            .from("segment")
            .and_where(is_state(state))
            .order_by("record", Order::Asc)
            .limit(u64::try_from(limit).unwrap_or(0))
            .take();
        let rows = self.read("list of segments by state", &select).await?;
        rows.iter().map(staged).collect()
    }

    async fn delete_in_state(&self, record: RecordId, state: SegmentState) -> Result<(), Error> {
        let delete = Query::delete()
            .from_table("segment")
            .and_where(Expr::col("record").eq(record.get()))
            .and_where(is_state(state))
            .take();
        let count = self.execute("deletion of a segment row", &delete).await?;
        if count == 0 {
            let what = format!("{} segment {record}", state.as_str());
            return Err(Error::not_found(what));
        }
        Ok(())
    }
}

pub(crate) fn change_state(state: SegmentState, now: WallTime) -> UpdateStatement {
    Query::update()
        .table("segment")
        .value("state", state.as_str())
        .value("updated_us", now.micros())
        .take()
}

/// A sub stream that is put again has the number of the one that was deleted; what that one left in the spool is not
/// its footage.
async fn refuse_of_deleted(tx: &mut Tx, segment: &NewSegment) -> Result<(), Error> {
    if segment.channel.stream() == StreamKind::Main {
        return Ok(());
    }
    let Some(begun) = segment.id.uuid().get_timestamp() else {
        return Ok(());
    };
    let begun_ms =
        u128::from(begun.to_unix().0) * 1_000 + u128::from(begun.to_unix().1) / 1_000_000;
    let deleted = last_deleted(tx, segment.channel).await?;
    let deleted_ms = deleted.map_or(0, |at| u64::try_from(at.micros() / 1_000).unwrap_or(0));
    if begun_ms < u128::from(deleted_ms) {
        let text = format!(
            "stream {} of segment {}, which is deleted,",
            segment.channel, segment.id
        );
        return Err(Error::not_found(text));
    }
    Ok(())
}

fn found(count: u64, record: RecordId) -> Result<(), Error> {
    if count == 0 {
        return Err(Error::not_found(format!("segment {record}")));
    }
    Ok(())
}
