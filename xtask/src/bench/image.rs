//! Pictures from a recording: our server beside the ffmpeg command line and PyAV.
//!
//! Our server first records the footage from a fake camera, in real time, by the path that every recording takes; the
//! other tools read the same packets from one MP4 file. Then all make the same work: exact pictures at random instants,
//! one after the other, and one picture a second over the whole length.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use framewell_model::WallTime;
use serde::Deserialize;

use super::{document, footage, machine, meter};
use crate::deps::{self, Purpose};
use crate::fakecam::{self, Source};
use crate::http::Client;
use crate::server::{self, Entry, Options, Server};
use crate::{python, run, stop, term, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Minutes of footage; they are recorded in real time first.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Pictures at random instants.
    #[arg(long, default_value_t = 100)]
    random: usize,
    /// Only print; leave docs/benchmarks.md as it is.
    #[arg(long)]
    dry_run: bool,
}

/// What one tool needed for one job.
#[derive(Debug, Deserialize)]
struct Outcome {
    tool: String,
    pictures: usize,
    wall_s: f64,
    cpu_s: f64,
    /// Of each picture, where they are asked for one by one.
    latencies_s: Vec<f64>,
}

/// A recording that can be asked for pictures.
struct Recording {
    server: Server,
    channel: Entry,
    /// Capture time of the first picture.
    start: WallTime,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    deps::ensure(Purpose::Bench)?;
    super::build()?;
    let scripts = workspace::root().join("xtask/bench");
    let python = python::environment("python-bench", &scripts.join("requirements.txt"))?;
    let (source, scene) = footage::find_or_make()?;
    let target = workspace::target_dir()?;
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&target)?;
    let seconds = args.minutes * 60;
    let file = long_file(&source, folder.path(), seconds)?;
    let binaries = server::binaries(&target, true);
    let cameras = fakecam::start(&binaries, folder.path(), &Source::File(source), 1)?;
    let recording = record(&cameras.urls[0], &binaries, folder.path(), seconds)?;
    // The camera is silent while pictures are measured.
    drop(cameras);
    let offsets = random_offsets(args.random, seconds);
    term::step("Exact pictures at random instants");
    let random = side_by_side(&recording, &python, &file, &Job::Random(&offsets))?;
    term::step("One picture a second");
    let sample = side_by_side(&recording, &python, &file, &Job::Sample(seconds))?;
    let text = report(&random, &sample, args, scene, &machine::describe()?)?;
    println!("\n{text}");
    if !args.dry_run {
        document::replace("image", &text)?;
    }
    Ok(())
}

/// What is asked of each tool.
enum Job<'a> {
    /// Exact pictures at these seconds from the start.
    Random(&'a [f64]),
    /// A picture a second over so many seconds.
    Sample(u64),
}

impl Job<'_> {
    fn offsets(&self) -> Vec<f64> {
        match self {
            Self::Random(offsets) => offsets.to_vec(),
            #[expect(clippy::cast_precision_loss, reason = "seconds far below 2^52")]
            Self::Sample(seconds) => (0..*seconds).map(|second| second as f64).collect(),
        }
    }

    fn arguments(&self) -> Vec<String> {
        match self {
            Self::Random(offsets) => std::iter::once("random".to_owned())
                .chain(offsets.iter().map(|o| format!("{o:.3}")))
                .collect(),
            Self::Sample(seconds) => vec!["sample".to_owned(), seconds.to_string()],
        }
    }
}

/// The footage over and over in one MP4 file, packets untouched.
fn long_file(source: &Path, folder: &Path, seconds: u64) -> anyhow::Result<PathBuf> {
    term::step("Writing the file for the other tools");
    let file = folder.join("long.mp4");
    let mut command = run::program("ffmpeg");
    command
        .args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-stream_loop",
            "-1",
            "-i",
        ])
        .arg(source);
    command
        .args([
            "-t",
            &seconds.to_string(),
            "-c",
            "copy",
            "-an",
            "-movflags",
            "+faststart",
        ])
        .arg(&file);
    run::expect_success(&mut command)?;
    Ok(file)
}

