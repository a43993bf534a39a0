//! Clips: our server beside ffmpeg's concat demuxer on the same stored segments, and beside reading them.
//!
//! The recording is made of a file, sent to the server as a camera would send what it recorded itself. Every reading is
//! done twice and the second one counts, so all find the segments in the page cache.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use framewell_model::WallTime;
use serde_json::json;

use super::{document, footage, machine, meter};
use crate::deps::{self, Purpose};
use crate::server::{self, Entry, Options, Server};
use crate::{run, term, workspace};

/// Capture time of the first picture.
const BEGIN: &str = "2026-01-01T00:00:00Z";
/// Length of a file that is sent to the server.
const FILE_S: u64 = 900;
/// Reads of the plain reader.
const READ_BYTES: usize = 1 << 20;
/// An answer that takes longer is a failure.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Lengths of clips in seconds, one row each.
    #[arg(long, value_delimiter = ',', default_value = "10,60,3600")]
    seconds: Vec<u64>,
    /// Length in hours of the clip of a small picture whose first byte is timed; 0 leaves it out.
    #[arg(long, default_value_t = 24)]
    long_hours: u64,
    /// Measure the build without optimisation, to see whether this works.
    #[arg(long)]
    debug: bool,
    /// Only print; leave docs/benchmarks.md as it is.
    #[arg(long)]
    dry_run: bool,
}

/// What one reading cost.
#[derive(Debug, Clone, Copy)]
struct Reading {
    first_ms: f64,
    total_s: f64,
    cpu_s: f64,
    bytes: u64,
}

impl Reading {
    fn text(&self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let mb = self.bytes as f64 / 1e6;
        format!(
            "{:.1} ms, {:.0} MB/s, {:.0} ms CPU",
            self.first_ms,
            mb / self.total_s.max(1e-9),
            self.cpu_s * 1e3
        )
    }
}

/// The server with a recording.
struct Stage {
    server: Server,
    channel: Entry,
    data: PathBuf,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    deps::ensure(Purpose::Bench)?;
    if args.debug {
        run::expect_success(&mut run::cargo(["build", "--workspace", "--bins"]))?;
    } else {
        super::build()?;
    }
    let target = workspace::target_dir()?;
    let binaries = server::binaries(&target, !args.debug);
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&target)?;
    let (file, scene) = footage::find_or_make()?;
    let longest = args.seconds.iter().copied().max().unwrap_or(60);
    let mut text = String::from(
        "| clip | Framewell: first byte, throughput, CPU | `ffmpeg -f concat -c copy` | reading the segments |\n| --- | --- | --- | --- |\n",
    );
    {
        let stage = Stage::start(&binaries, &folder.path().join("main"))?;
        stage.fill(&file, folder.path(), longest + 20)?;
        for seconds in &args.seconds {
            let row = stage.row(*seconds)?;
            writeln!(text, "{row}")?;
        }
    }
    if args.long_hours > 0 {
        let small = small_file(folder.path())?;
        let stage = Stage::start(&binaries, &folder.path().join("long"))?;
        stage.fill(&small, folder.path(), args.long_hours * 3_600)?;
        let reading = twice(|| stage.ours(0, args.long_hours * 3_600, Some(1)))?;
        writeln!(
            text,
            "\nA clip of {} h (25 pictures a second, segments of 10 s): first byte after {:.0} ms, {:.0} ms CPU.",
            args.long_hours,
            reading.first_ms,
            reading.cpu_s * 1e3
        )?;
    }
    let text = format!("{text}\n{}\n\n{}", caption(scene), machine::describe()?);
    println!("\n{text}");
    if !args.dry_run {
        document::replace("clip", &text)?;
    }
    Ok(())
}

fn caption(scene: &str) -> String {
    format!(
        "1080p, 25 pictures a second, 4 Mbit/s ({scene}), segments of 10 s in a local folder, page cache warm. Our clip begins \
         and ends at the exact picture, in the middle of a GOP, has its index in front and a length; ffmpeg copies the whole \
         segments that the clip touches, into a fragmented file; the third column reads these segments, 1 MiB at a time."
    )
}

/// Runs a reading twice; the second one counts.
fn twice(mut read: impl FnMut() -> anyhow::Result<Reading>) -> anyhow::Result<Reading> {
    read()?;
    read()
}

/// An hour of small pictures.
fn small_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let file = folder.join("small.mp4");
    let mut command = run::program("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi"]);
    command.args([
        "-i",
        "testsrc2=size=160x90:rate=25",
        "-t",
        "60",
        "-c:v",
        "libx264",
    ]);
    command.args(["-preset", "veryfast", "-b:v", "64k", "-bf", "0", "-g", "50"]);
    command.args(["-pix_fmt", "yuv420p"]);
    run::expect_success(command.arg(&file))?;
    Ok(file)
}

