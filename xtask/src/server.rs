//! A `framewell` server process with a data folder of its own, and the first steps of its API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::child::Managed;
use crate::http::Client;
use crate::run;

/// A start includes migrations and the recovery of the spool.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How to start a server.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Folder with the executables `framewell` and `framewell-decoder`.
    pub(crate) binaries: PathBuf,
    /// Folder for everything that the server keeps.
    pub(crate) data: PathBuf,
    /// Address of the HTTP server; port 0 takes a free one.
    pub(crate) http_listen: String,
    /// Address of the RTSP server; port 0 takes a free one.
    pub(crate) rtsp_listen: String,
    /// Address of the RTMP server; port 0 takes a free one.
    pub(crate) rtmp_listen: String,
    /// Configuration by environment, for example `FRAMEWELL_RECORD__SEGMENT_S`.
    pub(crate) settings: Vec<(&'static str, String)>,
}

/// The running server.
#[derive(Debug)]
pub(crate) struct Server {
    /// The process.
    pub(crate) process: Managed,
    /// Where it answers HTTP.
    pub(crate) http: SocketAddr,
    /// Where it answers RTSP.
    pub(crate) rtsp: SocketAddr,
    /// A client with the license key of a fresh account.
    pub(crate) admin: Client,
    /// That license key.
    pub(crate) license_key: String,
}

/// A channel or a group, as the API gave it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// The token that opens it.
    pub(crate) token: String,
}

impl Server {
    /// Creates an account, starts the server and waits until it is ready.
    pub(crate) fn start(options: &Options) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&options.data)?;
        let license_key = create_account(options)?;
        let ready_file = options.data.join("ready.json");
        let log = options.data.join("framewell.log");
        let mut command = program(options);
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(&options.data)
            .arg("--ready-file")
            .arg(&ready_file);
        command.args([
            "--http-listen",
            &options.http_listen,
            "--rtsp-listen",
            &options.rtsp_listen,
            "--rtmp-listen",
            &options.rtmp_listen,
        ]);
        // Everything it says goes to the log, which is shown if it ends by itself.
        command.stdout(std::process::Stdio::null());
        let mut process = Managed::start("framewell", &mut command, Some(&log))?;
        process.wait_until("start", START_LIMIT, || ready_file.exists())?;
        let ready: Value = serde_json::from_slice(&std::fs::read(&ready_file)?)?;
        let http = reachable(&ready["http"])?;
        let admin = Client::new(http, format!("LKey {license_key}"));
        Ok(Self {
            process,
            http,
            rtsp: reachable(&ready["rtsp"])?,
            admin,
            license_key,
        })
    }

    /// Creates a channel that pulls from `url` and records.
    pub(crate) fn create_channel(&self, name: &str, url: &str) -> anyhow::Result<Entry> {
        let body =
            json!({"name": name, "rec_mode": "on", "timezone": "UTC", "source": {"url": url}});
        let channel = self.admin.json("POST", "/api/v3/channels/", Some(&body))?;
        entry(&channel, &channel["access_tokens"]["all"])
    }

    /// Creates a group of these channels.
    pub(crate) fn create_group(&self, name: &str, channels: &[Entry]) -> anyhow::Result<Entry> {
        let ids: Vec<i64> = channels.iter().map(|channel| channel.id).collect();
        let body =
            json!({"name": name, "channels": ids, "channels_access": "all", "ai_targeted": true});
        let group = self
            .admin
            .json("POST", "/api/v3/channel_groups/", Some(&body))?;
        entry(&group, &group["token"])
    }

    /// The server's base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.http)
    }
}

fn program(options: &Options) -> std::process::Command {
    let mut command = run::program(options.binaries.join("framewell"));
    command.envs(
        options
            .settings
            .iter()
            .map(|(key, value)| (*key, value.as_str())),
    );
    // A file of the person who runs this must not change what is shown or measured.
    command.current_dir(&options.data);
    command
}

fn create_account(options: &Options) -> anyhow::Result<String> {
    let mut command = program(options);
    command
        .args(["account", "create", "demo", "--json", "--data-dir"])
        .arg(&options.data);
    let printed = run::output(&mut command)?;
    let account: Value =
        serde_json::from_str(&printed).context("framewell account create printed no JSON")?;
    account["license_key"]
        .as_str()
        .map(str::to_owned)
        .context("no license key in what account create printed")
}

fn entry(object: &Value, token: &Value) -> anyhow::Result<Entry> {
    Ok(Entry {
        id: object["id"]
            .as_i64()
            .with_context(|| format!("no id in {object}"))?,
        name: object["name"].as_str().unwrap_or_default().to_owned(),
        token: token
            .as_str()
            .with_context(|| format!("no token in {object}"))?
            .to_owned(),
    })
}

/// The bound address, with loopback in the place of "all addresses".
fn reachable(bound: &Value) -> anyhow::Result<SocketAddr> {
    let text = bound.as_str().context("no address in the ready file")?;
    let mut address: SocketAddr = text
        .parse()
        .with_context(|| format!("{text} is no address"))?;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    Ok(address)
}

/// The folder of the executables of a build.
pub(crate) fn binaries(target: &Path, release: bool) -> PathBuf {
    target.join(if release { "release" } else { "debug" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_reached_on_loopback() {
        assert_eq!(
            reachable(&json!("0.0.0.0:8080")).unwrap().to_string(),
            "127.0.0.1:8080"
        );
        assert_eq!(
            reachable(&json!("10.0.0.5:80")).unwrap().to_string(),
            "10.0.0.5:80"
        );
    }
}
