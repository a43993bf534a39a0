//! A Python environment below the build folder, with the packages of one requirements file.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::{run, term, workspace};

/// The folder of the example engines.
pub(crate) fn examples() -> PathBuf {
    workspace::root().join("clients/python/examples")
}

/// The folder of the client package.
pub(crate) fn client() -> PathBuf {
    workspace::root().join("clients/python")
}

/// The interpreter of the environment `name`, created or brought up to date with `requirements`.
pub(crate) fn environment(name: &str, requirements: &Path) -> anyhow::Result<PathBuf> {
    let wanted = std::fs::read_to_string(requirements)
        .with_context(|| format!("requirements file {}", requirements.display()))?;
    let folder = workspace::target_dir()?.join(name);
    let interpreter = folder.join("bin/python");
    let stamp = folder.join("framewell-requirements.txt");
    // The stamp is written last, so a half-made environment is made again.
    if interpreter.exists() && std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        term::note(&format!(
            "Python environment {} is up to date",
            folder.display()
        ));
        return Ok(interpreter);
    }
    run::expect_success(
        run::program("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    )
    .context("the Python environment could not be made: is the package python3-venv installed?")?;
    run::expect_success(
        run::program(&interpreter)
            .args([
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--no-input",
                "--quiet",
                "-r",
            ])
            .arg(requirements),
    )
    .context("pip could not install the packages")?;
    std::fs::write(&stamp, wanted)?;
    Ok(interpreter)
}
