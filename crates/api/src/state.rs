//! What every handler can reach.

use crate::ApiConfig;
use crate::Manifests;
use crate::webrtc::WebRtc;
use framewell_access::Access;
use framewell_access::sessions::Sessions;
use framewell_catalog::Catalog;
use framewell_clips::Clips;
use framewell_gallery::Gallery;
use framewell_imaging::Imaging;
use framewell_insight::Insight;
use framewell_insight::feed::Feeds;
use framewell_jobs::Jobs;
use framewell_live::Registry;
use framewell_model::{WallClock, WallTime};
use framewell_playback::Playback;
use framewell_recorder::Importer;
use metrics_exporter_prometheus::PrometheusHandle;
use std::fmt;
use std::sync::Arc;

/// Handles to the services; cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// The database.
    pub catalog: Catalog,
    /// The gate.
    pub access: Access,
    /// Who reads and publishes video.
    pub sessions: Sessions,
    /// Live tracks of this node.
    pub registry: Registry,
    /// Pictures.
    pub imaging: Imaging,
    /// Stored pictures.
    pub gallery: Gallery,
    /// Stored clips.
    pub clips: Clips,
    /// Durable jobs, to stop them.
    pub jobs: Jobs,
    /// Clips, records, timelines, HLS.
    pub playback: Playback,
    /// Signs what clips are.
    pub manifests: Manifests,
    /// Takes in footage that cameras recorded themselves.
    pub importer: Importer,
    /// Metadata documents.
    pub insight: Insight,
    /// New events and documents, read once for all who follow them; somebody runs them.
    pub feeds: Feeds,
    /// Sessions of WebRTC; `None` where it is off.
    pub webrtc: Option<Arc<dyn WebRtc>>,
    /// Wall time.
    pub clock: Arc<dyn WallClock>,
    /// Settings.
    pub config: Arc<ApiConfig>,
    /// Renders what the services count through the `metrics` facade.
    pub metrics: PrometheusHandle,
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl AppState {
    /// When a media URL made now stops working: whole seconds, as tickets have.
    pub(crate) fn ticket_expiry(&self) -> WallTime {
        WallTime::from_secs((self.clock.now() + self.config.ticket_lifetime).secs())
    }
}
