//! Virtual MP4: a progressive file over ranges of stored segments, no byte of media copied.

mod audio;
mod draft;
mod layout;
mod parts;
#[cfg(test)]
mod recorded;
mod samples;
mod select;
mod sizes;
mod stretch;
mod tables;

pub use draft::ClipDraft;
pub use samples::ClipSamples;

use crate::Error;
use crate::moov::MOVIE_TIMESCALE;
use bytes::Bytes;
use framewell_media::{StreamParameters, TrackKind};
use framewell_model::{TimeRange, Timescale};
use std::ops::Range;
use std::sync::Arc;
pub(crate) use tables::Edit;

/// What becomes of stretches without footage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Holes {
    /// They take no time: footage follows footage.
    #[default]
    Collapse,
    /// They take the time that they took: the last picture before one stays on screen, without sound, for
    /// its sample lasts that long.
    Keep,
}

/// A part of a clip: what is presented of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipPart {
    /// The caller's number, see [`ClipSource::segment`].
    pub segment: usize,
    /// When its first picture is shown, in 90 kHz ticks from the beginning of the clip.
    pub at_ticks: u64,
    /// Capture time of its first picture, and end of its last one.
    pub range: TimeRange,
    /// RFC 6381 names of its codings, separated by commas.
    pub codecs: Arc<str>,
}

/// One fragment that takes part in a clip.
#[derive(Debug, Clone)]
pub struct ClipSource {
    /// The caller's number of the segment that holds it.
    pub segment: usize,
    /// Its entry (place, wall time).
    pub entry: crate::FragmentEntry,
    /// Its samples.
    pub samples: ClipSamples,
    /// Parameters of its segment; a change makes a new sample entry.
    pub parameters: Arc<StreamParameters>,
}

/// Where the bytes of a piece come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PieceData {
    /// Made here (headers, sample tables).
    Memory(Bytes),
    /// Part of the table of sizes of a track, see [`ClipPlan::sizes`]. Not where all samples were listed.
    Sizes {
        /// The track.
        track: TrackKind,
        /// Bytes in the table.
        range: Range<u64>,
    },
    /// To be read from a segment: the caller's number and the byte range in it.
    Segment {
        /// The caller's number, see [`ClipSource::segment`].
        segment: usize,
        /// Bytes in the segment.
        range: Range<u64>,
    },
}

/// A run of bytes of the virtual file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Place in the virtual file.
    pub range: Range<u64>,
    /// What is there.
    pub data: PieceData,
}

/// The layout of a virtual MP4: `ftyp moov mdat`, moov first, exact start and end by edit list.
#[derive(Debug, Clone)]
pub struct ClipPlan {
    /// Length of the virtual file in bytes.
    pub len: u64,
    /// All pieces, ascending and without holes.
    pub pieces: Vec<Piece>,
    /// Presented range: capture time of the first picture shown and end of the last one.
    pub range: TimeRange,
    /// Which segment is presented when, in order.
    pub parts: Vec<ClipPart>,
    video_sizes: sizes::SizeTable,
    audio_sizes: sizes::SizeTable,
}

impl ClipPlan {
    /// Plans a clip of `wanted` over `sources` (time order; must start with a key fragment). The first picture shown is the one on
    /// screen at `wanted.start`; the last is the last one captured before `wanted.end`.
    ///
    /// A picture is on screen until the next one of the same unbroken footage is; if nothing was on
    /// screen at `wanted.start`, the clip starts with the next picture. Pictures before the first
    /// one that its decoding needs are in the file, and hidden by the edit list. Where sources do
    /// not follow each other in decode time, the later one is laid after the earlier one.
    ///
    /// # Errors
    /// [`Error::NoPicture`] without a picture in `wanted`, [`Error::Unwritable`] with more samples
    /// than a file holds, [`Error::HoleTooLong`] with a hole that is to be kept and is longer than a
    /// sample may be.
    ///
    /// For sources whose samples are listed; with others see [`ClipDraft`].
    pub fn build(wanted: TimeRange, sources: &[ClipSource], holes: Holes) -> Result<Self, Error> {
        let mut plan = ClipDraft::select(wanted, sources.to_vec(), holes)?.lay_out()?;
        let mut head = Vec::new();
        for piece in &plan.pieces {
            match &piece.data {
                PieceData::Memory(bytes) => head.extend_from_slice(bytes),
                PieceData::Sizes { track, range } => {
                    let sizes = plan.sizes(*track, range, |_, _| None);
                    let lacking = || Error::Unwritable("a clip without sizes".to_owned());
                    head.extend_from_slice(&sizes.ok_or_else(lacking)?);
                }
                PieceData::Segment { .. } => break,
            }
        }
        plan.pieces
            .retain(|piece| matches!(piece.data, PieceData::Segment { .. }));
        let head = Piece {
            range: 0..head.len() as u64,
            data: PieceData::Memory(head.into()),
        };
        plan.pieces.insert(0, head);
        Ok(plan)
    }

    /// The pieces that overlap `range` of the virtual file, cut to it.
    #[must_use]
    pub fn slice(&self, range: Range<u64>) -> Vec<Piece> {
        let first = self
            .pieces
            .partition_point(|piece| piece.range.end <= range.start);
        self.pieces[first..]
            .iter()
            .take_while(|piece| piece.range.start < range.end)
            .filter_map(|piece| piece.cut(&range))
            .collect()
    }
}

impl Piece {
    /// The part within `range` of the virtual file.
    fn cut(&self, range: &Range<u64>) -> Option<Self> {
        let start = self.range.start.max(range.start);
        let end = self.range.end.min(range.end);
        if start >= end {
            return None;
        }
        let (skip, keep) = (start - self.range.start, end - start);
        let data = match &self.data {
            PieceData::Memory(bytes) => {
                let from = usize::try_from(skip).ok()?;
                let len = usize::try_from(keep).ok()?;
                PieceData::Memory(bytes.slice(from..from + len))
            }
            PieceData::Sizes { track, range } => PieceData::Sizes {
                track: *track,
                range: range.start + skip..range.start + skip + keep,
            },
            PieceData::Segment { segment, range } => PieceData::Segment {
                segment: *segment,
                range: range.start + skip..range.start + skip + keep,
            },
        };
        Some(Self {
            range: start..end,
            data,
        })
    }
}

/// Ticks of the video are ticks of the movie.
const _: () = assert!(MOVIE_TIMESCALE == Timescale::HZ_90K.hz());

#[cfg(test)]
#[path = "clip/tests.rs"]
mod tests;
