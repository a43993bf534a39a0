//! Bytes of a stored segment on the clock of its run.

use crate::ByteStream;
use bytes::{Bytes, BytesMut};
use framewell_fmp4::{FragmentEntry, continue_run};
use framewell_footage::{Error, Footage, Piece, Place};
use framewell_media::StreamParameters;
use futures::stream::{self, StreamExt};
use std::ops::Range;
use std::sync::Arc;

/// Most bytes per read, as for clips: large enough that an object store's latency is paid rarely, small
/// enough for many downloads at once.
const MAX_READ_BYTES: u64 = 512 << 10;
/// Reads in flight per download: one under way while the client takes the one before.
const READ_AHEAD: usize = 2;

/// A stored segment as media of a playlist.
#[derive(Debug, Clone)]
pub struct MediaFile {
    /// Bytes so far.
    pub len: u64,
    /// Strong validator: bytes that are there do not change.
    pub etag: String,
    source: Arc<Source>,
}

#[derive(Debug)]
struct Source {
    footage: Footage,
    piece: Piece,
    parameters: Arc<StreamParameters>,
}

/// One read, and what of it is handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) bytes: Range<u64>,
    /// Fragments whose headers lie in there, whole.
    pub(super) headers: Range<usize>,
    pub(super) wanted: Range<u64>,
}

impl MediaFile {
    pub(super) fn new(footage: Footage, piece: Piece, parameters: Arc<StreamParameters>) -> Self {
        Self {
            len: piece.size_bytes,
            // The run's clock makes other bytes of the segment than its own.
            etag: format!("{}-run", piece.id.uuid().simple()),
            source: Arc::new(Source {
                footage,
                piece,
                parameters,
            }),
        }
    }

    /// Streams a byte range; it is read as the client takes it.
    #[must_use]
    pub fn stream(&self, range: Range<u64>) -> ByteStream {
        let range = range.start.min(self.len)..range.end.min(self.len);
        let reads = reads(&self.source.piece.index.fragments, range);
        let source = Arc::clone(&self.source);
        stream::iter(reads)
            .map(move |read| {
                let source = Arc::clone(&source);
                async move { source.read(read).await }
            })
            .buffered(READ_AHEAD)
            .boxed()
    }
}

impl Source {
    async fn read(&self, read: Read) -> Result<Bytes, Error> {
        let bytes = self.footage.read(&self.piece, read.bytes.clone()).await?;
        let place = |at: u64| usize::try_from(at - read.bytes.start).unwrap_or(usize::MAX);
        let mut bytes = BytesMut::from(bytes);
        for entry in &self.piece.index.fragments[read.headers] {
            let header = place(entry.offset)..place(entry.offset + u64::from(entry.header_len));
            continue_run(&mut bytes[header], &self.parameters).map_err(|source| {
                Error::Damaged {
                    place: Place::from(&self.piece),
                    source,
                }
            })?;
        }
        Ok(bytes
            .freeze()
            .slice(place(read.wanted.start)..place(read.wanted.end)))
    }
}

/// The reads that give `range`. Headers are read whole, because their clock is moved; what stands before
/// the first fragment is given as it is.
pub(super) fn reads(entries: &[FragmentEntry], range: Range<u64>) -> Vec<Read> {
    let mut reads: Vec<Read> = Vec::new();
    let init = range.start
        ..entries
            .first()
            .map_or(0, |first| first.offset)
            .min(range.end);
    if !init.is_empty() {
        reads.push(plain(init));
    }
    for (n, entry) in entries.iter().enumerate() {
        let end = entry.offset + u64::from(entry.len);
        if end <= range.start || entry.offset >= range.end {
            continue;
        }
        let body = entry.offset + u64::from(entry.header_len);
        let mut at = range.start.max(body);
        if range.start < body {
            let wanted = range.start.max(entry.offset)..range.end.min(end);
            at = add_fragment(&mut reads, n, entry.offset..body, wanted);
        }
        let stop = end.min(range.end);
        while at < stop {
            let until = stop.min(at + MAX_READ_BYTES);
            reads.push(plain(at..until));
            at = until;
        }
    }
    reads
}

/// A read of a fragment's header and as much of the rest as fits, joined to the read before if that ends
/// there and is short; where it ends.
fn add_fragment(
    reads: &mut Vec<Read>,
    number: usize,
    header: Range<u64>,
    wanted: Range<u64>,
) -> u64 {
    let joined = reads.last_mut().filter(|last| {
        last.bytes.end == header.start
            && last.wanted.end == header.start
            && !last.headers.is_empty()
            && wanted.end.max(header.end) - last.bytes.start <= MAX_READ_BYTES
    });
    if let Some(last) = joined {
        last.bytes.end = wanted.end.max(header.end);
        last.wanted.end = wanted.end;
        last.headers.end = number + 1;
        return last.bytes.end;
    }
    let end = wanted
        .end
        .min(header.start + MAX_READ_BYTES)
        .max(header.end);
    reads.push(Read {
        bytes: header.start..end,
        headers: number..number + 1,
        wanted: wanted.start..wanted.end.min(end),
    });
    end
}

const fn plain(bytes: Range<u64>) -> Read {
    let wanted = bytes.start..bytes.end;
    Read {
        bytes,
        headers: 0..0,
        wanted,
    }
}
