//! Objects that are written piece by piece, in bounded memory.

use crate::store::{Added, Error, store_error};
use crate::{ObjectKey, local};
use bytes::Bytes;
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;

/// Parts of an upload that are on their way at once; with the one that fills up they are all of its
/// memory.
const PARTS_AT_ONCE: usize = 2;

/// An object that is being written. Nobody sees it before [`ObjectWriter::finish`]. One that is dropped
/// leaves a partial file that a delete of the key removes, or parts that the store expires.
#[derive(Debug)]
pub struct ObjectWriter {
    path: String,
    size: u64,
    to: To,
}

#[derive(Debug)]
enum To {
    Folder {
        /// `None` while a write is under way: a call that was dropped ends the writer.
        part: Option<File>,
        target: PathBuf,
        added: Added,
    },
    Store(BufWriter),
}

impl ObjectWriter {
    pub(crate) async fn folder(
        key: &ObjectKey,
        root: PathBuf,
        added: Added,
    ) -> Result<Self, Error> {
        let path = key.path();
        let target = root.join(&path);
        let to = target.clone();
        let part = blocking(move || local::create_part(&to, &root)).await;
        Ok(Self {
            to: To::Folder {
                part: Some(part.map_err(|error| store_error("put", &path, error.into()))?),
                target,
                added,
            },
            path,
            size: 0,
        })
    }

    pub(crate) fn store(key: &ObjectKey, store: Arc<dyn ObjectStore>, part_bytes: usize) -> Self {
        let path = key.path();
        let target = object_store::path::Path::from(path.as_str());
        let to = BufWriter::with_capacity(store, target, part_bytes);
        Self {
            path,
            size: 0,
            to: To::Store(to.with_max_concurrency(PARTS_AT_ONCE)),
        }
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds bytes; returns when there is room for more.
    pub async fn write(&mut self, data: Bytes) -> Result<(), Error> {
        let len = data.len() as u64;
        let written = match &mut self.to {
            To::Folder { part, added, .. } => {
                added.add(len);
                write_part(part, data).await
            }
            To::Store(writer) => writer.put(data).await.map_err(io::Error::from),
        };
        written.map_err(|error| store_error("put", &self.path, error.into()))?;
        self.size += len;
        Ok(())
    }

    /// Ends the object, durable when this returns; how many bytes it has.
    pub async fn finish(self) -> Result<u64, Error> {
        let finished = match self.to {
            To::Folder { part, target, .. } => match part {
                Some(part) => blocking(move || local::finish_part(&part, &target)).await,
                None => Err(broken_off()),
            },
            To::Store(mut writer) => writer.shutdown().await,
        };
        finished.map_err(|error| store_error("put", &self.path, error.into()))?;
        Ok(self.size)
    }

    /// Gives it up; what was written goes now if the store can be reached.
    pub async fn abort(self) {
        let aborted = match self.to {
            To::Folder { target, .. } => {
                blocking(move || std::fs::remove_file(local::part_of(&target))).await
            }
            To::Store(mut writer) => writer.abort().await.map_err(io::Error::from),
        };
        if let Err(error) = aborted {
            tracing::debug!(key = self.path, %error, "abort of an upload failed");
        }
    }
}

async fn write_part(part: &mut Option<File>, data: Bytes) -> io::Result<()> {
    let mut file = part.take().ok_or_else(broken_off)?;
    let (file, written) = blocking(move || {
        let written = file.write_all(&data);
        Ok((file, written))
    })
    .await?;
    *part = Some(file);
    written
}

fn broken_off() -> io::Error {
    io::Error::other("a write before this one was broken off")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
}
