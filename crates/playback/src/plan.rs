//! Planning a clip: which fragments take part, and their sample tables.

use crate::budget::{ClipBudget, ClipPlace};
use crate::clip::media::{Media, damaged};
use crate::{Clip, ClipError, ClipOptions};
use bytes::Bytes;
use framewell_fmp4::{
    ClipDraft, ClipSamples, ClipSource, FragmentEntry, SegmentRuns, parse_fragment,
};
use framewell_footage::{Error, Footage, Piece, Place};
use framewell_media::StreamParameters;
use framewell_model::{ChannelId, ErrorKind, HasKind, Holder, SegmentId, TimeRange};
use futures::stream::{self, StreamExt};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest clip: a day. What is known of its fragments takes some 30 MiB.
const MAX_CLIP_S: u64 = 24 * 3_600;
/// Reads in flight while a clip is planned.
const CONCURRENT_READS: usize = 16;
/// Headers closer than this are read at once; the bytes between cost less than another read.
const MAX_SKIP_BYTES: u64 = 32 << 10;
/// Longest such read.
const MAX_HEADER_READ_BYTES: u64 = 1 << 20;

/// Most segments of a clip that each are looked into when it is opened.
const MAX_LOOKED_INTO: usize = 64;

/// Rows that are asked for their samples at once: 64 MB at most, and 60 KB of usual ones.
const ROWS_AT_ONCE: usize = 250;

/// Most samples that are looked at for one clip: a day of 60 pictures a second with sound has nine million.
/// Footage that somebody made up can have thousands in a second; those of which a row tells cost some bytes of
/// memory each, and others 100.
const MAX_SAMPLES: u64 = 10_000_000;

/// Samples that count as a second of the budget: 25 pictures and as many frames of sound as AAC has.
const SAMPLES_PER_SECOND: u64 = 75;

/// One read of fragment headers in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HeaderRead {
    range: Range<u64>,
    /// Indices of its fragments.
    fragments: Range<usize>,
}

/// What a clip is to be made of.
pub(crate) struct Wanted<'a> {
    pub(crate) footage: &'a Footage,
    /// Who is to have it; `None` for a job.
    pub(crate) holder: Option<Holder>,
    pub(crate) channel: ChannelId,
    pub(crate) range: TimeRange,
    pub(crate) options: ClipOptions,
    /// Segments that are known to be lost.
    pub(crate) lost: &'a [SegmentId],
}

