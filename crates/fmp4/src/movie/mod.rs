//! Reading MP4 files that others wrote: progressive (`stbl`) and fragmented (`moof`), of one video track
//! and at most one audio track that we know. Nothing of the media is looked at.
//!
//! The caller finds the boxes of the file's top level with [`top_box`], reads `moov` and each `moof`
//! whole, and gives them to [`Movie::read`]. Every count and length is checked against what is there.

mod fragments;
mod tables;
#[cfg(test)]
mod tests;
mod track;

use crate::Error;
use crate::entry::Entry;
use crate::read::Reader;
use framewell_media::{AudioParameters, StreamParameters, TrackKind};
use framewell_model::{MediaTime, Timescale};
use track::Track;

/// Most samples of a file, all tracks together: a day of pictures at 25 per second with sound. Each
/// takes 48 bytes.
const MAX_SAMPLES: usize = 6_500_000;

/// Latest time of a sample in ticks, and earliest below zero: 12,000 years at 90 kHz. Sums of times behind it
/// would run over.
const MAX_TICKS: i64 = 1 << 55;

/// A box of the top level, as its header tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopBox {
    /// Four-character code.
    pub name: [u8; 4],
    /// Bytes of the box with its header; `None` if it goes on to the end of the file.
    pub len: Option<u64>,
}

/// Reads a box header from its first 16 bytes, or fewer at the end of a file (ISO/IEC 14496-12
/// section 4.2.2).
///
/// # Errors
/// Fewer than 8 bytes, or a length that is shorter than the header.
pub fn top_box(head: &[u8]) -> Result<TopBox, Error> {
    let mut reader = Reader::new(head);
    if reader.u32()? == 0 {
        return Ok(TopBox {
            name: reader.array()?,
            len: None,
        });
    }
    let (name, _, len) = Reader::new(head).peek_header()?;
    Ok(TopBox {
        name,
        len: Some(len),
    })
}

/// One sample of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovieSample {
    /// Place of its data in the file.
    pub offset: u64,
    /// Bytes.
    pub size: u32,
    /// When it is decoded, in ticks of its track's output scale; rises strictly.
    pub dts: i64,
    /// When it is shown. 0 is the beginning of the presentation as the edit list says it, the first picture
    /// where there is none; never before `dts`.
    pub pts: i64,
    /// Until the next one, in ticks.
    pub duration: u32,
    /// Random access point.
    pub is_key: bool,
}

/// What a file holds.
#[derive(Debug, Clone)]
pub struct Movie {
    /// Its tracks.
    pub parameters: StreamParameters,
    /// Pictures in decoding order, in ticks of 90 kHz.
    pub video: Vec<MovieSample>,
    /// Sound in decoding order, in ticks of its sample rate.
    pub audio: Vec<MovieSample>,
}

impl Movie {
    /// Reads the index of a file: the content of `moov` with its header, and the `moof` boxes with their
    /// places, in file order.
    ///
    /// # Errors
    /// Boxes that are missing, cut off or contradict each other; a coding that we do not know (the error
    /// names it); more samples than a day has.
    pub fn read<'a>(
        moov: &[u8],
        moofs: impl Iterator<Item = (u64, &'a [u8])>,
    ) -> Result<Self, Error> {
        let mut file = Reader::new(moov);
        let moov = file.next_box()?;
        if &moov.name != b"moov" {
            return Err(moov.body.bad("moov expected"));
        }
        let mut tracks = read_tracks(moov.body)?;
        for (at, moof) in moofs {
            let mut reader = Reader::new(moof);
            fragments::read_moof(reader.next_box()?.body, at, &mut tracks)?;
            check_count(&moov.body, &tracks)?;
        }
        Self::of_tracks(moov.body, tracks)
    }

