//! Limits of single pictures.

use std::time::Duration;

/// What single pictures may cost, and what is kept for the next ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImagesConfig {
    /// Bytes of finished pictures kept (default 128 MiB: a thousand JPEGs of 1080p).
    pub cache_bytes: usize,
    /// Bytes of compressed footage kept after it was read for a picture (default 64 MiB: about 60 GOPs
    /// of 2 s at 4 Mbit/s). Neighbours of that picture then cost no read.
    pub footage_bytes: usize,
    /// Decoders of recorded video that keep their position for the next picture of the same GOP
    /// (default 8). Beyond it the one used longest ago is freed.
    pub warm_decoders: usize,
    /// A kept position that nobody asks for is freed after this time (default 10 s).
    pub warm_idle: Duration,
    /// Most pictures that may have to be decoded for one picture (default 2,000: a GOP of 80 s at 25 per
    /// second); beyond it [`crate::Error::TooCostly`]. In a batch, what is wanted of one GOP may take as many
    /// for each picture.
    pub max_decode_frames: usize,
    /// Pictures that may wait for a decoder at a time (default 256); beyond it the answer is "busy".
    pub max_waiting: usize,
}

impl Default for ImagesConfig {
    fn default() -> Self {
        Self {
            cache_bytes: 128 << 20,
            footage_bytes: 64 << 20,
            warm_decoders: 8,
            warm_idle: Duration::from_secs(10),
            max_decode_frames: 2_000,
            max_waiting: 256,
        }
    }
}
