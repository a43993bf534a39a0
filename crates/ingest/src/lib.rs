//! Camera connectors and one supervisor per channel; publishers that send by themselves.
//!
//! The ingest path never decodes and never waits for a reader, a disk or a database
//! (architecture invariant 1): a session reads the camera, gives each access unit its wall time and
//! pushes it into the channel's [`framewell_live::Track`].
//!
//! [`Ingest`] compares what is wanted with what runs. Each channel has a supervisor task that owns
//! it: it starts one camera session after the other, with growing pauses, and publishes the
//! channel's state. A session is one attempt: connect, read, deliver, until something fails.

mod audio;
mod backoff;
mod delivery;
mod error;
mod ingest;
mod jump;
mod metadata;
mod one_clock;
mod parameters;
pub mod publish;
mod session;
mod source;
mod status;
mod supervisor;
mod writers;

pub use error::SessionError;
pub use ingest::Ingest;
pub use source::{SourceError, check_source};

use framewell_model::OutboundPolicy;
use std::time::Duration;

/// Patience and caution towards cameras.
#[derive(Debug, Clone)]
pub struct IngestConfig {
    /// No video for this long ends a session (default 10 s): a camera or publisher that hangs without
    /// closing.
    pub silence: Duration,
    /// Longest time from connecting to the first frame (default 15 s).
    pub connect: Duration,
    /// First pause before a new attempt (default 500 ms); doubles, with jitter.
    pub backoff_min: Duration,
    /// Longest pause between attempts (default 30 s). After refused credentials every pause is this
    /// long: cameras lock accounts out that fail too often.
    pub backoff_max: Duration,
    /// A publisher that sent no picture for this long loses its channel to another one that comes
    /// (default 3 s): an encoder that reconnects before its old connection is known to be dead.
    pub takeover: Duration,
    /// Whether metadata that a camera offers beside its pictures is read, over a second connection
    /// (default true).
    pub metadata: bool,
    /// Networks where no camera may be (default: cameras may be anywhere).
    pub outbound: OutboundPolicy,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(10),
            connect: Duration::from_secs(15),
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            takeover: Duration::from_secs(3),
            metadata: true,
            outbound: OutboundPolicy::default(),
        }
    }
}
