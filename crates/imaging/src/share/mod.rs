//! One decode for all who want pictures of the same GOP.
//!
//! Whoever wants a picture puts that into the GOP's list and waits. A task per wanted GOP waits for a
//! free decoder, takes the whole list as one job, and hands the pictures out; what is wanted meanwhile
//! is its next job, which goes on from where the decoder stands if it can. When nothing is wanted any
//! more the task ends and its decoder is kept for a while.
//!
//! The list is bounded ([`ImagesConfig::max_waiting`]); beyond it, [`framewell_decode::Error::Busy`].
//! A caller that goes away is forgotten when the list is taken.

mod job;
mod plan;
mod warm;

use crate::ImagesConfig;
use crate::cache::{Cache, ContentKey, Finished};
use framewell_decode::{Error, Output, Pool};
use framewell_footage::CompressedGop;
use framewell_model::FrameId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use warm::{Warm, WarmSet};

type Answer = Result<Finished, Error>;

/// A picture that is wanted, once for all who want it.
#[derive(Debug)]
struct Wanted {
    /// Place of the picture in the GOP's samples.
    index: usize,
    output: Output,
    callers: Vec<oneshot::Sender<Answer>>,
}

/// A GOP of which pictures are wanted.
#[derive(Debug)]
struct Busy {
    /// As much of it as anybody has brought.
    gop: Arc<CompressedGop>,
    /// For the next job.
    waiting: Vec<Wanted>,
    /// In the running job; latecomers join here.
    running: Vec<Wanted>,
}

#[derive(Debug)]
struct State {
    busy: HashMap<FrameId, Busy>,
    warm: WarmSet,
    /// Pictures in all lists of waiting ones.
    waiting: usize,
    has_sweeper: bool,
}

/// What was done so far, for tests and for whoever watches the cost of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecodeCounts {
    /// Jobs given to decoders.
    pub jobs: u64,
    /// Compressed pictures in them: each is decoded once.
    pub frames: u64,
    /// Requests that joined a picture which somebody else had asked for.
    pub joined: u64,
    /// Pictures that wait for a decoder now, each counted once.
    pub waiting: usize,
}

#[derive(Debug, Default)]
struct Counters {
    jobs: AtomicU64,
    frames: AtomicU64,
    joined: AtomicU64,
}

#[derive(Debug)]
struct Core {
    pool: Pool,
    cache: Cache,
    config: ImagesConfig,
    state: Mutex<State>,
    counters: Counters,
    /// As many jobs as there are workers: the rest waits here, where lists still grow.
    places: Semaphore,
}

/// The coordinator; cheap to clone. Its tasks end with the last handle.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    core: Arc<Core>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Share {
    pub(crate) fn new(pool: Pool, cache: Cache, config: ImagesConfig) -> Self {
        let places = Semaphore::new(pool.workers().len().max(1));
        let state = State {
            busy: HashMap::new(),
            warm: WarmSet::new(config.warm_decoders, config.warm_idle),
            waiting: 0,
            has_sweeper: false,
        };
        let core = Core {
            pool,
            cache,
            config,
            state: Mutex::new(state),
            counters: Counters::default(),
            places,
        };
        Self {
            core: Arc::new(core),
            tasks: Arc::default(),
        }
    }

    pub(crate) fn counts(&self) -> DecodeCounts {
        let counters = &self.core.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DecodeCounts {
            jobs: read(&counters.jobs),
            frames: read(&counters.frames),
            joined: read(&counters.joined),
            waiting: self.core.state.lock().waiting,
        }
    }

    /// The picture with this place in a GOP, in this form. Cancel-safe.
    pub(crate) async fn picture(
        &self,
        gop: Arc<CompressedGop>,
        index: usize,
        output: Output,
    ) -> Answer {
        let (caller, answer) = oneshot::channel();
        let wanted = Wanted {
            index,
            output,
            callers: vec![caller],
        };
        match self.core.enter(gop, wanted)? {
            Entered::Made(picture) => return Ok(picture),
            Entered::New(key) => self.spawn(Arc::clone(&self.core).serve(key)),
            Entered::Listed => {}
        }
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Died("the task that decoded ended".into())),
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

impl Core {
    /// Puts a picture into its GOP's list, unless it was made meanwhile.
    fn enter(&self, gop: Arc<CompressedGop>, mut wanted: Wanted) -> Result<Entered, Error> {
        let key = key_of(&gop)?;
        // A picture is in the cache before it leaves the running list, so it is found in one of them.
        let mut state = self.state.lock();
        if let Some(made) = self
            .cache
            .get(&content_key(&gop, wanted.index, wanted.output))
        {
            return Ok(Entered::Made(made));
        }
        let State { busy, waiting, .. } = &mut *state;
        let is_new = !busy.contains_key(&key);
        let entry = busy.entry(key).or_insert_with(|| Busy {
            gop: Arc::clone(&gop),
            waiting: Vec::new(),
            running: Vec::new(),
        });
        if entry.gop.samples.len() < gop.samples.len() {
            entry.gop = gop;
        }
        let is_same =
            |other: &&mut Wanted| other.index == wanted.index && other.output == wanted.output;
        let lists = entry.running.iter_mut().chain(&mut entry.waiting);
        if let Some(other) = { lists }.find(is_same) {
            other.callers.append(&mut wanted.callers);
            self.counters.joined.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("framewell_image_joined_total").increment(1);
            return Ok(Entered::Listed);
        }
        if *waiting >= self.config.max_waiting {
            if is_new {
                busy.remove(&key);
            }
            return Err(Error::Busy);
        }
        *waiting += 1;
        entry.waiting.push(wanted);
        Ok(if is_new {
            Entered::New(key)
        } else {
            Entered::Listed
        })
    }

