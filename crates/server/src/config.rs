//! The configuration: defaults < file < environment < flags.
//!
//! Environment variables start with `FRAMEWELL_` and separate levels by two underscores:
//! `FRAMEWELL_HTTP__LISTEN=127.0.0.1:8080`. Unknown keys are errors, so that a typing mistake is
//! noticed at start and not at night.

use crate::clips::Clips;
use crate::decoders::Decoder;
use crate::live::Live;
use crate::logging;
use crate::notify::{Mqtt, Outbound, Webhooks};
use crate::on_demand::Pictures;
use crate::pictures::Images;
use crate::rtmp::Rtmp;
use crate::sessions::Sessions;
use crate::webrtc::WebRtc;
use anyhow::{Context, bail};
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use framewell_model::Secret;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything that can be set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Folder for the database, the recordings and the signing key.
    pub(crate) data_dir: PathBuf,
    /// `sqlite:PATH` or `postgres://…`; empty: `framewell.db` in the data folder.
    pub(crate) database_url: Secret<String>,
    /// Most database connections (PostgreSQL).
    pub(crate) database_connections: u32,
    /// HTTP server.
    pub(crate) http: Http,
    /// RTSP server.
    pub(crate) rtsp: Rtsp,
    /// Readers and publishers of video, over all protocols.
    pub(crate) sessions: Sessions,
    /// RTMP server.
    pub(crate) rtmp: Rtmp,
    /// WebRTC.
    pub(crate) webrtc: WebRtc,
    /// Raw pictures in shared memory for engines on this machine.
    pub(crate) raw: Raw,
    /// Recording.
    pub(crate) record: Record,
    /// Stored pictures.
    pub(crate) images: Images,
    /// Stored clips.
    pub(crate) clips: Clips,
    /// Recordings in an S3-compatible store instead of the data folder.
    pub(crate) s3: S3,
    /// Live ring of each channel.
    pub(crate) ring: Ring,
    /// Patience with cameras.
    pub(crate) ingest: Ingest,
    /// Decoder processes.
    pub(crate) decoder: Decoder,
    /// Pictures on demand.
    pub(crate) pictures: Pictures,
    /// Live pictures.
    pub(crate) live: Live,
    /// Webhooks.
    pub(crate) webhooks: Webhooks,
    /// Events to an MQTT broker.
    pub(crate) mqtt: Mqtt,
    /// Where this server may connect to.
    pub(crate) outbound: Outbound,
    /// Metadata documents.
    pub(crate) metadata: Metadata,
    /// Logs.
    pub(crate) log: Log,
}

/// HTTP server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// Address and port; port 0 takes a free one.
    pub(crate) listen: String,
    /// Host that clients use, without scheme and port; empty: what each request's Host says.
    pub(crate) public_host: String,
    /// Port that clients use for plain HTTP, read with `public_host`; 0: none.
    pub(crate) public_port: u16,
    /// Port that clients use for HTTPS, if a proxy terminates TLS, read with `public_host`; 0: none.
    pub(crate) public_https_port: u16,
    /// Most connections at once; beyond it 503.
    pub(crate) max_connections: usize,
    /// How many of them those of one address (IPv6: of one network of 64 bits) may take whose clients have not
    /// shown a ticket or token yet, in percent. 100: all.
    pub(crate) stranger_share_percent: u8,
    /// Most streams of events and metadata at once; beyond it 503.
    pub(crate) max_streams: usize,
    /// Most clips at once that wait until their footage is recorded (`wait=true`); beyond it 503.
    pub(crate) max_waiting_clips: usize,
    /// How much of the places for pushes, batches, streams and waiting clips one token may take, in percent; beyond it
    /// 429. 100: all.
    pub(crate) token_share_percent: u8,
    /// How much of them all tokens of one account may take together. 100: all.
    pub(crate) account_share_percent: u8,
    /// Lifetime of the tickets inside media URLs, in seconds.
    pub(crate) ticket_lifetime_s: u64,
}

/// RTSP server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rtsp {
    /// Address and port; port 0 takes a free one.
    pub(crate) listen: String,
    /// Port that clients use; 0: the listening port.
    pub(crate) public_port: u16,
    /// Most connections at once.
    pub(crate) max_connections: usize,
    /// How many of them those of one address (IPv6: of one network of 64 bits) may take whose clients have not
    /// shown a ticket or token yet, in percent. 100: all.
    pub(crate) stranger_share_percent: u8,
    /// UDP port of RTP, even; RTCP has the next one. 0 takes any free pair.
    pub(crate) udp_port: u16,
}

/// Raw pictures in shared memory for engines on this machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Raw {
    /// Unix socket, open to the server's user and group; relative to the working folder. Empty: off.
    pub(crate) socket: PathBuf,
    /// Most readers at once.
    pub(crate) max_readers: usize,
    /// Most shared memory of one reader, in bytes.
    pub(crate) max_bytes: u64,
}

