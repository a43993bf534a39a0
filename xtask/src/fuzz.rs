//! `cargo xtask fuzz`: builds the fuzz targets of `fuzz/` with cargo-fuzz, and runs them over their seeds.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::Context as _;

use crate::{run, stop, term, workspace};

/// What a machine without cargo-fuzz gets.
const CARGO_FUZZ: &str = "0.13.2";
/// How long `cargo xtask test` runs each target.
const TEST_S: u32 = 3;
/// Longest input made up; seeds are shorter.
const MAX_LEN: usize = 16 << 10;
/// Longest that one input may take. The slowest, an index that claims a day of pictures, takes a second.
const INPUT_S: u32 = 20;
/// Lines of a target's output that are shown when it failed.
const SHOWN_LINES: usize = 40;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this target; all of them without.
    target: Option<String>,
    /// How long each one runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Runs the target on one file, such as what an earlier run failed on, instead.
    #[arg(long, requires = "target")]
    input: Option<PathBuf>,
}

/// Folders of a run. What was found stays in cargo's build folder, out of the checkout.
struct Folders {
    programs: PathBuf,
    corpus: PathBuf,
    findings: PathBuf,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    let all = targets()?;
    let chosen = match &args.target {
        None => all,
        Some(name) => {
            anyhow::ensure!(
                all.contains(name),
                "no such target; there are {}",
                all.join(" ")
            );
            vec![name.clone()]
        }
    };
    let folders = build()?;
    if let Some(input) = &args.input {
        let input = fs::canonicalize(input).with_context(|| input.display().to_string())?;
        let mut command = run::program(folders.programs.join(&chosen[0]));
        return run::expect_success(command.arg(input));
    }
    term::step(&format!(
        "{} fuzz targets, {} s each",
        chosen.len(),
        args.seconds
    ));
    let done = run_all(&folders, chosen, args.seconds, None)?;
    term::note(&format!("what is new is in {}", folders.corpus.display()));
    for line in done {
        term::note(&line);
    }
    Ok(())
}

/// A short run of all targets, from the seeds only and from the same random number, so that one commit fails as
/// the other does.
pub(crate) fn for_tests() -> anyhow::Result<Vec<String>> {
    let mut folders = build()?;
    let fresh = tempfile::tempdir()?;
    folders.corpus = fresh.path().to_owned();
    let all = targets()?;
    let count = all.len();
    term::step(&format!("{count} fuzz targets, {TEST_S} s each"));
    for line in run_all(&folders, all, TEST_S, Some(1))? {
        term::note(&line);
    }
    Ok(vec![format!(
        "{count} fuzz targets ran {TEST_S} s each and found nothing"
    )])
}

fn targets() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace::root().join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        names.extend(
            path.file_stem()
                .and_then(|name| name.to_str())
                .map(str::to_owned),
        );
    }
    names.sort();
    Ok(names)
}

/// Builds all targets. The stable toolchain does: coverage is a pass of the compiler, and without `unsafe` there is
/// nothing for a sanitizer to find.
fn build() -> anyhow::Result<Folders> {
    ensure_cargo_fuzz()?;
    term::step("Building the fuzz targets (a cold build takes a minute or two)");
    let folder = workspace::target_dir()?.join("fuzz");
    let mut command = run::cargo(["fuzz", "build", "--sanitizer", "none"]);
    command
        .args(["--codegen-units", "16", "--target-dir"])
        .arg(&folder);
    run::expect_success(&mut command)?;
    Ok(Folders {
        programs: folder.join(workspace::host()?).join("release"),
        corpus: folder.join("corpus"),
        findings: folder.join("findings"),
    })
}

fn ensure_cargo_fuzz() -> anyhow::Result<()> {
    if workspace::find_program("cargo-fuzz").is_some() {
        return Ok(());
    }
    term::step("Installing cargo-fuzz (once; a minute or two)");
    run::expect_success(&mut run::cargo([
        "install",
        "cargo-fuzz",
        "--locked",
        "--version",
        CARGO_FUZZ,
    ]))
}

