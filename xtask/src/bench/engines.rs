//! Engines on one live camera: each is sent two pictures a second over its own connection; beside one ffmpeg process
//! an engine that decodes the same camera.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use framewell_model::WallTime;

use super::{document, footage, machine, meter};
use crate::child::Managed;
use crate::deps::{self, Purpose};
use crate::fakecam::{self, Source};
use crate::http::{self, Client};
use crate::server::{self, Entry, Options, Server};
use crate::{run, stop, term, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Numbers of engines.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 50])]
    engines: Vec<usize>,
    /// Numbers of ffmpeg processes for comparison.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10])]
    ffmpeg: Vec<usize>,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Only print; leave docs/benchmarks.md as it is.
    #[arg(long)]
    dry_run: bool,
}

/// What some engines on the camera cost, recording not counted.
struct Row {
    tool: &'static str,
    engines: usize,
    /// CPU seconds a second, of all processes that make pictures.
    cores: f64,
    /// Pictures each engine got a second.
    rate: f64,
    /// Age of the pictures when the engine has them, in milliseconds, sorted.
    ages_ms: Vec<f64>,
}

struct Site {
    server: Server,
    channel: Entry,
    camera: String,
    length: Duration,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    deps::ensure(Purpose::Bench)?;
    super::build()?;
    let (source, scene) = footage::find_or_make()?;
    let target = workspace::target_dir()?;
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&target)?;
    let binaries = server::binaries(&target, true);
    let cameras = fakecam::start(&binaries, folder.path(), &Source::File(source), 1)?;
    let site = site(&binaries, folder.path(), &cameras.urls[0], args.seconds)?;
    term::step("Nobody looks");
    let idle = cpu_of(&site, site.length)?;
    let mut rows = Vec::new();
    for count in &args.engines {
        term::step(&format!("{count} engines"));
        rows.push(ours(&site, *count, idle)?);
    }
    let now = newest(&site)?;
    for count in &args.ffmpeg {
        term::step(&format!("{count} ffmpeg processes"));
        rows.push(ffmpeg(&site, *count)?);
    }
    let text = report(&rows, &now, args, scene, &machine::describe()?);
    println!("\n{text}");
    if !args.dry_run {
        document::replace("engines", &text)?;
    }
    Ok(())
}

fn site(binaries: &Path, folder: &Path, camera: &str, seconds: u64) -> anyhow::Result<Site> {
    let mut server = Server::start(&Options {
        binaries: binaries.to_path_buf(),
        data: folder.join("ours"),
        http_listen: "127.0.0.1:0".to_owned(),
        rtsp_listen: "127.0.0.1:0".to_owned(),
        rtmp_listen: "127.0.0.1:0".to_owned(),
        settings: Vec::new(),
    })?;
    let channel = server.create_channel("camera", camera)?;
    let client = Client::new(server.http, format!("Bearer {}", channel.token));
    let path = format!("/v1/channels/{}/image", channel.id);
    server
        .process
        .wait_until("the first picture", Duration::from_secs(60), || {
            client
                .request("GET", &path, None)
                .is_ok_and(|answer| answer.status == 200)
        })?;
    // What that picture kept warm goes cold.
    std::thread::sleep(Duration::from_secs(15));
    Ok(Site {
        server,
        channel,
        camera: camera.to_owned(),
        length: Duration::from_secs(seconds),
    })
}

/// CPU seconds a second of the server and its decoders.
fn cpu_of(site: &Site, length: Duration) -> anyhow::Result<f64> {
    let roots = [site.server.process.pid()];
    let [usage] = meter::window([&roots], length, stop::check)?;
    Ok(usage.cpu_s / usage.wall_s)
}

fn ours(site: &Site, count: usize, idle: f64) -> anyhow::Result<Row> {
    let stopped = AtomicBool::new(false);
    let path = format!("/v1/channels/{}/images?fps=2", site.channel.id);
    let client = Client::new(site.server.http, format!("Bearer {}", site.channel.token));
    std::thread::scope(|scope| {
        let engines: Vec<_> = (0..count)
            .map(|_| scope.spawn(|| engine(&client, &path, site.length, &stopped)))
            .collect();
        // Connections and the first pictures are not measured.
        std::thread::sleep(SETTLE);
        let cpu = cpu_of(site, site.length);
        stopped.store(true, Ordering::Relaxed);
        let mut ages_ms = Vec::new();
        for engine in engines {
            let ages = engine
                .join()
                .map_err(|_| anyhow::anyhow!("an engine panicked"))?;
            ages_ms.extend(ages?);
        }
        Ok(row("Framewell", count, cpu? - idle, ages_ms, site.length))
    })
}

const SETTLE: Duration = Duration::from_secs(5);

/// Takes pictures until it is stopped; returns the age in ms of each that came while CPU was measured.
fn engine(
    client: &Client,
    path: &str,
    length: Duration,
    stopped: &AtomicBool,
) -> anyhow::Result<Vec<f64>> {
    let start = Instant::now();
    let mut reader = client.stream(path)?;
    let mut ages = Vec::new();
    while !stopped.load(Ordering::Relaxed) {
        let part = http::next_part(&mut reader)?.context("the stream of pictures ended")?;
        if part.header("content-type") != Some("image/jpeg") {
            continue;
        }
        let captured = part
            .header("framewell-capture-time")
            .context("no capture time")?;
        let age_ms = age_ms(captured.parse()?)?;
        if (SETTLE..SETTLE + length).contains(&start.elapsed()) {
            ages.push(age_ms);
        }
    }
    Ok(ages)
}

