//! Metadata documents on SQLite and on PostgreSQL, next to each other and next to a bare insert loop.
//!
//! The work itself is `crates/insight/examples/metadata.rs`, which speaks to the services without HTTP.

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use super::{document, machine};
use crate::deps::{self, Purpose};
use crate::postgres::Postgres;
use crate::{run, server, term, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Documents in 100 channels.
    #[arg(long, default_value_t = 1_000_000)]
    documents: usize,
    /// Vectors of 384 numbers.
    #[arg(long, default_value_t = 1_000_000)]
    vectors: usize,
    /// Only print; leave docs/benchmarks.md as it is.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    deps::ensure(Purpose::Test)?;
    term::step("Building with optimisation");
    let example = [
        "build",
        "--release",
        "-p",
        "framewell-insight",
        "--example",
        "metadata",
    ];
    run::expect_success(&mut run::cargo(example))?;
    let target = workspace::target_dir()?;
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&target)?;
    let program = server::binaries(&target, true).join("examples/metadata");
    term::step("SQLite");
    let path = folder.path().join("metadata.db");
    let sqlite = measure(&program, &format!("sqlite:{}", path.display()), args)?;
    term::step("PostgreSQL");
    let server = Postgres::start()?;
    let postgres = measure(&program, &server.url(), args)?;
    drop(server);
    let text = report(&[("SQLite", &sqlite), ("PostgreSQL", &postgres)], args)?;
    println!("\n{text}");
    if !args.dry_run {
        document::replace("metadata", &text)?;
    }
    Ok(())
}

fn measure(program: &Path, url: &str, args: &Args) -> anyhow::Result<Value> {
    let printed = run::output(
        run::program(program)
            .arg(url)
            .arg(args.documents.to_string())
            .arg(args.vectors.to_string()),
    )?;
    serde_json::from_str(&printed).context("what the example printed")
}

fn report(databases: &[(&str, &Value)], args: &Args) -> anyhow::Result<String> {
    let mut text = String::from(
        "| documents written a second, in batches of | 1 | 100 | 1,000 |\n| --- | --- | --- | --- |\n",
    );
    for (name, measured) in databases {
        for (what, key) in [("", "writes"), (": bare inserts", "bare")] {
            let rates: Vec<String> = ["1", "100", "1000"]
                .iter()
                .map(|size| number(&measured[key][size], 0))
                .collect();
            text.push_str(&format!("| {name}{what} | {} |\n", rates.join(" | ")));
        }
    }
    text.push_str("\n| search, p50 / p99 ms |");
    databases
        .iter()
        .for_each(|(name, _)| text.push_str(&format!(" {name} |")));
    text.push_str("\n| --- |");
    databases.iter().for_each(|_| text.push_str(" --- |"));
    let first = databases.first().context("no database")?.1;
    let names = first["filters"].as_object().context("no searches")?.keys();
    for name in names {
        let cells: Vec<String> = databases
            .iter()
            .map(|(_, m)| spread(&m["filters"][name]))
            .collect();
        text.push_str(&format!("\n| {name} | {} |", cells.join(" | ")));
    }
    let cells: Vec<String> = databases
        .iter()
        .map(|(_, m)| spread(&m["vectors"]))
        .collect();
    text.push_str(&format!(
        "\n| ten nearest vectors | {} |",
        cells.join(" | ")
    ));
    for (name, key, digits) in [
        ("their recall", "recall", 3),
        ("vectors compared in full", "compared", 0),
        ("first search after a start, ms", "first_ms", 0),
        (
            "documents with vectors written a second",
            "written_per_s",
            0,
        ),
    ] {
        let cells: Vec<String> = databases
            .iter()
            .map(|(_, m)| number(&m["vectors"][key], digits))
            .collect();
        text.push_str(&format!("\n| {name} | {} |", cells.join(" | ")));
    }
    text.push_str(&format!(
        "\n\n{}\n\n{}",
        caption(args),
        machine::describe()?
    ));
    Ok(text)
}

fn spread(value: &Value) -> String {
    format!(
        "{} / {}",
        number(&value["p50_ms"], 1),
        number(&value["p99_ms"], 1)
    )
}

fn number(value: &Value, digits: usize) -> String {
    value
        .as_f64()
        .map_or_else(|| "-".to_owned(), |number| format!("{number:.digits$}"))
}

fn caption(args: &Args) -> String {
    format!(
        "{} documents in 100 channels, one a second each: two integers, a float, a text, four words of raw data and an object with \
         label, score, track and box; 200 searches each, with other values every time, for the newest 20 that match. {} vectors of \
         384 numbers around 1,000 centers, 50 searches over all channels; recall is the share of the ten nearest by a comparison \
         of all. Services without HTTP, one caller, one search after the other. Bare inserts: one statement and transaction a batch \
         into a table with one key, the same JSON, nothing else. SQLite as the server sets it up (WAL, synchronous=NORMAL); \
         PostgreSQL 15 as Debian configures it, without syncs to disk.",
        args.documents, args.vectors
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_are_rounded_and_missing_ones_are_a_dash() {
        assert_eq!(spread(&json!({"p50_ms": 1.26, "p99_ms": null})), "1.3 / -");
        assert_eq!(number(&json!(0.9876), 3), "0.988");
    }
}
