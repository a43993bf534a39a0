//! Which worker does which job next. A state machine without I/O; [`crate::dispatch`] has the lock.
//!
//! Each worker has a lane with the jobs of its sessions; all other jobs wait in one shared queue that
//! every lane serves. In each class the oldest job goes first, of the lane's own and the shared ones.
//! Interactive jobs go before batch jobs, but of [`BATCH_SHARE`] jobs that a lane takes while a batch
//! job waits, one is a batch job: a steady stream of single pictures slows a batch and never stops it.

use crate::owner::count;
use crate::pool::WorkerStatus;
use crate::protocol::Priority;
use crate::protocol::wire::{Entry, Exit, SessionUse};
use std::collections::{HashMap, VecDeque};

/// Of this many jobs that a lane takes while batch jobs wait, one is a batch job. A caller who waits for
/// one picture then waits for one batch job more, and a batch gets an eighth of the worker at least.
const BATCH_SHARE: u8 = 8;

/// What waits in the queues.
pub(crate) trait Load {
    /// Whether somebody still waits for it; if not, it is dropped instead of done.
    fn is_wanted(&self) -> bool;
}

/// A session of the pool; outlives the decoders (and their ids) that it uses on workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey(u64);

/// A job's part in a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    pub(crate) key: SessionKey,
    pub(crate) entry: Entry,
    pub(crate) exit: Exit,
}

/// What a worker is to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Task<T> {
    /// Free the decoder with this id.
    Close(u64),
    /// Run the job.
    Run(T, Option<SessionUse>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its worker starts.
    Down,
    /// Its worker could not be started; the owner answers jobs with that if no lane is up.
    Refusing,
    /// Its worker waits for work.
    Idle,
    /// As [`State::Idle`], and its owner was rung.
    Called,
    /// Its worker works.
    Busy,
}

#[derive(Debug)]
struct Lane<T> {
    state: State,
    own: Classes<T>,
    /// Decoders to free before the next job; each was used by the present worker.
    closing: Vec<u64>,
    /// The worker is due for replacement when its sessions have moved away.
    is_retiring: bool,
    since_batch: u8,
    status: WorkerStatus,
}

#[derive(Debug)]
struct Item<T> {
    load: T,
    session: Option<Use>,
    /// Rises with each job that is pushed.
    order: u64,
}

/// Queues of both classes.
#[derive(Debug)]
struct Classes<T> {
    interactive: VecDeque<Item<T>>,
    batch: VecDeque<Item<T>>,
}

impl<T> Default for Classes<T> {
    fn default() -> Self {
        Self {
            interactive: VecDeque::new(),
            batch: VecDeque::new(),
        }
    }
}

impl<T> Classes<T> {
    const fn of(&mut self, class: Priority) -> &mut VecDeque<Item<T>> {
        match class {
            Priority::Interactive => &mut self.interactive,
            Priority::Batch => &mut self.batch,
        }
    }

    fn len(&self) -> usize {
        self.interactive.len() + self.batch.len()
    }

    fn front(&mut self, class: Priority) -> Option<u64> {
        self.of(class).front().map(|item| item.order)
    }
}

/// Where a session's decoder is.
#[derive(Debug, Clone, Copy)]
struct Pin {
    lane: usize,
    /// Its id there; no two decoders of a pool have the same.
    id: u64,
    /// Whether the worker has been told of it.
    is_open: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Schedule<T> {
    lanes: Vec<Lane<T>>,
    shared: Classes<T>,
    pins: HashMap<SessionKey, Pin>,
    last_number: u64,
}

impl<T: Load> Schedule<T> {
    /// All lanes are down.
    pub(crate) fn new(lanes: usize) -> Self {
        let lane = || Lane {
            state: State::Down,
            own: Classes::default(),
            closing: Vec::new(),
            is_retiring: false,
            since_batch: 0,
            status: WorkerStatus::default(),
        };
        Self {
            lanes: std::iter::repeat_with(lane).take(lanes).collect(),
            shared: Classes::default(),
            pins: HashMap::new(),
            last_number: 0,
        }
    }

    /// A name for a new session; nothing is kept of it before its first job.
    pub(crate) const fn open(&mut self) -> SessionKey {
        SessionKey(self.number())
    }

    /// Ends a session.
    pub(crate) fn close(&mut self, key: SessionKey) {
        if let Some(pin) = self.pins.remove(&key) {
            self.free(pin);
        }
    }

    /// Queues a job; gives it back if it has no position to continue from.
    pub(crate) fn push(&mut self, load: T, class: Priority, session: Option<Use>) -> Result<(), T> {
        let queues = match session {
            None => &mut self.shared,
            Some(session) => match self.lane_for(session) {
                Some(lane) => &mut self.lanes[lane].own,
                None => return Err(load),
            },
        };
        self.last_number += 1;
        queues.of(class).push_back(Item {
            load,
            session,
            order: self.last_number,
        });
        Ok(())
    }

