//! The body of an upload on its way to the disk.

use super::plan::Footage;
use super::{ImportError, probe};
use framewell_fmp4::Movie;
use framewell_model::WallTime;
use std::io;
use std::path::{Path, PathBuf};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

/// Bytes gathered before a write: bodies come in pieces of a few KiB.
const WRITE_BYTES: usize = 256 << 10;

/// A body, and what is made of it. Its files are gone when it is dropped.
#[derive(Debug)]
pub struct Upload {
    dir: PathBuf,
    file: BufWriter<File>,
    len: u64,
    limit: u64,
    _place: OwnedSemaphorePermit,
}

impl Upload {
    pub(super) async fn create(
        parent: PathBuf,
        limit: u64,
        place: OwnedSemaphorePermit,
    ) -> io::Result<Self> {
        let dir = parent.join(Uuid::now_v7().simple().to_string());
        tokio::fs::create_dir_all(&dir).await?;
        let file = File::create(dir.join("body")).await?;
        Ok(Self {
            dir,
            file: BufWriter::with_capacity(WRITE_BYTES, file),
            len: 0,
            limit,
            _place: place,
        })
    }

    /// Appends some bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        self.len += bytes.len() as u64;
        if self.len > self.limit {
            return Err(ImportError::TooLarge { limit: self.limit });
        }
        self.file.write_all(bytes).await.map_err(ImportError::Disk)
    }

    /// Reads the index of the complete body. The turn is over when the index has been read, also if nobody
    /// waits for it any more.
    pub(super) async fn probe(
        &self,
        start: WallTime,
        turn: OwnedSemaphorePermit,
    ) -> Result<(Movie, Footage), ImportError> {
        let (path, len) = (self.path(), self.len);
        let probing = move || {
            let _turn = turn;
            let movie = probe::probe(&path, len)?;
            let footage = Footage::of(&movie.video, start)?;
            Ok((movie, footage))
        };
        tokio::task::spawn_blocking(probing)
            .await
            .unwrap_or_else(|panic| Err(ImportError::Disk(io::Error::other(panic))))
    }

    /// Writes what is held back; nothing is appended after it.
    pub(super) async fn finish(&mut self) -> Result<(), ImportError> {
        self.file.flush().await.map_err(ImportError::Disk)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.join("body")
    }

    /// Where its segments lie until they are published.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // The next start empties the folder if this fails.
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            tracing::debug!(path = %self.dir.display(), %error, "the files of an upload stay");
        }
    }
}