impl Stage {
    fn start(binaries: &Path, data: &Path) -> anyhow::Result<Self> {
        let server = Server::start(&Options {
            binaries: binaries.to_path_buf(),
            data: data.to_path_buf(),
            http_listen: "127.0.0.1:0".to_owned(),
            rtsp_listen: "127.0.0.1:0".to_owned(),
            rtmp_listen: "127.0.0.1:0".to_owned(),
            settings: vec![("FRAMEWELL_RECORD__SEGMENT_S", "10".to_owned())],
        })?;
        let body = json!({"name": "clips", "rec_mode": "off", "timezone": "UTC"});
        let channel = server
            .admin
            .json("POST", "/api/v3/channels/", Some(&body))?;
        let channel = Entry {
            id: channel["id"].as_i64().context("no id")?,
            name: "clips".to_owned(),
            token: channel["access_tokens"]["all"]
                .as_str()
                .context("no token")?
                .to_owned(),
        };
        Ok(Self {
            server,
            channel,
            data: data.to_path_buf(),
        })
    }

    /// Records so many seconds, by sending files one behind the other.
    fn fill(&self, source: &Path, folder: &Path, seconds: u64) -> anyhow::Result<()> {
        term::step(&format!("Recording {seconds} s"));
        let part = folder.join("part.mp4");
        let length = FILE_S.min(seconds);
        let mut command = run::program("ffmpeg");
        command.args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-y",
            "-stream_loop",
            "-1",
            "-i",
        ]);
        command
            .arg(source)
            .args(["-t", &length.to_string(), "-c", "copy"]);
        run::expect_success(command.arg(&part))?;
        let mut at = begin()?;
        let end = at + Duration::from_secs(seconds);
        while at < end {
            at = self.send(&part, at)?;
        }
        Ok(())
    }

    /// Sends a file that begins at `start`; when it ends.
    fn send(&self, file: &Path, start: WallTime) -> anyhow::Result<WallTime> {
        let mut stream = self.connect()?;
        let mut file = File::open(file)?;
        write!(
            stream,
            "POST /v1/channels/{}/recordings?start={start} HTTP/1.0\r\nHost: bench\r\nAuthorization: Acc {}\r\nContent-Type: video/mp4\r\nContent-Length: {}\r\n\r\n",
            self.channel.id,
            self.channel.token,
            file.metadata()?.len()
        )?;
        std::io::copy(&mut file, &mut stream)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let body: serde_json::Value = serde_json::from_str(body).with_context(|| answer.clone())?;
        let end = body["end"].as_str().with_context(|| answer.clone())?;
        end.parse().ok().context("no time in the answer")
    }

    fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(self.server.http)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn row(&self, seconds: u64) -> anyhow::Result<String> {
        term::step(&format!("Clips of {seconds} s"));
        let segments = self.segments(seconds)?;
        let ours = twice(|| self.ours(3_300, seconds, None))?;
        let ffmpeg = twice(|| concat(&segments, &self.data))?;
        let plain = twice(|| read_all(&segments))?;
        Ok(format!(
            "| {seconds} s | {} | {} | {} |",
            ours.text(),
            ffmpeg.text(),
            plain.text()
        ))
    }

    /// Reads a clip from `offset_ms` on, at most so many bytes of it.
    fn ours(&self, offset_ms: u64, seconds: u64, most: Option<u64>) -> anyhow::Result<Reading> {
        let start = begin()? + Duration::from_millis(offset_ms);
        let end = start + Duration::from_secs(seconds);
        let pid = self.server.process.pid();
        let cpu = meter::cpu_seconds(&[pid]);
        let mut stream = self.connect()?;
        let began = Instant::now();
        write!(
            stream,
            "GET /v1/channels/{}/clip.mp4?start={start}&end={end} HTTP/1.0\r\nHost: bench\r\nAuthorization: Acc {}\r\n\r\n",
            self.channel.id, self.channel.token
        )?;
        let (first_ms, bytes) = drain(&mut stream, began, most)?;
        let total_s = began.elapsed().as_secs_f64();
        anyhow::ensure!(
            most.is_some() || bytes > seconds * 1_000,
            "the clip has {bytes} bytes only"
        );
        Ok(Reading {
            first_ms,
            total_s,
            cpu_s: meter::cpu_seconds(&[pid]) - cpu,
            bytes,
        })
    }

    /// The files of the segments that the clip touches, in order.
    fn segments(&self, seconds: u64) -> anyhow::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut folders = vec![self.data.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "mp4")
                    && path.components().any(|part| part.as_os_str() == "seg")
                {
                    files.push(path);
                }
            }
        }
        files.sort();
        anyhow::ensure!(!files.is_empty(), "no segment in {}", self.data.display());
        let count = usize::try_from(seconds.div_ceil(10) + 1)?;
        files.truncate(count);
        Ok(files)
    }
}

