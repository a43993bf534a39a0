//! Raw pictures in shared memory for an engine on the same machine.
//!
//! A reader connects to a Unix socket, says in one line of JSON what it wants (`request`), and gets a
//! memory file with slots for pictures (`layout`) and then a line for each picture that was put into
//! a slot (`session`). It looks at the pixels where they are, and gives the slot back by a line of its
//! own. Format and protocol are described in `docs/design/raw-ring.md`.
//!
//! Invariants: a slot that the reader holds is never written to; a reader that is slow or dead costs
//! nobody else anything; each reader has a ring of its own, so none can spoil another's pictures.
//! What does not belong here: decoding, and choosing pictures by rate (`imaging`).

mod layout;
mod lobby;
mod memory;
mod request;
mod session;
mod slots;

pub use layout::{Layout, Plane};

use framewell_access::Access;
use framewell_imaging::Imaging;
use framewell_live::Registry;
use lobby::Lobby;
use session::Desk;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Who may connect, besides showing a token: the server's user and group.
const SOCKET_MODE: u32 = 0o660;
/// Pause after a failed `accept`, so that a process out of file descriptors does not spin.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Settings of the raw pictures.
#[derive(Debug, Clone)]
pub struct RawConfig {
    /// Where the Unix socket lies.
    pub socket: PathBuf,
    /// Most readers at a time (default 16); beyond it a request is refused.
    pub max_readers: usize,
    /// Most shared memory of one reader, in bytes (default 256 MiB).
    pub max_bytes: u64,
}

impl RawConfig {
    /// With a socket at `socket` and the default limits.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            max_readers: 16,
            max_bytes: 256 << 20,
        }
    }
}

/// What readers are served from; cheap to clone.
#[derive(Debug, Clone)]
pub struct RawService {
    /// The gate.
    pub access: Access,
    /// The pictures.
    pub imaging: Imaging,
    /// Says how large the pictures of a channel are.
    pub registry: Registry,
}

/// A bound socket; its file goes when this is dropped.
#[derive(Debug)]
pub struct RawListener {
    listener: UnixListener,
    config: RawConfig,
}

impl RawListener {
    /// Binds the socket, with the mode 0660 from the first moment on. A file that a killed server left
    /// is replaced; a socket on which somebody listens is an error.
    pub fn bind(config: RawConfig) -> io::Result<Self> {
        let path = &config.socket;
        if is_in_use(path)? {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another server listens on this socket",
            ));
        }
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let listener = UnixListener::bind(&temporary)?;
        let mode = std::fs::Permissions::from_mode(SOCKET_MODE);
        std::fs::set_permissions(&temporary, mode)
            .and_then(|()| std::fs::rename(&temporary, path))
            .inspect_err(|_| drop(std::fs::remove_file(&temporary)))?;
        Ok(Self { listener, config })
    }
}

impl Drop for RawListener {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.config.socket));
    }
}

fn is_in_use(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file that is no socket",
        )),
        Ok(_) => Ok(std::os::unix::net::UnixStream::connect(path).is_ok()),
    }
}

/// Serves readers until `stop`; returns when all of them have gone.
pub async fn serve(listener: RawListener, service: RawService, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    let lobby = Lobby::default();
    let config = &listener.config;
    let desk = Arc::new(Desk::new(service, config.max_readers, config.max_bytes));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accepting a raw reader failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Who cannot be told is one user among the others.
        let user = stream.peer_cred().map_or(u32::MAX, |peer| peer.uid());
        let seat = lobby.enter(user);
        let (desk, stop) = (Arc::clone(&desk), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = session::serve(stream, seat, &desk) => {}
            }
        });
    }
    tasks.close();
    tasks.wait().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_user_and_group_and_replaces_a_dead_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("raw.sock");
        let config = RawConfig::new(path.clone());
        let first = RawListener::bind(config.clone()).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let taken = RawListener::bind(config.clone()).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(!path.exists());
        // What a killed server leaves: a file on which nobody listens.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let again = RawListener::bind(config.clone()).unwrap();
        drop(again);
        std::fs::write(&path, "precious").unwrap();
        assert!(RawListener::bind(config).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
