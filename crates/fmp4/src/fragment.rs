//! Fragments: `prft`, `moof`, `mdat`.

use crate::clock::TrackClock;
use crate::moov::{VIDEO_TRACK, track_id};
use crate::time::{clock_to_flags, to_ntp};
use crate::write::{BoxWriter, length_u32};
use crate::{FileClock, FragmentEntry, Sample};
use bytes::Bytes;
use framewell_media::{AccessUnit, AudioCodec, AudioParameters, StreamParameters, TrackKind, opus};
use framewell_model::{ClockSource, WallTime};

/// `sample_flags` of a random access point: depends on no other sample (ISO/IEC 14496-12 section
/// 8.8.3.1).
pub(crate) const SYNC_SAMPLE: u32 = 0x0200_0000;
/// `sample_flags` of any other sample: depends on others, is no sync sample.
const OTHER_SAMPLE: u32 = 0x0101_0000;
/// User type of the box that tells a fragment's reader when the clock of a track starts: ticks of the
/// run, signed 64 bits.
pub(crate) const CLOCK_BOX: [u8; 16] = *b"framewell/clock\0";

/// User type of the box in `moof` with audio from before the clock of the file: a `traf` but for its
/// name, so that no player plays it. Audio is stored with the pictures that it arrived with; a clip
/// that begins before this segment needs what arrived late.
pub(crate) const EARLY_AUDIO_BOX: [u8; 16] = *b"framewell/early\0";

/// Duration of a lone last picture, of which nothing is known: a frame at 25 Hz.
const LONE_PICTURE_TICKS: u32 = 3_600;
/// Samples in an AAC frame (ISO/IEC 14496-3 section 4.5.1.1).
const AAC_FRAME_TICKS: u32 = 1_024;
/// Samples in the usual Opus packet, of 20 ms.
const OPUS_FRAME_TICKS: u32 = 960;

/// Fields of `trun` per video sample: duration, size, flags, composition offset.
const VIDEO_RUN_FLAGS: u32 = 0x0000_0f01;
/// Fields of `trun` per audio sample: duration, size.
const AUDIO_RUN_FLAGS: u32 = 0x0000_0301;
/// Bytes of `prft`, version 1.
const PRFT_LEN: usize = 32;
/// Bytes of `moof` and `mfhd` without tracks.
const MOOF_LEN: usize = 8 + 16;
/// Bytes of `traf`, `tfhd`, `tfdt`, the clock box and an empty `trun`.
const TRAF_LEN: usize = 8 + 16 + 20 + (8 + 16 + 8) + 20;
/// Bytes by which the box of early audio is longer than a `traf`: its user type.
const EARLY_LEN: usize = 16;
/// Bytes of the header of `mdat`.
const MDAT_HEAD_LEN: usize = 8;

/// A fragment ready to be written with one vectored write: nothing of the payload is copied.
#[derive(Debug, Clone)]
pub struct Fragment {
    /// `prft`, `moof` and the header of `mdat`.
    pub header: Bytes,
    /// The samples, in the order of the `mdat`: all video, then all audio.
    pub payload: Vec<Bytes>,
    /// The samples, in the order of the payload.
    pub samples: Vec<Sample>,
    /// What the index says about it; `offset` is 0 until the caller knows the place in the file.
    pub entry: FragmentEntry,
}

