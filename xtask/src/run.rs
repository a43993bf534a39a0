//! Running other programs to their end.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write};
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

/// Like [`expect_success`]; gives the lines of its output that are worth repeating at the end of a long run.
pub(crate) fn keep_lines(
    command: &mut Command,
    is_kept: fn(&str) -> bool,
) -> anyhow::Result<Vec<String>> {
    let shown = show(command);
    println!("    $ {shown}");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{shown} could not be started"))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let kept = std::thread::scope(|scope| {
        let errors = scope.spawn(move || err.map(|pipe| copy(pipe, std::io::stderr(), is_kept)));
        let mut kept = out
            .map(|pipe| copy(pipe, std::io::stdout(), is_kept))
            .unwrap_or_default();
        kept.extend(errors.join().ok().flatten().unwrap_or_default());
        kept
    });
    let status = child.wait()?;
    stop::check()?;
    anyhow::ensure!(
        status.success(),
        "{shown}: {status}{}",
        kept.iter()
            .map(|line| format!("\n    {line}"))
            .collect::<String>()
    );
    Ok(kept)
}

/// Copies a pipe to the terminal line by line and returns the lines that are kept.
fn copy(pipe: impl Read, mut to: impl Write, is_kept: fn(&str) -> bool) -> Vec<String> {
    let mut kept = Vec::new();
    for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        // A closed terminal must not end the command.
        writeln!(to, "{line}").unwrap_or_default();
        let plain = without_colours(&line);
        if is_kept(&plain) {
            kept.push(plain.trim().to_owned());
        }
    }
    kept
}

/// The text without its terminal escapes.
fn without_colours(line: &str) -> String {
    let mut pieces = line.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        text + piece.split_once('m').map_or("", |(_, rest)| rest)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_lines_come_from_both_outputs_without_colours() {
        let mut command = program("sh");
        command.args([
            "-c",
            "printf 'a\\n\\033[1;32mkeep 1\\033[0m\\n'; printf 'keep 2' >&2",
        ]);
        let mut kept = keep_lines(&mut command, |line| line.starts_with("keep")).unwrap();
        kept.sort();
        assert_eq!(kept, ["keep 1", "keep 2"]);
    }

    #[test]
    fn a_failure_repeats_the_kept_lines() {
        let mut command = program("sh");
        command.args(["-c", "echo 3 failed; exit 1"]);
        let error = keep_lines(&mut command, |line| line.contains("failed")).unwrap_err();
        assert!(error.to_string().contains("\n    3 failed"), "{error}");
    }
}
