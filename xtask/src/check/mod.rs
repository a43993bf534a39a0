//! `cargo xtask check`: what a change must pass before anybody reads it.

mod layers;
mod links;

use crate::{generated, run, term, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these parts; all of them without any.
    #[arg(value_enum)]
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// `cargo fmt --check`.
    Fmt,
    /// Arrows between crates go down, by the table of the architecture.
    Layers,
    /// Links between the Markdown files lead somewhere.
    Links,
    /// Clippy on every target, warnings denied.
    Clippy,
    /// rustdoc, warnings denied.
    Docs,
    /// Files written by `cargo xtask gen` are up to date.
    Gen,
}

impl Part {
    // Cheap ones first.
    const ALL: [Self; 6] = [
        Self::Fmt,
        Self::Layers,
        Self::Links,
        Self::Clippy,
        Self::Docs,
        Self::Gen,
    ];

    fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Fmt => {
                run::expect_success(&mut run::cargo(["fmt", "--all", "--check"]))?;
                run::expect_success(&mut run::cargo(["fmt", FUZZ[0], FUZZ[1], "--check"]))
            }
            Self::Layers => layers::check(),
            Self::Links => links::check(),
            Self::Clippy => {
                clippy(&["--workspace"])?;
                let folder = workspace::target_dir()?.join("fuzz");
                clippy(&[FUZZ[0], FUZZ[1], "--target-dir", &folder.to_string_lossy()])
            }
            Self::Docs => run::expect_success(
                run::cargo(["doc", "--workspace", "--no-deps", "--locked"])
                    .env("RUSTDOCFLAGS", "-D warnings"),
            ),
            Self::Gen => generated::check(),
        }
    }
}

/// The fuzz targets are a workspace of their own.
const FUZZ: [&str; 2] = ["--manifest-path", "fuzz/Cargo.toml"];

fn clippy(what: &[&str]) -> anyhow::Result<()> {
    let mut command = run::cargo(["clippy", "--all-targets", "--locked"]);
    run::expect_success(command.args(what).args(["--", "-D", "warnings"]))
}

/// Runs every part, also after one failed, and says at the end which ones did.
pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    let parts = if args.parts.is_empty() {
        &Part::ALL[..]
    } else {
        &args.parts
    };
    let mut failed = Vec::new();
    for part in parts {
        term::step(&format!("{part:?}"));
        if let Err(error) = part.run() {
            eprintln!("    {error:#}");
            failed.push(format!("{part:?}"));
        }
    }
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    term::step("All checks passed");
    Ok(())
}
