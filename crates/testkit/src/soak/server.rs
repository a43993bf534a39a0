//! The server process: started, killed, started again, asked.

use super::Plan;
use crate::account::Hole;
use crate::camera::Camera;
use crate::clock::wall_now;
use crate::postgres::TestDatabase;
use crate::proxy::Proxy;
use anyhow::{Context, Result, bail, ensure};
use framewell_model::WallTime;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A start includes migrations and the recovery of the spool.
const START_LIMIT: Duration = Duration::from_secs(60);
/// All cameras are connected again by then.
const RECORDING_LIMIT: Duration = Duration::from_secs(120);
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A channel.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) id: i64,
}

/// The server.
pub(super) struct Server {
    program: PathBuf,
    data: PathBuf,
    log: PathBuf,
    settings: Vec<(&'static str, String)>,
    database: Option<(TestDatabase, Proxy)>,
    child: Option<Child>,
    address: String,
    key: String,
    begun: WallTime,
}

/// Bytes of a large disk that stay free.
const MOST_RESERVE: u64 = 32 << 20;

impl Server {
    pub(super) async fn start(plan: &Plan, data: &Path, disk_mib: u32) -> Result<Self> {
        std::fs::create_dir_all(data)?;
        // What a stranger who fills the disk costs of the oldest footage is bounded by it.
        let reserve = ((u64::from(disk_mib) << 20) / 8).min(MOST_RESERVE);
        let mut settings = vec![
            ("FRAMEWELL_RECORD__SEGMENT_S", "4".to_owned()),
            ("FRAMEWELL_RECORD__MIN_FREE_BYTES", reserve.to_string()),
            (
                "FRAMEWELL_RECORD__MAX_SPOOL_BYTES",
                (reserve * 2).to_string(),
            ),
            ("FRAMEWELL_INGEST__BACKOFF_MAX_S", "2".to_owned()),
            ("FRAMEWELL_INGEST__SILENCE_S", "4".to_owned()),
            ("FRAMEWELL_RTMP__LISTEN", String::new()),
            ("FRAMEWELL_WEBRTC__LISTEN", String::new()),
        ];
        let database = if plan.with_postgres {
            let database = TestDatabase::create()?;
            let (proxy, url) = Proxy::of_postgres(database.url())?;
            settings.push(("FRAMEWELL_DATABASE_URL", url));
            Some((database, proxy))
        } else {
            None
        };
        let mut server = Self {
            program: plan.binaries.join("framewell"),
            data: data.to_owned(),
            log: plan.log.clone(),
            settings,
            database,
            child: None,
            address: String::new(),
            key: String::new(),
            begun: wall_now(),
        };
        server.key = server.create_account().await?;
        server.start_again().await?;
        Ok(server)
    }

    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.database.as_ref().map(|(_, proxy)| proxy)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .envs(self.settings.iter().map(|(name, value)| (*name, value)))
            .current_dir(&self.data)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn create_account(&self) -> Result<String> {
        let mut command = self.command();
        command.args(["account", "create", "soak", "--json", "--data-dir"]);
        let output = command.arg(&self.data).output().await?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "account create failed: {text}");
        let account: Value = serde_json::from_slice(&output.stdout)?;
        let key = account["license_key"].as_str();
        key.map(str::to_owned).context("no license key")
    }

