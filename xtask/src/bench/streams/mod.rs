//! One camera to many readers: ours beside the peers that install from Debian's packages and a bare sender.

mod peers;
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
    /// Most readers of a peer.
    #[arg(long, default_value_t = 300)]
    peer_limit: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 12)]
    seconds: u64,
    /// Only print; leave docs/benchmarks.md as it is.
    #[arg(long)]
    dry_run: bool,
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
    super::build()?;
    let (file, scene) = footage::find_or_make()?;
    let target = workspace::target_dir()?;
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&target)?;
    let site = Site {
        binaries: server::binaries(&target, true),
        folder: folder.path().to_path_buf(),
        file,
    };
    let mut rtsp = site.ours("rtsp", args)?;
    rtsp.extend(site.gstreamer(args)?);
    rtsp.extend(site.bare(args)?);
    let mut hls = site.ours("hls", args)?;
    hls.extend(site.nginx(args)?);
    let text = report::report(&rtsp, &hls, args.seconds, scene, &machine::describe()?);
    println!("\n{text}");
    if !args.dry_run {
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

    fn ours(&self, protocol: &'static str, args: &Args) -> anyhow::Result<Vec<Row>> {
        let camera = self.camera()?;
        let mut server = Server::start(&Options {
            binaries: self.binaries.clone(),
            data: self.folder.join(format!("ours-{protocol}")),
            http_listen: "127.0.0.1:0".to_owned(),
            rtsp_listen: "127.0.0.1:0".to_owned(),
            rtmp_listen: "127.0.0.1:0".to_owned(),
            settings: vec![("FRAMEWELL_RTSP__MAX_CONNECTIONS", "2000".to_owned())],
        })?;
        let channel = server.create_channel("camera", url_of(&camera)?)?;
        // The others do not record.
        let settings = json!({"rec_mode": "off"});
        let path = format!("/api/v3/channels/{}/", channel.id);
        server.admin.json("PUT", &path, Some(&settings))?;
        let client = Client::new(server.http, format!("Bearer {}", channel.token));
        let live = client.json("GET", &format!("/v1/channels/{}/live", channel.id), None)?;
        let url = live[protocol].as_str().context("no URL")?.to_owned();
        let image = format!("/v1/channels/{}", channel.id);
        server
            .process
            .wait_until("video", Duration::from_secs(60), || {
                let shown = client.json("GET", &image, None);
                shown.is_ok_and(|shown| shown["status"] == "active")
            })?;
        let counts = if protocol == "rtsp" {
            &args.rtsp
        } else {
            &args.hls
        };
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
            args.seconds,
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
