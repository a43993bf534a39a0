//! A job in the hands of its handler.

use crate::Failure;
use framewell_catalog::{Catalog, Checkpoint, Job, Lease};
use framewell_model::{HolderId, WallClock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How a handler ends its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The job is finished.
    Done,
    /// There is more to do, not before this time has passed. No failure; with zero, jobs that wait
    /// already go first.
    Pause(Duration),
}

/// A taken job.
#[derive(Debug)]
pub struct Work {
    pub(crate) job: Job,
    pub(crate) holder: HolderId,
    pub(crate) lease: Duration,
    pub(crate) turn: Duration,
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) started: Instant,
    pub(crate) has_saved: AtomicBool,
}

impl Work {
    /// The row, as it was taken.
    #[must_use]
    pub const fn job(&self) -> &Job {
        &self.job
    }

    /// What is to be done.
    pub fn parameters<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        T::deserialize(&self.job.parameters)
            .map_err(|error| Failure::last(format!("the parameters cannot be read: {error}")))
    }

    /// Where to go on; `None` at the beginning.
    pub fn position<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        let position = self.job.position.as_ref();
        position
            .map(T::deserialize)
            .transpose()
            .map_err(|error| Failure::last(format!("the saved position cannot be read: {error}")))
    }

    /// Saves how far the job has come: progress from 0 to 1, and where to go on. Everything before it is
    /// never done again.
    pub async fn save(&self, progress: f64, position: &impl Serialize) -> Result<(), Failure> {
        let position = serde_json::to_value(position)
            .map_err(|error| Failure::last(format!("the position cannot be written: {error}")))?;
        let checkpoint = Checkpoint { progress, position };
        let now = self.clock.now();
        self.catalog
            .save_job(self.job.id, self.next_lease(), &checkpoint, now)
            .await
            .map_err(|error| Failure::of_write(&error))?;
        self.has_saved.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether it is time to let others have a turn: save, and return [`Next::Pause`].
    #[must_use]
    pub fn is_turn_over(&self) -> bool {
        self.started.elapsed() >= self.turn
    }

    /// Attempts without progress, this one included.
    pub(crate) fn attempts(&self) -> i64 {
        match self.has_saved.load(Ordering::Relaxed) {
            true => 1,
            false => self.job.attempts,
        }
    }

    pub(crate) fn next_lease(&self) -> Lease {
        Lease {
            holder: self.holder,
            until: self.clock.now() + self.lease,
        }
    }
}
