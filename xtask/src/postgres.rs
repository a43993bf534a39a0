//! A PostgreSQL server of our own for one run of the tests.
//!
//! It lives in a temporary folder, listens on 127.0.0.1 on a port that was free, trusts local connections, and skips
//! every sync to disk: nothing in it is worth keeping. It is stopped and deleted with the handle.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::child::Managed;
use crate::{run, term};

/// A cold start on a busy machine takes a few seconds.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The running server.
#[derive(Debug)]
pub(crate) struct Postgres {
    port: u16,
    // Order matters: the server ends before its folder is deleted.
    _server: Managed,
    _folder: TempDir,
}

/// The account that runs the server: PostgreSQL refuses to run as root.
#[derive(Debug, Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Postgres {
    /// Creates the data folder and starts the server.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let programs = newest_version(Path::new("/usr/lib/postgresql"))
            .context(
                "no PostgreSQL below /usr/lib/postgresql: is the package postgresql installed?",
            )?
            .join("bin");
        let account = account()?;
        let folder = tempfile::Builder::new()
            .prefix("framewell-postgres-")
            .tempdir()?;
        let data = folder.path().join("data");
        if let Some(account) = account {
            std::os::unix::fs::chown(folder.path(), Some(account.uid), Some(account.gid))?;
        }
        let mut init = as_account(programs.join("initdb"), folder.path(), account);
        init.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
        ])
        .arg(&data);
        run::output(&mut init)?;
        let port = free_port()?;
        let mut serve = as_account(programs.join("postgres"), folder.path(), account);
        serve
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .stdout(Stdio::null());
        serve.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        for setting in [
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "max_connections=200",
        ] {
            serve.args(["-c", setting]);
        }
        let log = folder.path().join("log");
        let mut server = Managed::start("postgres", &mut serve, Some(&log))?;
        server.wait_until("start", START_LIMIT, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        })?;
        term::note(&format!(
            "private server on 127.0.0.1:{port}, in {}",
            folder.path().display()
        ));
        Ok(Self {
            port,
            _server: server,
            _folder: folder,
        })
    }

    /// The superuser's connection string.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

fn as_account(program: PathBuf, folder: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Nobody special, unless we are root.
fn account() -> anyhow::Result<Option<Account>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    parse_account(&users, "postgres")
        .map(Some)
        .context("no user postgres, which the package postgresql creates")
}

fn parse_account(users: &str, name: &str) -> Option<Account> {
    let mut fields = users
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?
        .split(':')
        .skip(1);
    Some(Account {
        uid: fields.next()?.parse().ok()?,
        gid: fields.next()?.parse().ok()?,
    })
}

fn newest_version(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse::<u32>().ok()?,
                entry.path(),
            ))
        })
        .filter(|(_, path)| path.join("bin/initdb").exists())
        .max()
        .map(|(_, path)| path)
}

/// A port that nobody listened on a moment ago. PostgreSQL cannot choose one itself.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_found_by_its_whole_name() {
        let users = "root:x:0:0::/root:/bin/sh\npostgresql:x:7:7::/:/bin/false\npostgres:x:105:106::/var:/bin/bash\n";
        let found = parse_account(users, "postgres").unwrap();
        assert_eq!((found.uid, found.gid), (105, 106));
        assert!(parse_account(users, "nobody").is_none());
    }

    #[test]
    fn version_15_is_newer_than_version_9() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["9", "15", "common"] {
            std::fs::create_dir_all(folder.path().join(version).join("bin")).unwrap();
            std::fs::write(folder.path().join(version).join("bin/initdb"), "").unwrap();
        }
        assert!(newest_version(folder.path()).unwrap().ends_with("15"));
    }
}