    /// Makes pictures of a GOP as long as some are wanted.
    async fn serve(self: Arc<Self>, key: FrameId) {
        let serving = Serving { core: &self, key };
        let mut warm = self.state.lock().warm.take(key);
        loop {
            let place = self.places.acquire().await;
            let Some(gop) = self.take_list(key, &mut warm) else {
                drop(place);
                break;
            };
            // What runs is known to latecomers, so the list stays where it is.
            let wanted = self.running(key);
            let answers = self.decode(&mut warm, &gop, &wanted).await;
            drop(place);
            self.hand_out(key, &gop, answers);
        }
        drop(serving);
        self.sweep().await;
    }

    /// Makes the list of waiting pictures the running one. If it is empty the GOP is done with, and its
    /// decoder kept.
    fn take_list(&self, key: FrameId, warm: &mut Option<Warm>) -> Option<Arc<CompressedGop>> {
        let mut state = self.state.lock();
        let State {
            busy,
            waiting,
            warm: kept,
            ..
        } = &mut *state;
        let entry = busy.get_mut(&key)?;
        *waiting -= entry.waiting.len();
        entry.running = std::mem::take(&mut entry.waiting);
        let is_awaited = |wanted: &Wanted| wanted.callers.iter().any(|caller| !caller.is_closed());
        entry.running.retain(is_awaited);
        if !entry.running.is_empty() {
            return Some(Arc::clone(&entry.gop));
        }
        busy.remove(&key);
        let surplus = warm
            .take()
            .and_then(|warm| kept.put(key, warm, Instant::now()));
        drop(state);
        drop(surplus);
        None
    }

    fn running(&self, key: FrameId) -> Vec<(usize, Output)> {
        let state = self.state.lock();
        let running = state.busy.get(&key).map(|entry| entry.running.iter());
        let running = running.into_iter().flatten();
        running
            .map(|wanted| (wanted.index, wanted.output))
            .collect()
    }

    /// Gives each caller its picture, in the order of the running list, and keeps them.
    fn hand_out(&self, key: FrameId, gop: &CompressedGop, answers: Vec<Answer>) {
        let made = self.running(key).into_iter().zip(&answers);
        for ((index, output), answer) in made {
            if let Ok(picture) = answer {
                self.cache
                    .insert(content_key(gop, index, output), picture.clone());
            }
        }
        let running = {
            let mut state = self.state.lock();
            let entry = state.busy.get_mut(&key);
            let running = entry.map(|entry| std::mem::take(&mut entry.running));
            running.unwrap_or_default()
        };
        for (wanted, answer) in running.into_iter().zip(answers) {
            for caller in wanted.callers {
                // A caller that has gone does not want it.
                drop(caller.send(job::copy_of(&answer)));
            }
        }
    }

    /// Frees kept decoders when their time is over, unless another task does; ends when there are none.
    async fn sweep(&self) {
        if std::mem::replace(&mut self.state.lock().has_sweeper, true) {
            return;
        }
        while let Some(next) = self.free_expired() {
            tokio::time::sleep_until(next).await;
        }
    }

    /// Returns when to come again.
    fn free_expired(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        let expired = state.warm.expired(Instant::now());
        let next = state.warm.next_expiry();
        state.has_sweeper = next.is_some();
        drop(state);
        drop(expired);
        next
    }
}

/// What became of a wish.
enum Entered {
    /// The picture is there.
    Made(Finished),
    /// It is on the list of a GOP that nobody serves yet.
    New(FrameId),
    /// It is on a list.
    Listed,
}

/// A task that serves a GOP. Should it end before its list does, the callers are told.
struct Serving<'a> {
    core: &'a Core,
    key: FrameId,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let mut state = self.core.state.lock();
        // Gone already if the list was served to its end; another task may then serve a new one.
        let is_served = |busy: &Busy| busy.waiting.is_empty() && busy.running.is_empty();
        let unserved = state
            .busy
            .get(&self.key)
            .is_some_and(|busy| !is_served(busy));
        if std::thread::panicking()
            && unserved
            && let Some(busy) = state.busy.remove(&self.key)
        {
            state.waiting -= busy.waiting.len();
        }
    }
}

fn content_key(gop: &CompressedGop, index: usize, output: Output) -> ContentKey {
    let ticks = gop.samples.get(index).map_or(i64::MIN, |sample| sample.pts);
    let frame = FrameId {
        run: gop.run,
        ticks,
    };
    ContentKey { frame, output }
}

/// A GOP is known by its key frame.
fn key_of(gop: &CompressedGop) -> Result<FrameId, Error> {
    let key = gop.samples.first();
    let key = key.ok_or_else(|| Error::Bitstream("the group of pictures is empty".into()))?;
    Ok(FrameId {
        run: gop.run,
        ticks: key.pts,
    })
}
