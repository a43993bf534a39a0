//! Published segments as files.

use crate::ByteStream;
use framewell_model::Segment;
use std::ops::Range;

/// A segment opened for download.
#[derive(Debug, Clone)]
pub struct RecordFile {
    /// Its row.
    pub segment: Segment,
    /// Bytes.
    pub len: u64,
    /// Strong validator.
    pub etag: String,
}

impl RecordFile {
    /// Streams a byte range.
    #[must_use]
    pub fn stream(&self, range: Range<u64>) -> ByteStream {
        let _ = range;
        todo!()
    }
}
