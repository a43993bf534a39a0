//! `cargo xtask test`: everything, unit to end-to-end, on a machine that had only Rust.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::deps::{self, Purpose};
use crate::object_store::ObjectStore;
use crate::postgres::Postgres;
use crate::{demo, fuzz, hls_js, python, run, term, workspace};

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
    hls_js::ensure()?;
    build()?;
    // What each runner said about itself, repeated at the end.
    let mut summaries = rust_tests(args)?;
    if args.filter.is_none() {
        summaries.extend(doc_tests()?);
        summaries.extend(fuzz::for_tests()?);
        summaries.extend(python_tests()?);
        summaries.extend(demos()?);
    }
    term::step("All tests passed");
    for line in summaries {
        term::note(&line);
    }
    Ok(())
}

/// The demo, which is the main job from end to end: on synthetic cameras, and on real footage if it is there.
fn demos() -> anyhow::Result<Vec<String>> {
    let mut summaries = demo::main(&demo::for_tests(None))?;
    if let Some(media) = workspace::shared_media() {
        summaries.extend(demo::main(&demo::for_tests(Some(media)))?);
    }
    Ok(summaries)
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

fn rust_tests(args: &Args) -> anyhow::Result<Vec<String>> {
    term::step("PostgreSQL");
    let postgres = Postgres::start()?;
    term::step("S3-compatible object store");
    let store = ObjectStore::start()?;
    term::step("Rust tests");
    let mut command = if args.plain_cargo {
        run::cargo(["test", "--workspace", "--all-targets", "--no-fail-fast"])
    } else {
        run::cargo(["nextest", "run", "--workspace", "--no-fail-fast"])
    };
    command.env("FRAMEWELL_TEST_POSTGRES_URL", postgres.url());
    command.env("FRAMEWELL_TEST_S3_ENDPOINT", store.endpoint());
    name_media(&mut command);
    name_players(&mut command)?;
    if let Some(filter) = &args.filter {
        command.arg(filter);
    }
    if std::io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    run::keep_lines(&mut command, |line| {
        let line = line.trim_start();
        line.starts_with("Summary [")
            || line.starts_with("FAIL [")
            || line.starts_with("TIMEOUT [")
            || is_cargo_summary(line)
    })
}

/// Installs what Debian lacks, and tells the tests where it is: an FFmpeg that is newer than Debian's, for what that
/// cannot send and play, and a Python with OpenCV.
fn name_players(command: &mut Command) -> anyhow::Result<()> {
    term::step("Encoders and players from PyPI");
    let requirements = workspace::root().join("crates/server/tests/e2e/players.txt");
    let interpreter = python::environment("test-players", &requirements)?;
    let mut ask = run::program(&interpreter);
    ask.args([
        "-c",
        "import imageio_ffmpeg as f; print(f.get_ffmpeg_exe())",
    ]);
    command.env("FRAMEWELL_TEST_NEW_FFMPEG", run::output(&mut ask)?.trim());
    command.env("FRAMEWELL_TEST_PLAYERS_PYTHON", interpreter);
    Ok(())
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

/// The line of `cargo test` after each test binary that has tests.
fn is_cargo_summary(line: &str) -> bool {
    line.starts_with("test result: ") && !line.contains(" 0 passed; 0 failed;")
}

fn doc_tests() -> anyhow::Result<Vec<String>> {
    term::step("Examples in the documentation");
    run::keep_lines(
        &mut run::cargo(["test", "--workspace", "--doc", "--quiet"]),
        is_cargo_summary,
    )
}

fn python_tests() -> anyhow::Result<Vec<String>> {
    term::step("Python tests of the example engine");
    let mut summaries = unittest("python-examples", &python::examples())?;
    term::step("Python tests of the client, against a real server");
    summaries.extend(unittest("python-client", &python::client().join("tests"))?);
    Ok(summaries)
}

/// Runs the tests in a folder, in the environment `name` with the packages that the folder names.
fn unittest(name: &str, folder: &Path) -> anyhow::Result<Vec<String>> {
    let interpreter = python::environment(name, &folder.join("requirements.txt"))?;
    let mut command = run::program(&interpreter);
    command
        .args(["-m", "unittest", "discover", "--start-directory"])
        .arg(folder)
        .args(["--pattern", "test_*.py"])
        .env("PYTHONPATH", python::client())
        .env("FRAMEWELL_TEST_BIN", workspace::target_dir()?.join("debug"));
    run::keep_lines(&mut command, |line| {
        line.starts_with("Ran ") || line.starts_with("FAILED ")
    })
}
