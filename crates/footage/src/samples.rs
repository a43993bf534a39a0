//! What rows tell of the samples of segments.

use crate::{Error, Footage, Piece};
use framewell_model::RecordId;
use std::collections::HashMap;

impl Footage {
    /// Samples of pieces without their sizes, encoded, in the order of the pieces; empty where no row tells of
    /// them, as of what is in the spool. Each has 256 KiB at most.
    pub async fn sample_runs(&self, pieces: &[&Piece]) -> Result<Vec<Vec<u8>>, Error> {
        let records = records(pieces);
        let rows = self.catalog().segment_sample_runs(&records).await;
        in_order(pieces, rows)
    }

    /// Sizes of the samples of pieces, like [`Footage::sample_runs`].
    pub async fn sample_sizes(&self, pieces: &[&Piece]) -> Result<Vec<Vec<u8>>, Error> {
        let records = records(pieces);
        let rows = self.catalog().segment_sample_sizes(&records).await;
        in_order(pieces, rows)
    }
}

fn records(pieces: &[&Piece]) -> Vec<RecordId> {
    pieces.iter().filter_map(|piece| piece.record).collect()
}

type Rows = Result<Vec<(RecordId, Vec<u8>)>, framewell_catalog::Error>;

fn in_order(pieces: &[&Piece], rows: Rows) -> Result<Vec<Vec<u8>>, Error> {
    let Some(first) = pieces.first() else {
        return Ok(Vec::new());
    };
    let channel = first.channel;
    let rows = rows.map_err(|source| Error::Catalog { channel, source })?;
    let mut rows: HashMap<RecordId, Vec<u8>> = rows.into_iter().collect();
    let mut of_piece = |piece: &&Piece| rows.remove(&piece.record?);
    Ok(pieces
        .iter()
        .map(|piece| of_piece(piece).unwrap_or_default())
        .collect())
}