    fn of_tracks(moov: Reader<'_>, tracks: Vec<Track>) -> Result<Self, Error> {
        let (mut video, mut audio) = (None, None);
        let has_edits = tracks
            .iter()
            .any(|track| track.kind() == TrackKind::Video && track.has_edits);
        for track in tracks {
            match &track.entry {
                Entry::Video(parameters) if video.is_none() => {
                    video = Some((parameters.clone(), track.present(Timescale::HZ_90K)));
                }
                Entry::Audio(parameters) if audio.is_none() => {
                    let scale = AudioParameters::timescale(parameters);
                    audio = Some((parameters.clone(), track.present(scale)));
                }
                _ => {}
            }
        }
        let (parameters, mut video) = video.ok_or_else(|| moov.bad("no video track"))?;
        let (audio_parameters, audio) = audio.unzip();
        let mut audio = audio.unwrap_or_default();
        check_times(&moov, &video)?;
        check_times(&moov, &audio)?;
        let first = video.iter().map(|sample| sample.pts).min().unwrap_or(0);
        if !has_edits && first != 0 {
            // The clock of fragments may start anywhere.
            let scale = audio_parameters.as_ref().map(AudioParameters::timescale);
            let first = MediaTime::new(first, Timescale::HZ_90K);
            shift(&mut video, first.ticks);
            shift(
                &mut audio,
                scale.map_or(0, |scale| first.rescale(scale).ticks),
            );
        }
        Ok(Self {
            parameters: StreamParameters {
                video: parameters,
                audio: audio_parameters,
            },
            video,
            audio,
        })
    }
}

/// Moves samples to an earlier time.
fn shift(samples: &mut [MovieSample], by: i64) {
    for sample in samples {
        sample.dts = sample.dts.saturating_sub(by);
        sample.pts = sample.pts.saturating_sub(by);
    }
}

fn check_times(moov: &Reader<'_>, samples: &[MovieSample]) -> Result<(), Error> {
    let is_far = |ticks: i64| ticks.unsigned_abs() > MAX_TICKS.unsigned_abs();
    if samples.iter().any(|s| is_far(s.dts) || is_far(s.pts)) {
        return Err(moov.bad("a time out of range"));
    }
    Ok(())
}

fn check_count(moov: &Reader<'_>, tracks: &[Track]) -> Result<(), Error> {
    let count: usize = tracks.iter().map(|track| track.samples.len()).sum();
    if count > MAX_SAMPLES {
        return Err(moov.bad(format!("more than {MAX_SAMPLES} samples")));
    }
    Ok(())
}

/// The video and audio tracks; others (texts, time codes) are passed over.
fn read_tracks(moov: Reader<'_>) -> Result<Vec<Track>, Error> {
    let movie_scale = movie_timescale(moov)?;
    let mut tracks: Vec<Track> = Vec::new();
    let mut children = moov;
    while !children.is_empty() {
        let child = children.next_box()?;
        if &child.name != b"trak" {
            continue;
        }
        let Some(kind) = track::kind_of(child.body)? else {
            continue;
        };
        // A second video track is a preview or another quality: the first one counts.
        if tracks.iter().any(|track| track.kind() == kind) {
            continue;
        }
        let room = MAX_SAMPLES
            - tracks
                .iter()
                .map(|track| track.samples.len())
                .sum::<usize>();
        tracks.push(Track::read(child.body, movie_scale, room)?);
    }
    if let Some(mvex) = moov.find_opt(b"mvex")? {
        fragments::read_defaults(mvex, &mut tracks)?;
    }
    if !tracks.iter().any(|track| track.kind() == TrackKind::Video) {
        return Err(moov.bad("no video track"));
    }
    Ok(tracks)
}

fn movie_timescale(moov: Reader<'_>) -> Result<u32, Error> {
    let mut mvhd = moov.find(b"mvhd")?;
    let (version, _) = mvhd.version_and_flags()?;
    mvhd.take(if version == 0 { 8 } else { 16 })?;
    Ok(mvhd.u32()?.max(1))
}