/// Runs the targets, as many at once as there are processors, and says how each fared.
fn run_all(
    folders: &Folders,
    targets: Vec<String>,
    seconds: u32,
    seed: Option<u32>,
) -> anyhow::Result<Vec<String>> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let waiting = Mutex::new(VecDeque::from(targets));
    let done = Mutex::new(Vec::new());
    let next = || waiting.lock().ok()?.pop_front();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(target) = next() {
                    let outcome = run_one(folders, &target, seconds, seed);
                    if let Ok(mut done) = done.lock() {
                        done.push(outcome);
                    }
                }
            });
        }
    });
    stop::check()?;
    let done = done.into_inner().unwrap_or_default();
    let (fine, failed): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
    let failed: Vec<_> = failed.into_iter().filter_map(Result::err).collect();
    anyhow::ensure!(
        failed.is_empty(),
        "{}",
        failed
            .iter()
            .map(|error| format!("{error:#}\n"))
            .collect::<String>()
    );
    Ok(fine.into_iter().flatten().collect())
}

fn run_one(
    folders: &Folders,
    target: &str,
    seconds: u32,
    seed: Option<u32>,
) -> anyhow::Result<String> {
    let corpus = folders.corpus.join(target);
    let findings = folders.findings.join(target);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&findings)?;
    let mut command = libfuzzer(&folders.programs.join(target), &corpus, &findings);
    let seeds = workspace::root().join("fuzz/seeds").join(target);
    command.args(seeds.is_dir().then_some(seeds));
    command.arg(format!("-max_total_time={seconds}"));
    command.args(seed.map(|seed| format!("-seed={seed}")));
    let out = command
        .output()
        .with_context(|| format!("{target} could not be started"))?;
    let text = String::from_utf8_lossy(&out.stderr);
    if out.status.success() {
        return Ok(format!("{target}: {} inputs", executed(&text)));
    }
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n    ");
    anyhow::bail!(
        "fuzz target {target} failed: {}\n    {shown}\n    again: cargo xtask fuzz {target} --input {}/FILE",
        out.status,
        findings.display()
    )
}

fn libfuzzer(program: &Path, corpus: &Path, findings: &Path) -> Command {
    let mut command = run::program(program);
    command.arg(corpus);
    command.arg(format!("-artifact_prefix={}/", findings.display()));
    command.arg(format!("-max_len={MAX_LEN}"));
    command.arg(format!("-timeout={INPUT_S}"));
    command.args(["-rss_limit_mb=3072", "-print_final_stats=1"]);
    command
}

/// The number of inputs that libFuzzer says it ran.
fn executed(text: &str) -> &str {
    let mut lines = text.lines();
    let stat = lines.find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    stat.map_or("an unknown number of", str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_in_the_manifest_and_has_seeds() {
        let fuzz = workspace::root().join("fuzz");
        let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
        let targets = targets().unwrap();
        assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
        for target in targets {
            assert!(
                manifest.contains(&format!("name = \"{target}\"")),
                "{target}"
            );
            let mut seeds = fs::read_dir(fuzz.join("seeds").join(&target)).unwrap();
            assert!(seeds.next().is_some(), "{target} has no seeds");
        }
    }

    /// A program in the place of a target.
    fn run_script(script: &str) -> anyhow::Result<Vec<String>> {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("scripted");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let folders = Folders {
            programs: folder.path().to_owned(),
            corpus: folder.path().join("corpus"),
            findings: folder.path().join("findings"),
        };
        run_all(&folders, vec!["scripted".to_owned()], 1, Some(1))
    }

    #[test]
    fn what_a_target_found_is_shown_with_the_way_to_repeat_it() {
        let error = run_script("echo assertion failed: it is so >&2; exit 77").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("assertion failed: it is so"), "{text}");
        assert!(text.contains("cargo xtask fuzz scripted --input"), "{text}");
    }

    #[test]
    fn a_target_is_told_its_time_and_where_to_begin() {
        let script = r#"case "$*" in
            *-max_total_time=1*-seed=1*) echo stat::number_of_executed_units: 5 >&2;;
            *) exit 1;;
        esac"#;
        assert_eq!(run_script(script).unwrap(), ["scripted: 5 inputs"]);
    }

    #[test]
    fn the_number_of_inputs_is_read_from_what_libfuzzer_says() {
        let text = "Done 7 runs\nstat::number_of_executed_units: 1234\nstat::x: 1\n";
        assert_eq!(executed(text), "1234");
        assert_eq!(executed("nothing"), "an unknown number of");
    }
}
