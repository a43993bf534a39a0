//! Keeping the whole store within a number of bytes.

use crate::channels::only;
use crate::segment_rows::is_state;
use crate::segments::change_state;
use crate::{Catalog, Error};
use framewell_model::{RecordId, SegmentState, WallTime};
use sea_query::{Expr, ExprTrait as _, Order, Query};

impl Catalog {
    /// Bytes of the objects of all published segments. Reads an index entry of each.
    pub async fn published_bytes(&self) -> Result<i64, Error> {
        let sum = Query::select()
            .expr_as(
                Expr::cust("CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT)"),
                "total",
            )
            .from("segment")
            .and_where(is_state(SegmentState::Published))
            .take();
        only(&self.read("sum of segment sizes", &sum).await?)?.get("total")
    }

    /// Dooms the published segments that were recorded first, of all channels, until their objects
    /// make up `bytes`, at most `limit` of them; how many bytes they are.
    pub async fn doom_oldest_segments(
        &self,
        bytes: i64,
        limit: i64,
        now: WallTime,
    ) -> Result<i64, Error> {
        const OPERATION: &str = "dooming of the oldest segments";
        let oldest = Query::select()
            .columns(["record", "size_bytes"])
            .from("segment")
            .and_where(is_state(SegmentState::Published))
            .order_by("record", Order::Asc)
            .limit(u64::try_from(limit).unwrap_or(0))
            .take();
        let mut newest_doomed: Option<RecordId> = None;
        let mut doomed_bytes = 0;
        for row in self.read(OPERATION, &oldest).await? {
            if doomed_bytes >= bytes {
                break;
            }
            newest_doomed = Some(row.id("record", RecordId::new)?);
            doomed_bytes += row.get::<i64>("size_bytes")?;
        }
        let Some(newest_doomed) = newest_doomed else {
            return Ok(0);
        };
        let doom = change_state(SegmentState::Doomed, now)
            .and_where(is_state(SegmentState::Published))
            .and_where(Expr::col("record").lte(newest_doomed.get()))
            .take();
        self.execute(OPERATION, &doom).await?;
        Ok(doomed_bytes)
    }
}
