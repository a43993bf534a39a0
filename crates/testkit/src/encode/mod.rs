//! Clips of stamped pictures, encoded once and kept on disk.
//!
//! The `ffmpeg` command line encodes; this module reads its transport stream. Encoding is slow next
//! to everything else in a test, so results are cached under the workspace's target folder, for all
//! test processes.

mod audio;
pub(crate) mod elementary;
pub(crate) mod ffmpeg;
pub(crate) mod ts;

pub use audio::{ogg_opus, split_adts};

use crate::stamp::Stamp;
use anyhow::{Context, Result, ensure};
use framewell_media::{AccessUnit, AudioCodec, StreamParameters, TrackKind, VideoCodec, nal};
use framewell_model::{MediaTime, Timescale, WallTime};
use std::path::Path;

/// What to encode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipSpec {
    /// Video coding.
    pub codec: VideoCodec,
    /// Picture width in pixels, even.
    pub width: usize,
    /// Picture height in pixels, even.
    pub height: usize,
    /// Pictures per second.
    pub fps: u32,
    /// Pictures from one key frame to the next. GOPs are closed.
    pub gop: u32,
    /// B-frames between two other pictures.
    pub b_frames: u32,
    /// Audio track: a tone.
    pub audio: Option<AudioCodec>,
    /// How many pictures.
    pub frames: u32,
    /// Capture time of the first picture.
    pub start: WallTime,
}

impl Default for ClipSpec {
    /// Four seconds of H.264, 640x360 at 25 fps, a key frame per second, no B-frames, no audio, from
    /// 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self {
            codec: VideoCodec::H264,
            width: 640,
            height: 360,
            fps: 25,
            gop: 25,
            b_frames: 0,
            audio: None,
            frames: 100,
            start: WallTime::from_secs(1_767_225_600),
        }
    }
}

impl ClipSpec {
    /// The stamp that the `index`-th picture carries.
    #[must_use]
    pub fn stamp(&self, index: u32) -> Stamp {
        Stamp {
            frame: index,
            capture: self.start.plus_micros(self.pts(index).micros()),
        }
    }

    /// The presentation time of the `index`-th picture, from 0.
    #[must_use]
    pub fn pts(&self, index: u32) -> MediaTime {
        let fps = i64::from(self.fps);
        let ticks = (i64::from(index) * 90_000 + fps / 2) / fps;
        MediaTime::new(ticks, Timescale::HZ_90K)
    }

    /// The clip's video as an MPEG transport stream, for programs that send files. Blocks; needs `ffmpeg`.
    pub fn transport_stream(&self) -> Result<Vec<u8>> {
        ffmpeg::cached_video(self)
    }

    /// Encodes the clip, or takes it from the cache. Blocks; needs `ffmpeg`.
    pub fn encode(&self) -> Result<EncodedClip> {
        let stream = ffmpeg::cached_video(self)?;
        let mut clip = elementary::read_clip(&stream, self.start)?;
        let count = clip.video().count();
        ensure!(
            count == self.frames as usize,
            "{count} pictures came out of the encoder for {self:?}"
        );
        elementary::number_pictures(&mut clip, |index| self.pts(index));
        clip.duration = self.pts(self.frames);
        if let Some(codec) = self.audio {
            let audio = elementary::make_audio(codec, self)?;
            elementary::add_audio(&mut clip, audio);
        }
        Ok(clip)
    }
}

/// Encoded pictures and sound, as ingest would deliver them.
#[derive(Debug, Clone)]
pub struct EncodedClip {
    /// Parameters of its tracks.
    pub parameters: StreamParameters,
    /// Video in decoding order with audio between, by decode time. Presentation times count from 0;
    /// the wall time of a picture is the capture time in its stamp.
    pub units: Vec<AccessUnit>,
    /// From the first picture to the end of the last one.
    pub duration: MediaTime,
}

impl EncodedClip {
    /// Reads a media file with H.264 or H.265, and AAC if it has any, without re-encoding. Its first
    /// picture is taken to be captured at `start`. Blocks; needs `ffmpeg`.
    pub fn from_file(path: &Path, start: WallTime) -> Result<Self> {
        let stream = ffmpeg::remux(path)?;
        elementary::read_clip(&stream, start).with_context(|| format!("reading {}", path.display()))
    }

    /// The same with a clock in every picture ([`crate::mark`]), which a camera sets when it sends it.
    #[must_use]
    pub fn with_clock(mut self) -> Self {
        let sei = crate::mark::sei(self.parameters.video.codec);
        let length = u32::try_from(sei.len()).unwrap_or(0).to_be_bytes();
        let video = |unit: &&mut AccessUnit| unit.track == TrackKind::Video;
        for unit in self.units.iter_mut().filter(video) {
            unit.data = [&length, sei.as_slice(), &unit.data].concat().into();
        }
        self
    }

    /// The pictures in decoding order.
    pub fn video(&self) -> impl DoubleEndedIterator<Item = &AccessUnit> {
        self.units.iter().filter(|u| u.track == TrackKind::Video)
    }

    /// The audio frames.
    pub fn audio(&self) -> impl DoubleEndedIterator<Item = &AccessUnit> {
        self.units.iter().filter(|u| u.track == TrackKind::Audio)
    }

