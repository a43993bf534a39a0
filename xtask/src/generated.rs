//! `cargo xtask gen`: reference files that the code itself writes.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::{run, server, term, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only compare; the exit status is 1 if a file is not what the code would write.
    #[arg(long)]
    check: bool,
}

/// A file below `docs/ref/` and the arguments of `framewell` that print it.
const FILES: [(&str, &[&str]); 2] = [
    ("docs/ref/openapi.json", &["openapi"]),
    ("docs/ref/config.toml", &["config", "check"]),
];

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    if args.check {
        return check();
    }
    build()?;
    for (path, text) in print_all()? {
        std::fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        term::note(&format!("wrote {}", shown(&path)));
    }
    Ok(())
}

/// An error if a committed file differs from what the code prints now.
pub(crate) fn check() -> anyhow::Result<()> {
    build()?;
    let mut stale = Vec::new();
    for (path, text) in print_all()? {
        if std::fs::read_to_string(&path).unwrap_or_default() != text {
            stale.push(shown(&path));
        }
    }
    anyhow::ensure!(
        stale.is_empty(),
        "{} is out of date: run cargo xtask gen",
        stale.join(", ")
    );
    term::note("generated files are up to date");
    Ok(())
}

fn build() -> anyhow::Result<()> {
    run::expect_success(&mut run::cargo(["build", "--workspace", "--bins"]))
}

fn print_all() -> anyhow::Result<Vec<(PathBuf, String)>> {
    let program = server::binaries(&workspace::target_dir()?, false).join("framewell");
    // An empty folder and no environment: the defaults, whatever is configured on this machine.
    let nowhere = tempfile::tempdir()?;
    FILES
        .iter()
        .map(|(path, arguments)| {
            let mut command = run::program(&program);
            command
                .args(*arguments)
                .current_dir(nowhere.path())
                .env_clear();
            Ok((
                workspace::root().join(path),
                with_newline(run::output(&mut command)?),
            ))
        })
        .collect()
}

fn with_newline(text: String) -> String {
    format!("{}\n", text.trim_end())
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace::root())
        .unwrap_or(path)
        .display()
        .to_string()
}
