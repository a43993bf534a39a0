//! From transport stream packets to access units.

use super::audio::{
    AAC_FRAME_SAMPLES, G711_FRAME_SAMPLES, OPUS_FRAME_SAMPLES, g711_frame, g711_parameters,
    split_adts, split_ogg_opus,
};
use super::ts::{Pes, StreamType, TsReader};
use super::{ClipSpec, EncodedClip, ffmpeg};
use anyhow::{Context, Result};
use bytes::Bytes;
use framewell_media::nal::{self, NalKind};
use framewell_media::{
    AccessUnit, AudioCodec, AudioParameters, StreamParameters, TrackKind, VideoCodec,
    VideoParameters,
};
use framewell_model::{ClockSource, MediaTime, Timescale, WallTime};

/// A coded picture without its parameter sets.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) codec: VideoCodec,
    pub(crate) data: Bytes,
    pub(crate) is_key: bool,
    /// Parameter sets that came with it, in stream order.
    pub(crate) parameter_sets: Vec<Bytes>,
}

/// Cuts a PES packet of video into NAL units and sorts them; `None` for audio.
pub(crate) fn picture(pes: &Pes) -> Option<Picture> {
    let codec = match pes.stream {
        StreamType::H264 => VideoCodec::H264,
        StreamType::H265 => VideoCodec::H265,
        StreamType::AdtsAac => return None,
    };
    let (mut parameter_sets, mut kept, mut is_key) = (Vec::new(), Vec::new(), false);
    for unit in nal::split_annex_b(&Bytes::copy_from_slice(&pes.data)) {
        match nal::kind(codec, &unit) {
            NalKind::ParameterSet => parameter_sets.push(unit),
            NalKind::Delimiter => {}
            kind => {
                is_key |= kind == NalKind::KeySlice;
                kept.push(unit);
            }
        }
    }
    Some(Picture {
        codec,
        data: nal::join_length_prefixed(&kept),
        is_key,
        parameter_sets,
    })
}

/// Frames of one audio track.
#[derive(Debug)]
pub(super) struct AudioTrack {
    parameters: AudioParameters,
    frames: Vec<(MediaTime, Bytes)>,
}

/// Reads a whole transport stream; its first picture (in display order) is captured at `start`.
pub(super) fn read_clip(stream: &[u8], start: WallTime) -> Result<EncodedClip> {
    let (mut reader, mut packets) = (TsReader::default(), Vec::new());
    reader.push(stream, &mut packets);
    reader.finish(&mut packets);
    let (mut units, mut sets, mut codec) = (Vec::new(), Vec::new(), None);
    for pes in &packets {
        let Some(picture) = picture(pes) else {
            continue;
        };
        if codec.is_none() {
            codec = Some(picture.codec);
            sets = picture.parameter_sets;
        }
        let time = |ticks| MediaTime::new(ticks, Timescale::HZ_90K);
        units.push(video_unit(
            time(pes.pts),
            time(pes.dts),
            picture.is_key,
            picture.data,
        ));
    }
    let codec = codec.context("no H.264 or H.265 video")?;
    let video = VideoParameters::from_parameter_sets(codec, &sets)?;
    let origin = units.iter().map(|u| u.pts.ticks).min().unwrap_or(0);
    for unit in &mut units {
        unit.pts.ticks -= origin;
        unit.dts.ticks -= origin;
        unit.wall = start.plus_micros(unit.pts.micros());
    }
    let mut clip = EncodedClip {
        parameters: StreamParameters { video, audio: None },
        duration: duration(&units),
        units,
    };
    if let Some(audio) = adts_track(&packets, origin)? {
        add_audio(&mut clip, audio);
    }
    Ok(clip)
}

fn video_unit(pts: MediaTime, dts: MediaTime, is_key: bool, data: Bytes) -> AccessUnit {
    AccessUnit {
        track: TrackKind::Video,
        pts,
        dts,
        wall: WallTime::from_secs(0),
        clock: ClockSource::CameraRtcp,
        is_key,
        data,
    }
}

