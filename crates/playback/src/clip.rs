//! Clips: virtual MP4 files over stored segments.

mod makeup;
pub(crate) mod media;

pub use makeup::ClipBytes;

use crate::ByteStream;
use crate::budget::ClipPlace;
use crate::plan::Wanted;
use crate::read::{Chunk, stream_chunks};
use framewell_fmp4::{ClipPart, ClipPlan, Holes, PieceData};
use framewell_footage::{CONTINUITY_US, FootageGap, Piece, Place};
use framewell_media::TrackKind;
use framewell_model::{
    ChannelId, ErrorKind, GapReason, HasKind, RecordId, SegmentId, TimeRange, Timescale, WallTime,
};
use media::Media;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// A clip that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClipError {
    /// Nothing is recorded in the whole range.
    #[error("channel {channel} has no footage between {} and {}", range.start, range.end)]
    Empty {
        /// The channel.
        channel: ChannelId,
        /// The range.
        range: TimeRange,
        /// End of the footage before it.
        before: Option<WallTime>,
        /// Start of the footage after it.
        after: Option<WallTime>,
    },
    /// Longer than one file may be.
    #[error("a clip of {} s is longer than the limit of {limit_s} s", (range.micros() + 999_999) / 1_000_000)]
    TooLong {
        /// The range.
        range: TimeRange,
        /// Seconds.
        limit_s: u64,
    },
    /// More pictures and frames of sound than one file may be made of.
    #[error(
        "the footage has more than {limit} pictures and frames of sound; ask for a shorter range"
    )]
    TooManySamples {
        /// How many there may be.
        limit: u64,
    },
    /// Too much is open at once; later may work.
    #[error("too many and too long clips are being read")]
    Busy,
    /// This token or account has so much open that others would have none.
    #[error("this {0} is reading as many and as long clips as one {0} may")]
    Share(&'static str),
    /// The footage.
    #[error("{0}")]
    Footage(#[from] framewell_footage::Error),
    /// The file cannot be laid out.
    #[error("laying out the clip failed")]
    Layout(#[from] framewell_fmp4::Error),
}

impl HasKind for ClipError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Empty { .. } => ErrorKind::NotFound,
            Self::TooLong { .. } | Self::TooManySamples { .. } => ErrorKind::InvalidArgument,
            Self::Busy | Self::Share(_) => ErrorKind::ResourceExhausted,
            Self::Footage(source) => source.kind(),
            Self::Layout(source) => source.kind(),
        }
    }
}

/// How a clip is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ClipOptions {
    /// What becomes of holes.
    pub holes: Holes,
    /// Whether a segment that is missing or damaged is an error of the whole. Else it is left out, and is a
    /// gap with the reason [`GapReason::DataLoss`].
    pub is_strict: bool,
}

/// An opened clip: everything but the media bytes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clip {
    /// Bytes of the whole file.
    pub len: u64,
    /// Strong validator: the same clip of the same footage has the same one.
    pub etag: String,
    /// Presented range.
    pub range: TimeRange,
    /// Whatever of the wanted range is not there, ascending, with the reason as far as it is known.
    pub gaps: Vec<FootageGap>,
    /// Segments of the range that cannot be read.
    pub lost: Vec<Place>,
    source: Arc<Source>,
}

/// What a clip has of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipSegment {
    /// The segment.
    pub id: SegmentId,
    /// Its row, once it is published.
    pub record: Option<RecordId>,
    /// Capture time of the first picture shown, and end of the last one.
    pub range: TimeRange,
    /// When its first picture is shown, in microseconds from the beginning of the clip.
    pub at_us: i64,
    /// Where its media lies in the file.
    pub bytes: Range<u64>,
    /// RFC 6381 names of the codings, separated by commas.
    pub codecs: Arc<str>,
}

/// What the bytes are made of.
#[derive(Debug)]
struct Source {
    media: Media,
    plan: ClipPlan,
    /// Its part of what may be open.
    _place: ClipPlace,
}

impl Clip {
    pub(crate) async fn open(
        wanted: &Wanted<'_>,
        media: Media,
        plan: ClipPlan,
        mut lost: Vec<Place>,
        place: ClipPlace,
    ) -> Result<Self, ClipError> {
        lost.sort_by_key(|place| place.range.start);
        let holes = holes(&plan.parts, &media.pieces, wanted.range);
        let holes: Vec<_> = holes.iter().flat_map(|hole| split(hole, &lost)).collect();
        let mut gaps = wanted.footage.explain(wanted.channel, &holes).await?;
        for gap in &mut gaps {
            if lost.iter().any(|place| covers(&place.range, &gap.range)) {
                gap.reason = Some(GapReason::DataLoss);
            }
        }
        Ok(Self {
            len: plan.len,
            etag: etag(&media.pieces, &plan),
            range: plan.range,
            gaps,
            lost,
            source: Arc::new(Source {
                media,
                plan,
                _place: place,
            }),
        })
    }

    /// Which segments the clip shows when, in order; a segment twice if something is missing within it.
    #[must_use]
    pub fn segments(&self) -> Vec<ClipSegment> {
        let Source { media, plan, .. } = &*self.source;
        let pieces = &media.pieces;
        let mut bytes: HashMap<usize, Range<u64>> = HashMap::new();
        for piece in &plan.pieces {
            if let PieceData::Segment { segment, .. } = piece.data {
                let range = bytes.entry(segment).or_insert_with(|| piece.range.clone());
                range.end = range.end.max(piece.range.end);
            }
        }
        let of_part = |part: &ClipPart| {
            let piece = &pieces[part.segment];
            ClipSegment {
                id: piece.id,
                record: piece.record,
                range: part.range,
                at_us: Timescale::HZ_90K
                    .to_micros(i64::try_from(part.at_ticks).unwrap_or(i64::MAX)),
                bytes: bytes.get(&part.segment).cloned().unwrap_or_default(),
                codecs: Arc::clone(&part.codecs),
            }
        };
        plan.parts.iter().map(of_part).collect()
    }

