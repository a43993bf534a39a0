//! Streams for the tests of this crate: real parameter sets, made-up payload.

use crate::{FileClock, Fragment, SegmentIdentity, build_fragment, build_init};
use bytes::Bytes;
use framewell_media::{
    AccessUnit, AudioCodec, AudioParameters, DtsEstimator, StreamParameters, TrackKind, VideoCodec,
    VideoParameters,
};
use framewell_model::{ChannelId, ClockSource, MediaTime, RunId, SegmentId, Timescale, WallTime};
use proptest::prelude::*;
use uuid::Uuid;

/// SPS and PPS of x264, 322x182, High profile.
const X264: [&[u8]; 2] = [
    b"\x67\x64\x00\x0d\xac\xd9\x41\x51\x9e\x22\x6c\x04\x40\x00\x00\x03\x00\x40\x00\x00\x0c\x83\xc5\x0a\x65\x80",
    b"\x68\xeb\xe3\xcb\x22\xc0",
];
/// VPS, SPS and PPS of x265, 322x182, Main profile.
const X265: [&[u8]; 3] = [
    b"\x40\x01\x0c\x01\xff\xff\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x3c\x95\x98\x09",
    b"\x42\x01\x01\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x3c\xa0\x0a\x48\x0b\x9c\x95\x96\x56\x69\x24\xca\xf0\x16\x80\x80\x00\x00\x03\x00\x80\x00\x00\x0c\x84",
    b"\x44\x01\xc1\x72\xb4\x62\x40",
];

pub(crate) fn h264() -> VideoParameters {
    let nals = X264.map(Bytes::from_static);
    VideoParameters::from_parameter_sets(VideoCodec::H264, &nals).unwrap()
}

pub(crate) fn h265() -> VideoParameters {
    let nals = X265.map(Bytes::from_static);
    VideoParameters::from_parameter_sets(VideoCodec::H265, &nals).unwrap()
}

pub(crate) fn aac() -> AudioParameters {
    AudioParameters {
        codec: AudioCodec::Aac,
        sample_rate: 48_000,
        channels: 2,
        config: Bytes::from_static(&[0x11, 0x90]),
    }
}

pub(crate) fn pcma() -> AudioParameters {
    AudioParameters {
        codec: AudioCodec::Pcma,
        sample_rate: 8_000,
        channels: 1,
        config: Bytes::new(),
    }
}

pub(crate) fn parameters(audio: Option<AudioParameters>) -> StreamParameters {
    StreamParameters {
        video: h264(),
        audio,
    }
}

pub(crate) fn identity() -> SegmentIdentity {
    SegmentIdentity {
        segment: SegmentId::from_uuid(Uuid::from_u128(0x1234)),
        channel: ChannelId::new(7).unwrap(),
        run: RunId::from_uuid(Uuid::from_u128(0x5678)),
        sequence: 3,
        wall_start: START,
        clock: ClockSource::CameraRtcp,
    }
}

/// Wall time of media time 0 in these streams.
pub(crate) const START: WallTime = WallTime::from_micros(1_700_000_000_123_457);
/// A frame at 25 Hz.
pub(crate) const FRAME: i64 = 3_600;

/// A video unit that is shown at `pts`.
pub(crate) fn video_unit(pts: i64, dts: i64, is_key: bool, len: usize) -> AccessUnit {
    AccessUnit {
        track: TrackKind::Video,
        pts: MediaTime::new(pts, Timescale::HZ_90K),
        dts: MediaTime::new(dts, Timescale::HZ_90K),
        wall: START.plus_micros(Timescale::HZ_90K.to_micros(pts)),
        clock: ClockSource::CameraRtcp,
        is_key,
        data: payload(pts, len),
    }
}

/// An audio frame of `audio` that starts at `pts`.
pub(crate) fn audio_unit(audio: &AudioParameters, pts: i64, len: usize) -> AccessUnit {
    let time = MediaTime::new(pts, audio.timescale());
    AccessUnit {
        track: TrackKind::Audio,
        pts: time,
        dts: time,
        wall: START.plus_micros(time.micros()),
        clock: ClockSource::CameraRtcp,
        is_key: true,
        data: payload(!pts, len),
    }
}

/// Bytes that tell units apart.
fn payload(seed: i64, len: usize) -> Bytes {
    let pattern = seed.to_be_bytes();
    (0..len)
        .map(|at| pattern[at % 8] ^ u8::try_from(at % 251).unwrap())
        .collect()
}

