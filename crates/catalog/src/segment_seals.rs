//! Rows of segments as those who check them need them: whatever their state, with digests.

use crate::channel_rows::require;
use crate::gaps::insertion;
use crate::segment_lists::published;
use crate::segment_rows::{is_state, seal, segment, with_columns};
use crate::sql::Row;
use crate::{Catalog, Error, NewGap};
use framewell_model::{
    ChainLink, ChannelId, RecordId, Seal, SealSource, Segment, SegmentId, SegmentState, TimeRange,
    WallTime,
};
use sea_query::{Expr, ExprTrait as _, LockType, Order, Query, SelectStatement};

/// A segment's row, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    /// What readers of published rows see.
    pub segment: Segment,
    /// Its life.
    pub state: SegmentState,
    /// When the row was last changed.
    pub updated: WallTime,
    /// Digest of the object; `None` in rows from before there were digests.
    pub seal: Option<Seal>,
}

const STATES: [SegmentState; 3] = [
    SegmentState::Staged,
    SegmentState::Published,
    SegmentState::Doomed,
];

impl Catalog {
    /// Channels that have segment rows, ascending; the channel itself may be gone.
    pub async fn segment_channels(&self) -> Result<Vec<ChannelId>, Error> {
        let select = Query::select()
            .distinct()
            .column("channel")
            .from("segment")
            .order_by("channel", Order::Asc)
            .take();
        let rows = self.read("list of channels with segments", &select).await?;
        rows.iter()
            .map(|row| row.id("channel", ChannelId::stored))
            .collect()
    }

    /// Rows in any state that start within a half-open range, ascending by start and number, at most
    /// `limit`, behind a row of that order.
    pub async fn segment_rows(
        &self,
        channel: ChannelId,
        range: TimeRange,
        behind: Option<(WallTime, RecordId)>,
        limit: u64,
    ) -> Result<Vec<SegmentRow>, Error> {
        let mut select = select()
            .and_where(Expr::col("channel").eq(channel.get()))
            .and_where(is_any_state())
            .and_where(Expr::col("start_us").gte(range.start.micros()))
            .and_where(Expr::col("start_us").lt(range.end.micros()))
            .order_by("start_us", Order::Asc)
            .order_by("record", Order::Asc)
            .limit(limit)
            .take();
        if let Some((start, record)) = behind {
            let is_later = Expr::col("start_us").gt(start.micros());
            let is_beside = Expr::col("start_us")
                .eq(start.micros())
                .and(Expr::col("record").gt(record.get()));
            select.and_where(Expr::col("start_us").gte(start.micros()));
            select.and_where(is_later.or(is_beside));
        }
        let rows = self.read("list of segment rows", &select).await?;
        rows.iter().map(full).collect()
    }

    /// The start of the channel's first row, in any state, that starts at or after `from`.
    pub async fn next_segment_row(
        &self,
        channel: ChannelId,
        from: WallTime,
    ) -> Result<Option<WallTime>, Error> {
        let mut first: Option<i64> = None;
        for state in STATES {
            let select = Query::select()
                .column("start_us")
                .from("segment")
                .and_where(Expr::col("channel").eq(channel.get()))
                .and_where(is_state(state))
                .and_where(Expr::col("start_us").gte(from.micros()))
                .order_by("start_us", Order::Asc)
                .limit(1)
                .take();
            for row in self.read("search for a segment row", &select).await? {
                let start = row.get("start_us")?;
                first = Some(first.map_or(start, |first| Ord::min(first, start)));
            }
        }
        Ok(first.map(WallTime::from_micros))
    }

    /// The row of a segment, whatever its channel and state.
    pub async fn segment_row(&self, id: SegmentId) -> Result<Option<SegmentRow>, Error> {
        let one = select().and_where(Expr::col("id").eq(id.uuid())).take();
        let rows = self.read("load of a segment row", &one).await?;
        rows.first().map(full).transpose()
    }

    /// The published segment of a channel that ends last, if its digest is known: the next one is tied to
    /// it. Uploads are chains of their own.
    pub async fn newest_link(&self, channel: ChannelId) -> Result<Option<ChainLink>, Error> {
        let source = Expr::col("digest_source");
        let is_recorded = source
            .clone()
            .is_null()
            .or(source.ne(SealSource::Imported.as_str()));
        let newest = published(channel)
            .columns(["id", "digest", "digest_source"])
            .and_where(is_recorded)
            .order_by("end_us", Order::Desc)
            .limit(1)
            .take();
        let rows = self.read("search for the newest segment", &newest).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let segment = SegmentId::from_uuid(row.get("id")?);
        Ok(seal(row)?.map(|seal| ChainLink {
            segment,
            digest: seal.digest,
        }))
    }

    /// Records a hole in the past. The channel's open gap stays as it is. One without length leaves no
    /// row, and [`Error::Invalid`] is one without an end or that ends before it starts.
    pub async fn insert_past_gap(&self, gap: NewGap) -> Result<(), Error> {
        let end = gap.end.filter(|end| *end >= gap.start);
        let end = end.ok_or_else(|| Error::Invalid("a gap of the past has an end".into()))?;
        if end == gap.start {
            return Ok(());
        }
        let mut tx = self.begin("recording of a gap").await?;
        require(&mut tx, gap.channel, None, LockType::NoKeyUpdate).await?;
        tx.execute(&insertion(gap)).await?;
        tx.commit().await
    }
}

/// All states, named, so that the index by channel, state and start is used.
fn is_any_state() -> Expr {
    Expr::col("state").is_in(STATES.map(SegmentState::as_str))
}

fn select() -> SelectStatement {
    with_columns(Query::select().from("segment").take())
        .columns(["state", "updated_us", "digest", "digest_source"])
        .take()
}

fn full(row: &Row) -> Result<SegmentRow, Error> {
    let state = |word: &str| STATES.into_iter().find(|state| state.as_str() == word);
    Ok(SegmentRow {
        segment: segment(row)?,
        state: row.word("state", state)?,
        updated: WallTime::from_micros(row.get("updated_us")?),
        seal: seal(row)?,
    })
}
