//! An S3-compatible store of our own for one run of the tests: moto, which keeps everything in memory.
//!
//! It listens on 127.0.0.1 on a port that was free, and ends with the handle.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use crate::child::Managed;
use crate::{python, run, term, workspace};

/// A cold start on a busy machine takes a few seconds.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The running store.
#[derive(Debug)]
pub(crate) struct ObjectStore {
    port: u16,
    _server: Managed,
    _folder: tempfile::TempDir,
}

impl ObjectStore {
    /// Installs the store if it is not there, and starts it.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let requirements = workspace::root().join("xtask/object-store.txt");
        let interpreter = python::environment("python-object-store", &requirements)?;
        let folder = tempfile::Builder::new()
            .prefix("framewell-object-store-")
            .tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let mut command = run::program(&interpreter);
        command
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p"])
            .arg(port.to_string())
            .stdout(Stdio::null());
        let log = folder.path().join("log");
        let mut server = Managed::start("the object store moto", &mut command, Some(&log))?;
        server.wait_until("start", START_LIMIT, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        })?;
        term::note(&format!("moto on 127.0.0.1:{port}"));
        Ok(Self {
            port,
            _server: server,
            _folder: folder,
        })
    }

    /// Where it is.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
