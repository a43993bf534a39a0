//! Pictures on demand, as the configuration wants them.

use framewell_imaging::ImagesConfig;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Pictures on demand.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pictures {
    /// Memory for finished pictures, in MiB.
    pub(crate) cache_mib: u64,
    /// Memory for compressed footage that was read for a picture, in MiB.
    pub(crate) footage_mib: u64,
    /// Decoders of recorded video that keep their position for the next picture of the same GOP.
    pub(crate) warm_decoders: usize,
    /// How long they keep it while nobody asks, in seconds.
    pub(crate) warm_idle_s: f64,
    /// Most frames that may have to be decoded for one picture.
    pub(crate) max_decode_frames: usize,
    /// Pictures that may wait for a decoder; more are answered with "busy".
    pub(crate) max_waiting: usize,
}

impl Default for Pictures {
    fn default() -> Self {
        let images = ImagesConfig::default();
        let mib = |bytes: usize| u64::try_from(bytes >> 20).unwrap_or(u64::MAX);
        Self {
            cache_mib: mib(images.cache_bytes),
            footage_mib: mib(images.footage_bytes),
            warm_decoders: images.warm_decoders,
            warm_idle_s: images.warm_idle.as_secs_f64(),
            max_decode_frames: images.max_decode_frames,
            max_waiting: images.max_waiting,
        }
    }
}

impl Pictures {
    /// As the service wants it.
    pub(crate) fn config(&self) -> ImagesConfig {
        let bytes = |mib: u64| usize::try_from(mib.saturating_mul(1 << 20)).unwrap_or(usize::MAX);
        ImagesConfig {
            cache_bytes: bytes(self.cache_mib),
            footage_bytes: bytes(self.footage_mib),
            warm_decoders: self.warm_decoders,
            warm_idle: Duration::from_secs_f64(self.warm_idle_s),
            max_decode_frames: self.max_decode_frames,
            max_waiting: self.max_waiting,
        }
    }
}