fn record(url: &str, binaries: &Path, folder: &Path, seconds: u64) -> anyhow::Result<Recording> {
    term::step(&format!(
        "Recording {seconds} seconds of footage in real time"
    ));
    let mut server = Server::start(&Options {
        binaries: binaries.to_path_buf(),
        data: folder.join("ours"),
        http_listen: "127.0.0.1:0".to_owned(),
        rtsp_listen: "127.0.0.1:0".to_owned(),
        settings: Vec::new(),
    })?;
    let channel = server.create_channel("camera", url)?;
    let acc = Client::new(server.http, format!("Acc {}", channel.token));
    // A segment longer than the range, so that its last second is published too.
    let wanted_us = i64::try_from((seconds + 15) * 1_000_000)?;
    let mut told = Instant::now();
    let mut found = None;
    server
        .process
        .wait_until("recording", Duration::from_secs(seconds + 120), || {
            found = span(&acc).ok().flatten();
            let have_us = found.map_or(0, |(start, end)| end.micros_since(start));
            if told.elapsed() > Duration::from_secs(30) {
                term::note(&format!("{} seconds are published", have_us / 1_000_000));
                told = Instant::now();
            }
            // The API is asked less often than the process is looked at.
            std::thread::sleep(Duration::from_secs(1));
            have_us >= wanted_us
        })?;
    let (start, _) = found.context("nothing was recorded")?;
    Ok(Recording {
        server,
        channel,
        start,
    })
}

/// Start of the first and end of the last published record.
fn span(acc: &Client) -> anyhow::Result<Option<(WallTime, WallTime)>> {
    let edge = |order: &str, key: &str| -> anyhow::Result<Option<WallTime>> {
        let list = acc.json(
            "GET",
            &format!("/api/v4/storage/records/?limit=1&order_by={order}"),
            None,
        )?;
        let text = list["objects"][0][key]
            .as_str()
            .map(|text| format!("{text}Z"));
        Ok(text.map(|text| text.parse()).transpose()?)
    };
    Ok(edge("time", "start")?.zip(edge("-time", "end")?))
}

fn side_by_side(
    recording: &Recording,
    python: &Path,
    file: &Path,
    job: &Job<'_>,
) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = vec![ours(recording, &job.offsets())?];
    let script = workspace::root().join("xtask/bench/pictures.py");
    let printed = run::output(
        run::program(python)
            .arg(script)
            .arg(file)
            .args(job.arguments()),
    )?;
    for line in printed.lines() {
        outcomes.push(serde_json::from_str(line).with_context(|| line.to_owned())?);
    }
    for outcome in &outcomes {
        term::note(&outcome.line());
    }
    Ok(outcomes)
}

