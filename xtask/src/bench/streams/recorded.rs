//! How long the playlist of a long recording is waited for.

use std::io::{BufRead as _, Read as _};
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::http::Client;
use crate::server::{Options, Server};
use crate::{run, stop, term};

/// Times that the playlist is asked for.
const TIMES: usize = 20;
/// Seconds between the key frames of the recording.
const GOP_S: u32 = 2;

/// What asking for the playlist took.
#[derive(Debug)]
pub(super) struct Waited {
    hours: u32,
    segments: usize,
    bytes: usize,
    /// Milliseconds, sorted: to the first byte of the body, and to its end.
    first_ms: Vec<f64>,
    whole_ms: Vec<f64>,
}

impl Waited {
    pub(super) fn table(&self) -> String {
        let pair = |values: &[f64]| {
            let at = |percent: usize| values[(values.len() - 1) * percent / 100];
            format!("{:.1} / {:.1}", at(50), at(95))
        };
        format!(
            "| recorded HLS | segments | playlist | first byte p50 / p95 ms | whole p50 / p95 ms |\n\
             | --- | --- | --- | --- | --- |\n| {} h, {} fragments | {} | {} KiB | {} | {} |\n\n",
            self.hours,
            self.hours * 3_600 / GOP_S,
            self.segments,
            self.bytes / 1_024,
            pair(&self.first_ms),
            pair(&self.whole_ms),
        )
    }
}

/// Records so many hours by uploading them, and asks for their playlist.
pub(super) fn measure(binaries: &Path, folder: &Path, hours: u32) -> anyhow::Result<Waited> {
    term::step(&format!("A recording of {hours} hours"));
    let file = folder.join("long.mp4");
    // A file may be a day long at most; the last pictures are left out so that it is not longer by rounding.
    let seconds = hours.min(24) * 3_600 - 10;
    encode(&file, seconds)?;
    let server = Server::start(&Options {
        binaries: binaries.to_owned(),
        data: folder.join("ours-recorded"),
        http_listen: "127.0.0.1:0".to_owned(),
        rtsp_listen: "127.0.0.1:0".to_owned(),
        rtmp_listen: "127.0.0.1:0".to_owned(),
        settings: vec![("FRAMEWELL_WEBRTC__LISTEN", String::new())],
    })?;
    let body = json!({"name": "long"});
    let channel = server
        .admin
        .json("POST", "/api/v3/channels/", Some(&body))?;
    let id = channel["id"].as_i64().context("no id")?;
    let token = channel["access_tokens"]["all"]
        .as_str()
        .context("no token")?;
    let client = Client::new(server.http, format!("Bearer {token}"));
    // So long ago that it has ended.
    let start = ago(seconds + 3_600)?;
    let began = Instant::now();
    let path = format!("/v1/channels/{id}/recordings?start={start}");
    let stored = client.upload(&path, &file)?;
    term::note(&format!(
        "uploaded in {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    let range = |key: &str| stored[key].as_str().context("no time").map(str::to_owned);
    let (start, end) = (range("start")?, range("end")?);
    let view = format!("/v1/channels/{id}/hls?start={start}&end={end}");
    let view: Value = client.json("GET", &view, None)?;
    let url = view["url"].as_str().context("no URL")?;
    let rest = url
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'));
    let (_, path) = rest.context("no path")?;
    wait(&client, &format!("/{path}"), hours)
}

fn wait(client: &Client, path: &str, hours: u32) -> anyhow::Result<Waited> {
    let mut waited = Waited {
        hours,
        segments: 0,
        bytes: 0,
        first_ms: Vec::new(),
        whole_ms: Vec::new(),
    };
    let ms = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
    for _ in 0..TIMES {
        stop::check()?;
        let began = Instant::now();
        let mut reader = client.stream(path)?;
        reader.fill_buf()?;
        waited.first_ms.push(ms(began));
        let mut text = String::new();
        reader.read_to_string(&mut text)?;
        waited.whole_ms.push(ms(began));
        waited.segments = text
            .lines()
            .filter(|line| line.starts_with("#EXTINF"))
            .count();
        waited.bytes = text.len();
    }
    anyhow::ensure!(waited.segments > 0, "the playlist has no segments");
    waited.first_ms.sort_by(f64::total_cmp);
    waited.whole_ms.sort_by(f64::total_cmp);
    Ok(waited)
}

/// A picture a second, as small as they get: what counts is how many there are.
fn encode(file: &Path, seconds: u32) -> anyhow::Result<()> {
    let source = format!("testsrc2=size=64x64:rate=1:duration={seconds}");
    let mut command = run::program("ffmpeg");
    command
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
        .args(["-f", "lavfi", "-i", &source])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-tune",
            "zerolatency",
        ])
        .args(["-g", &GOP_S.to_string(), "-pix_fmt", "yuv420p"])
        .arg(file);
    run::expect_success(&mut command)
}

/// The time so many seconds ago in UTC, as the system's `date` writes it.
fn ago(seconds: u32) -> anyhow::Result<String> {
    let mut date = run::program("date");
    let then = format!("-{seconds} seconds");
    date.args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d", &then]);
    Ok(run::output(&mut date)?.trim().to_owned())
}
