//! The store: put, ranged get, delete, list.

use crate::ObjectKey;
use bytes::Bytes;
use framewell_model::{ErrorKind, HasKind};
use object_store::ObjectStore;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A failed object operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No object has that key.
    #[error("object {key} does not exist")]
    NotFound {
        /// The key.
        key: String,
    },
    /// The store refused or could not be reached.
    #[error("{operation} of object {key} failed")]
    Store {
        /// `put`, `get`, `delete`, `list`.
        operation: &'static str,
        /// The key.
        key: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Store { .. } => ErrorKind::Unavailable,
        }
    }
}

/// Objects by key; cheap to clone.
#[derive(Debug, Clone)]
pub struct BlobStore {
    store: Arc<dyn ObjectStore>,
    /// Set for a local folder: files can be moved in without a copy.
    root: Option<PathBuf>,
}

impl BlobStore {
    /// A local folder, created if missing.
    pub fn local(root: &Path) -> Result<Self, Error> {
        let _ = root;
        todo!()
    }

    /// In memory, for tests.
    #[must_use]
    pub fn memory() -> Self {
        Self {
            store: Arc::new(object_store::memory::InMemory::new()),
            root: None,
        }
    }

    /// Takes a finished file in and removes it from where it was. On a local folder of the same file
    /// system this is one rename after `fdatasync` of the file and its new folder; else an upload.
    /// Putting the same key twice is not an error (a retry after a crash).
    pub async fn put_file(&self, key: &ObjectKey, file: &Path) -> Result<(), Error> {
        let _ = (key, file, &self.store, &self.root);
        todo!()
    }

    /// A byte range; shorter than asked only if the object is shorter.
    pub async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes, Error> {
        let _ = (key, range);
        todo!()
    }

    /// Size in bytes.
    pub async fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        let _ = key;
        todo!()
    }

    /// Removes an object; one that is gone already is not an error.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        let _ = key;
        todo!()
    }
}
