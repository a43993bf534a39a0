//! Settings of the HTTP faces.

use framewell_access::places::{Occupation, Places};
use framewell_imaging::batch::MAX_BATCHES;
use framewell_model::OutboundPolicy;
use framewell_recorder::{ImportConfig, Rolls};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory for long request bodies that are being read or worked on, all requests together. A JSON text
/// grows about tenfold when it is parsed, so a few of the longest are enough to fill a small machine.
#[derive(Debug, Clone)]
pub struct BodyBudget {
    kibibytes: Arc<Semaphore>,
}

impl BodyBudget {
    /// So many bytes of body text, rounded down to KiB.
    #[must_use]
    pub fn of_bytes(bytes: usize) -> Self {
        let kibibytes = (bytes >> 10).min(Semaphore::MAX_PERMITS);
        Self {
            kibibytes: Arc::new(Semaphore::new(kibibytes)),
        }
    }

    /// Takes some of it, until the permit is dropped; `None` if there is not enough left. Nobody waits:
    /// requests that wait for each other with half a body each would wait for ever.
    pub(crate) fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kibibytes = u32::try_from(bytes.div_ceil(1 << 10)).ok()?;
        Arc::clone(&self.kibibytes)
            .try_acquire_many_owned(kibibytes)
            .ok()
    }
}

/// Where clients reach the server, if that is not what their `Host` header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicEndpoint {
    /// Host name or address without scheme and port.
    pub host: String,
    /// Plain HTTP port, if one is public.
    pub http_port: Option<u16>,
    /// HTTPS port, if a proxy in front speaks TLS.
    pub https_port: Option<u16>,
}

/// Settings of the HTTP faces.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Fixed public address. `None` derives it from each request: `X-Forwarded-Host` and
    /// `X-Forwarded-Proto`, else the `Host` header.
    pub public: Option<PublicEndpoint>,
    /// Port of the RTSP server, as clients see it.
    pub rtsp_port: u16,
    /// Port of the RTMP server, as clients see it.
    pub rtmp_port: u16,
    /// Longest request body in bytes (default 1 MiB); beyond it 413.
    pub body_limit: usize,
    /// Longest body of metadata writes and searches in bytes (default 16 MiB).
    pub meta_body_limit: usize,
    /// Memory for bodies of metadata writes and searches (default 64 MiB); beyond it 503.
    pub meta_memory: BodyBudget,
    /// Pushes of pictures at a time (default 256, half of them for one token); beyond it 503, and 429
    /// for the token that has its share.
    pub pushes: Places,
    /// The same for batches of pictures (default as many as `imaging` runs).
    pub batches: Places,
    /// The same for streams of events and documents (default 512).
    pub streams: Places,
    /// The same for uploads of footage (default as many as the recorder takes), half of them for one
    /// account too: each holds its place as long as its line is slow.
    pub uploads: Places,
    /// The same for exports of several cameras (default 8, half of them for one token or account).
    pub exports: Places,
    /// The same for clips that wait until their footage is recorded (default 256).
    pub waiting_clips: Places,
    /// What a clip of an event has around it where its channel says nothing (default 5 s and 10 s).
    pub rolls: Rolls,
    /// A body that takes longer than this to arrive is refused (default 30 s).
    pub body_timeout: Duration,
    /// A subscriber that heard nothing for this long is told that there is nothing (default 10 s).
    pub heartbeat: Duration,
    /// Where webhooks may lead, as far as their URLs say so (default: public addresses).
    pub outbound: Arc<OutboundPolicy>,
    /// How long media URLs work (default 1 h).
    pub ticket_lifetime: Duration,
    /// Version of the server, shown in `/healthz` and the OpenAPI document.
    pub version: String,
}

impl Default for ApiConfig {
    fn default() -> Self {
        /// Percent of the places for one token.
        const HALF: u8 = 50;
        let uploads = ImportConfig::default().at_once;
        Self {
            public: None,
            rtsp_port: 8554,
            rtmp_port: 1935,
            body_limit: 1 << 20,
            meta_body_limit: 16 << 20,
            meta_memory: BodyBudget::of_bytes(64 << 20),
            pushes: Places::new(Occupation::Push, 256, HALF),
            batches: Places::new(Occupation::Batch, MAX_BATCHES, HALF),
            streams: Places::new(Occupation::Stream, 512, HALF),
            uploads: Places::with_accounts(Occupation::Upload, uploads, HALF, HALF),
            exports: Places::with_accounts(Occupation::Export, 8, HALF, HALF),
            waiting_clips: Places::new(Occupation::Wait, 256, HALF),
            rolls: Rolls::default(),
            body_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(10),
            outbound: Arc::default(),
            ticket_lifetime: Duration::from_secs(3600),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}