    /// Streams a byte range of the file; media is read as the client takes it.
    #[must_use]
    pub fn stream(&self, range: Range<u64>) -> ByteStream {
        let range = range.start.min(self.len)..range.end.min(self.len);
        let source = Arc::clone(&self.source);
        // Numbers behind those of the pieces stand for the tables of sizes.
        let first_table = source.media.pieces.len();
        let chunks = source
            .plan
            .slice(range)
            .into_iter()
            .map(|piece| match piece.data {
                PieceData::Memory(bytes) => Chunk::Memory(bytes),
                PieceData::Sizes { track, range } => Chunk::Stored {
                    piece: first_table + usize::from(track == TrackKind::Audio),
                    range,
                },
                PieceData::Segment { segment, range } => Chunk::Stored {
                    piece: segment,
                    range,
                },
            })
            .collect();
        stream_chunks(chunks, move |number, range| {
            let source = Arc::clone(&source);
            async move {
                let Source { media, plan, .. } = &*source;
                let Some(piece) = media.pieces.get(number) else {
                    let track = match number - first_table {
                        0 => TrackKind::Video,
                        _ => TrackKind::Audio,
                    };
                    return media.table(plan, track, range).await;
                };
                let (footage, start) = (&media.footage, range.start);
                let bytes = footage.read(piece, range).await?;
                footage.check_fragments(piece, start, &bytes)?;
                Ok(bytes)
            }
        })
    }
}

/// Version of the file layout: to be raised when the same footage gives other bytes.
const LAYOUT_VERSION: u8 = 2;

/// Hash of all that the bytes are made of. Media bytes never change under a segment id, so places
/// stand for them, and for the sizes of their samples; the rest of the headers is small and is hashed as it is.
fn etag(pieces: &[Piece], plan: &ClipPlan) -> String {
    let mut hash = Sha256::new();
    hash.update([LAYOUT_VERSION]);
    for piece in &plan.pieces {
        match &piece.data {
            PieceData::Memory(bytes) => hash.update(bytes),
            PieceData::Sizes { .. } => hash.update(b"stsz"),
            PieceData::Segment { segment, range } => {
                hash.update(pieces[*segment].id.uuid().as_bytes());
                hash.update(range.start.to_be_bytes());
                hash.update(range.end.to_be_bytes());
            }
        }
    }
    hash.finalize()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What of the wanted range no part shows. At its ends, what is too short to be missing video is none.
fn holes(parts: &[ClipPart], pieces: &[Piece], wanted: TimeRange) -> Vec<TimeRange> {
    let mut holes = Vec::new();
    let mut add = |start: WallTime, end: WallTime, tolerated_us: i64| {
        if end.micros_since(start) > tolerated_us {
            holes.push(TimeRange { start, end });
        }
    };
    if let (Some(first), Some(last)) = (parts.first(), parts.last()) {
        add(wanted.start, first.range.start, CONTINUITY_US);
        for pair in parts.windows(2) {
            let is_one_run = pieces[pair[0].segment].run == pieces[pair[1].segment].run;
            let tolerated_us = if is_one_run { CONTINUITY_US } else { 0 };
            add(pair[0].range.end, pair[1].range.start, tolerated_us);
        }
        add(last.range.end, wanted.end, CONTINUITY_US);
    }
    holes
}

/// A hole, cut where lost segments (ascending) begin and end.
fn split(hole: &TimeRange, lost: &[Place]) -> Vec<TimeRange> {
    let mut cuts = vec![hole.start];
    let edges = lost.iter().flat_map(|p| [p.range.start, p.range.end]);
    cuts.extend(edges.filter(|at| hole.start < *at && *at < hole.end));
    cuts.push(hole.end);
    cuts.sort_unstable();
    let mut parts: Vec<TimeRange> = Vec::new();
    for pair in cuts.windows(2) {
        // What rounding leaves beside a lost segment is no gap of its own.
        match parts.last_mut() {
            Some(last) if pair[1].micros_since(pair[0]) <= CONTINUITY_US => last.end = pair[1],
            _ => parts.push(TimeRange {
                start: pair[0],
                end: pair[1],
            }),
        }
    }
    parts
}

/// Whether most of `part` lies in `range`.
fn covers(range: &TimeRange, part: &TimeRange) -> bool {
    let shared_us = (range.end.min(part.end)).micros_since(range.start.max(part.start));
    shared_us * 2 > part.micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start_ms: i64, end_ms: i64) -> TimeRange {
        let at = |ms: i64| WallTime::from_micros(ms * 1_000);
        TimeRange::new(at(start_ms), at(end_ms)).unwrap()
    }

    #[test]
    fn a_hole_is_cut_where_a_lost_segment_ends() {
        let lost = |start, end| Place {
            channel: "7".parse().unwrap(),
            segment: "00000000-0000-7000-8000-000000000001".parse().unwrap(),
            range: range(start, end),
        };
        let hole = range(10_000, 40_000);
        assert_eq!(split(&hole, &[]), [hole]);
        let parts = split(&hole, &[lost(0, 19_960), lost(20_000, 30_000)]);
        assert_eq!(
            parts,
            [
                range(10_000, 20_000),
                range(20_000, 30_000),
                range(30_000, 40_000)
            ]
        );
        assert!(covers(&lost(0, 19_960).range, &parts[0]));
        assert!(!covers(&lost(20_000, 30_000).range, &parts[2]));
    }
}