/// Recording.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Record {
    /// Target length of a segment, in seconds; it ends at the next key frame.
    pub(crate) segment_s: f64,
    /// Longest fragment inside a long GOP, in seconds.
    pub(crate) fragment_s: f64,
    /// How long footage is kept where a channel does not say, in hours; 0: for ever.
    pub(crate) retention_hours: u64,
    /// Most bytes of footage of all channels together; the oldest goes first. 0: no limit.
    pub(crate) max_bytes: u64,
    /// Most bytes of footage that wait for the database or the object store; 0: no limit but the disk.
    pub(crate) max_spool_bytes: u64,
    /// Bytes of the disk that recording leaves free, in both of `data_dir`'s folders `spool` and `objects`.
    /// Below it `when_full` takes effect. 0: none.
    pub(crate) min_free_bytes: u64,
    /// What goes when there is no room: `delete_oldest` (the oldest footage that no hold keeps) or
    /// `refuse_new` (new footage, until there is room).
    pub(crate) when_full: WhenFull,
    /// What channels that record by event keep before an event, in seconds. It comes from the live ring:
    /// what that does not hold is not there.
    pub(crate) pre_roll_s: f64,
    /// What they keep behind it, in seconds.
    pub(crate) post_roll_s: f64,
    /// Most bytes of a file that a camera sends with footage it recorded itself.
    pub(crate) max_upload_bytes: u64,
}

/// What goes when there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhenFull {
    /// The oldest footage.
    DeleteOldest,
    /// New footage.
    RefuseNew,
}

/// S3-compatible store for recordings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct S3 {
    /// An existing bucket; empty: recordings lie in the data folder.
    pub(crate) bucket: String,
    /// Put before the names of all objects.
    pub(crate) prefix: String,
    /// `http://HOST:PORT` or `https://HOST`; empty: AWS.
    pub(crate) endpoint: String,
    /// Region, as the store names it.
    pub(crate) region: String,
    /// Access key id.
    pub(crate) access_key: String,
    /// Secret access key.
    pub(crate) secret_key: Secret<String>,
}

/// Live ring of each channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ring {
    /// Payload bytes kept per channel, beyond the newest two GOPs.
    pub(crate) max_bytes: usize,
    /// Most media time kept, in seconds.
    pub(crate) max_age_s: f64,
}

/// Metadata documents.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Metadata {
    /// Memory for the index of vectors, in MiB; a million vectors take 84, of whatever length.
    pub(crate) vector_index_mib: usize,
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            vector_index_mib: framewell_insight::DEFAULT_INDEX_BYTES >> 20,
        }
    }
}

/// Patience with cameras.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ingest {
    /// A camera that sends nothing for this many seconds is reconnected.
    pub(crate) silence_s: f64,
    /// Longest time from connecting to the first frame, in seconds.
    pub(crate) connect_s: f64,
    /// First pause before a new attempt, in seconds; doubles, with jitter.
    pub(crate) backoff_min_s: f64,
    /// Longest pause between attempts, in seconds.
    pub(crate) backoff_max_s: f64,
    /// Whether events that a camera offers beside its pictures (ONVIF metadata) are read, over a second
    /// connection to it.
    pub(crate) metadata: bool,
}

