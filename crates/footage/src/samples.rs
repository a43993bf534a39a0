//! What rows tell of the samples of segments.

use crate::{Error, Footage, Piece, Place};
use framewell_fmp4::SampleTables;
use framewell_model::RecordId;
use std::collections::HashMap;

impl Footage {
    /// The samples of pieces, in their order; empty where no row tells of them, as of what is in the spool.
    /// Each takes 256 KiB at most.
    ///
    /// # Errors
    /// The database, and rows that cannot be read.
    pub async fn sample_tables(&self, pieces: &[Piece]) -> Result<Vec<SampleTables>, Error> {
        let Some(first) = pieces.first() else {
            return Ok(Vec::new());
        };
        let failed = |source| Error::Catalog {
            channel: first.channel,
            source,
        };
        let records: Vec<RecordId> = pieces.iter().filter_map(|piece| piece.record).collect();
        let runs = self.catalog().segment_sample_runs(&records).await;
        let sizes = self.catalog().segment_sample_sizes(&records).await;
        let runs: HashMap<RecordId, Vec<u8>> = runs.map_err(failed)?.into_iter().collect();
        let mut sizes: HashMap<RecordId, Vec<u8>> = sizes.map_err(failed)?.into_iter().collect();
        let table = |piece: &Piece| {
            let of_row = |record| Some((runs.get(&record)?, sizes.remove(&record)?));
            let Some((runs, sizes)) = piece.record.and_then(of_row) else {
                return Ok(SampleTables::default());
            };
            SampleTables::from_encoded(runs, sizes).map_err(|source| Error::Damaged {
                place: Place::from(piece),
                source,
            })
        };
        pieces.iter().map(table).collect()
    }
}
