//! How to record, and what a recorder needs to know about a channel.

use framewell_model::{ErrorKind, HasKind, RecMode};
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
}

/// What the recorder must know about a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// When to record. `ByEvent` modes do not record until events exist.
    pub mode: RecMode,
    /// Footage older than this goes.
    pub retention: Option<Duration>,
}

impl Policy {
    /// Whether footage is to be written now.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.mode == RecMode::On
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
