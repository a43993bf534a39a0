//! `cargo xtask bench`: our figures beside the usual tool's, on the same machine in the same run.

mod archive;
mod clip;
mod document;
mod engines;
mod footage;
mod image;
mod machine;
mod metadata;
mod meter;
mod record;
mod streams;
mod subscriptions;
mod writes;

use clap::Subcommand;

use crate::{run, term};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Time to the first byte, throughput and CPU of clips, beside ffmpeg's concat demuxer and beside reading the segments.
    Clip(clip::Args),
    /// CPU and memory of recording cameras, beside one `ffmpeg -c copy -f segment` a camera.
    Record(record::Args),
    /// Time and CPU of pictures from a recording, beside the ffmpeg command line, PyAV, OpenCV and the bare limit.
    Image(image::Args),
    /// CPU and age of live pictures for 1, 10 and 50 engines on one camera, beside one ffmpeg an engine.
    Engines(engines::Args),
    /// CPU, delay and loss of 1 to 1,000 RTSP, 100 to 300 HLS, 50 WebRTC and 1 to 100 RTMP readers of one camera, beside
    /// gst-rtsp-server, nginx, nginx-rtmp and a bare sender; and the first byte of a day's playlist.
    Streams(streams::Args),
    /// Delay of events to 1 and 100 subscribers, on SQLite and PostgreSQL.
    Subscriptions(subscriptions::Args),
    /// Growth of the catalog, searches in a year of rows, and a start after `kill -9`, on SQLite and PostgreSQL.
    Archive(archive::Args),
    /// Documents written and searched on SQLite and PostgreSQL, and nearest vectors, beside a bare insert loop.
    Metadata(metadata::Args),
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    match &args.bench {
        Bench::Clip(args) => clip::main(args),
        Bench::Record(args) => record::main(args),
        Bench::Image(args) => image::main(args),
        Bench::Engines(args) => engines::main(args),
        Bench::Streams(args) => streams::main(args),
        Bench::Subscriptions(args) => subscriptions::main(args),
        Bench::Archive(args) => archive::main(args),
        Bench::Metadata(args) => metadata::main(args),
    }
}

/// A build without optimisation, to see whether a benchmark works.
fn build_for_trial() -> anyhow::Result<()> {
    term::step("Building without optimisation: the figures are for nobody");
    run::expect_success(&mut run::cargo([
        "build",
        "-p",
        "framewell-server",
        "-p",
        "framewell-decoder",
        "-p",
        "framewell-testkit",
        "--bins",
    ]))
}

/// The optimised build; figures of another one mean nothing.
fn build() -> anyhow::Result<()> {
    term::step("Building with optimisation (the first time takes ten minutes or more)");
    run::expect_success(&mut run::cargo([
        "build",
        "--workspace",
        "--bins",
        "--release",
    ]))
}
