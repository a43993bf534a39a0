//! Stored pictures: made once, kept as objects, listed by the catalog.
//!
//! Four things make them: events that want the picture of their instant ([`EventSnapshotHandler`],
//! durable jobs), generation tasks on recorded video ([`Gallery::create_task`], durable jobs
//! done by [`TaskHandler`]), a channel's period (`live`, the newest picture of the live stream), and
//! the recorder's footage (`thumbnails`, small key-frame pictures). All of them come from
//! `framewell_imaging` and are stored by [`Gallery::store`]: row staged, object put, row published. The
//! same frame for the same purpose is stored once. The `janitor` deletes by age, retention and quota,
//! and finishes what a crash interrupted.
//!
//! What does not belong here: decoding, HTTP, rights.

mod config;
mod error;
mod event_snapshot;
mod janitor;
mod live;
mod slots;
mod store;
mod task;
mod task_handler;
mod thumbnails;

pub use config::{ChannelPolicy, GalleryConfig, LIVE_PERIOD_US, ThumbnailConfig};
pub use error::Error;
pub use event_snapshot::EventSnapshotHandler;
pub use store::{NewPicture, Stored};
pub use task::{TASK_KIND, Task, TaskRequest};
pub use task_handler::TaskHandler;

use framewell_blob::BlobStore;
use framewell_catalog::Catalog;
use framewell_imaging::Imaging;
use framewell_live::Registry;
use framewell_model::{ChannelId, WallClock};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The service; cheap to clone.
#[derive(Debug, Clone)]
pub struct Gallery {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    catalog: Catalog,
    blobs: BlobStore,
    registry: Registry,
    imaging: Imaging,
    clock: Arc<dyn WallClock>,
    config: GalleryConfig,
    wanted: watch::Sender<BTreeMap<ChannelId, ChannelPolicy>>,
}

impl Gallery {
    /// Joins the parts. Nothing is wanted yet.
    #[must_use]
    pub fn new(
        catalog: Catalog,
        blobs: BlobStore,
        registry: Registry,
        imaging: Imaging,
        config: GalleryConfig,
        clock: Arc<dyn WallClock>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                catalog,
                blobs,
                registry,
                imaging,
                clock,
                config,
                wanted: watch::Sender::default(),
            }),
        }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &GalleryConfig {
        &self.inner.config
    }

    /// Says which channels there are, how long their pictures are kept, and which of them make pictures
    /// of their live stream.
    pub fn set_wanted(&self, wanted: BTreeMap<ChannelId, ChannelPolicy>) {
        self.inner.wanted.send_if_modified(|now| {
            let is_new = *now != wanted;
            *now = wanted;
            is_new
        });
    }

    /// Makes pictures of live streams and thumbnails, and cleans up, until `stop`. A picture that is
    /// being stored then is stored or forgotten as a whole.
    pub async fn run(self, stop: CancellationToken) {
        let mut services = JoinSet::new();
        services.spawn(self.clone().sweep_until(stop.clone()));
        services.spawn(self.clone().follow_live(stop.clone()));
        services.spawn(self.clone().make_thumbnails(stop));
        while let Some(ended) = services.join_next().await {
            if let Err(error) = ended {
                tracing::error!(error = %error, "a task of the gallery failed");
            }
        }
    }
}
