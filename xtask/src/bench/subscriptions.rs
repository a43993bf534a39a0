//! Subscribers of events: how long it takes from a client that reports an event to those who follow, on both
//! databases.

use std::io::BufRead as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use framewell_model::WallTime;
use serde_json::json;

use super::engines::percentile;
use super::{document, machine, meter};
use crate::deps::{self, Purpose};
use crate::http::Client;
use crate::postgres::Postgres;
use crate::server::{self, Entry, Options, Server};
use crate::{stop, term, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Numbers of subscribers.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100])]
    subscribers: Vec<usize>,
    /// Events a second.
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Only print; leave docs/benchmarks.md as it is.
    #[arg(long)]
    dry_run: bool,
}

/// What some subscribers saw.
struct Row {
    database: &'static str,
    subscribers: usize,
    /// CPU seconds a second of the server.
    cores: f64,
    /// From sending an event to its answer, in milliseconds, sorted.
    answers_ms: Vec<f64>,
    /// From sending an event to its last byte at a subscriber, in milliseconds, sorted.
    delays_ms: Vec<f64>,
}

/// Longest wait for what is still on its way.
const LATE: Duration = Duration::from_secs(10);

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.rate > 0 && args.seconds > 0,
        "rate and seconds must be at least 1"
    );
    deps::ensure(Purpose::Test)?;
    super::build()?;
    let binaries = server::binaries(&workspace::target_dir()?, true);
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(workspace::target_dir()?)?;
    let mut rows = measure(
        args,
        &binaries,
        &folder.path().join("sqlite"),
        "SQLite",
        None,
    )?;
    let postgres = Postgres::start()?;
    let url = postgres.url();
    rows.extend(measure(
        args,
        &binaries,
        &folder.path().join("postgres"),
        "PostgreSQL",
        Some(url),
    )?);
    let text = report(&rows, args, &machine::describe()?);
    println!("\n{text}");
    if !args.dry_run {
        document::replace("subscriptions", &text)?;
    }
    Ok(())
}

fn measure(
    args: &Args,
    binaries: &Path,
    data: &Path,
    database: &'static str,
    url: Option<String>,
) -> anyhow::Result<Vec<Row>> {
    let server = Server::start(&Options {
        binaries: binaries.to_path_buf(),
        data: data.to_path_buf(),
        http_listen: "127.0.0.1:0".to_owned(),
        rtsp_listen: "127.0.0.1:0".to_owned(),
        rtmp_listen: "127.0.0.1:0".to_owned(),
        settings: url
            .map(|url| ("FRAMEWELL_DATABASE_URL", url))
            .into_iter()
            .collect(),
    })?;
    let channel = server.create_channel("gate", "")?;
    let mut rows = Vec::new();
    for count in &args.subscribers {
        term::step(&format!("{database}, {count} subscribers"));
        rows.push(one(args, &server, &channel, database, *count)?);
    }
    Ok(rows)
}

fn one(
    args: &Args,
    server: &Server,
    channel: &Entry,
    database: &'static str,
    subscribers: usize,
) -> anyhow::Result<Row> {
    let client = Client::new(server.http, format!("Bearer {}", channel.token));
    let length = Duration::from_secs(args.seconds);
    let count = usize::try_from(args.seconds)?.saturating_mul(usize::try_from(args.rate)?);
    let ready = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let listeners: Vec<_> = (0..subscribers)
            .map(|_| scope.spawn(|| listen(&client, count, &ready)))
            .collect();
        let began = Instant::now();
        while ready.load(Ordering::Relaxed) < subscribers {
            stop::check()?;
            anyhow::ensure!(began.elapsed() < LATE, "the subscribers do not get ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        let writer = scope.spawn(|| write(&client, count, length));
        let roots = [server.process.pid()];
        let [usage] = meter::window([&roots], length, stop::check)?;
        let mut row = Row {
            database,
            subscribers,
            cores: usage.cpu_s / usage.wall_s,
            answers_ms: joined(writer)?,
            delays_ms: Vec::new(),
        };
        for listener in listeners {
            row.delays_ms.extend(joined(listener)?);
        }
        row.answers_ms.sort_by(f64::total_cmp);
        row.delays_ms.sort_by(f64::total_cmp);
        Ok(row)
    })
}

