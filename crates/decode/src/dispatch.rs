//! The schedule, shared by callers and the owners of workers.

use crate::pool::{Error, WorkerStatus};
use crate::protocol::{Job, Made, Priority};
use crate::schedule::{Load, Schedule, SessionKey, Task, Use};
use parking_lot::Mutex;
use std::time::Instant;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

/// A job on its way to a worker.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) job: Job,
    pub(crate) reply: oneshot::Sender<Result<Made, Error>>,
    pub(crate) queued: Instant,
    /// Its places in the pool, held until the answer is there.
    pub(crate) places: Places,
}

impl Load for Ticket {
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }
}

/// One of all places, and for a batch job one of those for batch jobs.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) _any: OwnedSemaphorePermit,
    pub(crate) _batch: Option<OwnedSemaphorePermit>,
}

/// The lock around the [`Schedule`], held for moments, and one bell per owner.
#[derive(Debug)]
pub(crate) struct Dispatch {
    schedule: Mutex<Schedule<Ticket>>,
    bells: Vec<Notify>,
}

impl Dispatch {
    pub(crate) fn new(lanes: usize) -> Self {
        Self {
            schedule: Mutex::new(Schedule::new(lanes)),
            bells: std::iter::repeat_with(Notify::new).take(lanes).collect(),
        }
    }

    /// Changes the schedule and wakes whoever has work then.
    fn change<R>(&self, change: impl FnOnce(&mut Schedule<Ticket>) -> R) -> R {
        let mut schedule = self.schedule.lock();
        let result = change(&mut schedule);
        schedule.dispatch(|lane| self.bells[lane].notify_one());
        for class in [Priority::Interactive, Priority::Batch] {
            let waiting = u32::try_from(schedule.waiting(class)).unwrap_or(u32::MAX);
            metrics::gauge!("framewell_decode_queue_length", "class" => class.label()).set(waiting);
        }
        result
    }

    pub(crate) fn open(&self) -> SessionKey {
        self.schedule.lock().open()
    }

    pub(crate) fn close(&self, key: SessionKey) {
        self.change(|schedule| schedule.close(key));
    }

    /// Queues a job; returns whether it has a position to continue from, if it needs one.
    pub(crate) fn push(&self, ticket: Ticket, session: Option<Use>) -> bool {
        let class = ticket.job.priority;
        self.change(|schedule| schedule.push(ticket, class, session).is_ok())
    }

    /// Frees the places of jobs that wait and that nobody wants any more.
    pub(crate) fn purge(&self) {
        self.change(Schedule::purge);
    }

    /// Waits for the next task of a lane. Cancel-safe if [`Dispatch::down`] follows.
    pub(crate) async fn take(&self, lane: usize) -> Task<Ticket> {
        loop {
            if let Some(task) = self.change(|schedule| schedule.take(lane)) {
                return task;
            }
            self.bells[lane].notified().await;
        }
    }

    pub(crate) fn up(&self, lane: usize, pid: Option<u32>) {
        self.change(|schedule| schedule.up(lane, pid));
        self.show_ready();
    }

    /// Returns the jobs that lost their position.
    pub(crate) fn down(&self, lane: usize) -> Vec<Ticket> {
        let lost = self.change(|schedule| schedule.down(lane));
        self.show_ready();
        lost
    }

    /// Waits for a job that no worker can do; as long as another lane has a worker, there is none.
    pub(crate) async fn take_refused(&self, lane: usize) -> Ticket {
        self.schedule.lock().refuse(lane);
        loop {
            if let Some(ticket) = self.change(Schedule::take_refused) {
                return ticket;
            }
            self.bells[lane].notified().await;
        }
    }

    pub(crate) fn retire(&self, lane: usize) -> bool {
        self.schedule.lock().retire(lane)
    }

    pub(crate) fn status(&self) -> Vec<WorkerStatus> {
        self.schedule.lock().status()
    }

    pub(crate) fn ready(&self) -> usize {
        self.schedule.lock().ready()
    }

    pub(crate) fn waiting(&self, class: Priority) -> usize {
        self.schedule.lock().waiting(class)
    }

    fn show_ready(&self) {
        let ready = u32::try_from(self.ready()).unwrap_or(u32::MAX);
        metrics::gauge!("framewell_decode_workers_ready").set(ready);
    }
}
