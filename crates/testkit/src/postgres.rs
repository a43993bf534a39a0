//! A real PostgreSQL for tests: one private cluster, one database for each test.
//!
//! If `FRAMEWELL_TEST_POSTGRES_URL` is set, it is the URL of a superuser on a running server, and tests
//! create and drop databases of their own there. `cargo xtask test` sets it, because nextest gives each
//! test a process and a cluster takes a second or two to make. Without it, the first database of a
//! process starts a cluster in a folder under `/tmp`, on a Unix socket only, as an unprivileged user.
//!
//! The cluster ends with the process that started it, however that ends: a guardian shell waits for the
//! end of its input, then stops the server and removes the folder.
//!
//! If the PostgreSQL programs are missing, [`TestDatabase::create`] is an error that says so.

use anyhow::{Context as _, Result, bail, ensure};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use url::Url;

/// Name of the environment variable with the URL of a running server.
pub const URL_VARIABLE: &str = "FRAMEWELL_TEST_POSTGRES_URL";

/// Users that may run the server when we are root, which PostgreSQL refuses to be.
const UNPRIVILEGED_USERS: [&str; 2] = ["postgres", "nobody"];

/// `$1` folder of the programs, `$2` folder of the cluster, `$3` user to become, or empty.
///
/// Nothing here survives a crash, so the server never waits for the disk.
const GUARDIAN: &str = r#"
trap '' HUP INT TERM
become() { if [ -n "$user" ]; then runuser -u "$user" -- "$@"; else "$@"; fi; }
bin=$1 folder=$2 user=$3
cd "$folder" || exit 1
{
    become "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync &&
    become "$bin/pg_ctl" -D "$folder/data" -l "$folder/server.log" -w start -o "-k '$folder' \
        -c listen_addresses='' -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
        -c max_connections=300 -c shared_buffers=64MB"
} >"$folder/start.log" 2>&1 </dev/null && echo ready || { cat "$folder/start.log" "$folder/server.log"; echo failed; }
cat >/dev/null
become "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1
cd / && rm -rf "$folder"
"#;

/// A running private server; it stops when this value goes or the process ends.
#[derive(Debug)]
pub struct Cluster {
    guardian: Child,
    url: String,
}

impl Cluster {
    /// Makes and starts a cluster.
    pub fn start() -> Result<Self> {
        let programs = programs()?;
        // Not the folder that TMPDIR names: a socket path has at most 107 bytes.
        let folder = tempfile::Builder::new()
            .prefix("framewell-postgres-")
            .tempdir_in("/tmp")
            .context("no folder for the cluster")?
            .keep();
        let user = unprivileged_user(&folder)?;
        let mut guardian = Command::new("sh")
            .args(["-c", GUARDIAN, "framewell-postgres"])
            .args([&programs, &folder])
            .arg(user.unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("the guardian of the cluster did not start")?;
        let output = guardian
            .stdout
            .take()
            .context("no output of the guardian")?;
        let mut log = String::new();
        for line in BufReader::new(output).lines() {
            let line = line?;
            if line == "ready" {
                let url = format!(
                    "postgres://postgres@localhost/postgres?host={}",
                    folder.display()
                );
                return Ok(Self { guardian, url });
            }
            if line == "failed" {
                break;
            }
            log.push_str(&line);
            log.push('\n');
        }
        drop(guardian.stdin.take());
        guardian.wait()?;
        bail!("PostgreSQL did not start:\n{log}")
    }

    /// URL of its superuser.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        if let Err(error) = self.guardian.wait() {
            tracing::warn!(%error, "the guardian of a PostgreSQL cluster cannot be waited for");
        }
    }
}

/// An empty database of its own for one test.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    name: String,
    server: &'static Server,
}

/// The server that this process uses.
#[derive(Debug)]
enum Server {
    /// Somebody else's, so our databases must go at the end.
    Given(String),
    Own(Cluster),
}

impl Server {
    fn url(&self) -> &str {
        match self {
            Self::Given(url) => url,
            Self::Own(cluster) => cluster.url(),
        }
    }
}

