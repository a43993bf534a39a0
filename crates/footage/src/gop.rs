//! A compressed GOP, ready for a decoder.

use bytes::Bytes;
use framewell_media::VideoParameters;
use framewell_model::{ClockSource, WallTime};
use std::sync::Arc;

/// One video sample of a GOP, in decoding order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GopSample {
    /// 90 kHz ticks of the run.
    pub pts: i64,
    /// Capture time.
    pub wall: WallTime,
    /// Random access point.
    pub is_key: bool,
    /// Length-prefixed NAL units.
    pub data: Bytes,
}

/// The video of one GOP (or of its beginning), from its key frame on.
#[derive(Debug, Clone)]
pub struct CompressedGop {
    /// What the decoder needs first.
    pub video: Arc<VideoParameters>,
    /// From the key frame on, decoding order.
    pub samples: Vec<GopSample>,
    /// Where the wall times come from.
    pub clock: ClockSource,
}
