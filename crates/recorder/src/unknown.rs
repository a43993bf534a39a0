//! Spool files of channels that the catalog does not know.
//!
//! Somebody who starts the server on a new database, or on the wrong one, must not lose what the old one did not publish any
//! more. `framewell check --rebuild` puts the files back where the next start publishes them.

use crate::Error;
use framewell_footage::UNKNOWN_CHANNELS;
use framewell_model::ChannelId;
use std::io;
use std::path::{Path, PathBuf};

/// Moves a file out of the way of the recorder.
pub(crate) async fn keep(
    spool_dir: PathBuf,
    channel: ChannelId,
    file: PathBuf,
) -> Result<(), Error> {
    let folder = spool_dir.join(UNKNOWN_CHANNELS).join(channel.to_string());
    let path = folder.clone();
    let keep = move || {
        let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        std::fs::create_dir_all(&folder)?;
        std::fs::rename(&file, folder.join(name))
    };
    tokio::task::spawn_blocking(keep)
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
        .map_err(|source| Error::SpoolDir { path, source })
}

/// Says what was kept; once, however much it is.
pub(crate) fn tell(spool_dir: &Path, files: u64) {
    if files > 0 {
        let kept = spool_dir.join(UNKNOWN_CHANNELS);
        tracing::error!(files, path = %kept.display(), "the database does not know the channels of these spool files; they are kept. If it is new or the wrong one, stop the server; `framewell check --rebuild` brings the footage back");
    }
}