impl TestDatabase {
    /// Creates the database, and before it the cluster, if this process needs one and has none.
    ///
    /// Its locale sorts as dictionaries do where PostgreSQL can (15 and later): order by code point must
    /// come from the schema.
    pub fn create() -> Result<Self> {
        let server = server()?;
        let name = format!("framewell_test_{:016x}", rand::random::<u64>());
        let programs = programs()?;
        let mut create = Command::new(programs.join("createdb"));
        create
            .arg(format!("--maintenance-db={}", server.url()))
            .args(["--template=template0", "--encoding=UTF8"]);
        if major_version(&programs)? >= 15 {
            create.args([
                "--locale=C.UTF-8",
                "--locale-provider=icu",
                "--icu-locale=en",
            ]);
        }
        let output = create.arg(&name).output().context("createdb did not run")?;
        ensure!(
            output.status.success(),
            "createdb failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut url = Url::parse(server.url()).context("the URL of the server is no URL")?;
        url.set_path(&name);
        Ok(Self {
            url: url.into(),
            name,
            server,
        })
    }

    /// Its URL, as a configuration takes it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Server::Given(url) = self.server else {
            return; // Goes with the cluster.
        };
        let dropped = programs().and_then(|programs| {
            let status = Command::new(programs.join("dropdb"))
                .arg(format!("--maintenance-db={url}"))
                .args(["--if-exists", "--force", &self.name])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            ensure!(status.success(), "dropdb failed");
            Ok(())
        });
        if let Err(error) = dropped {
            tracing::warn!(%error, "a test database stays behind");
        }
    }
}

fn server() -> Result<&'static Server> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    SERVER
        .get_or_init(|| match given_url() {
            Some(url) => Ok(Server::Given(url)),
            None => Cluster::start()
                .map(Server::Own)
                .map_err(|error| format!("{error:#}")),
        })
        .as_ref()
        .map_err(|text| anyhow::anyhow!(text.clone()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "test processes get the shared server from their runner and have no configuration"
)]
fn given_url() -> Option<String> {
    std::env::var(URL_VARIABLE)
        .ok()
        .filter(|url| !url.is_empty())
}

/// Folder of `initdb` and its siblings: Debian's of the newest version, else the one on the path.
fn programs() -> Result<PathBuf> {
    static PROGRAMS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let missing = "PostgreSQL's programs (initdb, pg_ctl) are not installed: looked in \
                   /usr/lib/postgresql/*/bin and on the path. On Debian: apt-get install postgresql";
    PROGRAMS
        .get_or_init(|| debian_programs().or_else(programs_on_path))
        .clone()
        .context(missing)
}

fn debian_programs() -> Option<PathBuf> {
    let version = |folder: &PathBuf| -> Option<u32> { folder.file_name()?.to_str()?.parse().ok() };
    std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|folder| folder.join("bin/initdb").is_file())
        .max_by_key(version)
        .map(|folder| folder.join("bin"))
}

fn programs_on_path() -> Option<PathBuf> {
    let output = Command::new("sh")
        .args(["-c", "command -v initdb"])
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    let folder = Path::new(path.trim()).canonicalize().ok()?;
    Some(folder.parent()?.to_owned())
}

/// The first number of, for example, `initdb (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)`.
fn major_version(programs: &Path) -> Result<u32> {
    let output = Command::new(programs.join("initdb"))
        .arg("--version")
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace()
        .find_map(|word| word.split('.').next()?.parse().ok())
        .with_context(|| format!("no version in {text:?}"))
}

/// Gives the folder to a user that may run the server; `None` if we may do so ourselves.
fn unprivileged_user(folder: &Path) -> Result<Option<&'static str>> {
    let is_root = folder.metadata()?.uid() == 0;
    if !is_root {
        return Ok(None);
    }
    for user in UNPRIVILEGED_USERS {
        if let (Some(uid), Some(gid)) = (id_of("-u", user)?, id_of("-g", user)?) {
            chown(folder, Some(uid), Some(gid))?;
            return Ok(Some(user));
        }
    }
    bail!("no user among {UNPRIVILEGED_USERS:?} exists to run PostgreSQL as")
}

fn id_of(which: &str, user: &str) -> Result<Option<u32>> {
    let output = Command::new("id").args([which, user]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.trim().parse().ok())
}
