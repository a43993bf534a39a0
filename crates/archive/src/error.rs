//! What ends a check, as opposed to what it finds.

use framewell_model::{ErrorKind, HasKind};
use std::path::PathBuf;

/// Why a check, a rebuild or a proof could not be finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database.
    #[error("the catalog cannot be read")]
    Catalog(#[from] framewell_catalog::Error),
    /// The store.
    #[error("the store cannot be read")]
    Blob(#[from] framewell_blob::Error),
    /// The spool folder.
    #[error("spool folder {path} cannot be read")]
    Spool {
        /// The folder or a file in it.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Catalog(source) => source.kind(),
            Self::Blob(source) => source.kind(),
            Self::Spool { .. } => ErrorKind::FailedPrecondition,
        }
    }
}