/// Builds a fragment from the units of a piece of one GOP, in decoding order, video and audio mixed.
/// Those of a stored segment have a video unit; a live stream may have fragments of audio alone.
///
/// `clock` is that of the file or stream that the fragment goes into. `sequence` counts fragments from 1 (`mfhd`). `end_dts` is the DTS of the next video unit, which
/// gives the last sample its duration; `None` at the end of a run repeats the one before.
///
/// Costs one allocation for the header, one for the list of handles and one for the sample table.
///
/// # Panics
/// Without a unit, and when the payload reaches 2 GiB (a ring never holds that much).
#[must_use]
pub fn build_fragment(
    clock: &FileClock,
    sequence: u32,
    parameters: &StreamParameters,
    units: &[AccessUnit],
    end_dts: Option<i64>,
) -> Fragment {
    let mut samples = Vec::with_capacity(units.len());
    let mut payload = Vec::with_capacity(units.len());
    let mut gather = |kind: TrackKind| {
        let first = samples.len();
        for unit in units.iter().filter(|unit| unit.track == kind) {
            samples.push(sample_of(unit));
            payload.push(unit.data.clone());
        }
        first
    };
    gather(TrackKind::Video);
    let first_audio = gather(TrackKind::Audio);
    let (video, audio) = samples.split_at_mut(first_audio);
    set_durations(video, end_dts, LONE_PICTURE_TICKS);
    let lone_ticks = lone_audio_ticks(
        parameters.audio.as_ref(),
        payload.get(first_audio..).and_then(<[Bytes]>::last),
    );
    set_durations(audio, None, lone_ticks);

    let anchor = units
        .iter()
        .find(|unit| unit.track == TrackKind::Video)
        .or_else(|| units.first())
        .expect("callers give at least one unit");
    let anchor = Anchor {
        wall: anchor.wall,
        clock: anchor.clock,
    };
    let header = write_header(clock, sequence, &anchor, video, audio);
    let mut offset = length_u32(header.len());
    let entry_of_video = entry_of(&anchor, video);
    for sample in &mut samples {
        sample.offset = offset;
        offset = offset.saturating_add(sample.size);
    }
    let payload_len: usize = payload.iter().map(Bytes::len).sum();
    let entry = FragmentEntry {
        offset: 0,
        header_len: length_u32(header.len()),
        len: length_u32(header.len() + payload_len),
        ..entry_of_video
    };
    Fragment {
        header,
        payload,
        samples,
        entry,
    }
}

/// What `prft` says: the wall time of the first video unit in decoding order, of the first unit where
/// there is no video.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anchor {
    pub(crate) wall: WallTime,
    pub(crate) clock: ClockSource,
}

/// The entry of a fragment with these video samples, without its place and lengths.
pub(crate) fn entry_of(anchor: &Anchor, video: &[Sample]) -> FragmentEntry {
    let ends = video
        .iter()
        .map(|sample| sample.pts.saturating_add(i64::from(sample.duration)));
    FragmentEntry {
        offset: 0,
        header_len: 0,
        len: 0,
        wall: anchor.wall,
        anchor_pts: video.first().map_or(0, |sample| sample.pts),
        dts: video.first().map_or(0, |sample| sample.dts),
        min_pts: video.iter().map(|sample| sample.pts).min().unwrap_or(0),
        end_pts: ends.max().unwrap_or(0),
        duration: video.iter().map(|sample| i64::from(sample.duration)).sum(),
        is_key: video.first().is_some_and(|sample| sample.is_key),
        clock: anchor.clock,
    }
}

fn sample_of(unit: &AccessUnit) -> Sample {
    Sample {
        track: unit.track,
        offset: 0,
        size: length_u32(unit.data.len()),
        dts: unit.dts.ticks,
        pts: unit.pts.ticks,
        duration: 0,
        is_key: unit.is_key,
    }
}

/// Sets durations from one DTS to the next. The last sample lasts until `end_dts`; if that is
/// unknown or not later, as long as the one before, or `lone_ticks` if there is none.
fn set_durations(samples: &mut [Sample], end_dts: Option<i64>, lone_ticks: u32) {
    let between = |from: i64, to: i64| u32::try_from(to.saturating_sub(from)).ok();
    for at in 1..samples.len() {
        let (dts, next) = (samples[at - 1].dts, samples[at].dts);
        samples[at - 1].duration = between(dts, next).unwrap_or(0);
    }
    let before = samples.iter().rev().nth(1).map(|sample| sample.duration);
    if let Some(last) = samples.last_mut() {
        last.duration = end_dts
            .and_then(|end| between(last.dts, end))
            .filter(|ticks| *ticks > 0)
            .or(before)
            .unwrap_or(lone_ticks);
    }
}

/// How long the last audio frame lasts, whose successor is unknown.
fn lone_audio_ticks(parameters: Option<&AudioParameters>, last: Option<&Bytes>) -> u32 {
    let (Some(parameters), Some(last)) = (parameters, last) else {
        return AAC_FRAME_TICKS;
    };
    match parameters.codec {
        AudioCodec::Aac => AAC_FRAME_TICKS,
        AudioCodec::Opus => opus::samples(last).unwrap_or(OPUS_FRAME_TICKS),
        // A byte per sample and channel.
        AudioCodec::Pcmu | AudioCodec::Pcma => {
            length_u32(last.len()) / u32::from(parameters.channels.max(1))
        }
    }
}