/// The last presentation time plus a mean frame.
fn duration(units: &[AccessUnit]) -> MediaTime {
    let last = units.iter().map(|u| u.pts.ticks).max().unwrap_or(0);
    let steps = i64::try_from(units.len()).unwrap_or(i64::MAX) - 1;
    let mean = if steps > 0 { last / steps } else { 3_600 };
    MediaTime::new(last + mean, Timescale::HZ_90K)
}

/// Gives the pictures, in display order, the exact presentation times of their numbers. (The
/// encoder's are the same, but for rounding.)
pub(super) fn number_pictures(clip: &mut EncodedClip, pts: impl Fn(u32) -> MediaTime) {
    let start = clip.units.iter().map(|u| u.wall).min();
    let mut order: Vec<usize> = (0..clip.units.len()).collect();
    order.sort_by_key(|index| clip.units[*index].pts.ticks);
    for (number, index) in (0..).zip(order) {
        let unit = &mut clip.units[index];
        let exact = pts(number);
        unit.dts.ticks = (unit.dts.ticks + exact.ticks - unit.pts.ticks).min(exact.ticks);
        unit.pts = exact;
        unit.wall = start.unwrap_or(unit.wall).plus_micros(exact.micros());
    }
}

/// The AAC track of a transport stream whose pictures start at `origin`.
fn adts_track(packets: &[Pes], origin: i64) -> Result<Option<AudioTrack>> {
    let mut track: Option<AudioTrack> = None;
    for pes in packets.iter().filter(|p| p.stream == StreamType::AdtsAac) {
        let (parameters, frames) = split_adts(&pes.data)?;
        let scale = parameters.timescale();
        let first = MediaTime::new(pes.pts - origin, Timescale::HZ_90K).rescale(scale);
        let track = track.get_or_insert(AudioTrack {
            parameters,
            frames: Vec::new(),
        });
        for (index, frame) in (0..).zip(frames) {
            let pts = MediaTime::new(first.ticks + index * AAC_FRAME_SAMPLES, scale);
            if pts.ticks >= 0 {
                track.frames.push((pts, frame));
            }
        }
    }
    Ok(track)
}

/// A tone as long as the clip.
pub(super) fn make_audio(codec: AudioCodec, spec: &ClipSpec) -> Result<AudioTrack> {
    let length_us = spec.pts(spec.frames).micros();
    let (parameters, samples, frames) = match codec {
        AudioCodec::Aac => {
            let (parameters, frames) = split_adts(&ffmpeg::aac_tone(length_us)?)?;
            (parameters, AAC_FRAME_SAMPLES, frames)
        }
        AudioCodec::Opus => {
            let (parameters, frames) = split_ogg_opus(&ffmpeg::opus_tone(length_us)?)?;
            (parameters, OPUS_FRAME_SAMPLES, frames)
        }
        AudioCodec::Pcmu | AudioCodec::Pcma => {
            let parameters = g711_parameters(codec);
            let count = parameters.timescale().from_micros(length_us) / G711_FRAME_SAMPLES;
            let frames = (0..count).map(|index| g711_frame(codec, index)).collect();
            (parameters, G711_FRAME_SAMPLES, frames)
        }
    };
    let scale = parameters.timescale();
    let frames = (0..)
        .map(|index| MediaTime::new(index * samples, scale))
        .zip(frames)
        .take_while(|(pts, _)| pts.micros() < length_us)
        .collect();
    Ok(AudioTrack { parameters, frames })
}

/// Puts audio between the pictures, by decode time.
pub(super) fn add_audio(clip: &mut EncodedClip, audio: AudioTrack) {
    let start = clip.units.iter().map(|u| u.wall).min();
    let start = start.unwrap_or(WallTime::from_secs(0));
    for (pts, data) in audio.frames {
        clip.units.push(AccessUnit {
            track: TrackKind::Audio,
            pts,
            dts: pts,
            wall: start.plus_micros(pts.micros()),
            clock: ClockSource::CameraRtcp,
            is_key: true,
            data,
        });
    }
    clip.units.sort_by_key(|unit| unit.dts.micros());
    clip.parameters.audio = Some(audio.parameters);
}