    /// The next task of a lane whose worker waits; with none, the lane is idle.
    pub(crate) fn take(&mut self, lane: usize) -> Option<Task<T>> {
        self.lanes[lane].state = State::Busy;
        if let Some(id) = self.lanes[lane].closing.pop() {
            return Some(Task::Close(id));
        }
        while let Some(item) = self.pick(lane) {
            if !item.load.is_wanted() {
                count("cancelled");
                continue;
            }
            let session = item.session.and_then(|session| self.enter(session));
            self.lanes[lane].status.jobs += 1;
            return Some(Task::Run(item.load, session));
        }
        self.lanes[lane].state = State::Idle;
        None
    }

    /// The lane's worker is ready.
    pub(crate) fn up(&mut self, lane: usize, pid: Option<u32>) {
        self.lanes[lane].state = State::Idle;
        self.lanes[lane].status.pid = pid;
        self.leave_dead_lanes();
    }

    /// The lane's worker is gone. Returns the jobs that wanted to continue where it was.
    pub(crate) fn down(&mut self, lane: usize) -> Vec<T> {
        self.pins.retain(|_, pin| pin.lane != lane);
        let dead = &mut self.lanes[lane];
        dead.state = State::Down;
        dead.closing.clear();
        dead.is_retiring = false;
        dead.since_batch = 0;
        dead.status = WorkerStatus {
            restarts: dead.status.restarts + 1,
            ..WorkerStatus::default()
        };
        let mut lost = Vec::new();
        for class in [Priority::Interactive, Priority::Batch] {
            for item in std::mem::take(self.lanes[lane].own.of(class)) {
                match item.session {
                    Some(session) if session.entry == Entry::Key => {
                        self.pin_to(session.key, lane);
                        self.lanes[lane].own.of(class).push_back(item);
                    }
                    _ => lost.push(item.load),
                }
            }
        }
        self.leave_dead_lanes();
        lost
    }

    /// The lane's worker cannot be started.
    pub(crate) fn refuse(&mut self, lane: usize) {
        self.lanes[lane].state = State::Refusing;
    }

    /// Any job at all, if no worker is there to do it.
    pub(crate) fn take_refused(&mut self) -> Option<T> {
        if self.is_up() {
            return None;
        }
        let queues = self.lanes.iter_mut().map(|lane| &mut lane.own);
        let item = queues.chain([&mut self.shared]).find_map(|own| {
            own.interactive
                .pop_front()
                .or_else(|| own.batch.pop_front())
        });
        item.map(|item| item.load)
    }

    /// Whether the lane's worker may be replaced without loss; from now on sessions avoid it.
    pub(crate) fn retire(&mut self, lane: usize) -> bool {
        self.lanes[lane].is_retiring = true;
        self.pins.values().all(|pin| pin.lane != lane)
    }

    /// Drops jobs that nobody waits for.
    pub(crate) fn purge(&mut self) {
        let queues = self.lanes.iter_mut().map(|lane| &mut lane.own);
        for queue in queues.chain([&mut self.shared]) {
            queue.interactive.retain(|item| item.load.is_wanted());
            queue.batch.retain(|item| item.load.is_wanted());
        }
    }

    /// Calls `ring` for each owner that has to look for work.
    pub(crate) fn dispatch(&mut self, mut ring: impl FnMut(usize)) {
        if !self.is_up() {
            if self.waiting(Priority::Interactive) + self.waiting(Priority::Batch) > 0 {
                let lanes = self.lanes.iter().enumerate();
                let refusing = lanes.filter(|(_, lane)| lane.state == State::Refusing);
                refusing.for_each(|(index, _)| ring(index));
            }
            return;
        }
        let mut helpers = self.shared.len();
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            let has_work = lane.own.len() > 0 || !lane.closing.is_empty();
            if lane.state == State::Idle && has_work {
                lane.state = State::Called;
                ring(index);
            }
            if lane.state == State::Called {
                helpers = helpers.saturating_sub(1);
            }
        }
        while helpers > 0
            && let Some(index) = self.best_lane(|lane| lane.state == State::Idle)
        {
            self.lanes[index].state = State::Called;
            ring(index);
            helpers -= 1;
        }
    }

    /// Jobs of a class that wait.
    pub(crate) fn waiting(&self, class: Priority) -> usize {
        let len = |queues: &Classes<T>| match class {
            Priority::Interactive => queues.interactive.len(),
            Priority::Batch => queues.batch.len(),
        };
        len(&self.shared) + self.lanes.iter().map(|lane| len(&lane.own)).sum::<usize>()
    }

    /// What each lane is doing.
    pub(crate) fn status(&self) -> Vec<WorkerStatus> {
        let status = |(index, lane): (usize, &Lane<T>)| WorkerStatus {
            is_busy: lane.state == State::Busy,
            sessions: self.sessions_on(index),
            ..lane.status
        };
        self.lanes.iter().enumerate().map(status).collect()
    }

