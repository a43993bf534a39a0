//! The pool of workers.

use crate::protocol::{Job, Picture};
use framewell_model::{ErrorKind, HasKind};
use std::path::PathBuf;
use std::time::Duration;

/// How many workers, and how long they may take.
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
            Self::Start { .. } => ErrorKind::Unavailable,
        }
    }
}

/// Handle to the pool; cheap to clone. Workers end when the last handle goes.
#[derive(Debug, Clone)]
pub struct Pool {
    _private: (),
}

impl Pool {
    /// Starts the workers; fails if the program cannot be run.
    pub fn start(config: PoolConfig) -> Result<Self, Error> {
        let _ = config;
        todo!()
    }

    /// Runs a job on the next free worker. Pictures come back in the order of `job.wanted`.
    pub async fn decode(&self, job: Job) -> Result<Vec<Picture>, Error> {
        let _ = job;
        todo!()
    }
}