/// Logs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `text` or `json`.
    pub(crate) format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,framewell_ingest=debug`.
    pub(crate) level: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            database_url: Secret::new(String::new()),
            database_connections: 16,
            http: Http::default(),
            rtsp: Rtsp::default(),
            sessions: Sessions::default(),
            rtmp: Rtmp::default(),
            webrtc: WebRtc::default(),
            raw: Raw::default(),
            record: Record::default(),
            images: Images::default(),
            clips: Clips::default(),
            s3: S3::default(),
            ring: Ring::default(),
            ingest: Ingest::default(),
            decoder: Decoder::default(),
            pictures: Pictures::default(),
            live: Live::default(),
            webhooks: Webhooks::default(),
            mqtt: Mqtt::default(),
            outbound: Outbound::default(),
            metadata: Metadata::default(),
            log: Log::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8080".into(),
            public_host: String::new(),
            public_port: 0,
            public_https_port: 0,
            max_connections: 4_096,
            stranger_share_percent: 25,
            max_streams: 512,
            max_waiting_clips: 256,
            token_share_percent: 50,
            account_share_percent: 80,
            ticket_lifetime_s: 3_600,
        }
    }
}

impl Default for Rtsp {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8554".into(),
            public_port: 0,
            max_connections: 1_000,
            stranger_share_percent: 25,
            udp_port: 0,
        }
    }
}

impl Default for Raw {
    fn default() -> Self {
        let raw = framewell_streaming::raw::RawConfig::new(PathBuf::new());
        Self {
            socket: raw.socket,
            max_readers: raw.max_readers,
            max_bytes: raw.max_bytes,
        }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self {
            segment_s: 10.0,
            fragment_s: 1.0,
            retention_hours: 0,
            max_bytes: 0,
            max_spool_bytes: framewell_recorder::RoomConfig::default().max_spool_bytes,
            min_free_bytes: framewell_recorder::RoomConfig::default().min_free_bytes,
            when_full: WhenFull::DeleteOldest,
            pre_roll_s: 5.0,
            post_roll_s: 10.0,
            max_upload_bytes: 1 << 30,
        }
    }
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            bucket: String::new(),
            prefix: String::new(),
            endpoint: String::new(),
            region: "us-east-1".into(),
            access_key: String::new(),
            secret_key: Secret::new(String::new()),
        }
    }
}

impl Default for Ring {
    fn default() -> Self {
        let ring = framewell_live::RingConfig::default();
        Self {
            max_bytes: ring.max_bytes,
            max_age_s: 30.0,
        }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            silence_s: 10.0,
            connect_s: 15.0,
            backoff_min_s: 0.5,
            backoff_max_s: 30.0,
            metadata: true,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".into(),
        }
    }
}

/// What the command line sets; wins over everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    pub(crate) file: Option<PathBuf>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) database_url: Option<String>,
    pub(crate) http_listen: Option<String>,
    pub(crate) rtsp_listen: Option<String>,
    pub(crate) rtmp_listen: Option<String>,
}

impl From<&crate::ConfigArgs> for Overrides {
    fn from(args: &crate::ConfigArgs) -> Self {
        Self {
            file: args.config.clone(),
            data_dir: args.data_dir.clone(),
            database_url: args.database_url.clone(),
            ..Self::default()
        }
    }
}

const DEFAULT_FILE: &str = "framewell.toml";

/// Loads and checks the configuration.
pub(crate) fn load(overrides: &Overrides) -> anyhow::Result<Config> {
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    if let Some(file) = &overrides.file {
        if !file.is_file() {
            bail!("configuration file {} does not exist", file.display());
        }
        figment = figment.merge(Toml::file_exact(file));
    } else if Path::new(DEFAULT_FILE).is_file() {
        figment = figment.merge(Toml::file_exact(DEFAULT_FILE));
    }
    figment = figment.merge(environment());
    let flags = [
        (
            "data_dir",
            overrides
                .data_dir
                .as_ref()
                .map(|dir| dir.display().to_string()),
        ),
        ("database_url", overrides.database_url.clone()),
        ("http.listen", overrides.http_listen.clone()),
        ("rtsp.listen", overrides.rtsp_listen.clone()),
        ("rtmp.listen", overrides.rtmp_listen.clone()),
    ];
    for (key, value) in flags {
        if let Some(value) = value {
            figment = figment.merge(Serialized::default(key, value));
        }
    }
    let mut config: Config = figment
        .extract()
        .context("the configuration is not valid")?;
    check(&config)?;
    if config.database_url.expose().is_empty() {
        let path = config.data_dir.join("framewell.db");
        config.database_url = Secret::new(format!("sqlite:{}", path.display()));
    }
    Ok(config)
}

/// Variables of the tests and of the demo start with the same prefix and are not configuration.
fn environment() -> Env {
    Env::prefixed("FRAMEWELL_")
        .filter(|key| !key.starts_with("TEST_"))
        .split("__")
}

fn check(config: &Config) -> anyhow::Result<()> {
    let positive = [
        ("record.segment_s", config.record.segment_s),
        ("record.fragment_s", config.record.fragment_s),
        ("ring.max_age_s", config.ring.max_age_s),
        ("ingest.silence_s", config.ingest.silence_s),
        ("ingest.connect_s", config.ingest.connect_s),
        ("ingest.backoff_min_s", config.ingest.backoff_min_s),
        ("ingest.backoff_max_s", config.ingest.backoff_max_s),
        ("decoder.deadline_s", config.decoder.deadline_s),
        ("pictures.warm_idle_s", config.pictures.warm_idle_s),
    ];
    for (key, value) in positive {
        // A day is beyond any sensible value and keeps `Duration::from_secs_f64` from panicking.
        if !(value > 0.0 && value <= 86_400.0) {
            bail!("{key} = {value} must be more than 0 and at most 86400 seconds");
        }
    }
    check_rolls(config)?;
    check_address("http.listen", &config.http.listen)?;
    check_address("rtsp.listen", &config.rtsp.listen)?;
    if !config.rtmp.listen.is_empty() {
        check_address("rtmp.listen", &config.rtmp.listen)?;
    }
    check_s3(&config.s3)?;
    config.webrtc.check()?;
    config.live.check()?;
    config.decoder.check()?;
    config.images.check()?;
    config.clips.check()?;
    config.webhooks.check()?;
    config.mqtt.check()?;
    config.outbound.policy()?;
    logging::filter(&config.log.level)?;
    if config.ingest.backoff_max_s < config.ingest.backoff_min_s {
        bail!("ingest.backoff_max_s must not be less than ingest.backoff_min_s");
    }
    for (key, percent) in [
        ("http", config.http.stranger_share_percent),
        ("rtsp", config.rtsp.stranger_share_percent),
        ("rtmp", config.rtmp.stranger_share_percent),
    ] {
        if !(1..=100).contains(&percent) {
            bail!("{key}.stranger_share_percent must be 1 to 100");
        }
    }
    if !(1..=100).contains(&config.http.token_share_percent) {
        bail!("http.token_share_percent must be 1 to 100");
    }
    if !(1..=100).contains(&config.http.account_share_percent) {
        bail!("http.account_share_percent must be 1 to 100");
    }
    if config.http.ticket_lifetime_s < 60 {
        bail!("http.ticket_lifetime_s must be at least 60");
    }
    Ok(())
}

fn check_rolls(config: &Config) -> anyhow::Result<()> {
    let record = &config.record;
    for (key, value) in [
        ("record.pre_roll_s", record.pre_roll_s),
        ("record.post_roll_s", record.post_roll_s),
    ] {
        if !(0.0..=3_600.0).contains(&value) {
            bail!("{key} = {value} must be 0 to 3600 seconds");
        }
    }
    if record.pre_roll_s > config.ring.max_age_s {
        bail!("record.pre_roll_s must not be more than ring.max_age_s: it comes from the ring");
    }
    Ok(())
}

/// Whether it resolves and is free shows only when the server starts.
pub(crate) fn check_address(key: &str, address: &str) -> anyhow::Result<()> {
    let is_valid = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !is_valid {
        bail!("{key} = {address:?} is no address and port such as 0.0.0.0:8080");
    }
    Ok(())
}

fn check_s3(s3: &S3) -> anyhow::Result<()> {
    if s3.bucket.is_empty() {
        return Ok(());
    }
    if s3.access_key.is_empty() || s3.secret_key.expose().is_empty() {
        bail!("s3.bucket needs s3.access_key and s3.secret_key");
    }
    let is_url = |scheme| s3.endpoint.starts_with(scheme);
    if !s3.endpoint.is_empty() && !is_url("http://") && !is_url("https://") {
        bail!(
            "s3.endpoint = {:?} does not begin with http:// or https://",
            s3.endpoint
        );
    }
    Ok(())
}

/// The effective values as TOML, secrets hidden.
pub(crate) fn render(config: &Config) -> anyhow::Result<String> {
    let mut shown = config.clone();
    shown.database_url = Secret::new(hide_password(config.database_url.expose()));
    if !config.s3.secret_key.expose().is_empty() {
        shown.s3.secret_key = Secret::new(String::from("***"));
    }
    if !config.mqtt.password.expose().is_empty() {
        shown.mqtt.password = Secret::new(String::from("***"));
    }
    toml_text(&serde_json::to_value(&shown).context("rendering the configuration failed")?)
}

fn hide_password(url: &str) -> String {
    let (url, query) = match url.split_once('?') {
        Some((url, query)) => (url, Some(query)),
        None => (url, None),
    };
    let hidden = hide_user_password(url);
    let Some(query) = query else {
        return hidden;
    };
    let parameters: Vec<String> = query
        .split('&')
        .map(|one| match one.split_once('=') {
            Some((name, _)) if name.contains("password") => format!("{name}=***"),
            _ => one.to_owned(),
        })
        .collect();
    format!("{hidden}?{}", parameters.join("&"))
}

fn hide_user_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let Some((user_info, host)) = rest.rsplit_once('@') else {
        return url.to_owned();
    };
    match user_info.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
        None => url.to_owned(),
    }
}

/// TOML of a two-level JSON object: plain keys first, then one table per object.
fn toml_text(value: &serde_json::Value) -> anyhow::Result<String> {
    let object = value
        .as_object()
        .context("the configuration is not an object")?;
    let line = |key: &str, value: &serde_json::Value| format!("{key} = {value}\n");
    let mut text: String = object
        .iter()
        .filter(|(_, v)| !v.is_object())
        .map(|(k, v)| line(k, v))
        .collect();
    for (name, table) in object.iter().filter_map(|(k, v)| Some((k, v.as_object()?))) {
        text.push_str(&format!("\n[{name}]\n"));
        text.extend(table.iter().map(|(key, value)| line(key, value)));
    }
    Ok(text)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
