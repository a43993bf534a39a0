//! `cargo xtask demo`: cameras in, one group token out, an AI engine at work, on a machine that had only Rust.

mod cameras;
mod tell;
mod wait;

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::deps::{self, Purpose};
use crate::server::{self, Entry, Options, Server};
use crate::{python, run, stop, term, workspace};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Cameras play the recorded footage (MP4 files) of this folder instead of synthetic scenes.
    #[arg(long, value_name = "DIR")]
    media: Option<PathBuf>,
    /// End everything after the AI engine, with its exit status.
    #[arg(long)]
    exit_after_engine: bool,
    /// Do not delete the database and the recordings at the end.
    #[arg(long)]
    keep_data: bool,
    /// Build with optimisation: slower to build, for a machine with many cameras.
    #[arg(long)]
    release: bool,
    /// Address to listen on. Others on the network can reach the demo with 0.0.0.0.
    #[arg(long, default_value = "127.0.0.1")]
    listen: String,
    /// HTTP port; default 8080, or a free one if that is taken.
    #[arg(long)]
    port: Option<u16>,
    /// RTSP port; default 8554, or a free one if that is taken.
    #[arg(long)]
    rtsp_port: Option<u16>,
    /// Pictures that the engine looks at, of each camera.
    #[arg(long, default_value_t = 8)]
    pictures: u32,
}

/// As the tests run it: on free ports, ended after the engine.
pub(crate) fn for_tests(media: Option<PathBuf>) -> Args {
    Args {
        media,
        exit_after_engine: true,
        keep_data: false,
        release: false,
        listen: "127.0.0.1".to_owned(),
        port: None,
        rtsp_port: None,
        pictures: 5,
    }
}

/// Runs it; gives the last line of the engine, which says what it did.
pub(crate) fn main(args: &Args) -> anyhow::Result<Vec<String>> {
    deps::ensure(Purpose::Demo)?;
    let target = workspace::target_dir()?;
    term::step("Python packages of the AI engine");
    let python = python::environment(
        "python-examples",
        &python::examples().join("requirements.txt"),
    )?;
    build(args.release)?;
    let folder = tempfile::Builder::new()
        .prefix("demo-")
        .tempdir_in(&target)?;
    let shown = run_in(
        args,
        folder.path(),
        &server::binaries(&target, args.release),
        &python,
    );
    if args.keep_data {
        term::note(&format!("kept: {}", folder.keep().display()));
    }
    shown
}

/// Everything between the build and the clean-up.
fn run_in(
    args: &Args,
    folder: &Path,
    binaries: &Path,
    python: &Path,
) -> anyhow::Result<Vec<String>> {
    term::step("Cameras");
    let cameras = cameras::start(binaries, folder, args.media.as_deref())?;
    for camera in &cameras.list {
        term::note(&format!("{:<28} {}", camera.name, camera.url));
    }
    term::step("Server, with SQLite and a data folder");
    let mut server = Server::start(&options(args, folder, binaries))?;
    term::note(&format!(
        "{} and rtsp://{}, data in {}",
        server.url(),
        server.rtsp,
        folder.display()
    ));
    let (channels, group) = create(&server, &cameras.list)?;
    term::step("Waiting until every camera is recorded");
    wait::until_recorded(&mut server, &channels, &group)?;
    term::step("The AI engine, which is given the group token and nothing else");
    let verdict = engine(python, &group, args.pictures)?;
    if !args.exit_after_engine {
        tell::what_to_try(&server, &channels, &group)?;
        stop::wait_unless(|| server.process.fail_if_ended().is_err());
        server.process.fail_if_ended()?;
    }
    term::step("Stopping the server, which closes its open segments");
    let status = server.process.end()?;
    anyhow::ensure!(status.success(), "the server ended with {status}");
    term::note("The demo worked; everything is stopped");
    Ok(verdict)
}

fn build(release: bool) -> anyhow::Result<()> {
    let profile = if release {
        "optimised"
    } else {
        "not optimised; --release for speed"
    };
    term::step(&format!(
        "Building ({profile}; the first time takes several minutes)"
    ));
    let mut command = run::cargo(["build", "--workspace", "--bins"]);
    if release {
        command.arg("--release");
    }
    run::expect_success(&mut command)
}

fn options(args: &Args, folder: &Path, binaries: &Path) -> Options {
    let port = |wanted: Option<u16>, usual| wanted.unwrap_or_else(|| free_or_any(args, usual));
    Options {
        binaries: binaries.to_path_buf(),
        data: folder.join("data"),
        http_listen: format!("{}:{}", args.listen, port(args.port, 8080)),
        rtsp_listen: format!("{}:{}", args.listen, port(args.rtsp_port, 8554)),
        rtmp_listen: format!("{}:{}", args.listen, free_or_any(args, 1935)),
        // Recordings appear sooner than with the default of ten seconds.
        settings: vec![("FRAMEWELL_RECORD__SEGMENT_S", "4".to_owned())],
    }
}

/// The usual port for somebody who stays, if nobody has it; else 0, which lets the server take a free one.
fn free_or_any(args: &Args, usual: u16) -> u16 {
    let is_free = TcpListener::bind((args.listen.as_str(), usual)).is_ok();
    if is_free && !args.exit_after_engine {
        usual
    } else {
        0
    }
}

fn create(server: &Server, cameras: &[cameras::Camera]) -> anyhow::Result<(Vec<Entry>, Entry)> {
    let channels = cameras
        .iter()
        .map(|camera| server.create_channel(&camera.name, &camera.url))
        .collect::<anyhow::Result<Vec<Entry>>>()?;
    let group = server.create_group("demo", &channels)?;
    term::note(&format!(
        "created {} channels and the group {}",
        channels.len(),
        group.name
    ));
    Ok((channels, group))
}

fn engine(python: &Path, group: &Entry, pictures: u32) -> anyhow::Result<Vec<String>> {
    let mut command = run::program(python);
    // Unbuffered, so that its lines appear when it writes them.
    command
        .arg("-u")
        .arg(python::examples().join("people_counter.py"));
    command.args([
        "--pictures",
        &pictures.to_string(),
        "--rate",
        "1",
        "--must-detect",
    ]);
    command.env("GROUP_TOKEN", &group.token);
    run::keep_lines(&mut command, |line| {
        line.starts_with("OK: ") || line.starts_with("FAILED: ")
    })
    .context("the AI engine was not successful")
}