fn write_header(
    clock: &FileClock,
    sequence: u32,
    anchor: &Anchor,
    video: &[Sample],
    audio: &[Sample],
) -> Bytes {
    let audio_origin = clock.origin(TrackKind::Audio);
    let is_early = |sample: &&Sample| sample.dts < audio_origin;
    let (early, audio) = audio.split_at(audio.iter().take_while(is_early).count());
    let audio_len = |samples: &[Sample], more: usize| match samples.len() {
        0 => 0,
        count => TRAF_LEN + more + 8 * count,
    };
    let video_len = match video.len() {
        0 => 0,
        count => TRAF_LEN + 16 * count,
    };
    let moof_len = MOOF_LEN + video_len + audio_len(early, EARLY_LEN) + audio_len(audio, 0);
    let bytes_of = |samples: &[Sample]| samples.iter().map(|s| s.size as usize).sum::<usize>();
    let video_at = moof_len + MDAT_HEAD_LEN;
    let early_at = video_at + bytes_of(video);
    let audio_at = early_at + bytes_of(early);
    let end = audio_at + bytes_of(audio);
    let first = video.first().or(early.first()).or(audio.first());
    let (anchor_track, anchor_ticks) = first.map_or((VIDEO_TRACK, 0), |first| {
        let clock = TrackClock::new(clock.origin(first.track), first.dts);
        (
            track_id(first.track),
            first.pts.saturating_sub(clock.origin),
        )
    });

    let mut w = BoxWriter::with_capacity(PRFT_LEN + video_at);
    w.full_box(b"prft", 1, clock_to_flags(anchor.clock), |w| {
        w.u32(anchor_track);
        w.u64(to_ntp(anchor.wall));
        w.u64(u64::try_from(anchor_ticks).unwrap_or(0));
    });
    w.boxed(b"moof", |w| {
        w.full_box(b"mfhd", 0, 0, |w| w.u32(sequence));
        if let Some(first) = video.first() {
            let clock = TrackClock::new(clock.origin(TrackKind::Video), first.dts);
            w.boxed(b"traf", |w| write_video_run(w, clock, video, video_at));
        }
        if let Some(first) = early.first() {
            let clock = TrackClock::new(audio_origin, first.dts);
            w.uuid_box(&EARLY_AUDIO_BOX, |w| {
                write_audio_run(w, clock, early, early_at);
            });
        }
        if let Some(first) = audio.first() {
            let clock = TrackClock::new(audio_origin, first.dts);
            w.boxed(b"traf", |w| write_audio_run(w, clock, audio, audio_at));
        }
    });
    w.u32(length_u32(end - moof_len));
    w.raw(b"mdat");
    debug_assert_eq!(w.len(), PRFT_LEN + video_at, "the lengths above are exact");
    w.into_bytes()
}

/// `tfhd`, `tfdt` and the clock box.
fn write_track_head(w: &mut BoxWriter, track: TrackKind, clock: TrackClock) {
    const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
    w.full_box(b"tfhd", 0, DEFAULT_BASE_IS_MOOF, |w| w.u32(track_id(track)));
    w.full_box(b"tfdt", 1, 0, |w| w.u64(clock.start.unsigned_abs()));
    w.uuid_box(&CLOCK_BOX, |w| w.i64(clock.origin));
}

/// Sample count and data offset of a `trun`; the offset counts from the first byte of `moof`.
fn put_run_head(w: &mut BoxWriter, samples: &[Sample], data_at: usize) {
    w.u32(length_u32(samples.len()));
    w.i32(i32::try_from(data_at).expect("a fragment is below 2 GiB"));
}

fn write_video_run(w: &mut BoxWriter, clock: TrackClock, video: &[Sample], data_at: usize) {
    write_track_head(w, TrackKind::Video, clock);
    w.full_box(b"trun", 1, VIDEO_RUN_FLAGS, |w| {
        put_run_head(w, video, data_at);
        for sample in video {
            w.u32(sample.duration);
            w.u32(sample.size);
            w.u32(if sample.is_key {
                SYNC_SAMPLE
            } else {
                OTHER_SAMPLE
            });
            let shift = sample.pts.saturating_sub(sample.dts);
            w.i32(i32::try_from(shift).unwrap_or(if shift < 0 { i32::MIN } else { i32::MAX }));
        }
    });
}

fn write_audio_run(w: &mut BoxWriter, clock: TrackClock, audio: &[Sample], data_at: usize) {
    write_track_head(w, TrackKind::Audio, clock);
    w.full_box(b"trun", 1, AUDIO_RUN_FLAGS, |w| {
        put_run_head(w, audio, data_at);
        for sample in audio {
            w.u32(sample.duration);
            w.u32(sample.size);
        }
    });
}

#[cfg(test)]
#[path = "fragment_tests.rs"]
mod tests;