fn joined(
    thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<Vec<f64>>>,
) -> anyhow::Result<Vec<f64>> {
    thread
        .join()
        .map_err(|_| anyhow::anyhow!("a thread panicked"))?
}

/// Reports events at even intervals; how long each answer took.
fn write(client: &Client, count: usize, length: Duration) -> anyhow::Result<Vec<f64>> {
    let (began, mut answers_ms) = (Instant::now(), Vec::new());
    for n in 0..count {
        #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
        let due = began + length.mul_f64(n as f64 / count as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        stop::check()?;
        let sent = Instant::now();
        let time = now().to_rfc3339();
        let body = json!({"name": "bench", "time": time.trim_end_matches('Z')});
        client.json("POST", "/api/v2/storage/events/", Some(&body))?;
        answers_ms.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    Ok(answers_ms)
}

/// Hears that many events; how long each was on its way.
fn listen(client: &Client, count: usize, ready: &AtomicUsize) -> anyhow::Result<Vec<f64>> {
    let mut stream = client.stream("/v1/events/stream")?;
    let (mut line, mut delays_ms) = (String::new(), Vec::new());
    while delays_ms.len() < count {
        line.clear();
        anyhow::ensure!(stream.read_line(&mut line)? > 0, "the stream ended early");
        let arrived = now();
        if line.starts_with("event: ready") {
            ready.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(time) = time_of(&line) {
            let sent: WallTime = time.parse().context("the time of an event")?;
            #[expect(clippy::cast_precision_loss, reason = "seconds at most")]
            delays_ms.push(arrived.micros_since(sent) as f64 / 1e3);
        }
    }
    Ok(delays_ms)
}

/// The time in a message about an event.
fn time_of(line: &str) -> Option<&str> {
    let (_, rest) = line.strip_prefix("data: ")?.split_once("\"time\":\"")?;
    rest.split('"').next()
}

#[expect(
    clippy::disallowed_methods,
    reason = "writer and subscribers are clients of the server under test and have a clock of their own"
)]
fn now() -> WallTime {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    WallTime::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn report(rows: &[Row], args: &Args, machine: &str) -> String {
    let mut text = String::from(
        "| database | subscribers | answer p50 / p99 ms | delay p50 / p99 ms | CPU ms per second of the server |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let pair = |sorted: &[f64]| {
            format!(
                "{:.1} / {:.1}",
                percentile(sorted, 50),
                percentile(sorted, 99)
            )
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {:.0} |\n",
            row.database,
            row.subscribers,
            pair(&row.answers_ms),
            pair(&row.delays_ms),
            row.cores * 1e3
        ));
    }
    let (rate, seconds) = (args.rate, args.seconds);
    text.push_str(&format!(
        "\n{rate} events a second for {seconds} s, each a request of its own; every subscriber has a connection of its own \
         (server-sent events) and hears every event. Answer: from sending the request to its answer, with the event stored. \
         Delay: from sending the request to the message at a subscriber, same clock; writer and subscribers run on the same \
         machine. PostgreSQL without waiting for the disk.\n\n{machine}"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_event_is_found_and_nothing_else() {
        let line = r#"data: {"behind":0,"event":{"name":"x","time":"2024-05-01T10:00:00.5Z"},"type":"event"}"#;
        assert_eq!(time_of(line), Some("2024-05-01T10:00:00.5Z"));
        assert_eq!(time_of("data: {\"type\":\"heartbeat\"}"), None);
        assert_eq!(time_of("id: 5"), None);
    }
}
