//! Takes jobs and has them done.

use crate::failure::What;
use crate::{Failure, Handler, Next, Work};
use framewell_catalog::{Catalog, Error, Job, Lease, Release};
use framewell_model::{ErrorKind, HasKind, HolderId, JobId, WallClock};
use futures::FutureExt as _;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Rows of ended jobs that are removed at once.
const EXPIRED_PER_ROUND: u64 = 500;
/// How often they are looked for.
const EXPIRY_ROUND: Duration = Duration::from_secs(60);
/// First pause after a failure; doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How long giving a job back may take when the server stops; else its lease runs out.
const RELEASE_DEADLINE: Duration = Duration::from_secs(3);

/// How jobs are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobsConfig {
    /// How long a job is kept from others after the last sign of life of its holder: what a crash
    /// costs. Renewed every third of it.
    pub lease: Duration,
    /// Jobs made by other processes are noticed within this time.
    pub poll: Duration,
    /// How long a handler may work while others wait, see [`Work::is_turn_over`].
    pub turn: Duration,
    /// Attempts without progress until a job ends in error.
    pub max_attempts: i64,
    /// How long the rows of ended jobs stay.
    pub keep: Duration,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            poll: Duration::from_secs(2),
            turn: Duration::from_secs(20),
            max_attempts: 12,
            keep: Duration::from_secs(30 * 86_400),
        }
    }
}

struct Kind {
    limit: usize,
    handler: Arc<dyn Handler>,
}

/// The jobs of this node; cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    catalog: Catalog,
    clock: Arc<dyn WallClock>,
    config: JobsConfig,
    kinds: Arc<BTreeMap<&'static str, Kind>>,
    /// Turns that run here, to stop them at once. A job whose lease ran out may have its next turn here
    /// before the last one has ended, so the key is the holder of the turn.
    running: Arc<Mutex<HashMap<HolderId, (JobId, CancellationToken)>>>,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs")
            .field("config", &self.config)
            .field("kinds", &self.kinds.keys())
            .finish_non_exhaustive()
    }
}

impl Jobs {
    /// Without handlers yet.
    #[must_use]
    pub fn new(catalog: Catalog, config: JobsConfig, clock: Arc<dyn WallClock>) -> Self {
        Self {
            catalog,
            clock,
            config,
            kinds: Arc::default(),
            running: Arc::default(),
        }
    }

    /// Adds the handler of a kind, of which at most `limit` jobs run at once on this node. To be called
    /// before the handle is cloned.
    #[must_use]
    pub fn register(mut self, kind: &'static str, limit: usize, handler: Arc<dyn Handler>) -> Self {
        if let Some(kinds) = Arc::get_mut(&mut self.kinds) {
            kinds.insert(kind, Kind { limit, handler });
        } else {
            tracing::error!(kind, "handlers are registered before the first clone");
        }
        self
    }

    /// Stops an open job for its owner. Here it stops at once, on another node at its next sign of life.
    pub async fn cancel(&self, id: JobId) -> Result<(), Error> {
        let now = self.clock.now();
        self.catalog
            .cancel_job(id, now + self.config.keep, now)
            .await?;
        self.stop_here(id);
        Ok(())
    }

    /// Removes a job; if it runs, it stops.
    pub async fn delete(&self, id: JobId) -> Result<(), Error> {
        self.catalog.delete_job(id).await?;
        self.stop_here(id);
        Ok(())
    }

    fn stop_here(&self, id: JobId) {
        for (job, token) in self.running.lock().values() {
            if *job == id {
                token.cancel();
            }
        }
    }

