//! What travels over the socket; shared by the pool and the worker.
//!
//! Here are the nouns ([`Job`], [`Picture`]); [`wire`] has the bytes.

pub mod wire;

use bytes::Bytes;
use framewell_media::VideoParameters;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Widths and heights that a caller may ask for, in pixels.
pub const SIDE: RangeInclusive<u32> = 16..=8192;
/// JPEG qualities that a caller may ask for.
pub const QUALITY: RangeInclusive<u8> = 1..=100;

/// Encoding of finished pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureFormat {
    /// Baseline JPEG, 4:2:0, full range BT.601 (JFIF); quality 1 to 100.
    Jpeg {
        /// 1 to 100.
        quality: u8,
    },
}

/// What a finished picture looks like. Pixels are those of the coded picture: a sample aspect ratio
/// other than 1:1 is not corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Output {
    /// Encoding.
    pub format: PictureFormat,
    /// Width in pixels; alone, it keeps the aspect ratio. With neither, the size of the video.
    pub width: Option<u32>,
    /// Height in pixels; alone, it keeps the aspect ratio.
    pub height: Option<u32>,
}

impl Output {
    /// Says what is wrong with the size or quality asked for, if anything is.
    pub fn check(&self) -> Result<(), String> {
        for (side, name) in [(self.width, "width"), (self.height, "height")] {
            if let Some(pixels) = side.filter(|pixels| !SIDE.contains(pixels)) {
                return Err(format!(
                    "{name} {pixels} is outside {} to {}",
                    SIDE.start(),
                    SIDE.end()
                ));
            }
        }
        let PictureFormat::Jpeg { quality } = self.format;
        if !QUALITY.contains(&quality) {
            return Err(format!("quality {quality} is outside 1 to 100"));
        }
        Ok(())
    }
}

/// One compressed picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSample {
    /// Ticks; only compared with `Job::wanted`.
    pub pts: i64,
    /// Length-prefixed NAL units (4 bytes).
    pub data: Bytes,
}

/// Decode a GOP, return the wanted pictures.
#[derive(Debug, Clone)]
pub struct Job {
    /// Codec and decoder configuration record.
    pub video: Arc<VideoParameters>,
    /// From a key frame on, decoding order.
    pub samples: Vec<JobSample>,
    /// PTS of the pictures wanted; each must be that of a sample.
    pub wanted: Vec<i64>,
    /// How to finish them.
    pub output: Output,
}

impl Job {
    /// Payload bytes: configuration record and samples.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        let samples: usize = self.samples.iter().map(|sample| sample.data.len()).sum();
        self.video.config.len() + samples
    }

    /// Says what is wrong with the job, if anything is; a decoder need not see it to know.
    pub fn check(&self) -> Result<(), String> {
        self.output.check()?;
        if self.wanted.is_empty() {
            return Err("no picture is wanted".into());
        }
        let is_sample = |pts: &i64| self.samples.iter().any(|sample| sample.pts == *pts);
        if let Some(pts) = self.wanted.iter().find(|pts| !is_sample(pts)) {
            return Err(format!("no sample has the wanted presentation time {pts}"));
        }
        if self.payload_len() > wire::MAX_PAYLOAD {
            return Err(format!("the job has {} bytes", self.payload_len()));
        }
        Ok(())
    }
}

/// A finished picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Which one.
    pub pts: i64,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The encoded file.
    pub data: Bytes,
}
