//! Encoded streams as access units, and as segments.

use crate::ffmpeg::{self, arg};
use bytes::Bytes;
use framewell_fmp4::{
    ClipSource, FileClock, SegmentIdentity, build_fragment, build_init, build_segment_init,
    parse_fragment, scan_segment,
};
use framewell_media::{
    AccessUnit, AudioCodec, AudioParameters, Cut, DtsEstimator, SegmentPlanner, StreamParameters,
    TrackKind, VideoCodec, VideoParameters, nal,
};
use framewell_model::{ChannelId, ClockSource, MediaTime, RunId, SegmentId, Timescale, WallTime};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// Wall time of the first picture.
pub(crate) const START: WallTime = WallTime::from_secs(1_700_000_000);
/// Frames per second of all streams.
pub(crate) const RATE: i64 = 25;

/// What to encode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) codec: VideoCodec,
    /// Encoder options.
    pub(crate) options: &'static [&'static str],
    pub(crate) audio: Option<AudioCodec>,
    pub(crate) seconds: i64,
    /// Picture size, such as `320x180`.
    pub(crate) size: &'static str,
}

pub(crate) const H264: Recipe = Recipe {
    codec: VideoCodec::H264,
    options: &[
        "-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "0",
    ],
    audio: None,
    seconds: 5,
    size: "320x180",
};

pub(crate) const H264_B: Recipe = Recipe {
    options: &[
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-g",
        "30",
        "-bf",
        "3",
        "-b_strategy",
        "0",
    ],
    audio: Some(AudioCodec::Aac),
    ..H264
};

/// x265 opens its GOPs: pictures shown before a key frame follow it.
pub(crate) const H265_OPEN: Recipe = Recipe {
    codec: VideoCodec::H265,
    options: &[
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "log-level=none:keyint=27:min-keyint=27:bframes=3:b-adapt=0:open-gop=1:scenecut=0",
    ],
    audio: Some(AudioCodec::Pcma),
    ..H264
};

pub(crate) const H265: Recipe = Recipe {
    options: &[
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "log-level=none:keyint=25:bframes=0:scenecut=0",
    ],
    audio: Some(AudioCodec::Pcmu),
    ..H265_OPEN
};

/// An encoded stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) folder: TempDir,
    pub(crate) parameters: StreamParameters,
    /// In arrival order: every audio frame after the picture that it accompanies.
    pub(crate) units: Vec<AccessUnit>,
    /// What a player shows of the encoder's own output.
    pub(crate) reference: Vec<ffmpeg::Frame>,
}

impl Stream {
    pub(crate) fn encode(recipe: &Recipe) -> Self {
        let folder = TempDir::new().unwrap();
        let container = encode_video(recipe, folder.path());
        let (video, pictures) = read_video(recipe.codec, folder.path(), &container);
        let reference = ffmpeg::frames(&container);
        assert_eq!(reference.len(), pictures.len());
        let (audio, sound) = match recipe.audio {
            Some(codec) => {
                let (audio, units) = encode_audio(codec, recipe.seconds, folder.path());
                (Some(audio), units)
            }
            None => (None, Vec::new()),
        };
        Self {
            folder,
            parameters: StreamParameters { video, audio },
            units: interleave(pictures, sound),
            reference,
        }
    }

    /// The first seconds of the video of a stored file, packets untouched.
    pub(crate) fn import(codec: VideoCodec, file: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let container = folder.path().join("video.ts");
        ffmpeg::run(
            "ffmpeg",
            &[
                "-i",
                arg(file),
                "-t",
                "6",
                "-map",
                "0:v",
                "-c",
                "copy",
                "-f",
                "mpegts",
                "-y",
                arg(&container),
            ],
        );
        let (video, units) = read_video(codec, folder.path(), &container);
        let reference = ffmpeg::frames(&container);
        Self {
            folder,
            parameters: StreamParameters { video, audio: None },
            units,
            reference,
        }
    }