impl Wanted<'_> {
    pub(crate) async fn plan(&self, budget: &ClipBudget) -> Result<Clip, ClipError> {
        let (range, holes) = (self.range, self.options.holes);
        let mut place = self.take_place(budget)?;
        let mut pieces = self.footage.pieces(self.channel, range).await?;
        pieces.retain(|piece| needed(&piece.index.fragments, range).is_some());
        place.shrink(found_s(&pieces, range));
        let loaded = self.load(&pieces, &mut place).await?;
        let (sources, lost) = (loaded.sources, loaded.lost);
        let selected = blocking(move || ClipDraft::select(range, sources, holes)).await;
        let mut draft = match selected {
            Ok(draft) => draft,
            Err(framewell_fmp4::Error::NoPicture { .. }) => return Err(self.empty(lost).await?),
            Err(error) => return Err(error.into()),
        };
        let media = Media {
            footage: self.footage.clone(),
            pieces,
            runs: loaded.runs,
        };
        media.complete(&mut draft).await?;
        let plan = blocking(move || draft.lay_out()).await?;
        let lost = lost.into_iter().map(|lost| lost.place).collect();
        Clip::open(self, media, plan, lost, place).await
    }

    fn take_place(&self, budget: &ClipBudget) -> Result<ClipPlace, ClipError> {
        let range = self.range;
        let limit_us = i64::try_from(MAX_CLIP_S * 1_000_000).unwrap_or(i64::MAX);
        if range.micros() > limit_us {
            return Err(ClipError::TooLong {
                range,
                limit_s: MAX_CLIP_S,
            });
        }
        budget.take(self.holder, seconds(range.micros()))
    }

    /// The fragments of all pieces, and the pieces that cannot be read. What is found is counted as it comes,
    /// and taken from the budget.
    async fn load(&self, pieces: &[Piece], place: &mut ClipPlace) -> Result<Loaded, ClipError> {
        let mut checked = self.footage.check(pieces).await;
        for (piece, checked) in pieces.iter().zip(&mut checked) {
            if self.lost.contains(&piece.id) {
                *checked = Err(gone(piece));
            }
        }
        let mut checked = checked.into_iter();
        let (known, count) = (Known::default(), SampleCount::default());
        let mut loaded = Loaded::default();
        for (batch, of_batch) in pieces.chunks(ROWS_AT_ONCE).enumerate() {
            let of_batch: Vec<&Piece> = of_batch.iter().collect();
            let encoded = self.footage.sample_runs(&of_batch).await?;
            for encoded in encoded.iter().filter(|encoded| !encoded.is_empty()) {
                // What cannot be read is an error of its segment, below.
                count.add(SegmentRuns::count(encoded).unwrap_or(0))?;
            }
            place.grow(count.seconds())?;
            let first = batch * ROWS_AT_ONCE;
            let loads = stream::iter((first..).zip(encoded.into_iter().zip(checked.by_ref())))
                .map(|(number, (encoded, checked))| {
                    self.load_piece((number, pieces), checked, encoded, (&known, &count))
                })
                .buffered(CONCURRENT_READS);
            let mut loads = std::pin::pin!(loads);
            while let Some(of_piece) = loads.next().await {
                let (sources, runs) = match of_piece {
                    Ok(of_piece) => of_piece,
                    Err(ClipError::Footage(error)) => {
                        loaded.lost.push(self.forgive(error)?);
                        (Vec::new(), SegmentRuns::default())
                    }
                    Err(error) => return Err(error),
                };
                loaded.sources.extend(sources);
                loaded.runs.push(runs);
            }
            place.grow(count.seconds())?;
        }
        Ok(loaded)
    }

    /// A segment that is lost is left out, unless the clip is to be complete. Whatever may pass by itself is
    /// an error of the whole.
    fn forgive(&self, error: Error) -> Result<Lost, ClipError> {
        match error.place() {
            Some(place) if !self.options.is_strict && error.kind() == ErrorKind::DataLoss => {
                let place = *place;
                tracing::warn!(channel.id = %self.channel, segment.id = %place.segment, error = &error as &dyn std::error::Error, "a clip leaves out a segment");
                Ok(Lost { place, error })
            }
            _ => Err(error.into()),
        }
    }

    /// Its fragments, and what its row tells of the samples of all of them.
    async fn load_piece(
        &self,
        (number, pieces): (usize, &[Piece]),
        checked: Result<(), Error>,
        encoded: Vec<u8>,
        (known, count): (&Known, &SampleCount),
    ) -> Result<(Vec<ClipSource>, SegmentRuns), ClipError> {
        checked?;
        let piece = &pieces[number];
        let parameters = self.parameters(piece, pieces.len(), known).await?;
        if !encoded.is_empty() {
            let runs = SegmentRuns::read(encoded, &piece.index.fragments);
            let runs = runs.map_err(|source| damaged(piece, source))?;
            return Ok((
                known_sources(number, piece, &runs, self.range, &parameters),
                runs,
            ));
        }
        let mut sources = Vec::new();
        for read in header_reads(piece, self.range) {
            let of_read = load_sources(self.footage, (number, piece), read, &parameters, count);
            sources.extend(of_read.await?);
        }
        Ok((sources, SegmentRuns::default()))
    }

    /// Parameters of a piece. Those of a short clip are read from each of its segments, which finds damage
    /// before the first byte is sent; those of a long one from one of those that have the same.
    async fn parameters(
        &self,
        piece: &Piece,
        piece_count: usize,
        known: &Known,
    ) -> Result<Arc<StreamParameters>, Error> {
        let fingerprint = piece.index.parameters;
        let is_shared = fingerprint != 0 && piece_count > MAX_LOOKED_INTO;
        if is_shared && let Some(parameters) = known.lock().get(&fingerprint) {
            return Ok(Arc::clone(parameters));
        }
        let parameters = self.footage.parameters(piece).await?;
        known.lock().insert(fingerprint, Arc::clone(&parameters));
        Ok(parameters)
    }

    /// The error about a clip without a picture.
    async fn empty(&self, lost: Vec<Lost>) -> Result<ClipError, ClipError> {
        if let Some(lost) = lost.into_iter().next() {
            return Ok(lost.error.into());
        }
        let (channel, range) = (self.channel, self.range);
        let (mut before, mut after) = (None, None);
        let nearest = self.footage.no_footage(channel, range.start).await?;
        if let Error::NoFootage {
            before: b,
            after: a,
            ..
        } = nearest
        {
            (before, after) = (b, a);
        }
        Ok(ClipError::Empty {
            channel,
            range,
            before,
            after,
        })
    }
}

