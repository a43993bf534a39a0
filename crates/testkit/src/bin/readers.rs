//! `readers`: any number of readers of one stream, for benchmarks.
//!
//! Says `ready` in a line when they begin to count, and what they saw in one line of JSON at the end.

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use framewell_testkit::load::{self, Plan};
use std::io::Write;
use std::time::Duration;

/// Reads a stream so many times at once, and says what arrived.
#[derive(Debug, Parser)]
struct Args {
    /// Over what.
    #[arg(value_enum)]
    protocol: Protocol,
    /// Of what: `rtsp://…`, `rtmp://…`, the `http://…` of a playlist or of WHEP.
    url: String,
    /// How many readers.
    #[arg(long, default_value_t = 1)]
    readers: usize,
    /// Seconds between the start of the last reader and the first one that counts.
    #[arg(long, default_value_t = 3.0)]
    settle: f64,
    /// Seconds that count.
    #[arg(long, default_value_t = 12.0)]
    seconds: f64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Protocol {
    Rtsp,
    Hls,
    Rtmp,
    Webrtc,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let plan = Plan {
        protocol: match args.protocol {
            Protocol::Rtsp => load::Protocol::Rtsp,
            Protocol::Hls => load::Protocol::Hls,
            Protocol::Rtmp => load::Protocol::Rtmp,
            Protocol::Webrtc => load::Protocol::WebRtc,
        },
        url: args.url,
        readers: args.readers,
        settle: Duration::from_secs_f64(args.settle),
        length: Duration::from_secs_f64(args.seconds),
    };
    let say = |line: &str| {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{line}").context("standard output")?;
        stdout.flush().context("standard output")
    };
    let seen = load::run(&plan, || say("ready")).await?;
    say(&seen.json(&plan))
}
