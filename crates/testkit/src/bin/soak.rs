//! `soak`: records cameras while everything breaks, and accounts for every picture.
//!
//! Says what it breaks as it goes, then a table. Fails if a picture is not accounted for.

use anyhow::{Result, ensure};
use clap::Parser;
use framewell_testkit::soak::{self, Plan};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Records cameras while everything breaks.
#[derive(Debug, Parser)]
struct Args {
    /// Folder with the executable `framewell`.
    #[arg(long)]
    binaries: PathBuf,
    /// File for the log of the server.
    #[arg(long)]
    log: PathBuf,
    /// How long things are broken, in minutes.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// How many cameras.
    #[arg(long, default_value_t = 20)]
    cameras: usize,
    /// Of the plan of faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// PostgreSQL instead of SQLite; it is taken away too.
    #[arg(long)]
    postgres: bool,
    /// Size of the disk in MiB.
    #[arg(long, default_value_t = 256)]
    disk_mib: u32,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.cameras > 0, "--cameras must be at least 1");
    ensure!(
        args.minutes > 0.0 && args.minutes <= 10_000.0,
        "--minutes must be more than 0 and at most 10000"
    );
    let plan = Plan {
        binaries: args.binaries,
        log: args.log,
        length: Duration::from_secs_f64(args.minutes * 60.0),
        cameras: args.cameras,
        seed: args.seed,
        with_postgres: args.postgres,
        disk_mib: args.disk_mib,
    };
    let start = Instant::now();
    let mut stdout = std::io::stdout();
    let report = soak::run(&plan, |text| {
        let seconds = start.elapsed().as_secs();
        // Without a reader of what is said, the account still counts.
        let _said = writeln!(stdout, "{:>3}:{:02} {text}", seconds / 60, seconds % 60);
    })
    .await?;
    writeln!(stdout, "\n{report}")?;
    ensure!(report.is_settled(), "not every picture is accounted for");
    writeln!(stdout, "Every picture is accounted for.")?;
    Ok(())
}
