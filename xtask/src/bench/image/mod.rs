//! Pictures from a recording: our server beside the ffmpeg command line, PyAV, OpenCV, and the bare limit of the
//! libraries.
//!
//! Our server first records the footage from a fake camera, in real time, by the path that every recording takes; the
//! other tools read the same packets from one MP4 file. Then all do the same work.

mod job;
mod outcome;
mod recording;
mod report;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use framewell_model::WallTime;

use self::job::{Job, Theirs, first_of, one_by_one, random_offsets, side_by_side};
use self::outcome::Outcome;
use self::recording::Recording;
use self::report::Singles;
use super::{document, footage, machine};
use crate::deps::{self, Purpose};
use crate::fakecam::{self, Source};
use crate::{python, run, server, term, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Minutes of footage; they are recorded in real time first.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Pictures at random instants.
    #[arg(long, default_value_t = 100)]
    random: usize,
    /// What to measure; each has a table of its own.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Singles, Part::Many, Part::Day])]
    only: Vec<Part>,
    /// Only print; leave docs/benchmarks.md as it is.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Pictures asked for one by one.
    Singles,
    /// Rates and key frames over the whole footage.
    Many,
    /// The first picture of 24 hours.
    Day,
}

impl Part {
    /// Its place in docs/benchmarks.md.
    const fn place(self) -> &'static str {
        match self {
            Self::Singles => "image-singles",
            Self::Many => "image-many",
            Self::Day => "image-day",
        }
    }
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    deps::ensure(Purpose::Bench)?;
    super::build()?;
    build_examples()?;
    let scripts = workspace::root().join("xtask/bench");
    let python = python::environment("python-bench", &scripts.join("requirements.txt"))?;
    let (source, scene) = footage::find_or_make()?;
    let target = workspace::target_dir()?;
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&target)?;
    let seconds = args.minutes * 60;
    let file = recording::long_file(&source, folder.path(), seconds)?;
    let binaries = server::binaries(&target, true);
    let cameras = fakecam::start(&binaries, folder.path(), &Source::File(source), 1)?;
    let recording = recording::record(&cameras.urls[0], &binaries, folder.path(), seconds)?;
    // The camera is silent while pictures are measured.
    drop(cameras);
    let theirs = Theirs {
        python: &python,
        limit: &binaries.join("examples/limit"),
        file: &file,
    };
    let machine = machine::describe()?;
    for part in &args.only {
        let text = match part {
            Part::Singles => {
                let singles = singles(&recording, &theirs, args.random, seconds)?;
                format!("{}\n{}", singles.table(), caption_of_singles(args, scene))
            }
            Part::Many => {
                let jobs = many(&recording, &theirs, seconds)?;
                format!("{}\n{}", report::many(&jobs), caption_of_many(args, scene))
            }
            Part::Day => first_of_a_day(&recording, &binaries)?,
        };
        let text = format!("{text}\n\n{machine}");
        println!("\n{text}");
        if !args.dry_run {
            document::replace(part.place(), &text)?;
        }
    }
    Ok(())
}

fn build_examples() -> anyhow::Result<()> {
    for (package, example) in [
        ("framewell-decoder", "limit"),
        ("framewell-footage", "stretch"),
    ] {
        let arguments = ["build", "--release", "-p", package, "--example", example];
        run::expect_success(&mut run::cargo(arguments))?;
    }
    Ok(())
}

fn singles(
    recording: &Recording,
    theirs: &Theirs<'_>,
    count: usize,
    seconds: u64,
) -> anyhow::Result<Singles> {
    let offsets = random_offsets(count, seconds);
    term::step("Exact pictures at random instants");
    let random = side_by_side(recording, theirs, Job::Random(&offsets))?;
    // The last ones asked for: what is kept between requests is bounded.
    let recent = &offsets[offsets.len().saturating_sub(20)..];
    let begin = recent.first().copied().unwrap_or(0.0);
    let frames: Vec<f64> = (1..=20).map(|n| begin + f64::from(n) * FRAME_S).collect();
    let again = one_by_one(recording, recent, "")?;
    // The decoder gets to the first of them.
    one_by_one(recording, &[begin + FRAME_S / 2.0], "&width=320")?;
    let next = one_by_one(recording, &frames, "")?;
    term::step("Key frames at random instants");
    // Other instants than before, so that no GOP is warm.
    let offsets: Vec<f64> = random_offsets(2 * count, seconds).split_off(count);
    let key = side_by_side(recording, theirs, Job::Key(&offsets))?;
    Ok(Singles {
        random,
        key,
        next,
        again,
    })
}

fn many(
    recording: &Recording,
    theirs: &Theirs<'_>,
    seconds: u64,
) -> anyhow::Result<Vec<(&'static str, Vec<Outcome>)>> {
    let jobs = [
        ("1 per second", Job::Sample(1.0, seconds)),
        ("5 per second", Job::Sample(0.2, seconds)),
        ("every key frame", Job::Keys(seconds)),
    ];
    jobs.into_iter()
        .map(|(what, job)| {
            term::step(what);
            Ok((what, side_by_side(recording, theirs, job)?))
        })
        .collect()
}

/// Time to the first picture of a range of 24 hours, which is made by naming the recording's objects again.
fn first_of_a_day(recording: &Recording, binaries: &Path) -> anyhow::Result<String> {
    term::step("First picture of 24 hours");
    let printed = run::output(
        run::program(binaries.join("examples/stretch"))
            .arg(&recording.data)
            .arg(recording.channel.id.to_string())
            .arg("24"),
    )?;
    let start: WallTime = printed.trim().parse().context("the start of the day")?;
    let end = start + Duration::from_secs(24 * 3600);
    let mut line = String::from("First picture of a 24-hour range (8,640 segments), ms:");
    for (name, rule) in [
        ("1 per second", "every=1s"),
        ("1 per minute", "every=1m"),
        ("key frames", "keyframes=true"),
    ] {
        let mut tries = (0..9)
            .map(|_| first_of(recording, start, end, rule))
            .collect::<anyhow::Result<Vec<f64>>>()?;
        tries.sort_by(f64::total_cmp);
        let ms = |index: usize| tries[index] * 1000.0;
        line.push_str(&format!(
            " {name} p50 {:.0} (slowest of 9: {:.0});",
            ms(4),
            ms(8)
        ));
    }
    term::note(&line);
    Ok(format!("{}.", line.trim_end_matches(';')))
}

/// How long a picture is shown, in seconds.
const FRAME_S: f64 = 0.04;
const FOOTAGE: &str = "1080p, 25 frames/s, H.264, 4 Mbit/s, a key frame every 2 s";

fn caption_of_singles(args: &Args, scene: &str) -> String {
    format!(
        "{} minutes of {scene}: {FOOTAGE}. {} instants, one request after the other; the last two rows ask 20 times. \
         Full size, JPEG of quality 80 (ffmpeg: `-q:v 4`); CPU of the server and its decoder processes. PyAV keeps the \
         file open and encodes from YUV with libjpeg-turbo; ffmpeg is started for each picture.",
        args.minutes, args.random
    )
}

fn caption_of_many(args: &Args, scene: &str) -> String {
    format!(
        "{} minutes of {scene}: {FOOTAGE}. Ours is one request for the range, on all cores; the others make one pass \
         with one thread. Full size, JPEG of quality 80 (ffmpeg: `-q:v 4`); CPU of the server and its decoder processes. \
         The bare limit is `crates/decoder/examples/limit.rs`: decode every picture in one loop (key frames only in the \
         last rows), encode the wanted ones, nothing else; ours decodes a GOP only up to its last wanted picture.",
        args.minutes
    )
}
