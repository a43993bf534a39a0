//! What lies in the spool folder: segments that are open, or wait for database or store.

use crate::object::HEAD_BYTES;
use crate::{Archive, Error};
use framewell_fmp4::{SegmentIdentity, parse_init};
use framewell_footage::UNKNOWN_CHANNELS;
use framewell_model::{ChannelId, SegmentId};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// A file of the spool folder.
#[derive(Debug, Clone)]
pub(crate) struct SpoolFile {
    pub(crate) size: u64,
    /// Who it says that it is; `None` if its head is not whole or is that of another.
    pub(crate) identity: Option<SegmentIdentity>,
}

impl Archive {
    /// All spool files. A folder that does not exist has none; a file that goes meanwhile is left out.
    pub(crate) async fn spool_files(&self) -> Result<Vec<SpoolFile>, Error> {
        let dir = self.spool_dir.clone();
        tokio::task::spawn_blocking(move || list(&dir))
            .await
            .unwrap_or_else(|panic| Err(io::Error::other(panic)))
            .map_err(|source| Error::Spool {
                path: self.spool_dir.clone(),
                source,
            })
    }

    /// Spool files that a start kept because it did not know their channels.
    pub(crate) async fn kept_files(&self) -> Result<Vec<SpoolFile>, Error> {
        let dir = self.spool_dir.join(UNKNOWN_CHANNELS);
        let path = dir.clone();
        tokio::task::spawn_blocking(move || list(&dir))
            .await
            .unwrap_or_else(|panic| Err(io::Error::other(panic)))
            .map_err(|source| Error::Spool { path, source })
    }

    /// Puts the kept files of a channel back to where the next start publishes them.
    pub(crate) async fn put_back(&self, channel: ChannelId) -> Result<(), Error> {
        let name = channel.to_string();
        let kept = self.spool_dir.join(UNKNOWN_CHANNELS).join(&name);
        let (folder, path) = (self.spool_dir.join(&name), kept.clone());
        tokio::task::spawn_blocking(move || move_all(&kept, &folder))
            .await
            .unwrap_or_else(|panic| Err(io::Error::other(panic)))
            .map_err(|source| Error::Spool { path, source })
    }

    /// Whether a segment lies in the spool folder.
    pub(crate) async fn is_spooled(&self, file: &crate::Finding) -> Result<bool, Error> {
        let Some(segment) = file.segment else {
            return Ok(false);
        };
        let path = self
            .spool_dir
            .join(file.channel.to_string())
            .join(format!("{segment}.mp4"));
        tokio::fs::try_exists(&path)
            .await
            .map_err(|source| Error::Spool { path, source })
    }
}

fn move_all(from: &Path, to: &Path) -> io::Result<()> {
    let files = match std::fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        files => files?,
    };
    std::fs::create_dir_all(to)?;
    for file in files {
        let file = file?;
        std::fs::rename(file.path(), to.join(file.file_name()))?;
    }
    std::fs::remove_dir(from)
}

fn list(dir: &Path) -> io::Result<Vec<SpoolFile>> {
    let mut files = Vec::new();
    let folders = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        folders => folders?,
    };
    for folder in folders {
        let folder = folder?;
        if !folder.file_type()?.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(folder.path())? {
            let path = entry?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str());
            let segment = name.and_then(|name| name.parse().ok());
            let is_segment = path.extension().is_some_and(|e| e == "mp4");
            let Some(segment) = segment.filter(|_| is_segment) else {
                continue;
            };
            match look(&path, segment) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                file => files.push(file?),
            }
        }
    }
    Ok(files)
}

fn look(path: &Path, segment: SegmentId) -> io::Result<SpoolFile> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut head = Vec::new();
    file.take(HEAD_BYTES).read_to_end(&mut head)?;
    let identity = parse_init(&head).ok().and_then(|(_, identity)| identity);
    Ok(SpoolFile {
        size,
        identity: identity.filter(|identity| identity.segment == segment),
    })
}
