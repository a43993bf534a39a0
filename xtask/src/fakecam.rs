//! Fake cameras: the test kit's `fakecam`, one process for any number of cameras that show the same.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

use crate::child::Managed;
use crate::run;

/// What a camera shows.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A synthetic scene with a stamp in every picture, encoded as asked.
    Synthetic(&'static [&'static str]),
    /// The packets of a file, over and over.
    File(PathBuf),
}

/// The running cameras.
#[derive(Debug)]
pub(crate) struct Cameras {
    process: Managed,
    /// An RTSP URL for each.
    pub(crate) urls: Vec<String>,
}

impl Cameras {
    /// The process of all of them.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Starts `count` cameras; their process logs into `folder`.
pub(crate) fn start(
    binaries: &Path,
    folder: &Path,
    source: &Source,
    count: usize,
) -> anyhow::Result<Cameras> {
    let mut command = run::program(binaries.join("fakecam"));
    match source {
        Source::Synthetic(arguments) => command.args(*arguments),
        Source::File(file) => command.arg("--loop").arg(file),
    };
    launch(command, folder, count)
}

/// Starts one camera that plays a file and says in each picture when it was sent.
pub(crate) fn start_with_clock(
    binaries: &Path,
    folder: &Path,
    file: &Path,
) -> anyhow::Result<Cameras> {
    let mut command = run::program(binaries.join("fakecam"));
    command.arg("--clock").arg("--loop").arg(file);
    launch(command, folder, 1)
}

fn launch(mut command: Command, folder: &Path, count: usize) -> anyhow::Result<Cameras> {
    command
        .args(["--count", &count.to_string()])
        .stdout(Stdio::piped());
    let log = tempfile::Builder::new()
        .prefix("fakecam-")
        .suffix(".log")
        .tempfile_in(folder)?;
    let mut process = Managed::start("fakecam", &mut command, Some(log.path()))?;
    // The log goes with the folder.
    log.keep()?;
    let (line, _rest) = process.first_line()?;
    let said: Value =
        serde_json::from_str(&line).with_context(|| format!("fakecam said {line}"))?;
    let urls: Vec<String> = said["urls"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|url| url.as_str().map(str::to_owned))
        .collect();
    anyhow::ensure!(
        urls.len() == count,
        "fakecam was asked for {count} cameras and said {line}"
    );
    Ok(Cameras { process, urls })
}
