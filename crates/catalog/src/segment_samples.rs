//! What rows tell of the samples of segments: for clips only, so no list of segments has it.

use crate::{Catalog, Error};
use framewell_model::RecordId;
use sea_query::{Expr, ExprTrait as _, Query};

impl Catalog {
    /// Samples of segments without their sizes, encoded, of those rows of which they are known. In any order.
    pub async fn segment_sample_runs(
        &self,
        records: &[RecordId],
    ) -> Result<Vec<(RecordId, Vec<u8>)>, Error> {
        self.sample_column(records, "sample_runs").await
    }

    /// Sizes of the samples of segments, encoded, of those rows of which they are known. In any order.
    pub async fn segment_sample_sizes(
        &self,
        records: &[RecordId],
    ) -> Result<Vec<(RecordId, Vec<u8>)>, Error> {
        self.sample_column(records, "sample_sizes").await
    }

    async fn sample_column(
        &self,
        records: &[RecordId],
        column: &'static str,
    ) -> Result<Vec<(RecordId, Vec<u8>)>, Error> {
        let numbers: Vec<i64> = records.iter().map(|record| record.get()).collect();
        let is_wanted = self.dialect().is_one_of(Expr::col("record"), &numbers);
        let select = Query::select()
            .columns(["record", column])
            .from("segment")
            .and_where(is_wanted)
            .and_where(Expr::col(column).is_not_null())
            .take();
        let rows = self.read("load of samples", &select).await?;
        rows.iter()
            .map(|row| Ok((row.id("record", RecordId::new)?, row.get(column)?)))
            .collect()
    }
}
