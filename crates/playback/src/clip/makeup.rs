//! Of which bytes of which segments the file of a clip is made.

use super::{Clip, ClipError};
use bytes::Bytes;
use framewell_fmp4::PieceData;
use framewell_footage::Piece;
use std::ops::Range;

/// Bytes of the file that come from one place, one behind the other.
#[derive(Debug, Clone)]
pub struct ClipBytes {
    /// The segment; `None`: made for this file (headers, sample tables).
    pub segment: Option<Piece>,
    /// First byte in the file.
    pub offset: u64,
    /// How many.
    pub length: u64,
    /// Where they lie in the segment, in their order.
    pub ranges: Vec<Range<u64>>,
}

impl Clip {
    /// The whole file, from its first byte to its last.
    #[must_use]
    pub fn makeup(&self) -> Vec<ClipBytes> {
        let mut all: Vec<(Option<usize>, ClipBytes)> = Vec::new();
        for piece in &self.source.plan.pieces {
            let (number, range) = match &piece.data {
                PieceData::Memory(_) | PieceData::Sizes { .. } => (None, None),
                PieceData::Segment { segment, range } => (Some(*segment), Some(range.clone())),
            };
            let length = piece.range.end - piece.range.start;
            match all.last_mut() {
                Some((last, bytes)) if *last == number => {
                    bytes.length += length;
                    join(&mut bytes.ranges, range);
                }
                _ => all.push((
                    number,
                    ClipBytes {
                        segment: number.map(|number| self.source.media.pieces[number].clone()),
                        offset: piece.range.start,
                        length,
                        ranges: range.into_iter().collect(),
                    },
                )),
            }
        }
        all.into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// A finished segment of the makeup, whole, as it lies in the store now.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn whole_segment(&self, piece: &Piece) -> Result<Bytes, ClipError> {
        Ok(self.source.media.footage.read_whole(piece).await?)
    }
}

/// Appends a range, as one with the last where they touch.
fn join(ranges: &mut Vec<Range<u64>>, range: Option<Range<u64>>) {
    let Some(range) = range else { return };
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}