    /// Does jobs until `stop`; then those that run are given back at once.
    pub async fn run(self, stop: CancellationToken) {
        let mut tasks: JoinSet<&'static str> = JoinSet::new();
        let mut busy: BTreeMap<&'static str, usize> = BTreeMap::new();
        let mut changes = self.catalog.job_changes();
        let mut expiry = tokio::time::interval(EXPIRY_ROUND);
        expiry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            changes.mark_unchanged();
            for (&name, kind) in self.kinds.iter() {
                let busy = busy.entry(name).or_default();
                let free = kind.limit.saturating_sub(*busy);
                for work in self.take(name, free).await {
                    *busy += 1;
                    let handler = Arc::clone(&kind.handler);
                    let one = self.clone().one(name, work, handler, stop.clone());
                    tasks.spawn(one.map(move |()| name));
                }
                metrics::gauge!("framewell_jobs_running", "kind" => name).set(to_f64(*busy));
            }
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = changes.changed() => {}
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    forget(&mut busy, ended);
                }
                _ = expiry.tick() => self.tidy().await,
                () = tokio::time::sleep(self.config.poll) => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn take(&self, kind: &'static str, free: usize) -> Vec<Work> {
        if free == 0 {
            return Vec::new();
        }
        let now = self.clock.now();
        let mut taken = Vec::new();
        // One holder for each job: giving one back must not touch another.
        for _ in 0..free {
            let holder = HolderId::from_uuid(Uuid::now_v7());
            let lease = Lease {
                holder,
                until: now + self.config.lease,
            };
            match self.catalog.take_jobs(kind, lease, 1, now).await {
                Ok(jobs) if jobs.is_empty() => break,
                Ok(jobs) => taken.extend(jobs.into_iter().map(|job| self.work(job, holder))),
                Err(error) => {
                    tracing::warn!(
                        kind,
                        error = &error as &dyn std::error::Error,
                        "jobs cannot be taken now; will try again"
                    );
                    break;
                }
            }
        }
        taken
    }

    fn work(&self, job: Job, holder: HolderId) -> Work {
        Work {
            job,
            holder,
            lease: self.config.lease,
            turn: self.config.turn,
            catalog: self.catalog.clone(),
            clock: Arc::clone(&self.clock),
            has_saved: AtomicBool::new(false),
            started: Instant::now(),
        }
    }

    /// One turn of one job.
    async fn one(
        self,
        kind: &'static str,
        work: Work,
        handler: Arc<dyn Handler>,
        stop: CancellationToken,
    ) {
        let cancelled = CancellationToken::new();
        let turn = (work.job.id, cancelled.clone());
        self.running.lock().insert(work.holder, turn);
        let result = if work.job.attempts > self.config.max_attempts {
            // Whoever had it before did not live to say so.
            let text = format!("given up after {} attempts", work.job.attempts - 1);
            Some(Err(Failure::last(text)))
        } else {
            let turn = AssertUnwindSafe(handler.run(&work)).catch_unwind();
            tokio::select! {
                result = turn => Some(result.unwrap_or_else(|_| {
                    Err(Failure::transient("an internal error"))
                })),
                () = self.lose(&work) => None,
                () = cancelled.cancelled() => None,
                () = stop.cancelled() => Some(Ok(Next::Pause(Duration::ZERO))),
            }
        };
        self.running.lock().remove(&work.holder);
        let label = match result {
            Some(result) => self.release(kind, &work, result, &stop).await,
            None => "lost",
        };
        metrics::counter!("framewell_job_turns_total", "kind" => kind, "result" => label)
            .increment(1);
        let seconds = work.started.elapsed().as_secs_f64();
        metrics::histogram!("framewell_job_turn_seconds", "kind" => kind).record(seconds);
    }

    /// Gives signs of life; resolves when the job is not ours any more.
    async fn lose(&self, work: &Work) {
        let mut alive_until = self.config.lease;
        loop {
            tokio::time::sleep(self.config.lease / 3).await;
            let renewed = self.renew(work).await;
            let age = work.started.elapsed();
            match renewed {
                Ok(()) => alive_until = age + self.config.lease,
                Err(error) if error.kind() == ErrorKind::NotFound => return,
                // Nobody else can take it while the database is away for everybody.
                Err(_) if age < alive_until => {}
                Err(_) => return,
            }
        }
    }

