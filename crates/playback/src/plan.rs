//! Planning a clip: which fragments take part, and their sample tables.

use crate::{Clip, ClipError};
use bytes::Bytes;
use framewell_fmp4::{ClipPlan, ClipSource, FragmentEntry, parse_fragment};
use framewell_footage::{Error, Footage, Piece, Place};
use framewell_model::{ChannelId, TimeRange};
use futures::stream::{self, StreamExt, TryStreamExt};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Longest clip: a day. Its sample tables take some 50 MiB.
const MAX_CLIP_S: u64 = 24 * 3_600;
/// Length of all open clips together: eight of the longest, 400 MiB of sample tables.
pub(crate) const MAX_OPEN_CLIPS_S: usize = 8 * 24 * 3_600;
/// Reads in flight while a clip is planned.
const CONCURRENT_READS: usize = 16;
/// Headers closer than this are read at once; the bytes between cost less than another read.
const MAX_SKIP_BYTES: u64 = 32 << 10;
/// Longest such read.
const MAX_HEADER_READ_BYTES: u64 = 1 << 20;

/// One read of fragment headers in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HeaderRead {
    /// Index of the piece.
    piece: usize,
    range: Range<u64>,
    /// Indices of its fragments.
    fragments: Range<usize>,
}

pub(crate) async fn plan_clip(
    footage: &Footage,
    budget: &Arc<Semaphore>,
    channel: ChannelId,
    range: TimeRange,
) -> Result<Clip, ClipError> {
    let limit_us = i64::try_from(MAX_CLIP_S * 1_000_000).unwrap_or(i64::MAX);
    if range.micros() > limit_us {
        return Err(ClipError::TooLong {
            range,
            limit_s: MAX_CLIP_S,
        });
    }
    let seconds = u32::try_from(range.micros() / 1_000_000 + 1).unwrap_or(u32::MAX);
    let place = Arc::clone(budget)
        .try_acquire_many_owned(seconds)
        .map_err(|_| ClipError::Busy)?;
    let mut pieces = footage.pieces(channel, range).await?;
    pieces.retain(|piece| needed(&piece.index.fragments, range).is_some());
    let reads: Vec<_> = pieces
        .iter()
        .enumerate()
        .flat_map(|(number, piece)| header_reads(number, piece, range))
        .collect();
    if reads.is_empty() {
        return Err(ClipError::Empty { channel, range });
    }
    let sources: Vec<Vec<ClipSource>> = stream::iter(reads)
        .map(|read| load_sources(footage, &pieces, read))
        .buffered(CONCURRENT_READS)
        .try_collect()
        .await?;
    let sources: Vec<_> = sources.into_iter().flatten().collect();
    // A day of samples takes seconds to lay out, too long for a runtime thread.
    let plan = tokio::task::spawn_blocking(move || ClipPlan::build(range, &sources))
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    match plan {
        Ok(plan) => Ok(Clip::new(footage.clone(), pieces, plan, place)),
        Err(framewell_fmp4::Error::NoPicture { .. }) => Err(ClipError::Empty { channel, range }),
        Err(error) => Err(error.into()),
    }
}

async fn load_sources(
    footage: &Footage,
    pieces: &[Piece],
    read: HeaderRead,
) -> Result<Vec<ClipSource>, Error> {
    let piece = &pieces[read.piece];
    let parameters = footage.parameters(piece).await?;
    let bytes = footage.read(piece, read.range.clone()).await?;
    let entries = &piece.index.fragments[read.fragments];
    entries
        .iter()
        .map(|entry| {
            let samples = header_of(entry, read.range.start, &bytes)
                .ok_or_else(|| outside(entry))
                .and_then(|header| parse_fragment(&header))
                .map_err(|source| Error::Damaged {
                    place: Place::from(piece),
                    source,
                })?;
            Ok(ClipSource {
                segment: read.piece,
                entry: *entry,
                samples,
                parameters: Arc::clone(&parameters),
            })
        })
        .collect()
}

fn header_of(entry: &FragmentEntry, read_start: u64, bytes: &Bytes) -> Option<Bytes> {
    let start = usize::try_from(entry.offset.checked_sub(read_start)?).ok()?;
    let end = start.checked_add(usize::try_from(entry.header_len).ok()?)?;
    (end <= bytes.len()).then(|| bytes.slice(start..end))
}

fn outside(entry: &FragmentEntry) -> framewell_fmp4::Error {
    framewell_fmp4::Error::BadBox {
        what: "moof".to_owned(),
        offset: entry.offset,
        why: "it lies outside the segment".to_owned(),
    }
}

/// The fragments that show something in `range`, from the key fragment that they need on.
pub(crate) fn needed(fragments: &[FragmentEntry], range: TimeRange) -> Option<Range<usize>> {
    let shows = |entry: &FragmentEntry| {
        entry.wall_of(entry.min_pts) < range.end && entry.wall_of(entry.end_pts) > range.start
    };
    let first = fragments.iter().position(shows)?;
    let last = fragments.iter().rposition(shows)?;
    let key = fragments[..=first].iter().rposition(|entry| entry.is_key)?;
    Some(key..last + 1)
}

fn header_reads(number: usize, piece: &Piece, range: TimeRange) -> Vec<HeaderRead> {
    let entries = &piece.index.fragments;
    let mut reads: Vec<HeaderRead> = Vec::new();
    for index in needed(entries, range).unwrap_or_default() {
        let entry = &entries[index];
        let header = entry.offset..entry.offset + u64::from(entry.header_len);
        match reads.last_mut() {
            Some(last)
                if header.start <= last.range.end + MAX_SKIP_BYTES
                    && header.end - last.range.start <= MAX_HEADER_READ_BYTES =>
            {
                last.range.end = header.end;
                last.fragments.end = index + 1;
            }
            _ => reads.push(HeaderRead {
                piece: number,
                range: header,
                fragments: index..index + 1,
            }),
        }
    }
    reads
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::{ClockSource, WallTime};

    /// A second of video per fragment, `bytes` long.
    fn fragment(index: i64, is_key: bool, len: u32) -> FragmentEntry {
        FragmentEntry {
            offset: 1_000 + u64::try_from(index).unwrap() * u64::from(len),
            header_len: 500,
            len,
            wall: WallTime::from_secs(100 + index),
            anchor_pts: index * 90_000,
            dts: index * 90_000,
            min_pts: index * 90_000,
            end_pts: (index + 1) * 90_000,
            duration: 90_000,
            is_key,
            clock: ClockSource::CameraRtcp,
        }
    }

    fn range(start_ms: i64, end_ms: i64) -> TimeRange {
        let at = |ms: i64| WallTime::from_micros(ms * 1_000);
        TimeRange::new(at(start_ms), at(end_ms)).unwrap()
    }

    #[test]
    fn a_clip_needs_the_key_fragment_before_its_first_picture() {
        let fragments: Vec<_> = (0..6).map(|i| fragment(i, i % 3 == 0, 9_000)).collect();
        assert_eq!(needed(&fragments, range(101_500, 102_500)), Some(0..3));
        assert_eq!(needed(&fragments, range(103_000, 104_000)), Some(3..4));
        assert_eq!(needed(&fragments, range(90_000, 100_000)), None);
        assert_eq!(needed(&fragments, range(106_000, 107_000)), None);
    }
}
