//! One camera to many readers: ours beside the peers that install from Debian's packages and a bare sender.

mod peers;
mod recorded;
mod report;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use std::io::BufRead as _;

use super::meter::{self, Usage};
use super::{document, footage, machine};
use crate::child::Managed;
use crate::deps::{self, Purpose};
use crate::fakecam::{self, Cameras};
use crate::http::Client;
use crate::server::{self, Options, Server};
use crate::{run, stop, term, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Numbers of RTSP readers.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100, 300, 1_000])]
    rtsp: Vec<usize>,
    /// Numbers of HLS readers.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 300])]
    hls: Vec<usize>,
    /// Numbers of WebRTC readers.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 50])]
    webrtc: Vec<usize>,
    /// Numbers of RTMP readers.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100])]
    rtmp: Vec<usize>,
    /// Hours of the recorded playlist whose first byte is waited for; 0: none.
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// What is measured: rtsp, hls, webrtc, rtmp, recorded.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::ALL)]
    only: Vec<Part>,
    /// Most readers of a peer.
    #[arg(long, default_value_t = 300)]
    peer_limit: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 12)]
    seconds: u64,
    /// Only print; leave docs/benchmarks.md as it is.
    #[arg(long)]
    dry_run: bool,
    /// With a build without optimisation, only printed: to see whether it works.
    #[arg(long)]
    trial: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Rtsp,
    Hls,
    Webrtc,
    Rtmp,
    Recorded,
}

impl Part {
    const ALL: [Self; 5] = [
        Self::Rtsp,
        Self::Hls,
        Self::Webrtc,
        Self::Rtmp,
        Self::Recorded,
    ];
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use clap::ValueEnum as _;
        let value = self.to_possible_value();
        f.write_str(
            value
                .as_ref()
                .map_or("", clap::builder::PossibleValue::get_name),
        )
    }
}

/// Readers of one server.
#[derive(Debug)]
struct Row {
    tool: &'static str,
    readers: usize,
    usage: Usage,
    /// CPU seconds a second without readers.
    idle: f64,
    /// What the readers saw.
    seen: Value,
}

/// Everything that was measured.
#[derive(Debug, Default)]
struct Rows {
    rtsp: Vec<Row>,
    hls: Vec<Row>,
    webrtc: Vec<Row>,
    rtmp: Vec<Row>,
    recorded: Option<recorded::Waited>,
}

/// A server and where it is read.
struct Subject<'a> {
    tool: &'static str,
    protocol: &'static str,
    url: String,
    roots: Vec<u32>,
    binaries: &'a Path,
    folder: &'a Path,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    deps::ensure(Purpose::Bench)?;
    if args.trial {
        super::build_for_trial()?;
    } else {
        super::build()?;
    }
    let (file, scene) = footage::find_or_make()?;
    let target = workspace::target_dir()?;
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&target)?;
    let site = Site {
        binaries: server::binaries(&target, !args.trial),
        folder: folder.path().to_path_buf(),
        file,
    };
    let rows = site.measure(args)?;
    let text = report::report(&rows, args.seconds, scene, &machine::describe()?);
    println!("\n{text}");
    if !args.dry_run && !args.trial {
        document::replace("streams", &text)?;
    }
    Ok(())
}

struct Site {
    binaries: PathBuf,
    folder: PathBuf,
    file: PathBuf,
}

impl Site {
    /// One camera with a clock in its pictures.
    fn camera(&self) -> anyhow::Result<Cameras> {
        fakecam::start_with_clock(&self.binaries, &self.folder, &self.file)
    }

    fn measure(&self, args: &Args) -> anyhow::Result<Rows> {
        let has = |part: Part| args.only.contains(&part);
        let mut rows = Rows::default();
        if has(Part::Rtsp) {
            rows.rtsp = self.ours("rtsp", "rtsp", &args.rtsp, args.seconds)?;
            rows.rtsp.extend(self.gstreamer(args)?);
            rows.rtsp.extend(self.bare(args)?);
        }
        if has(Part::Hls) {
            rows.hls = self.ours("hls", "hls", &args.hls, args.seconds)?;
            rows.hls.extend(self.nginx(args)?);
        }
        if has(Part::Webrtc) {
            rows.webrtc = self.ours("webrtc", "whep", &args.webrtc, args.seconds)?;
        }
        if has(Part::Rtmp) {
            rows.rtmp = self.ours("rtmp", "rtmp", &args.rtmp, args.seconds)?;
            rows.rtmp.extend(self.nginx_rtmp(args)?);
        }
        if has(Part::Recorded) && args.hours > 0 {
            let (binaries, folder) = (&self.binaries, &self.folder);
            rows.recorded = Some(recorded::measure(binaries, folder, args.hours)?);
        }
        Ok(rows)
    }

