//! Logs to stderr; the few texts for people to stdout.

use crate::config::{Log, LogFormat};
use anyhow::Context;
use std::io::{IsTerminal, Write};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging as configured.
pub(crate) fn init(log: &Log) -> anyhow::Result<()> {
    let registry = tracing_subscriber::registry().with(filter(&log.level)?);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Text => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    }
    .context("logging was started twice")
}

/// The RTSP client's warnings repeat what cameras send, as often and as long as they send it: a hostile
/// one could fill the disk. What ends a session is in our own lines.
const QUIET: &str = "retina=error";

/// Reads `log.level`, which may ask for the RTSP client's lines all the same.
pub(crate) fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(format!("{QUIET},{level}"))
        .with_context(|| format!("log.level = {level:?} is no log filter"))
}

/// Prints a text of a subcommand.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    // A closed pipe (`framewell config check | head -1`) is no failure of ours.
    drop(writeln!(stdout, "{}", text.trim_end()));
}

/// Tells people how far long work is, beside what programs read.
pub(crate) fn print_note(text: &str) {
    let mut stderr = std::io::stderr().lock();
    drop(writeln!(stderr, "{text}"));
}

/// Prints a fatal error with its causes.
pub(crate) fn print_error(error: &anyhow::Error) {
    let mut stderr = std::io::stderr().lock();
    drop(writeln!(stderr, "framewell: {error:#}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_do_not_write_into_the_log_unless_somebody_asks_for_it() {
        let read = |level| filter(level).expect("a filter").to_string();
        let usual = read("info,framewell_ingest=debug");
        assert!(usual.contains("retina=error"), "{usual}");
        assert!(usual.contains("framewell_ingest=debug"), "{usual}");
        let asked = read("info,retina=debug");
        assert!(asked.contains("retina=debug"), "{asked}");
        assert!(!asked.contains("retina=error"), "{asked}");
        assert!(filter("info,retina=loud").is_err());
    }
}
