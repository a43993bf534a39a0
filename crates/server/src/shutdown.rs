//! Signals, and waiting with a deadline and a log line.

use anyhow::Context;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// Resolves at the first SIGINT or SIGTERM; the second one ends the process at once.
pub(crate) async fn signalled() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("watching SIGINT failed")?;
    let mut terminate = signal(SignalKind::terminate()).context("watching SIGTERM failed")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping; a second signal ends the process at once");
    std::thread::Builder::new()
        .name("second-signal".into())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                runtime.block_on(async {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                });
                std::process::exit(130);
            }
        })
        .context("watching for a second signal failed")?;
    Ok(())
}

/// Waits until all tasks of a set are done, at most `deadline`; then they are dropped, with a line
/// in the log that says what was waited for.
pub(crate) async fn drain(what: &'static str, tasks: &mut JoinSet<()>, deadline: Duration) {
    tracing::info!(tasks = tasks.len(), "waiting for {what}");
    let finished = tokio::time::timeout(deadline, async {
        while let Some(joined) = tasks.join_next().await {
            if let Err(error) = joined {
                tracing::error!(%error, "a task of {what} failed");
            }
        }
    });
    if finished.await.is_err() {
        tracing::warn!(
            deadline_s = deadline.as_secs(),
            left = tasks.len(),
            "{what} did not end in time"
        );
        tasks.shutdown().await;
    }
}