    /// Starts it, as often as it takes: on a full disk it does not.
    pub(super) async fn start_again(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        let ready = std::env::temp_dir().join(format!("framewell-soak-{}", std::process::id()));
        loop {
            // It may not be there.
            let _removed = std::fs::remove_file(&ready);
            let log = File::options().append(true).create(true).open(&self.log)?;
            let mut command = self.command();
            command.arg("serve").arg("--data-dir").arg(&self.data);
            command.arg("--ready-file").arg(&ready);
            command.args([
                "--http-listen",
                "127.0.0.1:0",
                "--rtsp-listen",
                "127.0.0.1:0",
            ]);
            let mut child = command.stdout(Stdio::null()).stderr(log).spawn()?;
            while child.try_wait()?.is_none() {
                if let Some(address) = address_in(&ready) {
                    self.address = address;
                    self.child = Some(child);
                    let _removed = std::fs::remove_file(&ready);
                    return Ok(());
                }
                ensure!(
                    Instant::now() < deadline,
                    "the server is not ready after {START_LIMIT:?}; see {}",
                    self.log.display()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            ensure!(
                Instant::now() < deadline,
                "the server does not start; see {}",
                self.log.display()
            );
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// `kill -9`.
    pub(super) async fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// In good order.
    pub(super) async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let id = child.id().context("the server has ended by itself")?;
        let asked = Command::new("kill").arg(id.to_string()).status().await?;
        ensure!(asked.success(), "the server cannot be asked to stop");
        let ended = tokio::time::timeout(START_LIMIT, child.wait()).await;
        let status = ended.context("the server does not stop")??;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    pub(super) async fn create_channel(&self, camera: &Camera) -> Result<Channel> {
        let body = json!({
            "name": camera.name(),
            "rec_mode": "on",
            "timezone": "UTC",
            "source": {"url": camera.url()},
        });
        let channel = self.ask("POST", "/api/v3/channels/", Some(&body)).await?;
        let id = channel["id"].as_i64().context("a channel without an id")?;
        Ok(Channel { id })
    }

    pub(super) async fn wait_until_recording(&self, channels: &[Channel]) -> Result<()> {
        let deadline = Instant::now() + RECORDING_LIMIT;
        for channel in channels {
            let path = format!("/v1/channels/{}/recording", channel.id);
            loop {
                let shown = self.ask("GET", &path, None).await;
                if shown.is_ok_and(|shown| shown["recording"] == true) {
                    break;
                }
                ensure!(
                    Instant::now() < deadline,
                    "channel {} does not record",
                    channel.id
                );
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    /// The gaps of all channels.
    pub(super) async fn holes(&self, channels: &[Channel]) -> Result<BTreeMap<i64, Vec<Hole>>> {
        let start = self.begun.plus_micros(-60_000_000).to_rfc3339();
        let mut all = BTreeMap::new();
        for channel in channels {
            let path = format!("/v1/channels/{}/timeline?start={start}", channel.id);
            let timeline = self.ask("GET", &path, None).await?;
            let gaps = timeline["gaps"].as_array().context("no gaps")?;
            let holes = gaps.iter().map(hole).collect::<Result<_>>()?;
            all.insert(channel.id, holes);
        }
        Ok(all)
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let asking = self.answer(method, path, body);
        let (status, answer) = tokio::time::timeout(ANSWER_LIMIT, asking)
            .await
            .with_context(|| format!("{method} {path} got no answer"))??;
        if !(200..300).contains(&status) {
            bail!("{method} {path}: {status} {answer}");
        }
        serde_json::from_str(&answer).with_context(|| format!("{method} {path}"))
    }

    /// HTTP/1.0, so that the end of the connection is the end of the body.
    async fn answer(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, String)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(&self.address).await?;
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nAuthorization: {} {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            if path.starts_with("/v1") {
                "Bearer"
            } else {
                "LKey"
            },
            self.key,
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8(answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok((status, body.to_owned()))
    }
}

fn address_in(ready: &Path) -> Option<String> {
    let text = std::fs::read(ready).ok()?;
    let ready: Value = serde_json::from_slice(&text).ok()?;
    ready["http"].as_str().map(str::to_owned)
}

fn hole(gap: &Value) -> Result<Hole> {
    let time = |name: &str| -> Result<Option<WallTime>> {
        let Some(text) = gap[name].as_str() else {
            return Ok(None);
        };
        let time = text.parse().ok();
        Ok(Some(time.with_context(|| format!("{text} is no time"))?))
    };
    Ok(Hole {
        start: time("start")?.context("a gap without a start")?,
        end: time("end")?,
        reason: gap["reason"].as_str().unwrap_or_default().to_owned(),
    })
}
