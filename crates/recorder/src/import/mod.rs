//! Footage that cameras recorded themselves, taken in from MP4 files.
//!
//! The body goes to a file of its own; its index is read, and the samples are copied into segments like
//! those of a live recording: a fragment for each key frame, identity, capture times (the given start plus
//! media time), rows and objects. Footage that exists wins: groups of pictures that overlap it are left
//! out, so the repetition of an upload stores nothing. Gap rows are cut where footage is now.
//!
//! Until a segment is published it lies in a folder that the next start empties: a crash leaves whole
//! segments or nothing, and the client repeats the upload.

mod body;
mod plan;
mod probe;
mod store;

pub use body::Upload;

use crate::Recorder;
use framewell_catalog::Catalog;
use framewell_model::{ChannelId, ErrorKind, HasKind, RecordId, TimeRange, WallTime};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Limits of uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportConfig {
    /// Most bytes of a file (default 1 GiB).
    pub max_bytes: u64,
    /// Uploads that are received or stored at a time (default 8); each may take `max_bytes` of the disk twice.
    pub at_once: usize,
}

impl Default for ImportConfig {
    fn default() -> Self {
        Self {
            max_bytes: 1 << 30,
            at_once: 8,
        }
    }
}

/// Longest file in microseconds: a day.
const MAX_LENGTH_US: i64 = 86_400_000_000;
/// Clocks of cameras may be ahead by this much.
const MAX_AHEAD_US: i64 = 60_000_000;
/// What is this fresh is left to the recording that runs.
const FRESH_US: i64 = 10_000_000;

/// An upload that cannot be taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// As many uploads run as may.
    #[error("{most} uploads are running, as many as may")]
    Busy {
        /// How many.
        most: usize,
    },
    /// The file is longer than a file may be.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// It is no MP4 file that we can read.
    #[error("the file cannot be used: {0}")]
    BadFile(framewell_fmp4::Error),
    /// It is one, and breaks a limit or has nothing in it.
    #[error("the file cannot be used: {0}")]
    Unusable(String),
    /// Its time cannot be.
    #[error("{0}")]
    BadTime(String),
    /// Neither disk nor store took it.
    #[error("the upload cannot be stored now")]
    Disk(#[source] io::Error),
    /// The database did not.
    #[error("the upload cannot be stored now")]
    Catalog(#[from] framewell_catalog::Error),
    /// A segment could not be published.
    #[error("the upload cannot be stored now")]
    Publish(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl HasKind for ImportError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Busy { .. } | Self::Disk(_) | Self::Publish(_) => ErrorKind::Unavailable,
            Self::TooLarge { .. } | Self::BadFile(_) | Self::Unusable(_) | Self::BadTime(_) => {
                ErrorKind::InvalidArgument
            }
            Self::Catalog(source) => source.kind(),
        }
    }
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// What the file covers.
    pub range: TimeRange,
    /// What was stored of it, ascending.
    pub stored: Vec<TimeRange>,
    /// What was left out because footage of that time exists, ascending.
    pub existing: Vec<TimeRange>,
    /// The new records, ascending by time.
    pub records: Vec<RecordId>,
}

/// Takes files in; cheap to clone.
#[derive(Debug, Clone)]
pub struct Importer {
    recorder: Recorder,
    config: ImportConfig,
    places: Arc<Semaphore>,
    /// One index is read at a time, which takes some 600 MB at worst.
    probes: Arc<Semaphore>,
    /// One upload of a channel is stored at a time: two of the same footage must see each other.
    channels: Arc<Mutex<BTreeMap<ChannelId, Arc<tokio::sync::Mutex<()>>>>>,
}

/// Where bodies and unpublished segments of uploads lie, inside the spool folder and named so that a
/// recovery of recordings does not take them for its own.
pub(crate) fn folder(spool_dir: &std::path::Path) -> PathBuf {
    spool_dir.join("uploads")
}

impl Importer {
    /// Stores what it takes in as `recorder` stores what it records.
    #[must_use]
    pub fn new(recorder: Recorder, config: ImportConfig) -> Self {
        Self {
            recorder,
            config,
            places: Arc::new(Semaphore::new(config.at_once)),
            probes: Arc::new(Semaphore::new(1)),
            channels: Arc::default(),
        }
    }

    /// Most bytes of a file.
    #[must_use]
    pub const fn max_bytes(&self) -> u64 {
        self.config.max_bytes
    }

