//! A database with one channel, a runner, and handlers made of closures.

use framewell_catalog::{Catalog, CatalogConfig, Job, NewJob};
use framewell_jobs::{Failure, Handler, Jobs, JobsConfig, Next, Work};
use framewell_model::{Channel, JobId, JobState, NewChannel, RecMode, Secret, WallClock, WallTime};
use framewell_testkit::clock::MovableClock;
use futures::future::BoxFuture;
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const KIND: &str = "test";

pub(crate) const CONFIG: JobsConfig = JobsConfig {
    lease: Duration::from_millis(900),
    poll: Duration::from_millis(10),
    turn: Duration::from_secs(60),
    max_attempts: 3,
    keep: Duration::from_secs(1_000),
};

/// A handler out of an async closure.
pub(crate) struct Do<F>(pub(crate) F);

impl<F> Handler for Do<F>
where
    F: for<'a> Fn(&'a Work) -> BoxFuture<'a, Result<Next, Failure>> + Send + Sync + 'static,
{
    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<Next, Failure>> {
        (self.0)(work)
    }
}

pub(crate) struct Rig {
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<MovableClock>,
    pub(crate) channel: Channel,
    pub(crate) stop: CancellationToken,
    pub(crate) runners: JoinSet<()>,
    dir: TempDir,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("jobs.db").display());
        let config = CatalogConfig {
            url: Secret::new(url),
            max_connections: 4,
        };
        let catalog = Catalog::open(&config).await.unwrap();
        let now = WallTime::from_secs(1_714_550_400);
        let account = catalog.create_account("owner", now).await.unwrap();
        let new = NewChannel {
            name: "gate".into(),
            rec_mode: RecMode::On,
            timezone: "UTC".into(),
            source: None,
            retention_s: None,
            meta: BTreeMap::new(),
        };
        let channel = catalog.create_channel(account.id, &new, now).await.unwrap();
        Self {
            catalog,
            clock: Arc::new(MovableClock::new(now)),
            channel,
            stop: CancellationToken::new(),
            runners: JoinSet::new(),
            dir,
        }
    }

    pub(crate) fn clock(&self) -> Arc<dyn WallClock> {
        Arc::<MovableClock>::clone(&self.clock)
    }

    /// Starts a runner with this handler; the handle cancels and deletes.
    pub(crate) fn run<F>(&mut self, limit: usize, handler: F) -> Jobs
    where
        F: for<'a> Fn(&'a Work) -> BoxFuture<'a, Result<Next, Failure>> + Send + Sync + 'static,
    {
        self.run_with(CONFIG, limit, handler)
    }

    pub(crate) fn run_with<F>(&mut self, config: JobsConfig, limit: usize, handler: F) -> Jobs
    where
        F: for<'a> Fn(&'a Work) -> BoxFuture<'a, Result<Next, Failure>> + Send + Sync + 'static,
    {
        let jobs = Jobs::new(self.catalog.clone(), config, self.clock());
        let jobs = jobs.register(KIND, limit, Arc::new(Do(handler)));
        self.runners.spawn(jobs.clone().run(self.stop.clone()));
        jobs
    }

    pub(crate) async fn create(&self, parameters: Value) -> JobId {
        let new = NewJob {
            kind: KIND,
            account: self.channel.account,
            channel: Some(self.channel.id),
            parameters,
            dedup: None,
            due: self.clock.now(),
        };
        let job = self.catalog.create_job(&new, self.clock.now()).await;
        job.unwrap().id
    }

    /// Runs a statement that the catalog does not have.
    pub(crate) async fn execute(&self, statement: &'static str) {
        let url = format!("sqlite:{}", self.dir.path().join("jobs.db").display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    pub(crate) async fn job(&self, id: JobId) -> Job {
        self.catalog.load_job(id).await.unwrap()
    }

    /// Waits until the job is in a state, moving the clock a little at each look if asked to.
    pub(crate) async fn wait_for(&self, id: JobId, state: JobState, step: Duration) -> Job {
        let wait = async {
            loop {
                let job = self.job(id).await;
                if job.state == state {
                    return job;
                }
                self.clock.advance(step);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
        waited.unwrap_or_else(|_| panic!("job {id} does not become {state:?}"))
    }

    pub(crate) async fn wait_for_done(&self, id: JobId) -> Job {
        self.wait_for(id, JobState::Done, Duration::ZERO).await
    }

    /// Ends all runners as `kill -9` would: nothing is given back.
    pub(crate) async fn crash(&mut self) {
        self.runners.shutdown().await;
    }

    /// Ends all runners cleanly.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        while self.runners.join_next().await.is_some() {}
    }
}
