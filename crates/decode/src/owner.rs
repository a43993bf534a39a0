//! The task that owns one worker process at a time, and replaces it.

use crate::pool::{Error, PoolConfig};
use crate::protocol::wire::Failure;
use crate::protocol::{Job, Picture};
use crate::worker::{Lost, Worker};
use framewell_model::HasKind;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::Instant;

/// First wait after a worker could not be started; it doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(200);
/// Longest wait between attempts to start a worker.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// A job on its way to a worker.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) job: Job,
    pub(crate) reply: oneshot::Sender<Result<Vec<Picture>, Error>>,
    /// Its place in the pool, held until the answer is there.
    pub(crate) _place: OwnedSemaphorePermit,
}

/// What one place of the pool is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkerStatus {
    /// Process id; `None` while no worker is ready.
    pub pid: Option<u32>,
    /// Whether it has a job.
    pub is_busy: bool,
    /// Jobs given to this process.
    pub jobs: u64,
}

/// Why an owner left [`Owner::serve`].
enum End {
    /// The pool is gone.
    Closed,
    /// The worker is dead or due for replacement.
    Replace,
}

/// Owns one place of the pool. Ends when the pool goes.
pub(crate) struct Owner {
    pub(crate) config: Arc<PoolConfig>,
    /// Shared by all owners; whoever is idle waits here.
    pub(crate) queue: Arc<Mutex<mpsc::Receiver<Ticket>>>,
    /// Workers that are ready, of all owners.
    pub(crate) ready: Arc<AtomicUsize>,
    pub(crate) status: watch::Sender<WorkerStatus>,
}

impl Owner {
    /// `first` is spawned already, so that the pool's start fails if the program is missing.
    pub(crate) async fn run(self, first: Worker) {
        let mut spawned = Ok(first);
        let mut backoff = MIN_BACKOFF;
        loop {
            let end = match greeted(spawned).await {
                Ok(worker) => {
                    backoff = MIN_BACKOFF;
                    self.lead(worker).await
                }
                Err(error) => {
                    let program = self.config.program.display();
                    tracing::error!(%program, %error, "decoder does not start");
                    let end = self.refuse(&error, backoff).await;
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                    end
                }
            };
            if matches!(end, End::Closed) {
                return;
            }
            metrics::counter!("framewell_decode_worker_restarts_total").increment(1);
            spawned = Worker::spawn(&self.config.program);
        }
    }

    /// The working life of one worker.
    async fn lead(&self, mut worker: Worker) -> End {
        self.ready.fetch_add(1, Ordering::Relaxed);
        let end = self.serve(&mut worker).await;
        self.ready.fetch_sub(1, Ordering::Relaxed);
        self.status.send_replace(WorkerStatus::default());
        worker.kill().await;
        end
    }

    async fn serve(&self, worker: &mut Worker) -> End {
        while worker.jobs < self.config.max_jobs {
            self.show_idle(worker);
            let ticket = tokio::select! {
                ticket = self.take() => ticket,
                status = worker.exited() => {
                    tracing::warn!(%status, "idle decoder died");
                    return End::Replace;
                }
            };
            let Some(ticket) = ticket else {
                return End::Closed;
            };
            if ticket.reply.is_closed() {
                count("cancelled");
                continue;
            }
            if !self.work(worker, ticket).await {
                return End::Replace;
            }
        }
        End::Replace
    }

    /// Runs a job to its end, whether or not the caller still waits, so that the connection stays in
    /// step. Returns whether the worker is fit for more.
    async fn work(&self, worker: &mut Worker, ticket: Ticket) -> bool {
        let started = Instant::now();
        self.show_busy();
        let answer = worker.run(&ticket.job, None, self.config.deadline).await;
        let seconds = started.elapsed().as_secs_f64();
        metrics::histogram!("framewell_decode_job_seconds").record(seconds);
        let is_fit = answer.is_ok();
        let result = match answer {
            Ok(Ok(pictures)) => Ok(pictures),
            Ok(Err(Failure::Bitstream(why))) => Err(Error::Bitstream(why)),
            Ok(Err(Failure::Invalid(why))) => Err(Error::Invalid(why)),
            Ok(Err(Failure::PositionLost)) => Err(Error::PositionLost),
            Err(Lost::Deadline) => Err(Error::Deadline(self.config.deadline)),
            Err(Lost::Died(how)) => Err(Error::Died(how)),
        };
        if !is_fit {
            let error = result.as_ref().err().map(ToString::to_string);
            tracing::warn!(pid = worker.pid(), error, "decoder lost");
        }
        answer_to(ticket.reply, result);
        is_fit
    }

    /// While no worker can be started: fails jobs at once if no other owner has a worker.
    async fn refuse(&self, error: &io::Error, backoff: Duration) -> End {
        let wait = tokio::time::sleep(backoff);
        tokio::pin!(wait);
        loop {
            let is_alone = self.ready.load(Ordering::Relaxed) == 0;
            let ticket = tokio::select! {
                () = &mut wait => return End::Replace,
                ticket = self.take(), if is_alone => ticket,
            };
            let Some(ticket) = ticket else {
                return End::Closed;
            };
            let source = io::Error::new(error.kind(), error.to_string());
            let program = self.config.program.clone();
            answer_to(ticket.reply, Err(Error::Start { program, source }));
        }
    }

    /// The next job; `None` when the pool is gone. Cancel-safe.
    async fn take(&self) -> Option<Ticket> {
        let ticket = self.queue.lock().await.recv().await;
        if ticket.is_some() {
            metrics::gauge!("framewell_decode_queue_length").decrement(1);
        }
        ticket
    }

    fn show_idle(&self, worker: &Worker) {
        self.status.send_replace(WorkerStatus {
            pid: worker.pid(),
            is_busy: false,
            jobs: worker.jobs,
        });
    }

    fn show_busy(&self) {
        self.status.send_modify(|status| {
            status.is_busy = true;
            status.jobs += 1;
        });
    }
}

async fn greeted(spawned: io::Result<Worker>) -> io::Result<Worker> {
    let mut worker = spawned?;
    worker.greet().await?;
    Ok(worker)
}

/// Hands the result to the caller; one that went away does not want it.
fn answer_to(
    reply: oneshot::Sender<Result<Vec<Picture>, Error>>,
    result: Result<Vec<Picture>, Error>,
) {
    count(match &result {
        Ok(_) => "ok",
        Err(error) => error.label(),
    });
    if let Err(Err(error)) = reply.send(result) {
        tracing::debug!(kind = %error.kind(), "nobody waits for this error");
    }
}

pub(crate) fn count(result: &'static str) {
    metrics::counter!("framewell_decode_jobs_total", "result" => result).increment(1);
}