/// A GOP of `frames` pictures from media time `start`, `bframes` of them between two others.
pub(crate) fn gop(
    start: i64,
    frames: i64,
    bframes: i64,
    dts: &mut DtsEstimator,
) -> Vec<AccessUnit> {
    let mut order = vec![0];
    let mut next = 1;
    while next < frames {
        let anchor = (next + bframes).min(frames - 1);
        order.push(anchor);
        order.extend(next..anchor);
        next = anchor + 1;
    }
    order
        .into_iter()
        .map(|n| {
            let pts = start + n * FRAME;
            let len = 40 + usize::try_from(n).unwrap() % 7;
            video_unit(pts, dts.place(pts), n == 0, len)
        })
        .collect()
}

/// Audio frames of 1024 samples that start in `[from, to)` of the video's ticks.
pub(crate) fn audio_between(audio: &AudioParameters, from: i64, to: i64) -> Vec<AccessUnit> {
    let rate = i64::from(audio.sample_rate);
    let first = (from * rate).div_ceil_ticks(90_000 * 1024);
    (first..)
        .map(|n| n * 1024)
        .take_while(|ticks| ticks * 90_000 < to * rate)
        .map(|ticks| audio_unit(audio, ticks, 20))
        .collect()
}

trait DivCeilTicks {
    fn div_ceil_ticks(self, by: i64) -> i64;
}

impl DivCeilTicks for i64 {
    fn div_ceil_ticks(self, by: i64) -> i64 {
        -(-self).div_euclid(by)
    }
}

/// A segment of these fragments as a file.
pub(crate) fn segment(parameters: &StreamParameters, fragments: &[Fragment]) -> Vec<u8> {
    let mut file = build_init(parameters, Some(&identity())).to_vec();
    for fragment in fragments {
        file.extend_from_slice(&fragment_bytes(fragment));
    }
    file
}

pub(crate) fn fragment_bytes(fragment: &Fragment) -> Vec<u8> {
    let mut bytes = fragment.header.to_vec();
    for unit in &fragment.payload {
        bytes.extend_from_slice(unit);
    }
    bytes
}

/// GOPs as fragments of a live stream, each ending where the next one starts.
pub(crate) fn fragments(parameters: &StreamParameters, gops: &[Vec<AccessUnit>]) -> Vec<Fragment> {
    let clock = FileClock::of_run(parameters);
    (0..gops.len())
        .map(|at| {
            let next = gops.get(at + 1).map(|gop| gop[0].dts.ticks);
            let sequence = u32::try_from(at + 1).unwrap();
            build_fragment(&clock, sequence, parameters, &gops[at], next)
        })
        .collect()
}

/// Units of one GOP with uneven frame distances, any reordering, and audio mixed in.
pub(crate) fn any_gop() -> impl Strategy<Value = (StreamParameters, Vec<AccessUnit>)> {
    let pictures = prop::collection::vec((1i64..40_000, 0usize..6, 0usize..300), 1..40);
    let sound = prop::collection::vec((0usize..40, 0usize..90), 0..20);
    (-20_000i64..1 << 40, 0u8..4, pictures, sound, 0u8..3).prop_map(
        |(start, depth, pictures, sound, codec)| {
            let audio = [None, Some(aac()), Some(pcma())][usize::from(codec)].clone();
            let mut units = any_video(start, depth, &pictures);
            if let Some(audio) = &audio {
                let first = (start.max(0) / 90_000) * i64::from(audio.sample_rate);
                for (n, (at, len)) in sound.into_iter().enumerate() {
                    let pts = first + i64::try_from(n).unwrap() * 1024;
                    // The key frame stays first.
                    units.insert(1 + at % units.len(), audio_unit(audio, pts, len));
                }
                sort_audio(&mut units);
            }
            (parameters(audio), units)
        },
    )
}

fn any_video(start: i64, depth: u8, pictures: &[(i64, usize, usize)]) -> Vec<AccessUnit> {
    let mut estimator = DtsEstimator::new(depth);
    let mut pts = start;
    let mut waiting: Vec<(i64, usize)> = Vec::new();
    let mut order = Vec::new();
    for (step, choice, len) in pictures {
        waiting.push((pts, *len));
        pts += step;
        if waiting.len() > usize::from(depth) {
            order.push(waiting.remove(choice % waiting.len()));
        }
    }
    order.extend(waiting);
    order
        .into_iter()
        .enumerate()
        .map(|(n, (pts, len))| video_unit(pts, estimator.place(pts), n == 0, len))
        .collect()
}

/// Puts the audio units among the others into the order of their times.
fn sort_audio(units: &mut [AccessUnit]) {
    let places: Vec<usize> = (0..units.len())
        .filter(|at| units[*at].track == TrackKind::Audio)
        .collect();
    let mut audio: Vec<AccessUnit> = places.iter().map(|at| units[*at].clone()).collect();
    audio.sort_by_key(|unit| unit.pts.ticks);
    for (place, unit) in places.into_iter().zip(audio) {
        units[place] = unit;
    }
}
