//! The running decoders of live channels: at most one per channel, shared by everybody who wants
//! pictures of now.
//!
//! [`follower`] is the task behind a channel: it follows the live ring ([`frames`] brings pictures into
//! an order in which they can be chosen), lets each push choose ([`picker`], [`orders`]), and has the
//! chosen ones decoded once ([`line`]). While the newest picture is asked for of a stream that is reordered,
//! pictures go to the decoder as they come, and are chosen later ([`late`]). It lives while a push exists or somebody asked for the newest
//! picture ([`nows`]) within the lease. [`reader`] serves pushes from the ring: those that begin in the
//! past, and those that may lose nothing and are slow. Ingest knows nothing of all that.

mod follower;
mod frames;
mod fresh;
mod late;
mod line;
mod nows;
mod orders;
mod picker;
mod queue;
mod reader;
mod seat;
mod trouble;

pub(crate) use follower::Command;
pub(crate) use fresh::check as prove;
pub(crate) use picker::{Picker, Rule};
pub(crate) use queue::{MAX_BYTES, Queue};
pub(crate) use reader::{Asked, drive};
pub(crate) use seat::Resume;

use crate::{Error, Image};
use follower::Follower;
use framewell_decode::{Error as DecodeError, Output, Pool};
use framewell_live::{Registry, Start, Track};
use framewell_model::{ChannelId, WallClock};
use nows::Now;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Requests that wait for a channel's decoder; beyond that it is overloaded.
const COMMANDS: usize = 1_024;
/// Longest time for the newest picture: a decoder that starts anew may have a long GOP before it.
const NOW_LIMIT: Duration = Duration::from_secs(15);

/// Settings of the live decoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubConfig {
    /// How long a channel's newest picture stays hot after somebody asked for it (default 10 s).
    pub lease: Duration,
    /// Most live decoders that run at a time (default 64); beyond it [`Error::TooManyDecoders`].
    pub max_decoders: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            max_decoders: 64,
        }
    }
}

/// What the live decoders have done since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HubStats {
    /// Decoders running now.
    pub decoders: usize,
    /// Compressed pictures given to decoders.
    pub samples: u64,
    /// Times that decoding began at a key frame.
    pub starts: u64,
    /// Pictures finished.
    pub pictures: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    samples: AtomicU64,
    starts: AtomicU64,
    pictures: AtomicU64,
}

impl Counters {
    fn count(&self, samples: usize, is_start: bool) {
        let samples = u64::try_from(samples).unwrap_or(u64::MAX);
        self.samples.fetch_add(samples, Ordering::Relaxed);
        self.starts
            .fetch_add(u64::from(is_start), Ordering::Relaxed);
        metrics::counter!("framewell_live_samples_total").increment(samples);
    }

    fn count_pictures(&self, pictures: usize) {
        let pictures = u64::try_from(pictures).unwrap_or(u64::MAX);
        self.pictures.fetch_add(pictures, Ordering::Relaxed);
        metrics::counter!("framewell_live_pictures_total").increment(pictures);
    }
}

/// What the tasks of a channel need.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) channel: ChannelId,
    pub(crate) track: Track,
    pub(crate) registry: Registry,
    pub(crate) pool: Pool,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) lease: Duration,
}

/// The running decoders. They hold a weak handle on this, so they end with the last hub.
#[derive(Debug)]
pub(crate) struct Shared {
    channels: Mutex<HashMap<ChannelId, mpsc::Sender<Command>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Shared {
    /// A decoder that nobody needs leaves, if nobody comes in at the same time.
    fn remove_if(&self, channel: ChannelId, is_idle: impl FnOnce() -> bool) -> bool {
        let mut channels = self.channels.lock();
        if !is_idle() {
            return false;
        }
        channels.remove(&channel);
        show(channels.len());
        true
    }
}

fn show(decoders: usize) {
    let decoders = u32::try_from(decoders).unwrap_or(u32::MAX);
    metrics::gauge!("framewell_live_decoders").set(decoders);
}

/// The hub; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    shared: Arc<Shared>,
    registry: Registry,
    pool: Pool,
    clock: Arc<dyn WallClock>,
    counters: Arc<Counters>,
    config: HubConfig,
}

impl Hub {
    pub(crate) fn new(
        registry: Registry,
        pool: Pool,
        clock: Arc<dyn WallClock>,
        config: HubConfig,
    ) -> Self {
        let shared = Shared {
            channels: Mutex::default(),
            tasks: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            registry,
            pool,
            clock,
            counters: Arc::default(),
            config,
        }
    }

    /// The newest picture of a channel that delivers. The first call starts the channel's decoder at
    /// the ring's key frame; while calls go on coming, the newest picture is decoded before anybody
    /// asks. Callers who ask for the same at the same time share one encode.
    pub(crate) async fn newest(&self, channel: ChannelId, output: Output) -> Result<Image, Error> {
        let failed = |source| Error::Decode { channel, source };
        output
            .check()
            .map_err(|why| failed(DecodeError::Invalid(why)))?;
        let not_live = |newest| Error::NotLive { channel, newest };
        let context = self.context(channel)?;
        fresh::check(&context.track, self.clock.as_ref())
            .await
            .map_err(not_live)?;
        let (reply, answer) = oneshot::channel();
        self.send(&context, Command::Now(Now { output, reply }))?;
        match tokio::time::timeout(NOW_LIMIT, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(failed(DecodeError::PositionLost)),
            Err(_) => Err(failed(DecodeError::Deadline(NOW_LIMIT))),
        }
    }

    pub(crate) fn stats(&self) -> HubStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HubStats {
            decoders: self.shared.channels.lock().len(),
            samples: load(&self.counters.samples),
            starts: load(&self.counters.starts),
            pictures: load(&self.counters.pictures),
        }
    }

    /// What tasks of this channel need; an error if it has no live track.
    pub(crate) fn context(&self, channel: ChannelId) -> Result<Context, Error> {
        let newest = None;
        let not_live = Error::NotLive { channel, newest };
        Ok(Context {
            channel,
            track: self.registry.get(channel).ok_or(not_live)?,
            registry: self.registry.clone(),
            pool: self.pool.clone(),
            clock: Arc::clone(&self.clock),
            counters: Arc::clone(&self.counters),
            lease: self.config.lease,
        })
    }

    /// Hands a request to the channel's decoder, started if it does not run.
    pub(crate) fn send(&self, context: &Context, command: Command) -> Result<(), Error> {
        let channel = context.channel;
        let mut channels = self.shared.channels.lock();
        let command = match channels.get(&channel) {
            None => command,
            Some(running) => match running.try_send(command) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => {
                    let source = DecodeError::Busy;
                    return Err(Error::Decode { channel, source });
                }
                // Its task failed; another one takes its place.
                Err(mpsc::error::TrySendError::Closed(command)) => command,
            },
        };
        channels.remove(&channel);
        let limit = self.config.max_decoders;
        if channels.len() >= limit {
            return Err(Error::TooManyDecoders { limit });
        }
        let start = match command {
            Command::Now(_) => follower::start_of_now(&context.track),
            Command::Reserve(_) | Command::Attach(_) => Start::NewestKey,
        };
        let (sender, receiver) = mpsc::channel(COMMANDS);
        sender
            .try_send(command)
            .expect("a new channel has room, and its receiver is here");
        let follower = Follower::new(
            context.clone(),
            Arc::downgrade(&self.shared),
            receiver,
            start,
        );
        let mut tasks = self.shared.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(follower.run());
        channels.insert(channel, sender);
        show(channels.len());
        Ok(())
    }
}