/// One request after the other, as a client that waits for each picture. The client's own CPU is not charged.
fn ours(recording: &Recording, offsets: &[f64]) -> anyhow::Result<Outcome> {
    let bearer = Client::new(
        recording.server.http,
        format!("Bearer {}", recording.channel.token),
    );
    let roots = [recording.server.process.pid()];
    let (cpu, start) = (meter::cpu_seconds(&roots), Instant::now());
    let mut latencies_s = Vec::with_capacity(offsets.len());
    for offset in offsets {
        stop::check()?;
        let at = recording.start + Duration::from_secs_f64(*offset);
        let path = format!(
            "/v1/channels/{}/image?at={}",
            recording.channel.id,
            at.to_rfc3339()
        );
        let before = Instant::now();
        let answer = bearer.request("GET", &path, None)?;
        latencies_s.push(before.elapsed().as_secs_f64());
        let is_jpeg = answer.status == 200 && answer.body.starts_with(&[0xff, 0xd8]);
        anyhow::ensure!(
            is_jpeg,
            "{path}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
    Ok(Outcome {
        tool: "Framewell".to_owned(),
        pictures: offsets.len(),
        wall_s: start.elapsed().as_secs_f64(),
        cpu_s: meter::cpu_seconds(&roots) - cpu,
        latencies_s,
    })
}

/// Uniform over the range, on the frames of 25 a second, the same on every run.
fn random_offsets(count: usize, seconds: u64) -> Vec<f64> {
    // Knuth's 64-bit linear congruential generator; its upper bits are random enough to choose frames.
    let mut state: u64 = 7;
    let frames = seconds * 25 - 1;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let frame = (state >> 33) % frames;
            #[expect(clippy::cast_precision_loss, reason = "frame numbers far below 2^52")]
            let offset = frame as f64 / 25.0;
            offset
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
impl Outcome {
    fn cpu_ms(&self) -> f64 {
        self.cpu_s * 1000.0 / self.pictures.max(1) as f64
    }

    fn rate(&self) -> f64 {
        self.pictures as f64 / self.wall_s
    }

    /// In milliseconds.
    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.latencies_s.clone();
        sorted.sort_by(f64::total_cmp);
        let index = (sorted.len().saturating_sub(1) * percent).div_ceil(100);
        sorted.get(index).copied().unwrap_or(f64::NAN) * 1000.0
    }

    fn line(&self) -> String {
        format!(
            "{:<10} {} pictures, {:.1} CPU-ms each, {:.1} a second",
            self.tool,
            self.pictures,
            self.cpu_ms(),
            self.rate()
        )
    }
}

fn report(
    random: &[Outcome],
    sample: &[Outcome],
    args: &Args,
    scene: &str,
    machine: &str,
) -> anyhow::Result<String> {
    let ours = (
        random.first().context("no figures")?,
        sample.first().context("no figures")?,
    );
    let mut text = String::from(
        "| tool | random exact picture: p50 / p99 ms | CPU ms each | ours / theirs, p50; CPU | one a second: CPU ms each \
         | pictures/s | ours / theirs, CPU |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (one, many) in random.iter().zip(sample) {
        text.push_str(&format!(
            "| {} | {:.0} / {:.0} | {:.0} | {:.2}; {:.2} | {:.0} | {:.1} | {:.2} |\n",
            one.tool,
            one.percentile(50),
            one.percentile(99),
            one.cpu_ms(),
            ours.0.percentile(50) / one.percentile(50),
            ours.0.cpu_ms() / one.cpu_ms(),
            many.cpu_ms(),
            many.rate(),
            ours.1.cpu_ms() / many.cpu_ms(),
        ));
    }
    Ok(format!(
        "{text}\n{} minutes of {scene}: 1080p, 25 frames/s, H.264, 4 Mbit/s, a key frame every 2 s. Random: {} instants, \
         one after the other. One a second: ours is a request for each picture, the others make one pass over the file. \
         Full size, JPEG of quality 80 (ffmpeg: `-q:v 4`); one decoding thread for the others, ours as configured by \
         default, CPU of the server and its decoder processes. PyAV keeps the file open and encodes from YUV with \
         libjpeg-turbo; ffmpeg is started for each random picture.\n\n{machine}",
        args.minutes, ours.0.pictures
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_instants_are_frames_within_the_range_and_the_same_every_time() {
        let offsets = random_offsets(500, 600);
        assert_eq!(offsets, random_offsets(500, 600));
        assert!(offsets.iter().all(|offset| (0.0..600.0).contains(offset)));
        let mean = offsets.iter().sum::<f64>() / 500.0;
        assert!((250.0..350.0).contains(&mean), "{mean}");
    }

    #[test]
    fn percentiles_are_of_the_sorted_latencies() {
        let latencies_s = (1..=101).rev().map(|ms| f64::from(ms) / 1000.0).collect();
        let outcome = Outcome {
            tool: String::new(),
            pictures: 101,
            wall_s: 1.0,
            cpu_s: 2.02,
            latencies_s,
        };
        assert!((outcome.percentile(50) - 51.0).abs() < 1e-6);
        assert!((outcome.percentile(99) - 100.0).abs() < 1e-6);
        assert!((outcome.cpu_ms() - 20.0).abs() < 1e-6);
    }
}
