//! Recording: our server beside one `ffmpeg` process a camera.
//!
//! Both pull the same streams from the same fake cameras, over RTSP and TCP, at the same time, and write to the same
//! file system; each is measured with its whole process tree over the same window. The fake cameras are charged to
//! neither.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::meter::{self, Usage};
use super::writes::Writes;
use super::{document, footage, machine};
use crate::child::Managed;
use crate::deps::{self, Purpose};
use crate::fakecam::{self, Source};
use crate::server::{self, Entry, Options, Server};
use crate::{run, stop, term, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Numbers of cameras, one row each.
    #[arg(long, value_delimiter = ',', default_value = "1,10,20,50")]
    cameras: Vec<usize>,
    /// Length of a window in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Seconds between the last connection and the window.
    #[arg(long, default_value_t = 15)]
    settle: u64,
    /// Only print; leave docs/benchmarks.md as it is.
    #[arg(long)]
    dry_run: bool,
}

/// One row: the same streams recorded by both.
#[derive(Debug)]
struct Row {
    cameras: usize,
    ours: Usage,
    ffmpeg: Usage,
    ours_bytes: u64,
    ffmpeg_bytes: u64,
    busy_cores: f64,
    writes: Writes,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    deps::ensure(Purpose::Bench)?;
    super::build()?;
    let (file, scene) = footage::find_or_make()?;
    let mut rows = Vec::new();
    for count in &args.cameras {
        term::step(&format!("{count} cameras"));
        rows.push(measure(args, *count, &file)?);
    }
    let text = report(&rows, args, scene, &machine::describe()?);
    println!("\n{text}");
    if !args.dry_run {
        document::replace("record", &text)?;
    }
    Ok(())
}

fn measure(args: &Args, count: usize, file: &Path) -> anyhow::Result<Row> {
    let target = workspace::target_dir()?;
    let binaries = server::binaries(&target, true);
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&target)?;
    let cameras = fakecam::start(
        &binaries,
        folder.path(),
        &Source::File(file.to_path_buf()),
        count,
    )?;
    let mut server = Server::start(&Options {
        binaries,
        data: folder.path().join("ours"),
        http_listen: "127.0.0.1:0".to_owned(),
        rtsp_listen: "127.0.0.1:0".to_owned(),
        rtmp_listen: "127.0.0.1:0".to_owned(),
        settings: Vec::new(),
    })?;
    let channels = cameras
        .urls
        .iter()
        .enumerate()
        .map(|(index, url)| server.create_channel(&format!("camera {index}"), url))
        .collect::<anyhow::Result<Vec<Entry>>>()?;
    let peers_folder = folder.path().join("ffmpeg");
    let mut peers = start_ffmpeg(&cameras.urls, &peers_folder)?;
    wait_until_all_record(&mut server, channels.len())?;
    settle(Duration::from_secs(args.settle), &mut server, &mut peers)?;
    let row = window(args, count, folder.path(), &mut server, &mut peers)?;
    term::note(&row.line());
    Ok(row)
}

fn window(
    args: &Args,
    count: usize,
    folder: &Path,
    server: &mut Server,
    peers: &mut [Managed],
) -> anyhow::Result<Row> {
    let (ours_folder, peers_folder) = (folder.join("ours"), folder.join("ffmpeg"));
    let writes = Writes::of(server)?;
    let before = (
        size_of(&ours_folder),
        size_of(&peers_folder),
        meter::busy_seconds()?,
    );
    let ours = [server.process.pid()];
    let theirs: Vec<u32> = peers.iter().map(Managed::pid).collect();
    let [ours, ffmpeg] =
        meter::window([&ours, &theirs], Duration::from_secs(args.seconds), || {
            stop::check()?;
            server.process.fail_if_ended()
        })?;
    for peer in peers {
        peer.fail_if_ended()?;
    }
    Ok(Row {
        cameras: count,
        ours,
        ffmpeg,
        ours_bytes: size_of(&ours_folder).saturating_sub(before.0),
        ffmpeg_bytes: size_of(&peers_folder).saturating_sub(before.1),
        busy_cores: (meter::busy_seconds()? - before.2) / ours.wall_s,
        writes: Writes::of(server)?.since(&writes),
    })
}

fn start_ffmpeg(urls: &[String], folder: &Path) -> anyhow::Result<Vec<Managed>> {
    urls.iter()
        .enumerate()
        .map(|(index, url)| {
            let own = folder.join(index.to_string());
            std::fs::create_dir_all(&own)?;
            let mut command = run::program("ffmpeg");
            command.args([
                "-hide_banner",
                "-loglevel",
                "error",
                "-nostdin",
                "-rtsp_transport",
                "tcp",
                "-i",
                url,
            ]);
            command.args([
                "-c",
                "copy",
                "-f",
                "segment",
                "-segment_time",
                "10",
                "-segment_format",
                "mp4",
            ]);
            command
                .args(["-reset_timestamps", "1"])
                .arg(own.join("%05d.mp4"))
                .stdout(Stdio::null());
            Managed::start("ffmpeg", &mut command, Some(&own.join("log")))
        })
        .collect()
}

