//! The pool of workers.

use crate::connection::Greeting;
use crate::dispatch::{Dispatch, Places, Ticket};
use crate::options::WorkerOptions;
use crate::owner::{First, Owner, count};
use crate::protocol::render::{Coded, RenderJob};
use crate::protocol::{Job, Made, Picture, Priority};
use crate::schedule::{SessionKey, Use};
use crate::session::Session;
use crate::worker::Worker;
use framewell_model::{ErrorKind, HasKind};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

/// Encoding takes several times as long as decoding.
pub const RENDER_PATIENCE: u32 = 6;

/// How many workers, and how long they may take. [`PoolConfig::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// The `framewell-decoder` executable.
    pub program: PathBuf,
    /// What each worker may use.
    pub worker: WorkerOptions,
    /// Worker processes (default: CPU cores).
    pub workers: usize,
    /// Longest time for one job, queueing not counted (default 10 s); then the worker is killed.
    pub deadline: Duration,
    /// Jobs that may wait for a worker, half of them batch jobs at most; beyond that, [`Error::Busy`]
    /// for interactive jobs, and batch jobs wait for a place (default 64).
    pub queue: usize,
    /// A worker is replaced after this many jobs (default 10,000), against slow leaks; while it has
    /// sessions, after twice as many.
    pub max_jobs: u64,
}

impl PoolConfig {
    /// The defaults for this program.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            worker: WorkerOptions::default(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            deadline: Duration::from_secs(10),
            queue: 64,
            max_jobs: 10_000,
        }
    }
}

/// A job that failed. One worker at most was lost; it is replaced already.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// All workers are busy and the queue is full.
    #[error("the decoder queue is full")]
    Busy,
    /// The job took too long.
    #[error("decoding took longer than {0:?}")]
    Deadline(Duration),
    /// The worker died.
    #[error("the decoder process died ({0})")]
    Died(String),
    /// The worker says the bitstream cannot be decoded.
    #[error("the video cannot be decoded: {0}")]
    Bitstream(String),
    /// The job asks for something that does not exist or is not allowed, such as a width of 3.
    #[error("bad decoding job: {0}")]
    Invalid(String),
    /// A session was asked to continue and has no position: its worker or its last job was lost, or
    /// its decoder was given up for lack of room. Start again at a key frame.
    #[error("the decoder's position is lost")]
    PositionLost,
    /// No worker can be started.
    #[error("the decoder program {program} cannot be started")]
    Start {
        /// Its path.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            // Not `ResourceExhausted`: the queue is everybody's, and no limit of this caller is reached.
            Self::Busy | Self::PositionLost | Self::Start { .. } => ErrorKind::Unavailable,
            Self::Deadline(_) => ErrorKind::Timeout,
            Self::Died(_) | Self::Bitstream(_) => ErrorKind::DataLoss,
            Self::Invalid(_) => ErrorKind::InvalidArgument,
        }
    }
}

impl Error {
    pub(crate) fn of_start(program: &Path, source: &io::Error) -> Self {
        Self::Start {
            program: program.to_owned(),
            source: io::Error::new(source.kind(), source.to_string()),
        }
    }

    /// The same error for one more caller who waited for the same job. Of a cause that cannot be copied,
    /// its kind and text remain.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        match self {
            Self::Busy => Self::Busy,
            Self::Deadline(after) => Self::Deadline(*after),
            Self::Died(how) => Self::Died(how.clone()),
            Self::Bitstream(why) => Self::Bitstream(why.clone()),
            Self::Invalid(why) => Self::Invalid(why.clone()),
            Self::PositionLost => Self::PositionLost,
            Self::Start { program, source } => Self::of_start(program, source),
        }
    }

    /// Metric label.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Deadline(_) => "deadline",
            Self::Died(_) => "died",
            Self::Bitstream(_) => "bitstream",
            Self::Invalid(_) => "invalid",
            Self::PositionLost => "position_lost",
            Self::Start { .. } => "start",
        }
    }
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
    /// Sessions whose decoder it has or will have.
    pub sessions: usize,
    /// Processes that this place has used up.
    pub restarts: u64,
}

/// Handle to the pool; cheap to clone. Workers end when the last handle goes, and the last
/// [`Session`].
#[derive(Debug, Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dispatch: Arc<Dispatch>,
    first: Arc<First>,
    config: Arc<PoolConfig>,
    /// One permit per worker and per job that may wait.
    places: Arc<Semaphore>,
    /// One permit per worker and per batch job that may wait.
    batch_places: Arc<Semaphore>,
    /// Aborted when the last handle goes; each task's worker is killed with it.
    _owners: JoinSet<()>,
}

