//! Virtual MP4: a progressive file over ranges of stored segments, no byte of media copied.

mod audio;
mod layout;
#[cfg(test)]
mod recorded;
mod select;
mod tables;

use crate::moov::{self, AUDIO_TRACK, MOVIE_TIMESCALE, TrackHeader};
use crate::write::BoxWriter;
use crate::{Error, Sample, entry};
use bytes::Bytes;
use framewell_media::{AudioParameters, StreamParameters, TrackKind, VideoParameters};
use framewell_model::{TimeRange, Timescale};
use layout::Layout;
use select::Selection;
use std::ops::Range;
use std::sync::Arc;
pub(crate) use tables::Edit;
use tables::SampleTable;

/// Most samples in one clip: three weeks at 25 Hz, and tables of less than 2 GiB.
const MAX_SAMPLES: usize = 50_000_000;

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
    /// Its samples, from [`crate::parse_fragment`].
    pub samples: Vec<Sample>,
    /// Parameters of its segment; a change makes a new sample entry.
    pub parameters: Arc<StreamParameters>,
}

/// Where the bytes of a piece come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PieceData {
    /// Made here (headers, sample tables).
    Memory(Bytes),
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
}

/// Longest time of one sample in a clip, in 90 kHz ticks: 6.6 hours. Players read 31 bits.
const MAX_HOLE_TICKS: i64 = i32::MAX as i64;

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
    pub fn build(wanted: TimeRange, sources: &[ClipSource], holes: Holes) -> Result<Self, Error> {
        let selection = select::select(wanted, sources, holes).ok_or(Error::NoPicture {
            start: wanted.start,
            end: wanted.end,
        })?;
        if holes == Holes::Keep {
            check_holes(&selection)?;
        }
        let sound = audio::select(&selection, sources);
        let sample_count =
            selection.pictures.len() + sound.as_ref().map_or(0, |sound| sound.samples.len());
        if sample_count > MAX_SAMPLES {
            return Err(Error::Unwritable(format!(
                "a clip of {sample_count} samples"
            )));
        }
        let layout = Layout::new(&selection, sound.as_ref(), sources);
        let is_long = layout.needs_64_bits(sample_count);

        let mut w = BoxWriter::with_capacity(4096 + 16 * sample_count);
        moov::write_ftyp(&mut w, b"isom", &[b"isom", b"iso2", b"iso4", b"mp41"]);
        let mut offsets = Vec::new();
        w.boxed(b"moov", |w| {
            moov::write_mvhd(w, selection.shown_ticks(), AUDIO_TRACK + 1);
            offsets.push(write_video(w, &selection, sources, &layout, is_long));
            if let Some(sound) = &sound {
                offsets.push(write_audio(w, &selection, sound, &layout, is_long));
            }
        });
        write_mdat_head(&mut w, layout.data_len, is_long);
        let data_at = w.len() as u64;
        for table in offsets {
            table.fill(&mut w, data_at);
        }
        Ok(Self {
            len: data_at + layout.data_len,
            pieces: layout.into_pieces(w.into_bytes()),
            range: selection.range,
            parts: selection.parts,
        })
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

fn check_holes(selection: &Selection) -> Result<(), Error> {
    for pair in selection.parts.windows(2) {
        let (start, end) = (pair[0].range.end, pair[1].range.start);
        if Timescale::HZ_90K.from_micros(end.micros_since(start)) >= MAX_HOLE_TICKS {
            return Err(Error::HoleTooLong { start, end });
        }
    }
    Ok(())
}

fn write_mdat_head(w: &mut BoxWriter, data_len: u64, is_long: bool) {
    match u32::try_from(data_len + 8) {
        Ok(short) if !is_long => {
            w.u32(short);
            w.raw(b"mdat");
        }
        _ => {
            w.u32(1);
            w.raw(b"mdat");
            w.u64(data_len + 16);
        }
    }
}

/// Different values of a list, in order of appearance, and the number of each item's value from 0.
fn distinct<'a, T: PartialEq>(items: impl Iterator<Item = &'a T>) -> (Vec<&'a T>, Vec<u32>) {
    let mut values: Vec<&T> = Vec::new();
    let numbers = items
        .map(|item| {
            let known = values.iter().rposition(|value| *value == item);
            let at = known.unwrap_or_else(|| {
                values.push(item);
                values.len() - 1
            });
            u32::try_from(at).expect("fewer parameters than fragments")
        })
        .collect();
    (values, numbers)
}

fn write_video(
    w: &mut BoxWriter,
    selection: &Selection,
    sources: &[ClipSource],
    layout: &Layout,
    is_long: bool,
) -> tables::Offsets {
    let used = selection.used_sources();
    let first = &sources[*used.start()].parameters.video;
    let nearest_used = |at: usize| &sources[at.clamp(*used.start(), *used.end())];
    let (entries, numbers) =
        distinct((0..sources.len()).map(|at| &nearest_used(at).parameters.video));
    let table = SampleTable::of_pictures(&selection.pictures);
    let header = TrackHeader {
        kind: TrackKind::Video,
        movie_duration: selection.shown_ticks(),
        timescale: Timescale::HZ_90K.hz(),
        media_duration: table.duration(),
        width: first.width,
        height: first.height,
    };
    let edit = Edit {
        empty_ticks: 0,
        media_time: selection.shown.start,
        ticks: selection.shown_ticks(),
    };
    let write_entry = |w: &mut BoxWriter, video: &&VideoParameters| entry::write_video(w, video);
    write_track(w, &header, &edit, |w| {
        tables::write_stsd(w, &entries, write_entry);
        table.write(w);
        tables::write_chunks(w, &layout.video, &numbers, is_long)
    })
}

fn write_audio(
    w: &mut BoxWriter,
    selection: &Selection,
    sound: &audio::Sound<'_>,
    layout: &Layout,
    is_long: bool,
) -> tables::Offsets {
    let table = SampleTable::of_frames(sound);
    let edit = sound.edit(&selection.shown);
    let header = TrackHeader {
        kind: TrackKind::Audio,
        movie_duration: edit.empty_ticks + edit.ticks,
        timescale: sound.scale.hz(),
        media_duration: table.duration(),
        width: 0,
        height: 0,
    };
    let write_entry = |w: &mut BoxWriter, audio: &&AudioParameters| entry::write_audio(w, audio);
    write_track(w, &header, &edit, |w| {
        tables::write_stsd(w, &sound.entries, write_entry);
        table.write(w);
        tables::write_chunks(w, &layout.audio, &sound.entry_of_source, is_long)
    })
}

fn write_track(
    w: &mut BoxWriter,
    header: &TrackHeader,
    edit: &Edit,
    fill: impl FnOnce(&mut BoxWriter) -> tables::Offsets,
) -> tables::Offsets {
    let mut offsets = None;
    w.boxed(b"trak", |w| {
        moov::write_tkhd(w, header);
        edit.write(w);
        moov::write_mdia(w, header, |w| offsets = Some(fill(w)));
    });
    offsets.expect("write_mdia writes stbl")
}

/// Ticks of the video are ticks of the movie.
const _: () = assert!(MOVIE_TIMESCALE == Timescale::HZ_90K.hz());

#[cfg(test)]
#[path = "clip/tests.rs"]
mod tests;
