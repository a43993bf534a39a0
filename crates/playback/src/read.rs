//! Stored bytes as a stream, in bounded chunks.

use crate::ByteStream;
use bytes::Bytes;
use framewell_footage::Error;
use futures::stream::{self, StreamExt};
use std::collections::VecDeque;
use std::ops::Range;

/// Most bytes per read of a segment: large enough that an object store's latency is paid rarely,
/// small enough that a thousand downloads stay under 2 GiB.
const MAX_READ_BYTES: u64 = 512 << 10;
/// Reads in flight per download: one under way while the client takes the one before.
const READ_AHEAD: usize = 2;

/// A run of bytes of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// At hand.
    Memory(Bytes),
    /// To be read from a piece of footage, by the caller's number.
    Stored { piece: usize, range: Range<u64> },
}

/// Reads `chunks` in order, as the client takes them: nothing is read that nobody waits for, except
/// one chunk ahead. Neighbours in one piece are read together.
pub(crate) fn stream_chunks<R, F>(chunks: Vec<Chunk>, read: R) -> ByteStream
where
    R: Fn(usize, Range<u64>) -> F + Send + 'static,
    F: Future<Output = Result<Bytes, Error>> + Send + 'static,
{
    let mut rest: VecDeque<_> = merge(chunks).into();
    let reads = std::iter::from_fn(move || take_read(&mut rest));
    stream::iter(reads)
        .map(move |chunk| {
            let reading = match chunk {
                Chunk::Memory(bytes) => Err(bytes),
                Chunk::Stored { piece, range } => Ok(read(piece, range)),
            };
            async {
                match reading {
                    Err(bytes) => Ok(bytes),
                    Ok(reading) => reading.await,
                }
            }
        })
        .buffered(READ_AHEAD)
        .boxed()
}

/// Joins ranges that touch in one piece.
fn merge(chunks: Vec<Chunk>) -> Vec<Chunk> {
    let mut merged: Vec<Chunk> = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        if let (
            Some(Chunk::Stored {
                piece: last_piece,
                range: last,
            }),
            Chunk::Stored { piece, range },
        ) = (merged.last_mut(), &chunk)
            && *last_piece == *piece
            && last.end == range.start
        {
            last.end = range.end;
        } else {
            merged.push(chunk);
        }
    }
    merged
}

/// The next read, of at most [`MAX_READ_BYTES`].
fn take_read(rest: &mut VecDeque<Chunk>) -> Option<Chunk> {
    if let Chunk::Stored { piece, range } = rest.front_mut()? {
        let end = range.start + MAX_READ_BYTES;
        if end < range.end {
            let first = Chunk::Stored {
                piece: *piece,
                range: range.start..end,
            };
            range.start = end;
            return Some(first);
        }
    }
    rest.pop_front()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn stored(piece: usize, range: Range<u64>) -> Chunk {
        Chunk::Stored { piece, range }
    }

    #[test]
    fn neighbours_are_read_together_and_long_ranges_in_parts() {
        let merged = merge(vec![
            stored(0, 0..10),
            stored(0, 10..30),
            stored(0, 31..40),
            stored(1, 40..50),
        ]);
        assert_eq!(
            merged,
            [stored(0, 0..30), stored(0, 31..40), stored(1, 40..50)]
        );
        let mut rest = VecDeque::from(vec![stored(0, 5..MAX_READ_BYTES + 6)]);
        assert_eq!(take_read(&mut rest), Some(stored(0, 5..MAX_READ_BYTES + 5)));
        assert_eq!(
            take_read(&mut rest),
            Some(stored(0, MAX_READ_BYTES + 5..MAX_READ_BYTES + 6))
        );
        assert_eq!(take_read(&mut rest), None);
    }

    #[tokio::test]
    async fn nothing_is_read_far_ahead_of_the_client() {
        let reads = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&reads);
        let chunks = (0..20).map(|piece| stored(piece, 0..8)).collect();
        let mut body = stream_chunks(chunks, move |_, range| {
            counter.fetch_add(1, Ordering::SeqCst);
            async move { Ok(Bytes::from(vec![0; usize::try_from(range.end).unwrap()])) }
        });
        assert_eq!(reads.load(Ordering::SeqCst), 0);
        for taken in 1..=5 {
            body.next().await.unwrap().unwrap();
            assert!(reads.load(Ordering::SeqCst) <= taken + READ_AHEAD);
        }
    }
}
