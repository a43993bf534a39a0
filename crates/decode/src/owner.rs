//! The task that owns one worker process at a time, and replaces it.

use crate::connection::{Answer, Greeting};
use crate::dispatch::{Dispatch, Ticket};
use crate::pool::{Error, PoolConfig, RENDER_PATIENCE};
use crate::protocol::Made;
use crate::protocol::setup::SandboxMode;
use crate::protocol::wire::{Failure, SessionUse};
use crate::schedule::Task;
use crate::worker::{Lost, Worker};
use framewell_model::HasKind;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// First wait after a worker could not be started; it doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(200);
/// Longest wait between attempts to start a worker.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// A worker's memory is looked at once in so many jobs; a leak that fills it faster costs the job at
/// hand and the worker.
const MEMORY_CHECK_JOBS: u64 = 64;

/// Owns one place of the pool, a lane of the schedule. Runs until it is aborted.
pub(crate) struct Owner {
    pub(crate) config: Arc<PoolConfig>,
    pub(crate) dispatch: Arc<Dispatch>,
    pub(crate) lane: usize,
    /// How the pool's first worker started; shared by all owners.
    pub(crate) first: Arc<First>,
}

/// What the first worker of a pool said, or why it did not start.
pub(crate) type First = watch::Sender<Option<io::Result<Greeting>>>;

impl Owner {
    /// `first` is spawned already, so that the pool's start fails if the program is missing.
    pub(crate) async fn run(self, first: Worker) {
        let mut spawned = Ok(first);
        let mut backoff = MIN_BACKOFF;
        loop {
            match self.greet(spawned).await {
                Ok(worker) => {
                    backoff = MIN_BACKOFF;
                    self.lead(worker).await;
                }
                Err(error) => {
                    let program = self.config.program.display();
                    tracing::error!(%program, %error, "decoder does not start");
                    let refuse = self.refuse(&error);
                    // It never ends by itself.
                    let _elapsed = tokio::time::timeout(backoff, refuse).await;
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
            }
            metrics::counter!("framewell_decode_worker_restarts_total").increment(1);
            spawned = Worker::spawn(&self.config.program, &self.config.worker);
        }
    }

    /// Waits until the worker is ready, and tells those who wait for the pool's first one.
    async fn greet(&self, spawned: io::Result<Worker>) -> io::Result<Worker> {
        let greet = async {
            let mut worker = spawned?;
            let greeting = worker.greet().await?;
            let sandbox = greeting.sandbox;
            if self.config.worker.sandbox == SandboxMode::Require && !sandbox.is_full() {
                let text = format!("a sandbox is required, and the kernel offers: {sandbox}");
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            Ok((worker, greeting))
        };
        let (greeted, first) = match greet.await {
            Ok((worker, greeting)) => (Ok(worker), Ok(greeting)),
            Err(error) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                (Err(error), Err(copy))
            }
        };
        self.first.send_if_modified(|known| {
            let is_first = known.is_none();
            known.get_or_insert(first);
            is_first
        });
        greeted
    }

    /// The working life of one worker.
    async fn lead(&self, mut worker: Worker) {
        self.dispatch.up(self.lane, worker.pid());
        self.serve(&mut worker).await;
        for ticket in self.dispatch.down(self.lane) {
            answer_to(ticket, Err(Error::PositionLost));
        }
        worker.kill().await;
    }

    /// Returns when the worker is dead or due for replacement.
    async fn serve(&self, worker: &mut Worker) {
        while !self.is_due(worker) {
            let task = tokio::select! {
                task = self.dispatch.take(self.lane) => task,
                status = worker.exited() => {
                    tracing::warn!(%status, "idle decoder died");
                    return;
                }
            };
            let is_fit = match task {
                Task::Close(session) => self.close(worker, session).await,
                Task::Run(ticket, session) => self.work(worker, ticket, session).await,
            };
            if !is_fit {
                return;
            }
        }
    }

    /// Whether the worker is to be replaced now: it has done its share of jobs and may go, or it is
    /// about to run out of memory.
    fn is_due(&self, worker: &Worker) -> bool {
        let share = self.config.max_jobs;
        let is_done = worker.jobs >= share
            && (self.dispatch.retire(self.lane) || worker.jobs >= share.saturating_mul(2));
        is_done || (worker.jobs % MEMORY_CHECK_JOBS == 1 && self.is_bloated(worker))
    }

    fn is_bloated(&self, worker: &Worker) -> bool {
        let bytes = worker.memory_bytes();
        let limit = self.config.worker.memory_mib.saturating_mul(1 << 20);
        let is_bloated = bytes > limit - limit / 8;
        if is_bloated {
            let pid = worker.pid();
            tracing::warn!(pid, bytes, limit, "decoder takes too much memory");
        }
        is_bloated
    }

    /// Runs a job to its end, whether or not the caller still waits, so that the connection stays in
    /// step. Returns whether the worker is fit for more.
    async fn work(&self, worker: &mut Worker, ticket: Ticket, session: Option<SessionUse>) -> bool {
        let started = Instant::now();
        let class = ticket.job.priority.label();
        let waited = started.saturating_duration_since(ticket.queued);
        metrics::histogram!("framewell_decode_wait_seconds", "class" => class)
            .record(waited.as_secs_f64());
        let patience = match &ticket.job.render {
            Some(_) => RENDER_PATIENCE,
            None => 1,
        };
        let deadline = self.config.deadline.saturating_mul(patience);
        let answer = worker.run(&ticket.job, session, deadline).await;
        let seconds = started.elapsed().as_secs_f64();
        metrics::histogram!("framewell_decode_job_seconds", "class" => class).record(seconds);
        let is_fit = answer.is_ok();
        let result = self.result(answer);
        if !is_fit {
            let error = result.as_ref().err().map(ToString::to_string);
            tracing::warn!(pid = worker.pid(), error, "decoder lost");
        }
        answer_to(ticket, result);
        is_fit
    }

    fn result(&self, answer: Result<Answer, Lost>) -> Result<Made, Error> {
        match answer {
            Ok(Ok(made)) => Ok(made),
            Ok(Err(Failure::Bitstream(why))) => Err(Error::Bitstream(why)),
            Ok(Err(Failure::Invalid(why))) => Err(Error::Invalid(why)),
            Ok(Err(Failure::PositionLost)) => Err(Error::PositionLost),
            Err(Lost::Deadline) => Err(Error::Deadline(self.config.deadline)),
            Err(Lost::Died(how)) => Err(Error::Died(how)),
        }
    }

    /// Frees a session's decoder. Returns whether the worker is fit for more.
    async fn close(&self, worker: &mut Worker, session: u64) -> bool {
        let closed = worker.close(session, self.config.deadline).await;
        if let Err(lost) = &closed {
            tracing::warn!(pid = worker.pid(), ?lost, "decoder lost");
        }
        closed.is_ok()
    }

    /// While no worker can be started: fails jobs at once if no other owner has a worker.
    async fn refuse(&self, error: &io::Error) {
        loop {
            let ticket = self.dispatch.take_refused(self.lane).await;
            answer_to(ticket, Err(Error::of_start(&self.config.program, error)));
        }
    }
}

/// Hands the result to the caller; one that went away does not want it.
///
/// The job and its places go first: a caller that has its answer finds them free.
fn answer_to(ticket: Ticket, result: Result<Made, Error>) {
    let Ticket {
        job, reply, places, ..
    } = ticket;
    drop((job, places));
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