    /// Our own server; `key` is what `/v1/channels/{id}/live`, or the vendor's call, names the URL.
    fn ours(
        &self,
        protocol: &'static str,
        key: &str,
        counts: &[usize],
        seconds: u64,
    ) -> anyhow::Result<Vec<Row>> {
        let camera = self.camera()?;
        let mut server = Server::start(&Options {
            binaries: self.binaries.clone(),
            data: self.folder.join(format!("ours-{protocol}")),
            http_listen: "127.0.0.1:0".to_owned(),
            rtsp_listen: "127.0.0.1:0".to_owned(),
            rtmp_listen: "127.0.0.1:0".to_owned(),
            settings: vec![
                ("FRAMEWELL_RTSP__MAX_CONNECTIONS", "2000".to_owned()),
                ("FRAMEWELL_WEBRTC__LISTEN", "127.0.0.1:0".to_owned()),
            ],
        })?;
        let channel = server.create_channel("camera", url_of(&camera)?)?;
        // The others do not record.
        let settings = json!({"rec_mode": "off"});
        let path = format!("/api/v3/channels/{}/", channel.id);
        server.admin.json("PUT", &path, Some(&settings))?;
        let client = Client::new(server.http, format!("Bearer {}", channel.token));
        let live = match key {
            // A client of the compatible face has this URL.
            "rtmp" => Client::new(server.http, format!("Acc {}", channel.token)).json(
                "GET",
                "/api/v4/live/watch/",
                None,
            )?,
            _ => client.json("GET", &format!("/v1/channels/{}/live", channel.id), None)?,
        };
        let url = live[key].as_str().context("no URL")?.to_owned();
        let image = format!("/v1/channels/{}", channel.id);
        server
            .process
            .wait_until("video", Duration::from_secs(60), || {
                let shown = client.json("GET", &image, None);
                shown.is_ok_and(|shown| shown["status"] == "active")
            })?;
        self.rows(
            &Subject {
                tool: "Framewell",
                protocol,
                url,
                roots: vec![server.process.pid()],
                binaries: &self.binaries,
                folder: &self.folder,
            },
            counts,
            seconds,
        )
    }

    fn gstreamer(&self, args: &Args) -> anyhow::Result<Vec<Row>> {
        let camera = self.camera()?;
        let peer = peers::Gstreamer::start(&self.folder, url_of(&camera)?)?;
        let counts = within(&args.rtsp, args.peer_limit);
        let subject = self.subject(
            "gst-rtsp-server",
            "rtsp",
            &peer.url,
            vec![peer.process.pid()],
        );
        self.rows(&subject, &counts, args.seconds)
    }

    /// The fake camera itself: finished packets, one write a picture and reader, nothing else.
    fn bare(&self, args: &Args) -> anyhow::Result<Vec<Row>> {
        let camera = self.camera()?;
        let url = url_of(&camera)?;
        let counts = within(&args.rtsp, args.peer_limit);
        let subject = self.subject("bare sender", "rtsp", url, vec![camera.pid()]);
        self.rows(&subject, &counts, args.seconds)
    }

    fn nginx(&self, args: &Args) -> anyhow::Result<Vec<Row>> {
        let camera = self.camera()?;
        let peer = peers::Nginx::start(&self.folder, url_of(&camera)?)?;
        let counts = within(&args.hls, args.peer_limit);
        let roots = vec![peer.nginx.pid(), peer.ffmpeg.pid()];
        let subject = self.subject("nginx, files of ffmpeg", "hls", &peer.url, roots);
        self.rows(&subject, &counts, args.seconds)
    }

    fn nginx_rtmp(&self, args: &Args) -> anyhow::Result<Vec<Row>> {
        let camera = self.camera()?;
        let peer = peers::NginxRtmp::start(&self.folder, url_of(&camera)?)?;
        let counts = within(&args.rtmp, args.peer_limit);
        let roots = vec![peer.nginx.pid()];
        let subject = self.subject("nginx-rtmp, fed by ffmpeg", "rtmp", &peer.url, roots);
        self.rows(&subject, &counts, args.seconds)
    }

    fn subject(
        &self,
        tool: &'static str,
        protocol: &'static str,
        url: &str,
        roots: Vec<u32>,
    ) -> Subject<'_> {
        Subject {
            tool,
            protocol,
            url: url.to_owned(),
            roots,
            binaries: &self.binaries,
            folder: &self.folder,
        }
    }

    fn rows(
        &self,
        subject: &Subject<'_>,
        counts: &[usize],
        seconds: u64,
    ) -> anyhow::Result<Vec<Row>> {
        let length = Duration::from_secs(seconds);
        // One reader first, so that a server that works on demand works.
        let _warm = read(subject, 1, 1)?;
        let [idle] = meter::window([&subject.roots], length, stop::check)?;
        let idle = idle.cpu_s / idle.wall_s;
        let mut rows = Vec::new();
        for count in counts {
            term::step(&format!(
                "{}, {count} {} readers",
                subject.tool, subject.protocol
            ));
            let (usage, seen) = read(subject, *count, seconds)?;
            let (tool, readers) = (subject.tool, *count);
            rows.push(Row {
                tool,
                readers,
                usage,
                idle,
                seen,
            });
            term::note(&report::line(rows.last().context("a row")?));
        }
        Ok(rows)
    }
}

/// What readers saw, and what it took the server.
fn read(subject: &Subject<'_>, count: usize, seconds: u64) -> anyhow::Result<(Usage, Value)> {
    let mut command = run::program(subject.binaries.join("readers"));
    command
        .args([subject.protocol, &subject.url])
        .args(["--readers", &count.to_string()])
        .args(["--seconds", &seconds.to_string()])
        .stdout(Stdio::piped());
    let log = subject.folder.join("readers.log");
    let mut readers = Managed::start("readers", &mut command, Some(&log))?;
    let (_ready, mut rest) = readers.first_line()?;
    let length = Duration::from_secs(seconds);
    let [usage] = meter::window([&subject.roots], length, stop::check)?;
    let mut line = String::new();
    rest.read_line(&mut line)?;
    let seen = serde_json::from_str(&line).with_context(|| format!("readers said {line:?}"))?;
    Ok((usage, seen))
}

fn within(counts: &[usize], most: usize) -> Vec<usize> {
    let few = counts.iter().filter(|count| **count <= most);
    few.copied().collect()
}

fn url_of(cameras: &Cameras) -> anyhow::Result<&str> {
    let first = cameras.urls.first().context("no camera")?;
    Ok(first)
}