fn begin() -> anyhow::Result<WallTime> {
    BEGIN.parse().ok().context("BEGIN is a time")
}

/// Reads to the end or so many bytes; milliseconds to the first byte of the body, and bytes of it.
fn drain(stream: &mut TcpStream, began: Instant, most: Option<u64>) -> anyhow::Result<(f64, u64)> {
    let mut buffer = vec![0; READ_BYTES];
    let mut head = Vec::new();
    let mut first_ms = None;
    let mut bytes = 0_u64;
    loop {
        let count = stream.read(&mut buffer)?;
        let mut body = count;
        if first_ms.is_none() {
            head.extend_from_slice(&buffer[..count]);
            let split = head.windows(4).position(|window| window == b"\r\n\r\n");
            body = split.map_or(0, |at| head.len() - at - 4);
            if body > 0 {
                anyhow::ensure!(
                    head.starts_with(b"HTTP/1.0 200") || head.starts_with(b"HTTP/1.1 200"),
                    "{}",
                    String::from_utf8_lossy(&head)
                );
                first_ms = Some(began.elapsed().as_secs_f64() * 1e3);
            }
        }
        bytes += body as u64;
        if count == 0 || most.is_some_and(|most| bytes >= most) {
            return Ok((first_ms.context("no body")?, bytes));
        }
    }
}

/// ffmpeg's concat demuxer over whole segments.
fn concat(segments: &[PathBuf], folder: &Path) -> anyhow::Result<Reading> {
    let list = folder.join("list.txt");
    let mut text = String::new();
    for segment in segments {
        writeln!(text, "file '{}'", segment.display())?;
    }
    std::fs::write(&list, text)?;
    let mut command = run::program("ffmpeg");
    command.args([
        "-hide_banner",
        "-loglevel",
        "error",
        "-f",
        "concat",
        "-safe",
        "0",
        "-i",
    ]);
    command
        .arg(&list)
        .args(["-c", "copy", "-movflags", "frag_keyframe+empty_moov"]);
    command
        .args(["-f", "mp4", "pipe:1"])
        .stdout(Stdio::piped())
        .stdin(Stdio::null());
    let cpu = children_cpu_seconds();
    let began = Instant::now();
    let mut child = command.spawn()?;
    let mut output = child.stdout.take().context("a pipe")?;
    let mut buffer = vec![0; READ_BYTES];
    let (mut first_ms, mut bytes) = (None, 0);
    loop {
        let count = output.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        first_ms.get_or_insert_with(|| began.elapsed().as_secs_f64() * 1e3);
        bytes += count as u64;
    }
    anyhow::ensure!(child.wait()?.success(), "ffmpeg failed");
    Ok(Reading {
        first_ms: first_ms.context("ffmpeg wrote nothing")?,
        total_s: began.elapsed().as_secs_f64(),
        cpu_s: children_cpu_seconds() - cpu,
        bytes,
    })
}

/// CPU of this process and of its children that have ended; nothing else of it runs meanwhile.
fn children_cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    // Fields 16 and 17 of proc(5), counted from behind the name.
    let ticks: f64 = [13, 14]
        .iter()
        .filter_map(|at| fields.get(*at)?.parse::<f64>().ok())
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "it is 100")]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    ticks / per_second
}

fn read_all(segments: &[PathBuf]) -> anyhow::Result<Reading> {
    let own = [std::process::id()];
    let cpu = meter::cpu_seconds(&own);
    let began = Instant::now();
    let mut buffer = vec![0; READ_BYTES];
    let (mut first_ms, mut bytes) = (None, 0);
    for segment in segments {
        let mut file = File::open(segment)?;
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            first_ms.get_or_insert_with(|| began.elapsed().as_secs_f64() * 1e3);
            bytes += count as u64;
        }
    }
    let total_s = began.elapsed().as_secs_f64();
    Ok(Reading {
        first_ms: first_ms.context("empty segments")?,
        total_s,
        cpu_s: (meter::cpu_seconds(&own) - cpu).max(0.0),
        bytes,
    })
}
