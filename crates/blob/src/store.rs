//! The store: put, ranged get, delete.

use crate::{ObjectKey, ObjectWriter, S3Config, local, s3};
use bytes::Bytes;
use framewell_model::{ErrorKind, HasKind};
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::error::Error as StdError;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::AsyncWriteExt;

/// Files up to this size are uploaded in one request, larger ones in parts of this size. A segment of
/// 10 s stays below it up to about 6 Mbit/s.
const UPLOAD_PART_BYTES: usize = 8 << 20;
/// Objects or folders that a store is asked about at once.
const HEADS_AT_ONCE: usize = 16;

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
    /// The store cannot be used as it is configured.
    #[error("the configuration of the object store is not valid")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
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
            Self::Config(_) => ErrorKind::InvalidArgument,
            Self::Store { .. } => ErrorKind::Unavailable,
        }
    }
}

/// Objects by key; cheap to clone.
#[derive(Debug, Clone)]
pub struct BlobStore {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Set for a local folder: files can be moved in without a copy.
    root: Option<PathBuf>,
    suspects: local::Suspects,
    added: Added,
}

/// Bytes that were added to a local folder, other than by moving a file in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Added(Arc<AtomicU64>);

impl Added {
    pub(crate) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::AcqRel);
    }
}

impl BlobStore {
    /// A local folder, created if missing.
    pub fn local(root: &Path) -> Result<Self, Error> {
        let failed = |source| store_error("open", &root.display().to_string(), source);
        std::fs::create_dir_all(root).map_err(|error| failed(error.into()))?;
        let root = root.canonicalize().map_err(|error| failed(error.into()))?;
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|error| failed(error.into()))?
            .with_automatic_cleanup(true);
        Ok(Self {
            store: Arc::new(store),
            root: Some(root),
            suspects: local::Suspects::default(),
            added: Added::default(),
        })
    }

    /// A bucket of an S3-compatible store. Nothing is asked of the store yet.
    pub fn s3(config: &S3Config) -> Result<Self, Error> {
        Ok(Self::from_store(Arc::new(s3::open(config)?)))
    }

    /// In memory, for tests.
    #[must_use]
    pub fn memory() -> Self {
        Self::from_store(Arc::new(object_store::memory::InMemory::new()))
    }

    /// Any other store: files are uploaded.
    #[must_use]
    pub fn from_store(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            root: None,
            suspects: local::Suspects::default(),
            added: Added::default(),
        }
    }

    /// The folder of a local store.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Free bytes of the disk with the folder of a local store, for us; blocks. `None` for other stores, and
    /// where it cannot be measured.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(self.folder()?).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Bytes that this store and its clones have written into the folder of a local store, other than by moving a
    /// file in: also those of objects that are gone again. 0 for other stores.
    #[must_use]
    pub fn added_bytes(&self) -> u64 {
        self.added.0.load(Ordering::Acquire)
    }

    /// Takes a finished file in and removes it from where it was. On a local folder of the same file
    /// system this is one rename after `fdatasync` of the file and its new folder; else an upload.
    /// Putting the same key twice is not an error (a retry after a crash): when the file is gone and
    /// the object exists, the put has succeeded before.
    pub async fn put_file(&self, key: &ObjectKey, file: &Path) -> Result<(), Error> {
        let path = key.path();
        let put = match &self.root {
            Some(root) => {
                let (from, to, root) = (file.to_owned(), root.join(&path), root.clone());
                let suspects = self.suspects.clone();
                tokio::task::spawn_blocking(move || local::move_in(&from, &to, &root, &suspects))
                    .await
                    .unwrap_or_else(|panic| Err(io::Error::other(panic)))
            }
            None => self.upload(&path, file).await,
        };
        match put {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.size(key).await {
                    Ok(_) => Ok(()),
                    // The missing file is the news, not the missing object.
                    Err(_) => Err(store_error("put", &path, error.into())),
                }
            }
            Err(error) => Err(store_error("put", &path, error.into())),
        }
    }

    /// Stores some bytes, durable when this returns. Putting the same key again replaces the object.
    pub async fn put_bytes(&self, key: &ObjectKey, data: Bytes) -> Result<(), Error> {
        let path = key.path();
        if let Some(root) = &self.root {
            let (to, root) = (root.join(&path), root.clone());
            self.added.add(data.len() as u64);
            return tokio::task::spawn_blocking(move || local::write_in(&data, &to, &root))
                .await
                .unwrap_or_else(|panic| Err(io::Error::other(panic)))
                .map_err(|error| store_error("put", &path, error.into()));
        }
        let location = object_store::path::Path::from(path.as_str());
        match self.store.put(&location, data.into()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(store_error("put", &path, error.into())),
        }
    }

    /// An object to be written piece by piece; putting the same key again replaces it.
    pub async fn writer(&self, key: &ObjectKey) -> Result<ObjectWriter, Error> {
        match &self.root {
            Some(root) => ObjectWriter::folder(key, root.clone(), self.added.clone()).await,
            None => {
                let store = Arc::clone(&self.store);
                Ok(ObjectWriter::store(key, store, UPLOAD_PART_BYTES))
            }
        }
    }

    async fn upload(&self, path: &str, file: &Path) -> io::Result<()> {
        let mut from = tokio::fs::File::open(file).await?;
        let target = object_store::path::Path::from(path);
        let mut to = BufWriter::with_capacity(Arc::clone(&self.store), target, UPLOAD_PART_BYTES);
        let copied = tokio::io::copy_buf(
            &mut tokio::io::BufReader::with_capacity(256 << 10, &mut from),
            &mut to,
        )
        .await;
        if let Err(error) = copied {
            // An unfinished upload leaves no object; what the parts cost is the store's to expire.
            if let Err(abort) = to.abort().await {
                tracing::debug!(key = path, error = %abort, "abort of an upload failed");
            }
            return Err(error);
        }
        to.shutdown().await?;
        tokio::fs::remove_file(file).await
    }

    /// A byte range; shorter than asked only if the object is shorter.
    pub async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes, Error> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let path = key.path();
        let location = object_store::path::Path::from(path.as_str());
        match self.store.get_range(&location, range.clone()).await {
            Ok(bytes) => Ok(bytes),
            Err(object_store::Error::NotFound { .. }) => Err(Error::NotFound { key: path }),
            // Stores refuse a range that starts behind the end; that is an empty answer here.
            Err(error) => match self.size(key).await {
                Ok(size) if range.start >= size => Ok(Bytes::new()),
                _ => Err(store_error("get", &path, error.into())),
            },
        }
    }

    /// Size in bytes.
    pub async fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        let path = key.path();
        let location = object_store::path::Path::from(path.as_str());
        match self.store.head(&location).await {
            Ok(meta) => Ok(meta.size),
            Err(object_store::Error::NotFound { .. }) => Err(Error::NotFound { key: path }),
            Err(error) => Err(store_error("head", &path, error.into())),
        }
    }

    /// Sizes of many objects in bytes, in the order of the keys: with few requests, however many there are.
    pub async fn sizes(&self, keys: &[ObjectKey]) -> Vec<Result<u64, Error>> {
        let paths: Vec<String> = keys.iter().map(ObjectKey::path).collect();
        if let Some(root) = &self.root {
            let root = root.clone();
            let look = move || paths.iter().map(|path| local_size(&root, path)).collect();
            return tokio::task::spawn_blocking(look)
                .await
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        }
        if keys.len() <= HEADS_AT_ONCE {
            let heads = keys.iter().map(|key| self.size(key));
            return futures::future::join_all(heads).await;
        }
        let folders: BTreeSet<&str> = paths.iter().filter_map(|path| folder_of(path)).collect();
        let folders: Vec<String> = folders.into_iter().map(str::to_owned).collect();
        let lists: Vec<_> = futures::stream::iter(folders)
            .map(|folder| self.list(folder))
            .buffer_unordered(HEADS_AT_ONCE)
            .collect()
            .await;
        let mut known = HashMap::new();
        let mut failed = HashSet::new();
        for (folder, listed) in lists {
            match listed {
                Ok(sizes) => known.extend(sizes),
                Err(error) => {
                    tracing::debug!(folder, error = %error, "a folder of the store cannot be listed");
                    failed.insert(folder);
                }
            }
        }
        let size_of = |path: String| match known.get(&path) {
            Some(size) => Ok(*size),
            None if folder_of(&path).is_some_and(|folder| failed.contains(folder)) => Err(
                store_error("list", &path, "its folder cannot be listed".into()),
            ),
            None => Err(Error::NotFound { key: path }),
        };
        paths.into_iter().map(size_of).collect()
    }

    /// Objects of a folder with their sizes.
    async fn list(
        &self,
        folder: String,
    ) -> (String, Result<Vec<(String, u64)>, object_store::Error>) {
        let prefix = object_store::path::Path::from(folder.as_str());
        let found = self.store.list(Some(&prefix));
        let found = found.map_ok(|meta| (meta.location.to_string(), meta.size));
        (folder, found.try_collect().await)
    }

    /// Removes an object and what an interrupted put left of it; one that is gone already is not an
    /// error. On a local folder, day and hour
    /// folders that become empty go too.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        let path = key.path();
        if let Some(root) = &self.root {
            let part = local::part_of(&root.join(&path));
            match tokio::fs::remove_file(&part).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(store_error("delete", &path, error.into())),
            }
        }
        let location = object_store::path::Path::from(path.as_str());
        match self.store.delete(&location).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(store_error("delete", &path, error.into())),
        }
    }
}

fn folder_of(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(folder, _)| folder)
}

fn local_size(root: &Path, path: &str) -> Result<u64, Error> {
    match std::fs::metadata(root.join(path)) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NotFound {
            key: path.to_owned(),
        }),
        Err(error) => Err(store_error("head", path, error.into())),
    }
}

pub(crate) fn store_error(
    operation: &'static str,
    key: &str,
    source: Box<dyn StdError + Send + Sync>,
) -> Error {
    Error::Store {
        operation,
        key: key.to_owned(),
        source,
    }
}