    /// The same stream, later in its run.
    pub(crate) fn delay(&mut self, seconds: i64) {
        for unit in &mut self.units {
            let scale = unit.pts.scale;
            let ticks = seconds * i64::from(scale.hz());
            unit.pts = MediaTime::new(unit.pts.ticks + ticks, scale);
            unit.dts = MediaTime::new(unit.dts.ticks + ticks, scale);
        }
    }

    pub(crate) fn pictures(&self) -> impl Iterator<Item = &AccessUnit> {
        self.units
            .iter()
            .filter(|unit| unit.track == TrackKind::Video)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn encode_video(recipe: &Recipe, folder: &Path) -> PathBuf {
    let file = folder.join("video.ts");
    let picture = format!("testsrc2=size={}:rate={RATE}", recipe.size);
    let seconds = recipe.seconds.to_string();
    let mut arguments = vec![
        "-f", "lavfi", "-i", &picture, "-t", &seconds, "-pix_fmt", "yuv420p",
    ];
    arguments.extend(recipe.options);
    arguments.extend(["-threads", "1", "-f", "mpegts", "-y", arg(&file)]);
    ffmpeg::run("ffmpeg", &arguments);
    file
}

/// Parameters and access units of the video; the first picture is shown at media time 0.
fn read_video(
    codec: VideoCodec,
    folder: &Path,
    container: &Path,
) -> (VideoParameters, Vec<AccessUnit>) {
    let (format, filter) = match codec {
        VideoCodec::H264 => ("h264", "h264_metadata=aud=insert"),
        VideoCodec::H265 => ("hevc", "hevc_metadata=aud=insert"),
    };
    let bare = folder.join("video.annexb");
    ffmpeg::run(
        "ffmpeg",
        &[
            "-i",
            arg(container),
            "-c",
            "copy",
            "-bsf:v",
            filter,
            "-f",
            format,
            "-y",
            arg(&bare),
        ],
    );
    let nals = nal::split_annex_b(&std::fs::read(bare).unwrap().into());
    let pictures: Vec<&[Bytes]> = nals
        .chunk_by(|_, next| nal::kind(codec, next) != nal::NalKind::Delimiter)
        .collect();
    let times = ffmpeg::packets(container, "v:0");
    assert_eq!(times.len(), pictures.len());
    let zero = times.iter().map(|time| time.0).min().unwrap();
    let video = VideoParameters::from_parameter_sets(codec, pictures[0]).unwrap();
    let mut estimator = DtsEstimator::new(video.reorder_depth);
    let units = pictures
        .iter()
        .zip(&times)
        .map(|(picture, time)| video_unit(codec, picture, time.0 - zero, &mut estimator))
        .collect();
    (video, units)
}

fn video_unit(
    codec: VideoCodec,
    nals: &[Bytes],
    pts: i64,
    estimator: &mut DtsEstimator,
) -> AccessUnit {
    let kept: Vec<Bytes> = nals
        .iter()
        .filter(|nal| {
            let kind = nal::kind(codec, nal);
            !matches!(kind, nal::NalKind::Delimiter | nal::NalKind::ParameterSet)
        })
        .cloned()
        .collect();
    let data = nal::join_length_prefixed(&kept);
    let dts = estimator.place(pts);
    assert!(dts <= pts, "decoded after it is shown: {dts} {pts}");
    AccessUnit {
        track: TrackKind::Video,
        pts: MediaTime::new(pts, Timescale::HZ_90K),
        dts: MediaTime::new(dts, Timescale::HZ_90K),
        wall: START.plus_micros(Timescale::HZ_90K.to_micros(pts)),
        clock: ClockSource::CameraRtcp,
        is_key: nal::is_key(codec, &data),
        data,
    }
}

/// Bytes of a packet of 20 ms at 32 kbit/s.
const OPUS_BYTES: usize = 80;

fn encode_audio(
    codec: AudioCodec,
    seconds: i64,
    folder: &Path,
) -> (AudioParameters, Vec<AccessUnit>) {
    let (format, encoder, rate) = match codec {
        AudioCodec::Aac => ("adts", "aac", 48_000),
        AudioCodec::Pcma => ("alaw", "pcm_alaw", 8_000),
        AudioCodec::Pcmu => ("mulaw", "pcm_mulaw", 8_000),
        AudioCodec::Opus => ("data", "libopus", 48_000),
    };
    let file = folder.join("audio");
    let tone = format!("sine=frequency=440:sample_rate={rate}");
    let seconds = seconds.to_string();
    let mut options = vec!["-f", "lavfi", "-i", &tone, "-t", &seconds, "-c:a", encoder];
    if codec == AudioCodec::Opus {
        // Packets of one size can be told apart without a container.
        options.extend(["-b:a", "32k", "-vbr", "off", "-map", "0:a"]);
    }
    options.extend(["-f", format, "-y", arg(&file)]);
    ffmpeg::run("ffmpeg", &options);
    let bytes = Bytes::from(std::fs::read(file).unwrap());
    let (config, frames, ticks) = match codec {
        AudioCodec::Aac => {
            let (config, frames) = split_adts(&bytes);
            (config, frames, 1024)
        }
        AudioCodec::Opus => {
            let frames = (0..bytes.len() / OPUS_BYTES)
                .map(|n| bytes.slice(n * OPUS_BYTES..(n + 1) * OPUS_BYTES))
                .collect();
            (AudioParameters::opus(1).config, frames, 960)
        }
        AudioCodec::Pcma | AudioCodec::Pcmu => {
            let frames = (0..bytes.len() / 160)
                .map(|n| bytes.slice(n * 160..(n + 1) * 160))
                .collect();
            (Bytes::new(), frames, 160)
        }
    };
    let parameters = AudioParameters {
        codec,
        sample_rate: rate,
        channels: 1,
        config,
    };
    let units = (0i64..)
        .zip(frames)
        .map(|(n, data)| audio_unit(&parameters, n * ticks, data))
        .collect();
    (parameters, units)
}

fn audio_unit(parameters: &AudioParameters, pts: i64, data: Bytes) -> AccessUnit {
    let pts = MediaTime::new(pts, parameters.timescale());
    AccessUnit {
        track: TrackKind::Audio,
        pts,
        dts: pts,
        wall: START.plus_micros(pts.micros()),
        clock: ClockSource::CameraRtcp,
        is_key: true,
        data,
    }
}

/// `AudioSpecificConfig` and raw frames of an ADTS stream (ISO/IEC 14496-3 section 1.A.3).
fn split_adts(stream: &Bytes) -> (Bytes, Vec<Bytes>) {
    let object_type = (stream[2] >> 6) + 1;
    let rate_index = stream[2] >> 2 & 0xf;
    let channels = (stream[2] & 1) << 2 | stream[3] >> 6;
    let config = vec![
        object_type << 3 | rate_index >> 1,
        rate_index << 7 | channels << 3,
    ];
    let mut frames = Vec::new();
    let mut at = 0;
    while at + 7 <= stream.len() {
        let head = if stream[at + 1] & 1 == 1 { 7 } else { 9 };
        let len = usize::from(stream[at + 3] & 3) << 11
            | usize::from(stream[at + 4]) << 3
            | usize::from(stream[at + 5]) >> 5;
        frames.push(stream.slice(at + head..at + len));
        at += len;
    }
    (config.into(), frames)
}

/// Audio behind the picture that is decoded at the same time.
fn interleave(pictures: Vec<AccessUnit>, sound: Vec<AccessUnit>) -> Vec<AccessUnit> {
    let mut sound = sound.into_iter().peekable();
    let mut units = Vec::new();
    for picture in pictures {
        let until = picture.dts.micros() + 40_000;
        units.push(picture);
        while sound.peek().is_some_and(|unit| unit.pts.micros() < until) {
            units.extend(sound.next());
        }
    }
    units.extend(sound);
    units
}

/// A recording of a stream: whole files, as a recorder writes them.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) segments: Vec<Vec<u8>>,
    /// Clock of the newest segment.
    clock: FileClock,
}

/// The stream as live HLS gives it to a player: all fragments follow one init segment.
pub(crate) fn live(stream: &Stream) -> Vec<u8> {
    let clock = FileClock::of_run(&stream.parameters);
    let mut file = build_init(&stream.parameters, None).to_vec();
    cut(stream, |_, units, end_dts| {
        append(&mut file, &clock, stream, units, end_dts);
    });
    file
}

/// Cuts by the planner: segments of 2 s, fragments of at most 1 s. Calls `write` with whether a
/// segment begins, the units of a fragment, and the DTS behind it.
fn cut(stream: &Stream, mut write: impl FnMut(bool, &[AccessUnit], Option<i64>)) {
    let mut planner = SegmentPlanner::new(Duration::from_secs(2), Duration::from_secs(1));
    let mut open: Vec<AccessUnit> = Vec::new();
    let mut starts_segment = true;
    for unit in &stream.units {
        if unit.track == TrackKind::Video {
            let cut = planner.next(unit.dts.micros(), unit.is_key, false);
            if cut != Cut::None && !open.is_empty() {
                write(starts_segment, &open, Some(unit.dts.ticks));
                open.clear();
                starts_segment = cut == Cut::Segment;
            }
        }
        open.push(unit.clone());
    }
    write(starts_segment, &open, None);
}

fn append(
    file: &mut Vec<u8>,
    clock: &FileClock,
    stream: &Stream,
    units: &[AccessUnit],
    end_dts: Option<i64>,
) {
    let fragment = build_fragment(clock, 1, &stream.parameters, units, end_dts);
    file.extend_from_slice(&fragment.header);
    fragment
        .payload
        .iter()
        .for_each(|piece| file.extend_from_slice(piece));
}

impl Recording {
    pub(crate) fn new(stream: &Stream, run: u128) -> Self {
        let mut recording = Self {
            segments: Vec::new(),
            clock: FileClock::of_run(&stream.parameters),
        };
        cut(stream, |starts_segment, units, end_dts| {
            if starts_segment {
                recording.begin(stream, run, units);
            }
            let file = recording.segments.last_mut().unwrap();
            append(file, &recording.clock, stream, units, end_dts);
        });
        recording
    }

