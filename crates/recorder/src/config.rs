//! How to record, and what a recorder needs to know about a channel.

use crate::room::RoomConfig;
use framewell_model::{Channel, ErrorKind, HasKind, RecMode, TimeRange, WallTime};
use std::path::PathBuf;
use std::time::Duration;

/// How to record.
#[derive(Debug, Clone)]
pub struct RecorderConfig {
    /// Folder of open and unpublished segments; on the same file system as a local blob store.
    pub spool_dir: PathBuf,
    /// Target length of a segment (default 10 s); it ends at the next key frame.
    pub segment: Duration,
    /// Longest fragment in a long GOP (default 1 s).
    pub fragment: Duration,
    /// Most bytes of published footage of all channels together; the oldest goes first, whatever its
    /// channel's retention. `None`: no limit.
    pub max_bytes: Option<u64>,
    /// Limits of spool and disk.
    pub room: RoomConfig,
    /// What is kept around an event where a channel does not say (default 5 s and 10 s).
    pub rolls: Rolls,
}

/// How much is kept around an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rolls {
    /// Before it. It comes from the live ring: what the ring does not hold is not there.
    pub pre: Duration,
    /// Behind it.
    pub post: Duration,
}

impl Default for Rolls {
    fn default() -> Self {
        Self {
            pre: Duration::from_secs(5),
            post: Duration::from_secs(10),
        }
    }
}

impl Rolls {
    /// Those of a channel.
    #[must_use]
    pub fn of(channel: &Channel, default: Self) -> Self {
        let span = |micros: Option<i64>, default| {
            let micros = micros.and_then(|micros| u64::try_from(micros).ok());
            micros.map_or(default, Duration::from_micros)
        };
        Self {
            pre: span(channel.pre_roll_us, default.pre),
            post: span(channel.post_roll_us, default.post),
        }
    }

    /// The time to be kept around an event.
    pub(crate) fn around(self, at: WallTime) -> TimeRange {
        TimeRange {
            start: at - self.pre,
            end: at + self.post,
        }
    }
}

/// What of a channel's video is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Everything,
    Nothing,
    AroundEvents,
}

/// What the recorder must know about a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// When to record.
    pub mode: RecMode,
    /// Footage older than this goes.
    pub retention: Option<Duration>,
    /// The oldest footage beyond so many bytes goes.
    pub max_bytes: Option<u64>,
    /// How much is kept around an event; `None`: [`RecorderConfig::rolls`].
    pub rolls: Option<Rolls>,
}

impl Policy {
    pub(crate) const fn keep(&self) -> Keep {
        match self.mode {
            RecMode::On => Keep::Everything,
            RecMode::Off => Keep::Nothing,
            RecMode::ByEvent | RecMode::ServerByEvent => Keep::AroundEvents,
        }
    }
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

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::SpoolDir { .. } => ErrorKind::FailedPrecondition,
            Self::Catalog(source) => source.kind(),
        }
    }
}
