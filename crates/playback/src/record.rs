//! Published segments as files.

use crate::ByteStream;
use crate::read::{Chunk, stream_chunks};
use framewell_footage::{Error, Footage, Piece, Place};
use framewell_model::{ChannelId, RecordId, Segment};
use std::ops::Range;
use std::sync::Arc;

/// A segment opened for download: fragmented MP4 with its own init part, as it is stored.
#[derive(Debug, Clone)]
pub struct RecordFile {
    /// Its row.
    pub segment: Segment,
    /// Bytes.
    pub len: u64,
    /// Strong validator: a published segment never changes.
    pub etag: String,
    source: Arc<(Footage, Piece)>,
}

impl RecordFile {
    pub(crate) async fn open(
        footage: &Footage,
        channel: ChannelId,
        record: RecordId,
    ) -> Result<Self, Error> {
        let catalog_error = |source| Error::Catalog { channel, source };
        let loaded = footage.catalog().load_segment(record).await;
        let segment = loaded.map_err(catalog_error)?;
        if segment.channel != channel {
            // The same answer as for one that does not exist.
            return Err(catalog_error(framewell_catalog::Error::NotFound {
                what: format!("record {record}"),
            }));
        }
        let damaged = |source| Error::Damaged {
            place: Place {
                channel,
                segment: segment.id,
                range: segment.range,
            },
            source,
        };
        let piece = Piece::try_from(segment.clone()).map_err(damaged)?;
        Ok(Self {
            len: piece.size_bytes,
            etag: segment.id.uuid().simple().to_string(),
            segment,
            source: Arc::new((footage.clone(), piece)),
        })
    }

    /// Streams a byte range.
    #[must_use]
    pub fn stream(&self, range: Range<u64>) -> ByteStream {
        let range = range.start.min(self.len)..range.end.min(self.len);
        if range.is_empty() {
            return stream_chunks(Vec::new(), |_, _| {
                std::future::ready(Ok(bytes::Bytes::new()))
            });
        }
        let source = Arc::clone(&self.source);
        stream_chunks(vec![Chunk::Stored { piece: 0, range }], move |_, range| {
            let source = Arc::clone(&source);
            async move { source.0.read(&source.1, range).await }
        })
    }
}
