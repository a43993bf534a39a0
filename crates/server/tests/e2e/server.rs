//! A real `framewell` process on its own data folder.

use crate::client::Api;
use rustix::process::Pid;
use serde_json::Value;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const START_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(40);

/// Short segments and short patience, so that tests see publishing and reconnecting soon.
const TEST_CONFIG: &str = "
[record]
segment_s = 2.0
[ingest]
silence_s = 3.0
backoff_min_s = 0.2
backoff_max_s = 1.0
[webrtc]
listen = \"127.0.0.1:0\"
[decoder]
workers = 2
[log]
level = \"info,framewell_ingest=debug,framewell_recorder=debug\"
";

/// A server process; killed when dropped.
pub(crate) struct Server {
    dir: tempfile::TempDir,
    child: Option<Child>,
    http: Option<SocketAddr>,
    rtsp: Option<SocketAddr>,
    rtmp: Option<SocketAddr>,
    license: String,
    /// More environment variables: configuration that wins over the file's.
    environment: Vec<(&'static str, &'static str)>,
}

impl Server {
    /// Starts on SQLite.
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts with more configuration, appended to that of the tests; top-level keys go first.
    pub(crate) async fn start_with(top_level: &str) -> Self {
        Self::start_in(top_level, &[]).await
    }

    /// Starts with environment variables that win over the configuration of the tests.
    pub(crate) async fn start_with_environment(
        environment: &[(&'static str, &'static str)],
    ) -> Self {
        Self::start_in("", environment).await
    }

    async fn start_in(top_level: &str, environment: &[(&'static str, &'static str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let config = format!(
            "data_dir = {:?}\n{top_level}\n{TEST_CONFIG}",
            dir.path().join("data")
        );
        std::fs::write(dir.path().join("framewell.toml"), config).expect("configuration written");
        let mut server = Self {
            dir,
            child: None,
            http: None,
            rtsp: None,
            rtmp: None,
            license: String::new(),
            environment: environment.to_vec(),
        };
        server.license = server.create_account("tests");
        server.launch().await;
        server
    }

    /// Runs `framewell account create` beside the server.
    pub(crate) fn create_account(&self, name: &str) -> String {
        let output = self
            .command()
            .args(["account", "create", name, "--json", "--config"])
            .arg(self.config_file())
            .output()
            .expect("framewell runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        answer["license_key"]
            .as_str()
            .expect("a license key")
            .to_owned()
    }

    /// Runs `framewell account …` beside the server; what it prints.
    pub(crate) fn account(&self, arguments: &[&str]) -> String {
        let output = self
            .command()
            .arg("account")
            .args(arguments)
            .arg("--config")
            .arg(self.config_file())
            .output()
            .expect("framewell runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("UTF-8")
            .trim()
            .to_owned()
    }

    /// Runs `framewell` with arguments and the server's configuration; its exit status and what it prints.
    pub(crate) fn framewell(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self
            .command()
            .args(arguments)
            .arg("--config")
            .arg(self.config_file())
            .output()
            .expect("framewell runs");
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.code() == Some(2) {
            text.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        (output.status.code(), text)
    }

    async fn launch(&mut self) {
        let ready = self.dir.path().join("ready.json");
        if ready.exists() {
            std::fs::remove_file(&ready).expect("old ready file removed");
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("log file");
        let child = self
            .command()
            .args([
                "serve",
                "--http-listen",
                "127.0.0.1:0",
                "--rtsp-listen",
                "127.0.0.1:0",
                "--rtmp-listen",
                "127.0.0.1:0",
                "--config",
            ])
            .arg(self.config_file())
            .arg("--ready-file")
            .arg(&ready)
            .stderr(log)
            .spawn()
            .expect("framewell starts");
        self.child = Some(child);
        let started = Instant::now();
        while !ready.exists() {
            let exited = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().expect("waited"));
            assert!(
                exited.is_none(),
                "framewell ended with {exited:?}:\n{}",
                self.log()
            );
            assert!(
                started.elapsed() < START_DEADLINE,
                "framewell is not ready:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let text = std::fs::read(&ready).expect("ready file");
        let addresses: Value = serde_json::from_slice(&text).expect("JSON");
        let address = |key: &str| addresses[key].as_str().and_then(|text| text.parse().ok());
        self.http = address("http");
        self.rtsp = address("rtsp");
        self.rtmp = address("rtmp");
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_framewell"));
        command
            .current_dir(self.dir.path())
            .envs(self.environment.iter().copied())
            .stdin(Stdio::null());
        command
    }

    fn config_file(&self) -> PathBuf {
        self.dir.path().join("framewell.toml")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("framewell.log")
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The data folder.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.http.expect("started"))
    }

    /// Address of the RTSP server.
    pub(crate) fn rtsp(&self) -> SocketAddr {
        self.rtsp.expect("started")
    }

    /// Address of the RTMP server.
    pub(crate) fn rtmp(&self) -> SocketAddr {
        self.rtmp.expect("started")
    }

    /// A client with the license key.
    pub(crate) fn admin(&self) -> Api {
        Api::new(&self.base(), &format!("LKey {}", self.license))
    }

    /// A client with some `Authorization` header.
    pub(crate) fn api(&self, authorization: &str) -> Api {
        Api::new(&self.base(), authorization)
    }

    /// Process ids of its decoders that run now.
    pub(crate) fn decoders(&self) -> Vec<Pid> {
        let server = self.child.as_ref().expect("running").id().to_string();
        let processes = std::fs::read_dir("/proc").expect("/proc");
        let pids =
            processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            // The name in parentheses, the state, the parent's id (proc(5)).
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.split_once("(framewell-decod")
                .and_then(|(_, rest)| rest.split_once(") "))
                .is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(&server))
        })
        .filter_map(Pid::from_raw)
        .collect()
    }

    /// Ends the process as a power cut of the process would: no handler runs.
    pub(crate) fn kill_9(&mut self) {
        let mut child = self.child.take().expect("running");
        child.kill().expect("killed");
        child.wait().expect("waited");
    }

    /// SIGTERM, and waits for the orderly end.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("running");
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .expect("kill runs")
                .success()
        );
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("waited") {
                return status;
            }
            assert!(
                started.elapsed() < STOP_DEADLINE,
                "framewell does not stop:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts again on the same data folder, after an orderly end if it still runs.
    pub(crate) async fn restart(&mut self) {
        if self.child.is_some() {
            self.stop().await;
        }
        self.launch().await;
    }
}

impl Drop for Server {
    #[expect(
        clippy::print_stderr,
        reason = "a failed test shows what its server said"
    )]
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(12_000);
            eprintln!(
                "--- end of the server's log ---\n{}",
                log.get(from..).unwrap_or(&log)
            );
        }
    }
}

/// All files below a folder.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Polls `condition` until it gives a value; panics with `what` after `seconds`.
pub(crate) async fn wait_for<T, F>(what: &str, seconds: u64, mut condition: F) -> T
where
    F: AsyncFnMut() -> Option<T>,
{
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            started.elapsed() < Duration::from_secs(seconds),
            "timed out waiting for {what}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
