//! The catalog of an archive: what recording adds to it, how long it takes to find something in a year, and how long a
//! start takes after `kill -9`. On SQLite and on PostgreSQL, beside the bare search by primary key.
//!
//! The work itself is `crates/recorder/examples/archive`, and for the start the server.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{document, machine};
use crate::child::Managed;
use crate::deps::{self, Purpose};
use crate::postgres::Postgres;
use crate::{run, server, term, workspace};

/// A start that takes longer is none.
const START_LIMIT: Duration = Duration::from_secs(600);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Cameras in which something is looked for.
    #[arg(long, default_value_t = 100)]
    cameras: usize,
    /// Days of their footage.
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// Segments of ten seconds in each of these days; 8,640 without a pause.
    #[arg(long, default_value_t = 96)]
    per_day: u32,
    /// Cameras whose recording of a day is written row by row.
    #[arg(long, default_value_t = 2)]
    growing: usize,
    /// Segments that are open when the server is killed, one a channel.
    #[arg(long, default_value_t = 1_000)]
    open: usize,
    /// Segments that are stored then.
    #[arg(long, default_value_t = 100_000)]
    stored: usize,
    /// Build without optimisation and only print: shows whether the benchmark works.
    #[arg(long)]
    trial: bool,
    /// Only print; leave docs/benchmarks.md as it is.
    #[arg(long)]
    dry_run: bool,
}

/// What one database showed.
struct Measured {
    name: &'static str,
    growth: Value,
    year: Value,
    left: Value,
    /// Seconds from the start of the process until it is ready: after the crash, and once more.
    starts: [f64; 2],
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    deps::ensure(Purpose::Test)?;
    build(args)?;
    let target = workspace::target_dir()?;
    let bench = Bench {
        binaries: server::binaries(&target, !args.trial),
        args,
    };
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&target)?;
    let path = folder.path();
    let sqlite = |name: &str| Ok(format!("sqlite:{}", path.join(name).display()));
    let sqlite = bench.measure("SQLite", &path.join("sqlite"), sqlite)?;
    let postgres = bench.on_postgres(&path.join("postgres"))?;
    let text = report(&[sqlite, postgres], args)?;
    println!("\n{text}");
    if !args.dry_run && !args.trial {
        document::replace("archive", &text)?;
    }
    Ok(())
}

fn build(args: &Args) -> anyhow::Result<()> {
    if args.trial {
        super::build_for_trial()?;
    } else {
        super::build()?;
    }
    let example = ["build", "-p", "framewell-recorder", "--example", "archive"];
    let mut command = run::cargo(example);
    if !args.trial {
        command.arg("--release");
    }
    run::expect_success(&mut command)
}

struct Bench<'a> {
    binaries: PathBuf,
    args: &'a Args,
}

impl Bench<'_> {
    fn on_postgres(&self, data: &Path) -> anyhow::Result<Measured> {
        let mut servers = Vec::new();
        let fresh = |_: &str| {
            // Only the newest is needed.
            servers.clear();
            let server = Postgres::start()?;
            let url = server.url();
            servers.push(server);
            Ok(url)
        };
        self.measure("PostgreSQL", data, fresh)
    }

    fn measure(
        &self,
        name: &'static str,
        data: &Path,
        mut database: impl FnMut(&str) -> anyhow::Result<String>,
    ) -> anyhow::Result<Measured> {
        let args = self.args;
        term::step(&format!("{name}: a day of recording"));
        let url = database("growth.db")?;
        let growth = self.example(&["growth", &url, &args.growing.to_string()])?;
        term::step(&format!(
            "{name}: {} days of {} cameras",
            args.days, args.cameras
        ));
        let url = database("year.db")?;
        let numbers = [args.cameras, args.days as usize, args.per_day as usize];
        let numbers = numbers.map(|number| number.to_string());
        let year = self.example(&["fill", &url, &numbers[0], &numbers[1], &numbers[2]])?;
        term::step(&format!("{name}: a start after kill -9"));
        let url = database("crash.db")?;
        let folder = data.display().to_string();
        let numbers = [args.open, args.stored].map(|number| number.to_string());
        let left = self.example(&["crash", &url, &folder, &numbers[0], &numbers[1]])?;
        let starts = [
            self.start(data, &url, true)?,
            self.start(data, &url, false)?,
        ];
        Ok(Measured {
            name,
            growth,
            year,
            left,
            starts,
        })
    }

    fn example(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let program = self.binaries.join("examples/archive");
        let printed = run::output(run::program(program).args(arguments))?;
        serde_json::from_str(&printed).context("what the example printed")
    }

    /// Seconds until the server is ready; whether it found what it had to is checked.
    fn start(&self, data: &Path, url: &str, has_crashed: bool) -> anyhow::Result<f64> {
        let spool = data.join("spool");
        let expected = if has_crashed { self.args.open } else { 0 };
        ensure!(files_in(&spool) == expected, "the spool is not as left");
        let ready = data.join("ready.json");
        let mut command = run::program(self.binaries.join("framewell"));
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(data)
            .arg("--ready-file")
            .arg(&ready)
            .args(["--http-listen", "127.0.0.1:0"])
            .args(["--rtsp-listen", "127.0.0.1:0"])
            .args(["--rtmp-listen", "127.0.0.1:0"])
            .env("FRAMEWELL_DATABASE_URL", url)
            .current_dir(data)
            .stdout(Stdio::null());
        let started = Instant::now();
        let log = data.join("framewell.log");
        let mut process = Managed::start("framewell", &mut command, Some(&log))?;
        process.wait_until("start", START_LIMIT, || ready.exists())?;
        let seconds = started.elapsed().as_secs_f64();
        drop(process);
        std::fs::remove_file(&ready)?;
        ensure!(files_in(&spool) == 0, "the spool is not empty");
        if has_crashed {
            let stored = files_in(&data.join("objects"));
            ensure!(stored == self.args.open, "{stored} files were stored");
        }
        Ok(seconds)
    }
}

