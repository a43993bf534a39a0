//! Making the plan of a clip: choosing, then writing the header.

use super::audio::{self, Frames, Sound};
use super::layout::Layout;
use super::samples::{ClipSamples, picked};
use super::select::{self, Selection};
use super::sizes::SizeTable;
use super::tables::{self, Edit, SampleTable};
use super::{ClipPlan, ClipSource, Holes};
use crate::moov::{self, AUDIO_TRACK, TrackHeader};
use crate::sample_runs::FragmentSizes;
use crate::write::BoxWriter;
use crate::{Error, entry};
use framewell_media::{AudioParameters, StreamParameters, TrackKind, VideoParameters};
use framewell_model::{TimeRange, Timescale};
use std::sync::Arc;

/// Most samples in one clip: three weeks at 25 Hz, and tables of less than 2 GiB.
const MAX_SAMPLES: u64 = 50_000_000;

/// Longest time of one sample in a clip, in 90 kHz ticks: 6.6 hours. Players read 31 bits.
const MAX_HOLE_TICKS: i64 = i32::MAX as i64;

/// A clip whose samples are chosen, and whose file is not laid out yet.
#[derive(Debug)]
pub struct ClipDraft {
    sources: Vec<ClipSource>,
    selection: Selection,
    sound: Option<Sound>,
}

/// A track that is to be written.
struct Track {
    table: SampleTable,
    sizes: SizeTable,
}

impl ClipDraft {
    /// Chooses, see [`ClipPlan::build`]. Sources without sizes stay so as far as they are taken whole.
    ///
    /// # Errors
    /// [`Error::NoPicture`], [`Error::HoleTooLong`].
    pub fn select(
        wanted: TimeRange,
        sources: Vec<ClipSource>,
        holes: Holes,
    ) -> Result<Self, Error> {
        let selection = select::select(wanted, &sources, holes).ok_or(Error::NoPicture {
            start: wanted.start,
            end: wanted.end,
        })?;
        if holes == Holes::Keep {
            check_holes(&selection)?;
        }
        let sound = audio::select(&selection, &sources);
        Ok(Self {
            sources,
            selection,
            sound,
        })
    }

    /// Sources of which a part is taken, so that their sizes must be known now: index, segment and fragment.
    /// Ascending for each track.
    #[must_use]
    pub fn lacking(&self) -> Vec<(usize, usize, usize)> {
        let picks = &self.selection.picks;
        let pictures = picks.iter().filter(|pick| pick.only.is_some());
        let sound = self.sound.iter().flat_map(|sound| &sound.picks);
        let frames = sound.filter(|pick| matches!(pick.frames, Frames::Some(_)));
        let partial = pictures
            .map(|pick| pick.source)
            .chain(frames.map(|pick| pick.source));
        let lacks = |source: usize| match &self.sources[source] {
            ClipSource {
                segment,
                samples: ClipSamples::Runs { fragment, .. },
                ..
            } => Some((source, *segment, *fragment)),
            _ => None,
        };
        partial.filter_map(lacks).collect()
    }

    /// Tells the sizes of a source.
    pub fn complete(&mut self, source: usize, sizes: &FragmentSizes) {
        let ClipSource { entry, samples, .. } = &mut self.sources[source];
        samples.complete(entry, sizes);
    }

    /// Lays out the file.
    ///
    /// # Errors
    /// [`Error::Unwritable`] with more samples than a file holds, or while something is [lacking](Self::lacking).
    pub fn lay_out(self) -> Result<ClipPlan, Error> {
        if !self.lacking().is_empty() {
            return Err(Error::Unwritable("a clip without sizes".to_owned()));
        }
        let (selection, sources) = (&self.selection, &self.sources[..]);
        let sound = self.sound.as_ref();
        let video = video_track(selection, sources);
        let audio = sound.map(|sound| (sound, audio_track(sound, sources)));
        let audio_count = audio.as_ref().map_or(0, |(_, track)| track.sizes.count());
        let sample_count = video.sizes.count() + audio_count;
        if sample_count > MAX_SAMPLES {
            return Err(Error::Unwritable(format!(
                "a clip of {sample_count} samples"
            )));
        }
        let layout = Layout::new(selection, sound, sources);
        let is_long = layout.needs_64_bits(sample_count);

        let chunk_count = layout.video.len() + layout.audio.len();
        let mut w = BoxWriter::with_capacity(4096 + 16 * chunk_count);
        moov::write_ftyp(&mut w, b"isom", &[b"isom", b"iso2", b"iso4", b"mp41"]);
        let mut offsets = Vec::new();
        w.boxed(b"moov", |w| {
            moov::write_mvhd(w, selection.shown_ticks(), AUDIO_TRACK + 1);
            offsets.push(write_video(w, selection, sources, &video, &layout, is_long));
            if let Some((sound, track)) = &audio {
                let audio = (*sound, track);
                offsets.push(write_audio(w, selection, sources, audio, &layout, is_long));
            }
        });
        write_mdat_head(&mut w, layout.data_len, is_long);
        let data_at = w.file_len();
        for table in offsets {
            table.fill(&mut w, data_at);
        }
        Ok(ClipPlan {
            len: data_at + layout.data_len,
            pieces: layout.into_pieces(w.into_parts()),
            range: self.selection.range,
            parts: self.selection.parts,
            video_sizes: video.sizes,
            audio_sizes: audio.map_or_else(SizeTable::default, |(_, track)| track.sizes),
        })
    }
}

