//! Segment rows: staged, published, doomed, gone.

use crate::{Catalog, Error, Order, Page, Slice};
use framewell_model::{
    ChannelId, ClockSource, RecordId, RunId, Segment, SegmentId, TimeRange, WallTime,
};

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
    /// [`SegmentId`] returns the same row number.
    pub async fn stage_segment(
        &self,
        segment: &NewSegment,
        now: WallTime,
    ) -> Result<RecordId, Error> {
        let _ = (segment, now);
        todo!()
    }

    /// Second step, after the object is complete: readers see it.
    pub async fn publish_segment(&self, record: RecordId, now: WallTime) -> Result<(), Error> {
        let _ = (record, now);
        todo!()
    }

    /// Rows in state staged, for the janitor.
    pub async fn list_staged_segments(&self, limit: i64) -> Result<Vec<StagedSegment>, Error> {
        let _ = limit;
        todo!()
    }

    /// Removes a staged row whose file and object are both lost.
    pub async fn drop_staged_segment(&self, record: RecordId) -> Result<(), Error> {
        let _ = record;
        todo!()
    }

    /// Published segments of a channel that overlap the **closed** interval `[start, end]` (contract
    /// section 2.5), by start time; open ends allowed.
    pub async fn list_segments(
        &self,
        channel: ChannelId,
        start: Option<WallTime>,
        end: Option<WallTime>,
        order: Order,
        slice: Slice,
    ) -> Result<Page<Segment>, Error> {
        let _ = (channel, start, end, order, slice);
        todo!()
    }

    /// All published segments of a channel that overlap a half-open range, ascending, at most `limit`.
    pub async fn segments_in(
        &self,
        channel: ChannelId,
        range: TimeRange,
        limit: i64,
    ) -> Result<Vec<Segment>, Error> {
        let _ = (channel, range, limit);
        todo!()
    }

    /// `(start, end)` of published segments that overlap a range, ascending: no indexes loaded.
    pub async fn segment_ranges(
        &self,
        channel: ChannelId,
        range: TimeRange,
    ) -> Result<Vec<TimeRange>, Error> {
        let _ = (channel, range);
        todo!()
    }

    /// A published segment of any channel.
    pub async fn load_segment(&self, record: RecordId) -> Result<Segment, Error> {
        let _ = record;
        todo!()
    }

    /// The newest published segment that ends at or before `at`, and the oldest that starts after it:
    /// what to tell somebody who asked inside a gap.
    pub async fn footage_around(
        &self,
        channel: ChannelId,
        at: WallTime,
    ) -> Result<(Option<TimeRange>, Option<TimeRange>), Error> {
        let _ = (channel, at);
        todo!()
    }

    /// Dooms one segment, for a `DELETE` by a user.
    pub async fn doom_segment(&self, record: RecordId, now: WallTime) -> Result<(), Error> {
        let _ = (record, now);
        todo!()
    }

    /// Dooms segments of a channel that end before `before` (retention), at most `limit`; how many.
    pub async fn doom_segments_before(
        &self,
        channel: ChannelId,
        before: WallTime,
        limit: i64,
        now: WallTime,
    ) -> Result<u64, Error> {
        let _ = (channel, before, limit, now);
        todo!()
    }

    /// Doomed rows whose objects may be deleted.
    pub async fn list_doomed_segments(&self, limit: i64) -> Result<Vec<StagedSegment>, Error> {
        let _ = limit;
        todo!()
    }

    /// Last step: the object is gone, the row goes.
    pub async fn delete_doomed_segment(&self, record: RecordId) -> Result<(), Error> {
        let _ = record;
        todo!()
    }
}