/// The error about a segment that could not be read a moment ago.
fn gone(piece: &Piece) -> Error {
    let why = "it could not be read when it was needed".to_owned();
    damaged(piece, framewell_fmp4::Error::BadIndex(why))
}

/// Samples found so far.
#[derive(Debug, Default)]
struct SampleCount(AtomicU64);

impl SampleCount {
    fn add(&self, more: u64) -> Result<(), ClipError> {
        let before = self
            .0
            .fetch_add(more.min(MAX_SAMPLES + 1), Ordering::Relaxed);
        if before.saturating_add(more) > MAX_SAMPLES {
            return Err(ClipError::TooManySamples { limit: MAX_SAMPLES });
        }
        Ok(())
    }

    /// What they take of the budget.
    fn seconds(&self) -> usize {
        let seconds = self.0.load(Ordering::Relaxed) / SAMPLES_PER_SECOND;
        usize::try_from(seconds).unwrap_or(usize::MAX)
    }
}

/// Seconds of the budget, rounded up.
fn seconds(micros: i64) -> usize {
    usize::try_from(micros / 1_000_000 + 1).unwrap_or(usize::MAX)
}

/// What of a range there is footage of: the rest needs no tables.
fn found_s(pieces: &[Piece], range: TimeRange) -> usize {
    let found = pieces.iter().map(|piece| {
        let (start, end) = (
            piece.range.start.max(range.start),
            piece.range.end.min(range.end),
        );
        end.micros_since(start).max(0)
    });
    seconds(found.sum())
}

/// Parameters by their fingerprints.
type Known = Mutex<HashMap<u64, Arc<StreamParameters>>>;

/// A piece that cannot be read.
#[derive(Debug)]
struct Lost {
    place: Place,
    error: Error,
}

/// What is found of all pieces.
#[derive(Debug, Default)]
struct Loaded {
    sources: Vec<ClipSource>,
    lost: Vec<Lost>,
    /// Of each piece; empty where no row tells of the samples.
    runs: Vec<SegmentRuns>,
}

/// Work that can take longer than a runtime thread has.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// The needed fragments of a piece whose row tells of its samples.
fn known_sources(
    number: usize,
    piece: &Piece,
    runs: &SegmentRuns,
    range: TimeRange,
    parameters: &Arc<StreamParameters>,
) -> Vec<ClipSource> {
    let fragments = &piece.index.fragments;
    let source = |at: usize| ClipSource {
        segment: number,
        entry: fragments[at],
        samples: ClipSamples::Runs {
            fragment: at,
            runs: runs.fragments()[at].clone(),
        },
        parameters: Arc::clone(parameters),
    };
    let needed = needed(fragments, range).unwrap_or_default();
    needed.map(source).collect()
}

async fn load_sources(
    footage: &Footage,
    (number, piece): (usize, &Piece),
    read: HeaderRead,
    parameters: &Arc<StreamParameters>,
    count: &SampleCount,
) -> Result<Vec<ClipSource>, ClipError> {
    let bytes = footage.read(piece, read.range.clone()).await?;
    let entries = &piece.index.fragments[read.fragments];
    let mut sources = Vec::with_capacity(entries.len());
    for entry in entries {
        let samples = header_of(entry, read.range.start, &bytes)
            .ok_or_else(|| outside(entry))
            .and_then(|header| parse_fragment(&header))
            .map_err(|source| damaged(piece, source))?;
        count.add(samples.len() as u64)?;
        sources.push(ClipSource {
            segment: number,
            entry: *entry,
            samples: samples.into(),
            parameters: Arc::clone(parameters),
        });
    }
    Ok(sources)
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

fn header_reads(piece: &Piece, range: TimeRange) -> Vec<HeaderRead> {
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
