//! The project's own commands: `cargo xtask <command>`.
//!
//! People and CI call the same commands. Everything here is plain, blocking Rust over crates that need no system
//! library, so that it builds on a machine that has nothing but Rust and a linker, and can install the rest.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these commands talk to a person at a terminal"
)]

mod bench;
mod check;
mod child;
mod demo;
mod deps;
mod fakecam;
mod fuzz;
mod generated;
mod hls_js;
mod http;
mod object_store;
mod postgres;
mod python;
mod run;
mod server;
mod soak;
mod stop;
mod term;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Framewell's own commands")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Cameras, a server and the example AI engine at work, then left up to try.
    Demo(demo::Args),
    /// Formatting, lints, documentation, layers, links, generated files.
    Check(check::Args),
    /// Install what the tests need and run everything, unit to end-to-end.
    Test(test::Args),
    /// Feed bad input to everything that reads bytes of strangers, with cargo-fuzz.
    Fuzz(fuzz::Args),
    /// Measure, beside the usual tools, and write docs/benchmarks.md.
    Bench(bench::Args),
    /// Record while everything breaks, and account for every picture.
    Soak(soak::Args),
    /// Write the reference files that come from the code.
    Gen(generated::Args),
    /// Install the system packages for one purpose, saying first which and why.
    Deps(deps::Args),
}

fn main() -> ExitCode {
    match run_command(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_command(command: Command) -> anyhow::Result<()> {
    stop::listen()?;
    match command {
        Command::Demo(args) => demo::main(&args).map(drop),
        Command::Check(args) => check::main(&args),
        Command::Test(args) => test::main(&args),
        Command::Fuzz(args) => fuzz::main(&args),
        Command::Bench(args) => bench::main(&args),
        Command::Soak(args) => soak::main(&args),
        Command::Gen(args) => generated::main(&args),
        Command::Deps(args) => deps::main(&args),
    }
}