    /// Workers that are ready.
    pub(crate) fn ready(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.is_up()).count()
    }

    fn is_up(&self) -> bool {
        self.lanes.iter().any(Lane::is_up)
    }

    fn sessions_on(&self, lane: usize) -> usize {
        self.pins.values().filter(|pin| pin.lane == lane).count()
    }

    const fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// The lane of a session's job. One that starts anew at a key frame goes to an idle worker if its own
    /// has other things to do; opening a decoder costs less than waiting for somebody else's GOP.
    fn lane_for(&mut self, session: Use) -> Option<usize> {
        let pinned = self.pins.get(&session.key).map(|pin| pin.lane);
        match (pinned, session.entry) {
            (lane, Entry::Continue) => lane,
            (None, Entry::Key) => {
                let lane = self.best_lane(|_| true)?;
                self.pin_to(session.key, lane);
                Some(lane)
            }
            (Some(lane), Entry::Key) => Some(self.better_lane(session.key, lane)),
        }
    }

    fn better_lane(&mut self, key: SessionKey, present: usize) -> usize {
        let own = &self.lanes[present];
        if own.state == State::Idle && !own.is_retiring {
            return present;
        }
        let is_free = |lane: &Lane<T>| lane.state == State::Idle && !lane.is_retiring;
        let Some(lane) = self.best_lane(is_free) else {
            return present;
        };
        self.close(key);
        self.pin_to(key, lane);
        lane
    }

    fn pin_to(&mut self, key: SessionKey, lane: usize) {
        let id = self.number();
        let is_open = false;
        self.pins.insert(key, Pin { lane, id, is_open });
    }

    /// The worker that is to free this decoder hears of it before its next job.
    fn free(&mut self, pin: Pin) {
        if pin.is_open {
            self.lanes[pin.lane].closing.push(pin.id);
        }
    }

    fn enter(&mut self, session: Use) -> Option<SessionUse> {
        let pin = self.pins.get_mut(&session.key)?;
        pin.is_open = true;
        Some(SessionUse {
            id: pin.id,
            entry: session.entry,
            exit: session.exit,
        })
    }

    /// The lane with the fewest sessions among these; workers that are ready come first.
    fn best_lane(&self, is_fit: impl Fn(&Lane<T>) -> bool) -> Option<usize> {
        let lanes = self.lanes.iter().enumerate();
        let fit = lanes.filter(|(_, lane)| is_fit(lane));
        fit.min_by_key(|(index, lane)| {
            let has_work = lane.state != State::Idle;
            let sessions = self.sessions_on(*index);
            (
                !lane.is_up(),
                lane.is_retiring,
                sessions,
                has_work,
                lane.own.len(),
            )
        })
        .map(|(index, _)| index)
    }

    /// Moves jobs that wait for a worker to start to workers that are there.
    fn leave_dead_lanes(&mut self) {
        if !self.is_up() {
            return;
        }
        let dead = (0..self.lanes.len()).filter(|lane| !self.lanes[*lane].is_up());
        for lane in dead.collect::<Vec<_>>() {
            for class in [Priority::Interactive, Priority::Batch] {
                for item in std::mem::take(self.lanes[lane].own.of(class)) {
                    let Some(target) = self.best_lane(Lane::is_up) else {
                        continue;
                    };
                    if let Some(session) = item.session {
                        self.pin_to(session.key, target);
                    }
                    let queue = self.lanes[target].own.of(class);
                    let at = queue.partition_point(|other| other.order < item.order);
                    queue.insert(at, item);
                }
            }
        }
    }

    fn pick(&mut self, lane: usize) -> Option<Item<T>> {
        let is_batch_due = self.lanes[lane].since_batch + 1 >= BATCH_SHARE;
        let classes = match is_batch_due {
            false => [Priority::Interactive, Priority::Batch],
            true => [Priority::Batch, Priority::Interactive],
        };
        let found = classes
            .into_iter()
            .find_map(|class| Some((class, self.oldest(lane, class)?)));
        let (class, item) = found?;
        let lane = &mut self.lanes[lane];
        let batch_waits = lane.own.batch.len() + self.shared.batch.len() > 0;
        lane.since_batch = match class {
            Priority::Interactive if batch_waits => lane.since_batch + 1,
            _ => 0,
        };
        Some(item)
    }

    fn oldest(&mut self, lane: usize, class: Priority) -> Option<Item<T>> {
        let own = &mut self.lanes[lane].own;
        let is_own = match (own.front(class), self.shared.front(class)) {
            (Some(own), Some(shared)) => own < shared,
            (own, _) => own.is_some(),
        };
        let queues = if is_own { own } else { &mut self.shared };
        queues.of(class).pop_front()
    }
}

impl<T> Lane<T> {
    const fn is_up(&self) -> bool {
        matches!(self.state, State::Idle | State::Called | State::Busy)
    }
}

#[cfg(test)]
mod tests;
