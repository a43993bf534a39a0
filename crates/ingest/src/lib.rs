//! Camera connectors and one supervisor per channel.
//!
//! The ingest path never decodes and never waits for a reader, a disk or a database
//! (architecture invariant 1): a session reads the camera, gives each access unit its wall time and
//! pushes it into the channel's [`framewell_live::Track`].

use framewell_live::Registry;
use framewell_model::{CameraSource, ChannelId, WallClock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Patience and caution towards cameras.
#[derive(Debug, Clone)]
pub struct IngestConfig {
    /// No data for this long ends a session (default 10 s): a camera that hangs without closing.
    pub silence: Duration,
    /// Longest time from connecting to the first frame (default 15 s).
    pub connect: Duration,
    /// First pause before a new attempt (default 500 ms); doubles, with jitter.
    pub backoff_min: Duration,
    /// Longest pause between attempts (default 30 s).
    pub backoff_max: Duration,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(10),
            connect: Duration::from_secs(15),
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
        }
    }
}

/// All supervisors of this node; cheap to clone.
#[derive(Debug, Clone)]
pub struct Ingest {
    _private: (),
}

impl Ingest {
    /// Nothing is wanted yet.
    #[must_use]
    pub fn new(config: IngestConfig, registry: Registry, clock: Arc<dyn WallClock>) -> Self {
        let _ = (config, registry, clock);
        todo!()
    }

    /// Says which channels are to be pulled from where. Missing ones are stopped, new ones started,
    /// changed ones restarted; the others are not disturbed.
    pub fn set_wanted(&self, wanted: BTreeMap<ChannelId, CameraSource>) {
        let _ = wanted;
        todo!()
    }

    /// Runs until `stop`, then ends all sessions (runs close cleanly).
    pub async fn run(self, stop: CancellationToken) {
        let _ = stop;
        todo!()
    }
}