    /// A place for a body. [`ImportError::Busy`] if all are taken.
    pub async fn begin(&self) -> Result<Upload, ImportError> {
        let busy = |_| ImportError::Busy {
            most: self.config.at_once,
        };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(busy)?;
        let dir = folder(&self.recorder.shared.config.spool_dir);
        Upload::create(dir, self.config.max_bytes, place)
            .await
            .map_err(ImportError::Disk)
    }

    /// Takes in a complete body whose presentation begins at `start`. May be repeated.
    ///
    /// # Errors
    /// [`ImportError::BadFile`] and its siblings say what is wrong with the file or its time. After the
    /// others the upload may be repeated; what was stored of it by then is there.
    pub async fn import(
        &self,
        channel: ChannelId,
        start: WallTime,
        mut upload: Upload,
    ) -> Result<Imported, ImportError> {
        upload.finish().await?;
        let turn = Arc::clone(&self.probes).acquire_owned().await;
        let turn = turn.map_err(|closed| ImportError::Disk(io::Error::other(closed)))?;
        let (movie, footage) = upload.probe(start, turn).await?;
        let range = footage.range();
        self.check_time(channel, range)?;
        let lock = {
            let mut channels = self.channels.lock();
            Arc::clone(channels.entry(channel).or_default())
        };
        let _alone = lock.lock().await;
        let existing = self.existing(channel, range).await?;
        let planning = tokio::task::spawn_blocking(move || footage.plan(&existing));
        let plan = planning
            .await
            .map_err(|panic| ImportError::Disk(io::Error::other(panic)))?;
        let records = store::store(&self.recorder, channel, &upload, &movie, &plan).await?;
        let catalog = &self.recorder.shared.catalog;
        // Also where an upload before this one was interrupted before it got here.
        for range in plan.stored.iter().chain(&plan.existing) {
            cut_gaps(catalog, channel, *range).await?;
        }
        Ok(Imported {
            range,
            stored: plan.stored,
            existing: plan.existing,
            records,
        })
    }

    fn check_time(&self, channel: ChannelId, range: TimeRange) -> Result<(), ImportError> {
        let shared = &self.recorder.shared;
        let now = shared.clock.now();
        let epoch = WallTime::from_micros(0);
        if range.start < epoch {
            let text = format!("the file begins at {}, before {epoch}", range.start);
            return Err(ImportError::BadTime(text));
        }
        if range.end.micros_since(now) > MAX_AHEAD_US {
            return Err(ImportError::BadTime(format!(
                "the file ends at {}, which is in the future",
                range.end
            )));
        }
        if range.micros() > MAX_LENGTH_US {
            let hours = MAX_LENGTH_US / 3_600_000_000;
            let text = format!("the file is longer than {hours} hours");
            return Err(ImportError::BadTime(text));
        }
        let policies = shared.wanted.borrow();
        let retention = policies.get(&channel).and_then(|policy| policy.retention);
        if let Some(oldest) = retention
            .map(|kept| now - kept)
            .filter(|at| range.end < *at)
        {
            return Err(ImportError::BadTime(format!(
                "the file ends at {}; footage from before {oldest} is not kept",
                range.end
            )));
        }
        Ok(())
    }

    /// Footage of the channel that overlaps the range, ascending.
    async fn existing(
        &self,
        channel: ChannelId,
        range: TimeRange,
    ) -> Result<Vec<TimeRange>, ImportError> {
        let shared = &self.recorder.shared;
        // The spool first: what is published between the two looks shows up in both.
        let spooled = shared.spool.pieces(channel, range);
        let mut existing = shared.catalog.segment_ranges(channel, range).await?;
        existing.extend(spooled.into_iter().map(|piece| piece.range));
        let track = shared.registry.get(channel);
        if track.is_some_and(|track| *track.recording().borrow()) {
            let start = shared.clock.now().plus_micros(-FRESH_US);
            existing.extend(TimeRange::new(start, range.end.max(start)));
        }
        existing.sort_by_key(|range| range.start);
        Ok(existing)
    }
}

/// Gap rows do not claim that footage is missing which is there.
async fn cut_gaps(
    catalog: &Catalog,
    channel: ChannelId,
    range: TimeRange,
) -> Result<(), framewell_catalog::Error> {
    catalog
        .cut_gaps(channel, range, framewell_footage::CONTINUITY_US)
        .await
}
