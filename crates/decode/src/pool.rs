//! The pool of workers.

use crate::owner::{Owner, Ticket, WorkerStatus, count};
use crate::protocol::{Job, Picture};
use crate::session::Session;
use crate::worker::Worker;
use framewell_model::{ErrorKind, HasKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// How many workers, and how long they may take. [`PoolConfig::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// The `framewell-decoder` executable.
    pub program: PathBuf,
    /// Worker processes (default: CPU cores).
    pub workers: usize,
    /// Longest time for one job, queueing not counted (default 10 s); then the worker is killed.
    pub deadline: Duration,
    /// Jobs that may wait for a worker; beyond that, [`Error::Busy`] (default 64).
    pub queue: usize,
    /// A worker is replaced after this many jobs (default 10,000), against slow leaks.
    pub max_jobs: u64,
}

impl PoolConfig {
    /// The defaults for this program.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
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
        source: std::io::Error,
    },
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Busy => ErrorKind::ResourceExhausted,
            Self::Deadline(_) => ErrorKind::Timeout,
            Self::Died(_) | Self::Bitstream(_) => ErrorKind::DataLoss,
            Self::Invalid(_) => ErrorKind::InvalidArgument,
            Self::PositionLost | Self::Start { .. } => ErrorKind::Unavailable,
        }
    }
}

impl Error {
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

/// Handle to the pool; cheap to clone. Workers end when the last handle goes.
#[derive(Debug, Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: mpsc::Sender<Ticket>,
    /// One permit per worker and per waiting job.
    places: Arc<Semaphore>,
    status: Vec<watch::Receiver<WorkerStatus>>,
    /// Aborted when the last handle goes; each task's worker is killed with it.
    _owners: JoinSet<()>,
}

impl Pool {
    /// Starts the workers, all at once; fails if the program cannot be run. Jobs are taken at once and
    /// wait for the first worker to be ready. Must be called within a tokio runtime.
    pub fn start(config: PoolConfig) -> Result<Self, Error> {
        let config = Arc::new(config);
        let workers = config.workers.max(1);
        let (sender, receiver) = mpsc::channel(workers + config.queue);
        let receiver = Arc::new(Mutex::new(receiver));
        let ready = Arc::default();
        let mut owners = JoinSet::new();
        let mut status = Vec::with_capacity(workers);
        for _ in 0..workers {
            let first = Worker::spawn(&config.program).map_err(|source| Error::Start {
                program: config.program.clone(),
                source,
            })?;
            let (shown, seen) = watch::channel(WorkerStatus::default());
            let owner = Owner {
                config: Arc::clone(&config),
                queue: Arc::clone(&receiver),
                ready: Arc::clone(&ready),
                status: shown,
            };
            owners.spawn(owner.run(first));
            status.push(seen);
        }
        let inner = Inner {
            queue: sender,
            places: Arc::new(Semaphore::new(workers + config.queue)),
            status,
            _owners: owners,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Runs a job on the next free worker: its samples begin with a key frame. Pictures come back in
    /// the order in which they got ready (presentation order), told apart by their tags.
    ///
    /// A caller that drops the future leaves nothing behind: a job that waits is discarded, one that
    /// runs is finished for nobody.
    pub async fn decode(&self, job: Job) -> Result<Vec<Picture>, Error> {
        job.check().map_err(Error::Invalid)?;
        job.check_alone().map_err(Error::Invalid)?;
        let busy = || {
            count(Error::Busy.label());
            Error::Busy
        };
        let place = Arc::clone(&self.inner.places);
        let place = place.try_acquire_owned().map_err(|_| busy())?;
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket {
            job,
            reply,
            _place: place,
        };
        metrics::gauge!("framewell_decode_queue_length").increment(1);
        self.inner.queue.try_send(ticket).map_err(|_| busy())?;
        match answer.await {
            Ok(result) => result,
            Err(_) => Err(Error::Died("the task that owned it ended".into())),
        }
    }

    /// A decoder that keeps its position from job to job, on the worker with the fewest of them.
    /// Nothing is sent until its first job.
    #[must_use]
    pub fn open_session(&self) -> Session {
        todo!()
    }

    /// What each place of the pool is doing now.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.inner
            .status
            .iter()
            .map(|seen| *seen.borrow())
            .collect()
    }
}
