//! `cargo xtask test`: everything, unit to end-to-end, on a machine that had only Rust.

use std::process::Command;

use anyhow::Context as _;

use crate::deps::{self, Purpose};
use crate::postgres::Postgres;
use crate::{demo, python, run, term, workspace};

/// The runner's version that a machine without one gets.
const NEXTEST: &str = "0.9.143";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the Rust tests whose name contains this; leaves out the other parts.
    filter: Option<String>,
    /// Runs the Rust tests with plain `cargo test`, for a machine where cargo-nextest cannot be installed.
    /// A test that hangs then hangs the run.
    #[arg(long)]
    plain_cargo: bool,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    deps::ensure(Purpose::Test)?;
    if !args.plain_cargo {
        ensure_nextest()?;
    }
    build()?;
    rust_tests(args)?;
    if args.filter.is_some() {
        term::step("Only the Rust tests that match were run");
        return Ok(());
    }
    doc_tests()?;
    python_tests()?;
    demo::main(&demo::for_tests(None))?;
    if let Some(media) = workspace::shared_media() {
        demo::main(&demo::for_tests(Some(media)))?;
    }
    term::step("All tests passed: Rust, documentation, Python, the demo");
    Ok(())
}

fn ensure_nextest() -> anyhow::Result<()> {
    if workspace::find_program("cargo-nextest").is_some() {
        return Ok(());
    }
    term::step("Installing the test runner cargo-nextest (once; several minutes)");
    run::expect_success(&mut run::cargo([
        "install",
        "cargo-nextest",
        "--locked",
        "--version",
        NEXTEST,
    ]))
    .context("without cargo-nextest: cargo xtask test --plain-cargo")
}

fn build() -> anyhow::Result<()> {
    term::step("Building (a cold build takes several minutes)");
    // The end-to-end tests start the server, the decoder and the fake camera, which belong to different packages.
    run::expect_success(&mut run::cargo(["build", "--workspace", "--bins"]))
}

fn rust_tests(args: &Args) -> anyhow::Result<()> {
    term::step("PostgreSQL");
    let postgres = Postgres::start()?;
    term::step("Rust tests");
    let mut command = if args.plain_cargo {
        run::cargo(["test", "--workspace", "--all-targets", "--no-fail-fast"])
    } else {
        run::cargo(["nextest", "run", "--workspace", "--no-fail-fast"])
    };
    command.env("FRAMEWELL_TEST_POSTGRES_URL", postgres.url());
    name_media(&mut command);
    if let Some(filter) = &args.filter {
        command.arg(filter);
    }
    run::expect_success(&mut command)
}

/// Tells the end-to-end tests where real footage is, and the reader whether they had any.
fn name_media(command: &mut Command) {
    match workspace::shared_media() {
        Some(folder) => {
            term::note(&format!(
                "end-to-end tests also run over the real footage in {}",
                folder.display()
            ));
            command.env("FRAMEWELL_TEST_MEDIA", folder);
        }
        None => term::note(
            "no ../shared/media beside the checkout: end-to-end tests run on synthetic cameras only",
        ),
    }
}

fn doc_tests() -> anyhow::Result<()> {
    term::step("Examples in the documentation");
    run::expect_success(&mut run::cargo(["test", "--workspace", "--doc", "--quiet"]))
}

fn python_tests() -> anyhow::Result<()> {
    term::step("Python tests of the example engine");
    let requirements = python::examples().join("requirements.txt");
    let interpreter = python::environment("python-examples", &requirements)?;
    run::expect_success(
        run::program(&interpreter)
            .args(["-m", "unittest", "discover", "--start-directory"])
            .arg(python::examples())
            .args(["--pattern", "test_*.py"]),
    )
}
