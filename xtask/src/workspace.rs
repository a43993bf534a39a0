//! Where things are: the checkout, the build folder, the binaries.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Context as _;
use serde_json::Value;

use crate::run;

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        // cargo sets the variable when it runs us; the compiled-in value serves a direct call of the executable.
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        manifest
            .parent()
            .map_or_else(|| manifest.clone(), Path::to_path_buf)
    })
}

/// The cargo that runs us.
pub(crate) fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// The packages and the resolved graph of the dependencies, for the machine we run on.
pub(crate) fn dependency_graph() -> anyhow::Result<Value> {
    // Without the filter cargo would download the packages of every other system too.
    metadata(&["--locked", "--filter-platform", &host()?])
}

fn metadata(args: &[&str]) -> anyhow::Result<Value> {
    let mut command = run::cargo(["metadata", "--format-version", "1"]);
    let answer = run::output(command.args(args))?;
    serde_json::from_str(&answer).context("cargo metadata gave no JSON")
}

/// The triple of this machine.
pub(crate) fn host() -> anyhow::Result<String> {
    let version = run::output(run::program("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc names no host")
}

/// Cargo's build folder, which `CARGO_TARGET_DIR` and the user's configuration can move.
pub(crate) fn target_dir() -> anyhow::Result<PathBuf> {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    if let Some(found) = TARGET.get() {
        return Ok(found.clone());
    }
    let metadata = metadata(&["--no-deps"])?;
    let found = metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .context("cargo metadata names no target folder")?;
    Ok(TARGET.get_or_init(|| found).clone())
}

/// Real footage: the folder that `FRAMEWELL_TEST_MEDIA` names, else `../shared/media` beside the checkout.
pub(crate) fn shared_media() -> Option<PathBuf> {
    let folder = std::env::var_os("FRAMEWELL_TEST_MEDIA")
        .map_or_else(|| root().join("../shared/media"), PathBuf::from);
    std::fs::canonicalize(folder)
        .ok()
        .filter(|folder| folder.is_dir())
}

/// The first executable file called `name` in `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| {
            rustix::fs::access(candidate, rustix::fs::Access::EXEC_OK).is_ok()
                && candidate.is_file()
        })
}