    /// The video as an Annex B stream with its parameter sets in front of every key frame.
    #[must_use]
    pub fn annex_b(&self) -> Vec<u8> {
        const START_CODE: [u8; 4] = [0, 0, 0, 1];
        let parameter_sets = self.parameters.video.parameter_sets();
        let mut stream = Vec::new();
        for unit in self.video() {
            let nals = nal::split_length_prefixed(&unit.data);
            let sets = parameter_sets.iter().filter(|_| unit.is_key).cloned();
            for nal in sets.chain(nals) {
                stream.extend_from_slice(&START_CODE);
                stream.extend_from_slice(&nal);
            }
        }
        stream
    }

    /// The same clip, captured from `start` on. The stamps inside the pictures stay as they are.
    #[must_use]
    pub fn starting_at(&self, start: WallTime) -> Self {
        let mut clip = self.clone();
        let first = self.video().map(|u| u.wall).min().unwrap_or(start);
        for unit in &mut clip.units {
            unit.wall = start.plus_micros(unit.wall.micros_since(first));
        }
        clip
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::read_stamps_video_bytes;

    fn small(codec: VideoCodec, b_frames: u32) -> ClipSpec {
        ClipSpec {
            codec,
            width: 320,
            height: 240,
            fps: 10,
            gop: 8,
            b_frames,
            frames: 20,
            ..ClipSpec::default()
        }
    }

    /// Everything that the rest of the house relies on.
    fn check(spec: &ClipSpec) -> EncodedClip {
        let clip = spec.encode().unwrap();
        let video: Vec<&AccessUnit> = clip.video().collect();
        assert_eq!(
            clip.parameters.video.width as usize * clip.parameters.video.height as usize,
            spec.width * spec.height
        );
        assert!(video[0].is_key);
        assert!(video.windows(2).all(|w| w[0].dts.ticks < w[1].dts.ticks));
        assert!(video.iter().all(|u| u.dts.ticks <= u.pts.ticks));
        let keys: Vec<i64> = video
            .iter()
            .filter(|u| u.is_key)
            .map(|u| u.pts.ticks)
            .collect();
        let expected = (0..spec.frames).step_by(spec.gop as usize);
        assert_eq!(
            keys,
            expected.map(|k| spec.pts(k).ticks).collect::<Vec<_>>()
        );

        let mut walls: Vec<WallTime> = video.iter().map(|u| u.wall).collect();
        walls.sort();
        let stamps = read_stamps_video_bytes(&clip.annex_b()).unwrap();
        let captures: Vec<WallTime> = stamps.iter().map(|s| s.capture).collect();
        assert_eq!(walls, captures);
        let frames: Vec<u32> = stamps.iter().map(|s| s.frame).collect();
        assert_eq!(frames, (0..spec.frames).collect::<Vec<_>>());
        clip
    }

    #[test]
    fn h264_walls_are_the_capture_times_in_the_stamps() {
        let clip = check(&small(VideoCodec::H264, 0));
        assert!(clip.video().all(|u| u.pts == u.dts));
        assert_eq!(clip.parameters.video.reorder_depth, 0);
    }

    #[test]
    fn h264_with_b_frames_is_reordered_and_still_stamped() {
        let clip = check(&small(VideoCodec::H264, 2));
        assert!(clip.video().any(|u| u.dts.ticks < u.pts.ticks));
        assert!(clip.parameters.video.reorder_depth > 0);
    }

    #[test]
    fn h265_walls_are_the_capture_times_in_the_stamps() {
        check(&small(VideoCodec::H265, 0));
    }

    #[test]
    fn h265_with_b_frames_is_reordered_and_still_stamped() {
        let clip = check(&small(VideoCodec::H265, 2));
        assert!(clip.video().any(|u| u.dts.ticks < u.pts.ticks));
    }

    #[test]
    fn a_second_encoding_comes_from_the_cache_and_is_the_same() {
        let spec = small(VideoCodec::H264, 0);
        assert_eq!(spec.encode().unwrap().units, spec.encode().unwrap().units);
    }

    #[test]
    fn audio_tracks_cover_the_clip() {
        for (codec, rate) in [
            (AudioCodec::Aac, 48_000),
            (AudioCodec::Pcmu, 8_000),
            (AudioCodec::Pcma, 8_000),
            (AudioCodec::Opus, 48_000),
        ] {
            let spec = ClipSpec {
                audio: Some(codec),
                ..small(VideoCodec::H264, 0)
            };
            let clip = spec.encode().unwrap();
            let parameters = clip.parameters.audio.clone().unwrap();
            assert_eq!((parameters.codec, parameters.sample_rate), (codec, rate));
            let last = clip.audio().next_back().unwrap().pts.micros();
            assert!((1_950_000..2_000_000).contains(&last), "{codec:?} {last}");
            assert!(
                clip.units
                    .windows(2)
                    .all(|w| w[0].dts.micros() <= w[1].dts.micros())
            );
        }
    }

    #[test]
    fn a_clip_can_start_at_another_time() {
        let start = WallTime::from_secs(1_800_000_000);
        let spec = small(VideoCodec::H264, 2);
        let (clip, moved) = (
            spec.encode().unwrap(),
            spec.encode().unwrap().starting_at(start),
        );
        for (unit, moved) in clip.units.iter().zip(&moved.units) {
            assert_eq!(
                moved.wall.micros_since(start),
                unit.wall.micros_since(spec.start)
            );
        }
    }
}