impl Pool {
    /// Starts the workers, all at once; fails if the program cannot be run. Jobs are taken at once and
    /// wait for the first worker to be ready. Must be called within a tokio runtime.
    pub fn start(config: PoolConfig) -> Result<Self, Error> {
        let config = Arc::new(config);
        let workers = config.workers.max(1);
        let dispatch = Arc::new(Dispatch::new(workers));
        let first = Arc::new(First::new(None));
        let mut owners = JoinSet::new();
        for lane in 0..workers {
            let worker = Worker::spawn(&config.program, &config.worker)
                .map_err(|error| Error::of_start(&config.program, &error))?;
            let owner = Owner {
                config: Arc::clone(&config),
                dispatch: Arc::clone(&dispatch),
                lane,
                first: Arc::clone(&first),
            };
            owners.spawn(owner.run(worker));
        }
        let inner = Inner {
            dispatch,
            first,
            config: Arc::clone(&config),
            places: Arc::new(Semaphore::new(workers + config.queue)),
            batch_places: Arc::new(Semaphore::new(workers + config.queue / 2)),
            _owners: owners,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Runs a job on the next free worker: its samples begin with a key frame. Pictures come back in
    /// the order in which they got ready (presentation order), told apart by their tags.
    ///
    /// Of jobs that wait, the interactive ones go first, with a small share for batch jobs so that they
    /// never stand still. Batch jobs hold half of the queue at most. A caller that drops the future
    /// leaves nothing behind: a job that waits is discarded, one that runs is finished for nobody.
    pub async fn decode(&self, job: Job) -> Result<Vec<Picture>, Error> {
        job.check().map_err(Error::Invalid)?;
        job.check_alone().map_err(Error::Invalid)?;
        self.queue(job, None).await?.whole()
    }

    /// Encodes a piece of video anew, as a batch job. What comes back begins with a key picture; a picture that
    /// does not come out of damaged footage is left out. A job may take [`RENDER_PATIENCE`] times as long as
    /// others.
    pub async fn render(&self, job: RenderJob) -> Result<Vec<Coded>, Error> {
        let job = job.into_job();
        job.check().map_err(Error::Invalid)?;
        Ok(self.queue(job, None).await?.coded)
    }

    /// A decoder that keeps its position from job to job, on the worker with the fewest of them.
    /// Nothing is sent until its first job.
    #[must_use]
    pub fn open_session(&self) -> Session {
        Session::new(self.clone(), self.inner.dispatch.open())
    }

    /// Waits for the first worker to start, and returns what it says about itself: all are alike. Fails
    /// if it cannot, and where a sandbox is required and the kernel does not offer it.
    pub async fn greeting(&self) -> Result<Greeting, Error> {
        let mut first = self.inner.first.subscribe();
        let known = first.wait_for(Option::is_some).await;
        let known = known.expect("this pool holds the sender");
        match known.as_ref().expect("waited for it") {
            Ok(greeting) => Ok(greeting.clone()),
            Err(error) => Err(Error::of_start(&self.inner.config.program, error)),
        }
    }

    /// What each place of the pool is doing now.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.inner.dispatch.status()
    }

    /// Workers that are ready for jobs, or have one.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.inner.dispatch.ready()
    }

    /// Jobs of a class that have a place and wait for a worker.
    #[must_use]
    pub fn waiting(&self, class: Priority) -> usize {
        self.inner.dispatch.waiting(class)
    }

    pub(crate) async fn decode_in(&self, job: Job, session: Use) -> Result<Made, Error> {
        job.check().map_err(Error::Invalid)?;
        job.check_entry(session.entry).map_err(Error::Invalid)?;
        self.queue(job, Some(session)).await
    }

    pub(crate) fn close_session(&self, key: SessionKey) {
        self.inner.dispatch.close(key);
    }

    async fn queue(&self, job: Job, session: Option<Use>) -> Result<Made, Error> {
        let queued = Instant::now();
        let places = self.places(job.priority).await?;
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket {
            job,
            reply,
            queued,
            places,
        };
        if !self.inner.dispatch.push(ticket, session) {
            count(Error::PositionLost.label());
            return Err(Error::PositionLost);
        }
        match answer.await {
            Ok(result) => result,
            Err(_) => Err(Error::Died("the task that owned it ended".into())),
        }
    }

    /// Batch jobs wait for theirs; the others find one or the pool is busy.
    async fn places(&self, class: Priority) -> Result<Places, Error> {
        let any = Arc::clone(&self.inner.places);
        if class == Priority::Batch {
            let batch = Arc::clone(&self.inner.batch_places).acquire_owned();
            let batch = Some(batch.await.expect("nobody closes the semaphore"));
            let any = any.acquire_owned().await;
            let any = any.expect("nobody closes the semaphore");
            return Ok(Places {
                _any: any,
                _batch: batch,
            });
        }
        let place = Arc::clone(&any).try_acquire_owned().or_else(|_| {
            self.inner.dispatch.purge();
            any.try_acquire_owned()
        });
        match place {
            Ok(any) => Ok(Places {
                _any: any,
                _batch: None,
            }),
            Err(_) => {
                count(Error::Busy.label());
                Err(Error::Busy)
            }
        }
    }
}
