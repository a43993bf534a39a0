//! Live track to fragments, segments, objects and catalog rows.
//!
//! One task per recorded channel follows the ring (never the other way round), writes one fMP4
//! fragment per GOP (or second) to a local spool file, and publishes closed segments: row staged,
//! object put, row published. A janitor finishes what a crash interrupted. Every hole becomes a gap
//! row with its reason.

use framewell_blob::BlobStore;
use framewell_catalog::Catalog;
use framewell_footage::Spool;
use framewell_live::Registry;
use framewell_model::{ChannelId, RecMode, WallClock};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How to record.
#[derive(Debug, Clone)]
pub struct RecorderConfig {
    /// Folder of open and unpublished segments; on the same file system as a local blob store.
    pub spool_dir: PathBuf,
    /// Target length of a segment (default 10 s); it ends at the next key frame.
    pub segment: Duration,
    /// Longest fragment in a long GOP (default 1 s).
    pub fragment: Duration,
}

/// What the recorder must know about a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// When to record. `ByEvent` modes do not record until events exist.
    pub mode: RecMode,
    /// Footage older than this goes.
    pub retention: Option<Duration>,
}

/// A recorder that cannot work at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The spool folder.
    #[error("spool folder {path} cannot be used")]
    SpoolDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database.
    #[error("recovering the spool failed")]
    Catalog(#[from] framewell_catalog::Error),
}

/// The recorder of this node; cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder {
    _private: (),
}

impl Recorder {
    /// Joins the parts. Nothing is wanted yet.
    #[must_use]
    pub fn new(
        config: RecorderConfig,
        registry: Registry,
        blobs: BlobStore,
        catalog: Catalog,
        spool: Spool,
        clock: Arc<dyn WallClock>,
    ) -> Self {
        let _ = (config, registry, blobs, catalog, spool, clock);
        todo!()
    }

    /// Finishes what a crash interrupted: spool files up to their last complete fragment are
    /// published, staged rows without a file go, the hole since the last footage becomes a gap row
    /// (`server_down`). Call once before [`Recorder::run`].
    pub async fn recover(&self) -> Result<(), Error> {
        todo!()
    }

    /// Says which channels to record and how. Channels that are missing stop recording.
    pub fn set_wanted(&self, wanted: BTreeMap<ChannelId, Policy>) {
        let _ = wanted;
        todo!()
    }

    /// Runs until `stop`, then closes and publishes all open segments. Stop ingest first.
    pub async fn run(self, stop: CancellationToken) {
        let _ = stop;
        todo!()
    }
}