    fn begin(&mut self, stream: &Stream, run: u128, units: &[AccessUnit]) {
        let number = self.segments.len();
        let identity = SegmentIdentity {
            segment: SegmentId::from_uuid(Uuid::from_u128(run * 1000 + number as u128)),
            channel: ChannelId::new(1).unwrap(),
            run: RunId::from_uuid(Uuid::from_u128(run)),
            sequence: number as i64,
            wall_start: units[0].wall,
            clock: units[0].clock,
        };
        let (init, clock) = build_segment_init(&stream.parameters, &identity, units);
        self.segments.push(init.to_vec());
        self.clock = clock;
    }

    /// What a catalog and ranged reads would give; segments are numbered from `first_segment`.
    pub(crate) fn sources(&self, first_segment: usize) -> Vec<ClipSource> {
        let mut sources = Vec::new();
        for (number, file) in self.segments.iter().enumerate() {
            let scanned = scan_segment(file).unwrap();
            assert_eq!(scanned.index.len_bytes(), file.len() as u64);
            let parameters = scanned.parameters.into_shared();
            for entry in scanned.index.fragments {
                let from = entry.offset as usize;
                let header = &file[from..from + entry.header_len as usize];
                sources.push(ClipSource {
                    segment: first_segment + number,
                    entry,
                    samples: parse_fragment(header).unwrap().into(),
                    parameters: Arc::clone(&parameters),
                });
            }
        }
        sources
    }
}
