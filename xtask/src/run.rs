//! Running other programs to their end.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::{stop, workspace};

/// A program in the root of the checkout whose output goes to the terminal.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(workspace::root()).stdin(Stdio::null());
    command
}

/// Cargo with these arguments.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut command = program(workspace::cargo());
    command.args(args);
    command
}

/// Runs to the end; a status other than 0 is an error that names the command.
pub(crate) fn expect_success(command: &mut Command) -> anyhow::Result<()> {
    let shown = show(command);
    println!("    $ {shown}");
    let status = command
        .status()
        .with_context(|| format!("{shown} could not be started"))?;
    stop::check()?;
    anyhow::ensure!(status.success(), "{shown}: {status}");
    Ok(())
}

/// Runs to the end and gives what it printed on standard output.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let shown = show(command);
    let out = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{shown} could not be started"))?;
    anyhow::ensure!(out.status.success(), "{shown}: {}", out.status);
    String::from_utf8(out.stdout)
        .with_context(|| format!("{shown} printed something that is no UTF-8"))
}

/// The command as a person would type it, paths below the checkout shortened.
fn show(command: &Command) -> String {
    let mut words = vec![short(command.get_program())];
    words.extend(command.get_args().map(short));
    words.join(" ")
}

fn short(word: &OsStr) -> String {
    let path = Path::new(word);
    if path.is_absolute() && path.ends_with("cargo") {
        return "cargo".to_owned();
    }
    let shown = path
        .strip_prefix(workspace::root())
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned();
    if shown.contains(' ') {
        format!("'{shown}'")
    } else {
        shown
    }
}
