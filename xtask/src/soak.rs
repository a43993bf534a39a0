//! `cargo xtask soak`: a real server while cameras, networks, disk and database break, and the account of
//! every picture at the end.

use crate::deps::{self, Purpose};
use crate::{run, server, term, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long things are broken, in minutes.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// How many cameras.
    #[arg(long, default_value_t = 20)]
    cameras: usize,
    /// Of the plan of faults: the same seed breaks the same in the same order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// PostgreSQL behind a proxy that breaks too, instead of SQLite on the small disk.
    #[arg(long)]
    postgres: bool,
    /// Size of the disk in MiB.
    #[arg(long, default_value_t = 256)]
    disk_mib: u32,
    /// The unoptimised build.
    #[arg(long)]
    debug: bool,
    /// Takes the executables that are there.
    #[arg(long)]
    no_build: bool,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    deps::ensure(Purpose::Test)?;
    if !args.no_build {
        term::step("Building");
        let mut build = run::cargo(["build", "--workspace", "--bins"]);
        if !args.debug {
            build.arg("--release");
        }
        run::expect_success(&mut build)?;
    }
    let target = workspace::target_dir()?;
    let binaries = server::binaries(&target, !args.debug);
    let log = target.join("soak.log");
    if log.exists() {
        std::fs::remove_file(&log)?;
    }
    term::step(&format!(
        "Soak: {} cameras, {} minutes, seed {}",
        args.cameras, args.minutes, args.seed
    ));
    let mut command = run::program(binaries.join("soak"));
    command.arg("--binaries").arg(&binaries);
    command.arg("--log").arg(&log);
    command.args(["--minutes", &args.minutes.to_string()]);
    command.args(["--cameras", &args.cameras.to_string()]);
    command.args(["--seed", &args.seed.to_string()]);
    command.args(["--disk-mib", &args.disk_mib.to_string()]);
    if args.postgres {
        command.arg("--postgres");
    }
    term::note(&format!("the server's log is {}", log.display()));
    run::expect_success(&mut command)
}
