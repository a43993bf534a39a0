//! What travels over the socket; shared by the pool and the worker.

use bytes::Bytes;
use framewell_media::VideoParameters;
use std::sync::Arc;

/// Encoding of finished pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PictureFormat {
    /// Baseline JPEG, 4:2:0, full range BT.601 (JFIF); quality 1 to 100.
    Jpeg {
        /// 1 to 100.
        quality: u8,
    },
}

/// What a finished picture looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Output {
    /// Encoding.
    pub format: PictureFormat,
    /// Width in pixels; alone, it keeps the aspect ratio. With neither, the size of the video.
    pub width: Option<u32>,
    /// Height in pixels; alone, it keeps the aspect ratio.
    pub height: Option<u32>,
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