    /// Gives signs of life for as long as it takes to write a job's end; resolves when the job is not
    /// ours any more.
    async fn hold_on(&self, work: &Work) {
        loop {
            tokio::time::sleep(self.config.lease / 3).await;
            let renewed = self.renew(work).await;
            if renewed.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                return;
            }
        }
    }

    async fn renew(&self, work: &Work) -> Result<(), Error> {
        let (lease, now) = (work.next_lease(), self.clock.now());
        self.catalog.renew_job(work.job.id, lease, now).await
    }

    async fn release(
        &self,
        kind: &'static str,
        work: &Work,
        result: Result<Next, Failure>,
        stop: &CancellationToken,
    ) -> &'static str {
        let now = self.clock.now();
        let (id, expire) = (work.job.id, now + self.config.keep);
        let (release, label) = match result {
            Ok(Next::Done) => (Release::Done(expire), "done"),
            Ok(Next::Pause(pause)) => (Release::Pause(now + pause), "pause"),
            Err(failure) => match failure.what {
                What::Lost => return "lost",
                What::Transient if work.attempts() < self.config.max_attempts => {
                    tracing::info!(job.id = %id, kind, reason = failure.text, "a job will be tried again");
                    (Release::Retry(now + pause_after(work.attempts())), "retry")
                }
                What::Transient | What::Final => {
                    tracing::warn!(job.id = %id, kind, reason = failure.text, "a job failed");
                    (Release::Error(failure.text, expire), "error")
                }
            },
        };
        let mut releasing = std::pin::pin!(self.write_release(work, &release));
        let deadline = async {
            stop.cancelled().await;
            tokio::time::sleep(RELEASE_DEADLINE).await;
        };
        tokio::select! {
            biased;
            () = &mut releasing => {}
            () = self.hold_on(work) => return "lost",
            () = deadline => tracing::warn!(job.id = %id, kind, "a job could not be given back; its lease will run out"),
        }
        label
    }

    /// Tries as long as it takes: a finished job must not be done again because the database was away.
    async fn write_release(&self, work: &Work, release: &Release) {
        loop {
            let now = self.clock.now();
            let written = self
                .catalog
                .release_job(work.job.id, work.holder, release, now)
                .await;
            match written {
                Ok(()) => return,
                Err(error) if error.kind() == ErrorKind::NotFound => return,
                Err(error) => {
                    tracing::warn!(job.id = %work.job.id, error = &error as &dyn std::error::Error, "the end of a job cannot be written now; will try again");
                    tokio::time::sleep(FIRST_PAUSE).await;
                }
            }
        }
    }

    async fn tidy(&self) {
        let now = self.clock.now();
        if let Err(error) = self
            .catalog
            .delete_expired_jobs(EXPIRED_PER_ROUND, now)
            .await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "ended jobs cannot be removed now"
            );
        }
        for name in self.kinds.keys() {
            if let Ok(due) = self.catalog.count_due_jobs(name, now).await {
                metrics::gauge!("framewell_jobs_due", "kind" => *name)
                    .set(to_f64(usize::try_from(due).unwrap_or(0)));
            }
        }
    }
}

/// How long to wait after the n-th attempt, from 1.
fn pause_after(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(20);
    FIRST_PAUSE
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE)
}

fn forget(
    busy: &mut BTreeMap<&'static str, usize>,
    ended: Result<&'static str, tokio::task::JoinError>,
) {
    match ended {
        Ok(kind) => {
            if let Some(count) = busy.get_mut(kind) {
                *count = count.saturating_sub(1);
            }
        }
        Err(error) => {
            // Panics of handlers are caught inside; this is ours.
            tracing::error!(error = %error, "the task of a job failed");
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge of a small number of jobs"
)]
const fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<u64> = (1..=10).map(|n| pause_after(n).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    }
}