fn wait_until_all_record(server: &mut Server, count: usize) -> anyhow::Result<()> {
    let admin = server.admin.clone();
    server.process.wait_until(
        "recording of every camera",
        Duration::from_secs(120),
        || {
            let list = admin.json("GET", "/api/v3/channels/?limit=1000&detail=detail", None);
            let objects = list
                .ok()
                .and_then(|list| list["objects"].as_array().cloned())
                .unwrap_or_default();
            objects.len() == count && objects.iter().all(|channel| channel["recording"] == true)
        },
    )
}

fn settle(length: Duration, server: &mut Server, peers: &mut [Managed]) -> anyhow::Result<()> {
    let start = Instant::now();
    while start.elapsed() < length {
        std::thread::sleep(stop::POLL);
        stop::check()?;
        server.process.fail_if_ended()?;
        for peer in peers.iter_mut() {
            peer.fail_if_ended()?;
        }
    }
    Ok(())
}

/// Bytes of all files below a folder.
fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and sizes far below 2^52"
)]
impl Row {
    /// CPU milliseconds for each second of each camera.
    fn cpu_ms(&self, usage: &Usage) -> f64 {
        usage.cpu_s * 1000.0 / usage.wall_s / self.cameras as f64
    }

    /// Megabytes a second of each camera.
    fn rate(&self, bytes: u64) -> f64 {
        bytes as f64 / 1e6 / self.ours.wall_s / self.cameras as f64
    }

    /// CPU seconds for each hour of each camera.
    fn cpu_s_per_hour(&self, usage: &Usage) -> f64 {
        self.cpu_ms(usage) * 3.6
    }

    fn line(&self) -> String {
        format!(
            "ours {:.2} ms/cam-s, {:.1} MiB PSS; ffmpeg {:.2} ms/cam-s, {:.1} MiB PSS; ratio {:.2}",
            self.cpu_ms(&self.ours),
            self.ours.pss_mib,
            self.cpu_ms(&self.ffmpeg),
            self.ffmpeg.pss_mib,
            self.ours.cpu_s / self.ffmpeg.cpu_s
        )
    }

    fn markdown(&self) -> String {
        let count = self.cameras as f64;
        format!(
            "| {} | {:.1} ({:.2} ms/s) | {:.1} ({:.2} ms/s) | **{:.2}** | {:.1} / {:.1} ({:.1}) | {:.0} / {:.0} | \
             {:.2} / {:.2} | {:.3} | {:.2} | {:.2} |",
            self.cameras,
            self.cpu_s_per_hour(&self.ours),
            self.cpu_ms(&self.ours),
            self.cpu_s_per_hour(&self.ffmpeg),
            self.cpu_ms(&self.ffmpeg),
            self.ours.cpu_s / self.ffmpeg.cpu_s,
            self.ours.pss_mib,
            self.ours.rss_mib,
            self.ours.pss_mib / count,
            self.ffmpeg.pss_mib,
            self.ffmpeg.rss_mib,
            self.rate(self.ours_bytes),
            self.rate(self.ffmpeg_bytes),
            self.writes.amplification(),
            self.writes.syncs / self.ours.wall_s / count,
            self.busy_cores
        )
    }
}

fn report(rows: &[Row], args: &Args, scene: &str, machine: &str) -> String {
    let mut text = String::from(
        "| cameras | ours: CPU s per camera-hour | ffmpeg: the same | ours / ffmpeg | ours: PSS / RSS MiB (PSS per camera) \
         | ffmpeg: PSS / RSS MiB | MB/s written per camera, ours / ffmpeg | ours: bytes to the disk per byte of footage | ours: syncs a second \
         per camera | cores busy, all in all |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        // Writing to a string does not fail.
        writeln!(text, "{}", row.markdown()).unwrap_or_default();
    }
    format!(
        "{text}\nThe fake cameras play {scene} in a loop: 1080p, 25 frames/s, H.264, 4 Mbit/s, a key frame every 2 s. Both \
         sides record the same streams at the same time, over RTSP and TCP; ours is one server with default settings \
         (10 s segments, SQLite), the other side one `ffmpeg -rtsp_transport tcp -i URL -c copy -f segment -segment_time 10 \
         -segment_format mp4` a camera. CPU (user and system) and memory are those of the whole process trees, from /proc, \
         over {} s, {} s after the last connection. Bytes to the disk are `write_bytes` of /proc/PID/io, database \
         included, which the kernel counts when it takes them into its cache; syncs are those of segments and their folders, \
         counted by `framewell_blob_syncs_total`.\n\n{machine}",
        args.seconds, args.settle
    )
}