/// The tables of the pictures.
fn video_track(selection: &Selection, sources: &[ClipSource]) -> Track {
    let (mut table, mut sizes) = (SampleTable::new(), SizeTable::default());
    for pick in &selection.picks {
        let source = &sources[pick.source];
        match &source.samples {
            ClipSamples::Runs { fragment, runs } => {
                table.add_pictures(runs, source.entry.dts.saturating_add(pick.shift));
                sizes.add_stored(source.segment, *fragment, runs.video_count);
            }
            ClipSamples::Listed(samples) => {
                for sample in picked(samples, TrackKind::Video, pick.only.as_deref()) {
                    table.add_picture(sample, pick.shift);
                    sizes.add(sample.size);
                }
            }
        }
    }
    table.close();
    Track { table, sizes }
}

/// The tables of the sound.
fn audio_track(sound: &Sound, sources: &[ClipSource]) -> Track {
    let (mut table, mut sizes) = (SampleTable::new(), SizeTable::default());
    for pick in &sound.picks {
        let source = &sources[pick.source];
        match (&source.samples, &pick.frames) {
            (ClipSamples::Runs { fragment, runs }, Frames::All(start)) => {
                table.add_frames(runs, *start);
                sizes.add_stored(source.segment, *fragment, runs.audio_count);
            }
            (ClipSamples::Listed(samples), Frames::All(start)) => {
                let first = samples.iter().find(|s| s.track == TrackKind::Audio);
                let shift = first.map_or(0, |first| start.saturating_sub(first.dts));
                for sample in picked(samples, TrackKind::Audio, None) {
                    table.add(sample.dts.saturating_add(shift), sample.duration);
                    sizes.add(sample.size);
                }
            }
            (ClipSamples::Listed(samples), Frames::Some(frames)) => {
                for frame in frames {
                    table.add(frame.start, frame.duration);
                    let size = samples.get(frame.index as usize).map(|sample| sample.size);
                    sizes.add(size.unwrap_or(0));
                }
            }
            // What is taken in part is listed before the file is laid out.
            (ClipSamples::Runs { .. }, Frames::Some(_)) => {}
        }
    }
    table.close();
    Track { table, sizes }
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

/// Different values of the parameters of sources, in order of appearance, and the number of each source's value
/// from 0.
fn distinct<'a, T: PartialEq>(
    sources: impl Iterator<Item = &'a Arc<StreamParameters>>,
    value_of: impl Fn(&'a StreamParameters) -> &'a T,
) -> (Vec<&'a T>, Vec<u32>) {
    let mut values: Vec<&T> = Vec::new();
    let mut before: Option<(&Arc<StreamParameters>, u32)> = None;
    let numbers = sources
        .map(|parameters| {
            // Most sources share them with the one before.
            if let Some((_, at)) = before.filter(|(known, _)| Arc::ptr_eq(known, parameters)) {
                return at;
            }
            let value = value_of(parameters);
            let known = values.iter().rposition(|known| *known == value);
            let at = known.unwrap_or_else(|| {
                values.push(value);
                values.len() - 1
            });
            let at = u32::try_from(at).expect("fewer parameters than fragments");
            before = Some((parameters, at));
            at
        })
        .collect();
    (values, numbers)
}

fn write_video(
    w: &mut BoxWriter,
    selection: &Selection,
    sources: &[ClipSource],
    track: &Track,
    layout: &Layout,
    is_long: bool,
) -> tables::Offsets {
    let used = selection.used_sources();
    let first = &sources[*used.start()].parameters.video;
    let nearest_used = |at: usize| &sources[at.clamp(*used.start(), *used.end())].parameters;
    let (entries, numbers) = distinct((0..sources.len()).map(nearest_used), |p| &p.video);
    let header = TrackHeader {
        kind: TrackKind::Video,
        movie_duration: selection.shown_ticks(),
        timescale: Timescale::HZ_90K.hz(),
        media_duration: track.table.duration(),
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
        track.table.write(w);
        tables::write_chunks(w, &layout.video, &numbers, is_long)
    })
}

fn write_audio(
    w: &mut BoxWriter,
    selection: &Selection,
    sources: &[ClipSource],
    (sound, track): (&Sound, &Track),
    layout: &Layout,
    is_long: bool,
) -> tables::Offsets {
    let edit = sound.edit(&selection.shown);
    let header = TrackHeader {
        kind: TrackKind::Audio,
        movie_duration: edit.empty_ticks + edit.ticks,
        timescale: sound.scale.hz(),
        media_duration: track.table.duration(),
        width: 0,
        height: 0,
    };
    let with_audio = sources.iter().map(|source| &source.parameters);
    let placeholder = with_audio
        .clone()
        .find_map(|parameters| parameters.audio.as_ref())
        .expect("sound comes from a source with audio");
    // Sources without audio get the number of an entry that nothing refers to them by.
    let (entries, numbers) = distinct(with_audio, |p| p.audio.as_ref().unwrap_or(placeholder));
    let write_entry = |w: &mut BoxWriter, audio: &&AudioParameters| entry::write_audio(w, audio);
    write_track(w, &header, &edit, |w| {
        tables::write_stsd(w, &entries, write_entry);
        track.table.write(w);
        tables::write_chunks(w, &layout.audio, &numbers, is_long)
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
