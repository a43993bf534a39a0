//! Durable jobs: work that outlives the request that asked for it.
//!
//! A job is a row of the catalog. [`Jobs::run`] takes due rows with a lease and gives each to the
//! [`Handler`] of its kind. The handler saves how far it has come ([`Work::save`]); whoever takes the job
//! after a crash goes on from there. What does not belong here: what jobs do.
//!
//! The contract with handlers:
//!
//! * A handler is dropped at any `await`, without notice: when the server stops, the job is cancelled,
//!   or the lease is lost. What it does must stand that, as it must stand `kill -9`.
//! * What it did after the last save is done again. So each step must be idempotent: storing the same
//!   thing twice stores it once.
//! * A failure is tried again with growing pauses, [`JobsConfig::max_attempts`] times without progress;
//!   then the job ends in error. Saving progress starts the count anew.
//!
//! Bounds: at most so many jobs of a kind run at once as [`Jobs::register`] says; the others wait in the
//! database, those due longest first. A handler that works long returns [`Next::Pause`] when its turn is
//! over ([`Work::is_turn_over`]), so that one long job does not make all others wait.

mod failure;
mod runner;
mod work;

pub use failure::Failure;
pub use runner::{Jobs, JobsConfig};
pub use work::{Next, Work};

use futures::future::BoxFuture;

/// Does the jobs of one kind.
pub trait Handler: Send + Sync + 'static {
    /// Does a job, or a part of it. See the module's rules.
    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<Next, Failure>>;
}
