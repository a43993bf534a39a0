//! Reading published segments.

use crate::channels::only;
use crate::segment_rows::{is_state, range, segment, with_columns};
use crate::slice::count;
use crate::{Catalog, Error, MAX_SEGMENT_US, Order, Page, Slice};
use framewell_model::{ChannelId, RecordId, Segment, SegmentId, SegmentState, TimeRange, WallTime};
use sea_query::{Expr, ExprTrait as _, Query, SelectStatement, UnionType};

/// Ranges that one statement looks at: SQLite joins 500 parts at most.
const RANGES_AT_ONCE: usize = 100;

impl Catalog {
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
        const OPERATION: &str = "list of segments";
        let mut matching = published(channel);
        if let Some(start) = start {
            matching
                .and_where(Expr::col("end_us").gte(start.micros()))
                .and_where(Expr::col("start_us").gte(earliest_start(start)));
        }
        if let Some(end) = end {
            matching.and_where(Expr::col("start_us").lte(end.micros()));
        }
        let total = only(&self.read(OPERATION, &count(&matching)).await?)?.get("total")?;
        let mut page = by_start(with_columns(matching), order);
        slice.apply(&mut page);
        let rows = self.read(OPERATION, &page).await?;
        let items = rows.iter().map(segment).collect::<Result<_, _>>()?;
        Ok(Page { items, total })
    }

    /// All published segments of a channel that overlap a half-open range, ascending, at most `limit`.
    pub async fn segments_in(
        &self,
        channel: ChannelId,
        range: TimeRange,
        limit: i64,
    ) -> Result<Vec<Segment>, Error> {
        let overlapping = with_columns(overlapping(channel, range));
        let select = by_start(overlapping, Order::Ascending)
            .limit(u64::try_from(limit).unwrap_or(0))
            .take();
        let rows = self.read("search for segments", &select).await?;
        rows.iter().map(segment).collect()
    }

    /// `(start, end)` of published segments that overlap a range, ascending: no indexes loaded.
    pub async fn segment_ranges(
        &self,
        channel: ChannelId,
        within: TimeRange,
    ) -> Result<Vec<TimeRange>, Error> {
        let timeline = overlapping(channel, within)
            .columns(["start_us", "end_us"])
            .take();
        let select = by_start(timeline, Order::Ascending);
        let rows = self.read("timeline of a channel", &select).await?;
        rows.iter().map(range).collect()
    }

    /// Which of the ranges, by their numbers, have footage. Each costs one search in an index, and many of
    /// them one statement.
    pub async fn ranges_with_footage(
        &self,
        channel: ChannelId,
        ranges: &[TimeRange],
    ) -> Result<Vec<usize>, Error> {
        let mut found = Vec::new();
        for (chunk, ranges) in ranges.chunks(RANGES_AT_ONCE).enumerate() {
            let first = chunk * RANGES_AT_ONCE;
            let Some(select) = any_overlapping(channel, ranges) else {
                break;
            };
            let rows = self.read("ranges with footage", &select).await?;
            for row in &rows {
                let number: i64 = row.get("number")?;
                found.extend(usize::try_from(number).map(|number| first + number));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The first footage that ends after `at`.
    pub async fn footage_from(
        &self,
        channel: ChannelId,
        at: WallTime,
    ) -> Result<Option<TimeRange>, Error> {
        let later = published(channel)
            .and_where(Expr::col("start_us").gte(earliest_start(at)))
            .and_where(Expr::col("end_us").gt(at.micros()))
            .take();
        self.first_range(by_start(later, Order::Ascending)).await
    }

    /// A published segment of any channel.
    pub async fn load_segment(&self, record: RecordId) -> Result<Segment, Error> {
        let select = with_columns(Query::select().from("segment").take())
            .and_where(Expr::col("record").eq(record.get()))
            .and_where(is_state(SegmentState::Published))
            .take();
        let rows = self.read("load of a segment", &select).await?;
        let missing = || Error::not_found(format!("segment {record}"));
        segment(rows.first().ok_or_else(missing)?)
    }

    /// A published segment of a channel by what is stored inside its object; `None` if there is none, or no
    /// longer.
    pub async fn find_segment(
        &self,
        channel: ChannelId,
        id: SegmentId,
    ) -> Result<Option<Segment>, Error> {
        let select = with_columns(published(channel))
            .and_where(Expr::col("id").eq(id.uuid()))
            .take();
        let rows = self.read("load of a segment by its id", &select).await?;
        rows.first().map(segment).transpose()
    }

    /// The newest published segment that ends at or before `at`, and the oldest that starts after it:
    /// what to tell somebody who asked inside a gap.
    pub async fn footage_around(
        &self,
        channel: ChannelId,
        at: WallTime,
    ) -> Result<(Option<TimeRange>, Option<TimeRange>), Error> {
        let before = published(channel)
            .and_where(Expr::col("end_us").lte(at.micros()))
            .order_by("end_us", sea_query::Order::Desc)
            .take();
        let after = published(channel)
            .and_where(Expr::col("start_us").gt(at.micros()))
            .order_by("start_us", sea_query::Order::Asc)
            .take();
        Ok((
            self.first_range(before).await?,
            self.first_range(after).await?,
        ))
    }

    /// The published segment of a channel that starts last of those that start at or before `at`.
    pub async fn segment_starting_by(
        &self,
        channel: ChannelId,
        at: WallTime,
    ) -> Result<Option<Segment>, Error> {
        let begun = with_columns(published(channel))
            .and_where(Expr::col("start_us").lte(at.micros()))
            .take();
        self.first_segment(by_start(begun, Order::Descending)).await
    }

    /// The published segment of a channel that starts first of those that start at or after `at`.
    pub async fn segment_starting_from(
        &self,
        channel: ChannelId,
        at: WallTime,
    ) -> Result<Option<Segment>, Error> {
        let later = with_columns(published(channel))
            .and_where(Expr::col("start_us").gte(at.micros()))
            .take();
        self.first_segment(by_start(later, Order::Ascending)).await
    }

    async fn first_segment(&self, mut select: SelectStatement) -> Result<Option<Segment>, Error> {
        let rows = self.read("search for a segment", select.limit(1)).await?;
        rows.first().map(segment).transpose()
    }

    async fn first_range(&self, mut select: SelectStatement) -> Result<Option<TimeRange>, Error> {
        select.columns(["start_us", "end_us"]).limit(1);
        let rows = self.read("search around a gap", &select).await?;
        rows.first().map(range).transpose()
    }
}

/// Published segments of a channel; no columns yet.
pub(crate) fn published(channel: ChannelId) -> SelectStatement {
    Query::select()
        .from("segment")
        .and_where(Expr::col("channel").eq(channel.get()))
        .and_where(is_state(SegmentState::Published))
        .take()
}

/// Published segments that share a moment with a half-open range; no columns yet.
fn overlapping(channel: ChannelId, range: TimeRange) -> SelectStatement {
    published(channel)
        .and_where(Expr::col("start_us").lt(range.end.micros()))
        .and_where(Expr::col("start_us").gte(earliest_start(range.start)))
        .and_where(Expr::col("end_us").gt(range.start.micros()))
        .take()
}

/// The numbers of the ranges that a published segment overlaps; `None` without a range.
fn any_overlapping(channel: ChannelId, ranges: &[TimeRange]) -> Option<SelectStatement> {
    let parts = (0_i64..).zip(ranges).map(|(number, range)| {
        let one = by_start(overlapping(channel, *range), Order::Ascending)
            .expr_as(Expr::val(number), "number")
            .limit(1)
            .take();
        // Inside a query of its own, since the limit of a part would be that of all.
        Query::select()
            .column("number")
            .from_subquery(one, "found")
            .take()
    });
    parts.reduce(|mut all, part| all.union(UnionType::All, part).take())
}

/// No segment that reaches `at` starts before this.
fn earliest_start(at: WallTime) -> i64 {
    at.plus_micros(-MAX_SEGMENT_US).micros()
}

fn by_start(mut select: SelectStatement, order: Order) -> SelectStatement {
    let order = sea_query::Order::from(order);
    select
        .order_by("start_us", order.clone())
        .order_by("record", order)
        .take()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CatalogConfig;
    use framewell_model::Secret;
    use sea_query::SqliteQueryBuilder;
    use sea_query_sqlx::SqlxBinder as _;
    use sqlx::{AssertSqlSafe, Row as _, SqlitePool};

    /// What SQLite says it would do, line by line.
    async fn plan(statement: SelectStatement) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let config = CatalogConfig {
            url: Secret::new(url.clone()),
            max_connections: 1,
        };
        Catalog::open(&config).await.unwrap().close().await;
        let pool = SqlitePool::connect(&url).await.unwrap();
        let (sql, values) = statement.build_sqlx(SqliteQueryBuilder);
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = sqlx::query_with(explain, values)
            .fetch_all(&pool)
            .await
            .unwrap();
        rows.iter().map(|row| row.get("detail")).collect()
    }

    #[tokio::test]
    async fn an_overlap_search_reads_one_stretch_of_an_index_in_order() {
        let channel = ChannelId::new(1).unwrap();
        let range = TimeRange {
            start: WallTime::from_secs(0),
            end: WallTime::from_secs(60),
        };
        let search = by_start(with_columns(overlapping(channel, range)), Order::Descending);
        let stretch = "segment_by_start (channel=? AND state=? AND start_us>? AND start_us<?)";
        assert_eq!(
            plan(search).await,
            [format!("SEARCH segment USING INDEX {stretch}")],
            "no sorting, no other table"
        );
        let timeline = count(&overlapping(channel, range));
        assert_eq!(
            plan(timeline).await,
            [format!("SEARCH segment USING COVERING INDEX {stretch}")]
        );
    }
}