#[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 fit")]
#[expect(
    clippy::disallowed_methods,
    reason = "the age of real pictures is by the real clock"
)]
fn age_ms(captured: WallTime) -> anyhow::Result<f64> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(now.as_secs_f64() * 1000.0 - captured.micros() as f64 / 1000.0)
}

/// Time from request to picture in ms, and its age in ms, of the newest picture asked for twice a second.
struct Newest {
    latency_ms: Vec<f64>,
    age_ms: Vec<f64>,
}

fn newest(site: &Site) -> anyhow::Result<Newest> {
    term::step("The newest picture, asked for twice a second");
    let client = Client::new(site.server.http, format!("Bearer {}", site.channel.token));
    let path = format!("/v1/channels/{}/image", site.channel.id);
    let (mut latency_ms, mut ages) = (Vec::new(), Vec::new());
    for number in 0..2 * site.length.as_secs() {
        stop::check()?;
        let before = Instant::now();
        let answer = client.request("GET", &path, None)?;
        anyhow::ensure!(answer.status == 200, "{path}: {}", answer.status);
        let captured = answer
            .header("framewell-capture-time")
            .context("no capture time")?;
        // The first one finds the decoder cold.
        if number > 0 {
            latency_ms.push(before.elapsed().as_secs_f64() * 1000.0);
            ages.push(age_ms(captured.parse()?)?);
        }
        std::thread::sleep(Duration::from_millis(500).saturating_sub(before.elapsed()));
    }
    latency_ms.sort_by(f64::total_cmp);
    ages.sort_by(f64::total_cmp);
    Ok(Newest {
        latency_ms,
        age_ms: ages,
    })
}

/// One process an engine, as engines do it without us.
fn ffmpeg(site: &Site, count: usize) -> anyhow::Result<Row> {
    let mut processes = (0..count)
        .map(|_| {
            let mut command = run::program("ffmpeg");
            command.args([
                "-hide_banner",
                "-loglevel",
                "error",
                "-nostdin",
                "-threads",
                "1",
            ]);
            command.args(["-rtsp_transport", "tcp", "-i", &site.camera]);
            command.args([
                "-an",
                "-vf",
                "fps=2",
                "-q:v",
                "4",
                "-f",
                "mpjpeg",
                "/dev/null",
                "-y",
            ]);
            command.stdout(Stdio::null());
            Managed::start("ffmpeg", &mut command, None)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    std::thread::sleep(SETTLE);
    let pids: Vec<u32> = processes.iter().map(Managed::pid).collect();
    let [usage] = meter::window([&pids], site.length, stop::check)?;
    for process in &mut processes {
        process.fail_if_ended()?;
    }
    let cores = usage.cpu_s / usage.wall_s;
    Ok(row(
        "ffmpeg, a process each",
        count,
        cores,
        Vec::new(),
        site.length,
    ))
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn row(
    tool: &'static str,
    engines: usize,
    cores: f64,
    mut ages_ms: Vec<f64>,
    length: Duration,
) -> Row {
    ages_ms.sort_by(f64::total_cmp);
    let row = Row {
        tool,
        engines,
        cores,
        rate: ages_ms.len() as f64 / length.as_secs_f64() / engines as f64,
        ages_ms,
    };
    term::note(&row.markdown(row.cores));
    row
}

/// Of sorted values.
pub(super) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let index = (sorted.len().saturating_sub(1) * percent).div_ceil(100);
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

impl Row {
    /// `one`: cores that one engine of this tool takes.
    fn markdown(&self, one: f64) -> String {
        let (rate, ages) = if self.ages_ms.is_empty() {
            ("".to_owned(), "".to_owned())
        } else {
            let ages = [50, 99].map(|percent| percentile(&self.ages_ms, percent));
            (
                format!("{:.2}", self.rate),
                format!("{:.0} / {:.0}", ages[0], ages[1]),
            )
        };
        format!(
            "| {} | {} | {:.1} | {:.2} | {rate} | {ages} |",
            self.tool,
            self.engines,
            self.cores * 1000.0,
            self.cores / one,
        )
    }
}

fn report(rows: &[Row], now: &Newest, args: &Args, scene: &str, machine: &str) -> String {
    let mut text = String::from(
        "| tool | engines | CPU ms per second, all | times one engine | pictures/s each | age p50 / p99 ms |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let one = rows.iter().find(|other| other.tool == row.tool);
        text.push_str(&row.markdown(one.map_or(row.cores, |one| one.cores)));
        text.push('\n');
    }
    let p = |values: &[f64]| [50, 99].map(|percent| percentile(values, percent));
    let ([l50, l99], [a50, a99]) = (p(&now.latency_ms), p(&now.age_ms));
    format!(
        "{text}\nThe newest picture, asked for twice a second: answered in {l50:.0} ms p50, {l99:.0} ms p99; age on \
         arrival {a50:.0} ms p50, {a99:.0} ms p99 (a frame lasts 40 ms).\n\n{scene}: 1080p, 25 frames/s, H.264, 4 Mbit/s, \
         a key frame every 2 s. Each engine has a connection of its own and is sent two pictures a second, full size, JPEG \
         of quality 80. CPU of the server and its decoder processes over {} s, less what recording alone takes; the other \
         side is one ffmpeg an engine that pulls from the camera (`-vf fps=2 -q:v 4`). Age: capture time of the picture to \
         its last byte at the engine, same clock.\n\n{machine}",
        args.seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_compares_with_one_engine_of_its_tool() {
        let row = row("x", 10, 0.5, vec![30.0, 10.0, 20.0], Duration::from_secs(1));
        assert_eq!(
            row.markdown(0.25),
            "| x | 10 | 500.0 | 2.00 | 0.30 | 20 / 30 |"
        );
    }
}