/// Segment files below a folder.
fn files_in(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.path() {
            path if path.is_dir() => files_in(&path),
            path => usize::from(path.extension().is_some_and(|end| end == "mp4")),
        })
        .sum()
}

fn report(all: &[Measured], args: &Args) -> anyhow::Result<String> {
    let mut text = table("database", all);
    let line = |text: &mut String, what: &str, cell: &dyn Fn(&Measured) -> String| {
        let cells: Vec<String> = all.iter().map(cell).collect();
        // Writing to a string does not fail.
        writeln!(text, "| {what} | {} |", cells.join(" | ")).unwrap_or_default();
    };
    line(&mut text, "MB for each camera-day", &|m| {
        scaled(&m.growth["bytes_per_camera_day"], 1e6, 2)
    });
    line(
        &mut text,
        "bytes for each segment, of which index and samples",
        &|m| {
            let index = scaled(&m.growth["index_bytes"], 1.0, 0);
            format!(
                "{}, {index}",
                scaled(&m.growth["bytes_per_segment"], 1.0, 0)
            )
        },
    );
    line(&mut text, "ms to stage and publish a segment", &|m| {
        scaled(&m.growth["ms_per_segment"], 1.0, 2)
    });
    line(&mut text, "start after `kill -9`, s until ready", &|m| {
        format!("{:.1}", m.starts[0])
    });
    line(&mut text, "the next start, s until ready", &|m| {
        format!("{:.1}", m.starts[1])
    });
    text.push('\n');
    text.push_str(&table("search in a year, p50 / p99 ms (rows found)", all));
    let first = all.first().context("no database")?;
    let names = first.year["searches"].as_object().context("no searches")?;
    for name in names.keys() {
        line(&mut text, name, &|m| search(&m.year["searches"][name]));
    }
    let rows = scaled(&first.year["rows"], 1e6, 1);
    let left = scaled(&first.left["bytes"], 1e6, 0);
    writeln!(
        text,
        "\nA day: {} cameras, 8,640 segments of 10 s and 12 gaps each, staged and published one by one as the recorder does; 5 \
         groups and 250 samples in each index. The start: {} unfinished files of {left} MB together, one of each channel, and {} \
         published rows; the release server from its start until it is ready, with everything complete in the files published, \
         which is checked; the next start has nothing to recover. A year: {} days of {} cameras with {} segments of 10 s a day, \
         {rows} million rows ({} GB), written in bulk; 1,000 searches each for another camera and time (100 of 30 days), one \
         after the other, from Rust without HTTP. The bare search is `SELECT * ... WHERE record = ?` over one connection. SQLite as \
         the server sets it up (WAL, synchronous=NORMAL); PostgreSQL 15 as Debian configures it, without syncs to disk. All \
         of it right after it was written, with what the machine's memory holds of it.\n\n{}",
        args.growing,
        args.open,
        args.stored,
        args.days,
        args.cameras,
        args.per_day,
        sizes(all),
        machine::describe()?
    )?;
    Ok(text)
}

/// GB of a year, by database.
fn sizes(all: &[Measured]) -> String {
    let size = |m: &Measured| format!("{} in {}", scaled(&m.year["bytes"], 1e9, 1), m.name);
    all.iter().map(size).collect::<Vec<_>>().join(", ")
}

fn table(what: &str, all: &[Measured]) -> String {
    let names: Vec<&str> = all.iter().map(|measured| measured.name).collect();
    let lines = "| --- ".repeat(names.len() + 1);
    format!("| {what} | {} |\n{lines}|\n", names.join(" | "))
}

fn search(value: &Value) -> String {
    let found = scaled(&value["rows"], 1.0, 0);
    let p50 = scaled(&value["p50_ms"], 1.0, 2);
    format!("{p50} / {} ({found})", scaled(&value["p99_ms"], 1.0, 2))
}

fn scaled(value: &Value, unit: f64, digits: usize) -> String {
    value.as_f64().map_or_else(
        || "-".to_owned(),
        |number| format!("{:.digits$}", number / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_are_rounded_and_missing_ones_are_a_dash() {
        let found = json!({"p50_ms": 0.126, "p99_ms": null, "rows": 3});
        assert_eq!(search(&found), "0.13 / - (3)");
        assert_eq!(scaled(&json!(1_234_567), 1e6, 2), "1.23");
    }
}
