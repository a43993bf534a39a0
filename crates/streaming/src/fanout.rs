//! One live track to many readers: every access unit is made ready once, every reader is given the same
//! bytes.
//!
//! A task per watched channel follows the track, puts frames into a window and wakes the readers. The
//! window keeps the newest GOP, so that a new reader starts with a picture, and a little more for readers
//! that are behind. A reader that falls out of the window goes on at a key frame.

use framewell_live::{Batch, Registry, Start, Subscriber, Track, Wake};
use framewell_model::ChannelId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bytes kept before the newest GOP: at 4 Mbit/s a reader may be 8 s behind before it jumps.
const MAX_BACKLOG_BYTES: usize = 4 << 20;
/// Bytes kept in all. A newest GOP beyond it loses its key frame: who joins or lags then waits for the next
/// one.
const MAX_WINDOW_BYTES: usize = 32 << 20;
/// Longest wait of an audio frame for a video frame to travel with. Audio has twice the frames of video; a
/// write and a wake-up for each would triple the cost of a reader.
const MAX_AUDIO_HOLD: Duration = Duration::from_millis(40);
/// How often a fan-out looks whether anybody still reads.
const IDLE_CHECK: Duration = Duration::from_secs(5);

/// An access unit ready to be sent; cheap to clone.
pub(crate) trait Frame: Clone + Debug + Send + Sync + 'static {
    /// What all frames of a fan-out have in common, for its readers.
    type Stream: Debug + Send + Sync;

    /// Bytes that it keeps in memory.
    fn bytes(&self) -> usize;
    /// Whether a reader may begin with it.
    fn is_key(&self) -> bool;
    /// Whether it is a picture.
    fn is_video(&self) -> bool;
}

/// Makes the frames of one channel.
pub(crate) trait Pack: Send + 'static {
    type Frame: Frame;
    /// Counts the GOPs that were overwritten before they were packed.
    const MISSED_GOPS: &'static str;

    /// What all its frames have in common.
    fn stream(&self) -> <Self::Frame as Frame>::Stream;

    /// Whether readers can go on with a batch; if not, the fan-out ends, and they begin anew.
    fn goes_on(&self, batch: &Batch) -> bool;

    /// One frame for each unit that is to be sent.
    fn pack(&mut self, batch: &Batch) -> Vec<Self::Frame>;
}

/// How far the frames go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Open(u64),
    Closed,
}

#[derive(Debug)]
struct Window<F> {
    frames: VecDeque<F>,
    /// Number of the first frame in `frames`.
    first: u64,
    bytes: usize,
    newest_key: Option<u64>,
    /// Bytes from the newest key frame on.
    key_bytes: usize,
}

impl<F> Default for Window<F> {
    fn default() -> Self {
        Self {
            frames: VecDeque::new(),
            first: 0,
            bytes: 0,
            newest_key: None,
            key_bytes: 0,
        }
    }
}

impl<F: Frame> Window<F> {
    fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    fn push(&mut self, frame: F) {
        if frame.is_key() {
            self.newest_key = Some(self.end());
            self.key_bytes = 0;
        }
        self.bytes += frame.bytes();
        self.key_bytes += frame.bytes();
        self.frames.push_back(frame);
        while self.bytes > MAX_WINDOW_BYTES || self.backlog_bytes() > MAX_BACKLOG_BYTES {
            let Some(dropped) = self.frames.pop_front() else {
                return;
            };
            self.bytes -= dropped.bytes();
            if self.newest_key == Some(self.first) {
                self.newest_key = None;
            }
            self.first += 1;
        }
    }

    fn backlog_bytes(&self) -> usize {
        match self.newest_key {
            Some(_) => self.bytes - self.key_bytes,
            None => 0,
        }
    }

    fn get(&self, number: u64) -> Option<&F> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.frames.get(index)
    }
}

/// A watched channel.
#[derive(Debug)]
struct Fanout<F: Frame> {
    channel: ChannelId,
    stream: F::Stream,
    window: Mutex<Window<F>>,
    head: watch::Sender<Head>,
}

/// All watched channels of one protocol.
#[derive(Debug)]
pub(crate) struct Fanouts<F: Frame> {
    registry: Registry,
    // Lock order: `channels` before a fan-out's `window`.
    channels: Mutex<BTreeMap<ChannelId, Arc<Fanout<F>>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<F: Frame> Fanouts<F> {
    pub(crate) fn new(registry: Registry, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            registry,
            channels: Mutex::new(BTreeMap::new()),
            tasks,
            stop,
        }
    }

    pub(crate) const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A reader that begins at the newest key frame. `None` if there is none.
    pub(crate) fn open<P: Pack<Frame = F>>(
        self: &Arc<Self>,
        channel: ChannelId,
        track: &Track,
        packer: impl FnOnce(&Batch) -> P,
    ) -> Option<Reader<F>> {
        let mut channels = self.channels.lock();
        if let Some(fanout) = channels.get(&channel)
            && *fanout.head.borrow() != Head::Closed
        {
            return Some(Reader::new(fanout));
        }
        let mut subscriber = track.subscribe(Start::NewestKey);
        let first = subscriber.try_next()?;
        let mut packer = packer(&first);
        let fanout = Arc::new(Fanout {
            channel,
            stream: packer.stream(),
            window: Mutex::new(Window::default()),
            head: watch::Sender::new(Head::Open(0)),
        });
        fanout.push(&mut packer, &first);
        channels.insert(channel, Arc::clone(&fanout));
        let reader = Reader::new(&fanout);
        let this = Arc::clone(self);
        self.tasks
            .spawn(async move { this.follow(&fanout, subscriber, packer).await });
        Some(reader)
    }

    /// Runs until nobody reads, the channel is gone, readers have to begin anew, or the server stops.
    async fn follow<P: Pack<Frame = F>>(
        &self,
        fanout: &Arc<Fanout<F>>,
        mut subscriber: Subscriber,
        mut packer: P,
    ) {
        let mut idle_check = tokio::time::interval(IDLE_CHECK);
        idle_check.tick().await;
        let mut woken = Instant::now();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                batch = subscriber.next(Wake::EveryUnit) => {
                    if !packer.goes_on(&batch) {
                        tracing::info!(channel.id = %fanout.channel, "tracks changed, readers must begin anew");
                        break;
                    }
                    let has_video = fanout.push(&mut packer, &batch);
                    if has_video || woken.elapsed() >= MAX_AUDIO_HOLD {
                        woken = Instant::now();
                        fanout.wake();
                    }
                }
                _ = idle_check.tick() => {
                    if self.registry.get(fanout.channel).is_none() || self.remove_unread(fanout) {
                        break;
                    }
                }
            }
        }
        self.remove(fanout);
        fanout.head.send_replace(Head::Closed);
    }

    /// Under the lock that new readers need, so none can come between the look and the removal.
    fn remove_unread(&self, fanout: &Arc<Fanout<F>>) -> bool {
        let mut channels = self.channels.lock();
        let is_unread = fanout.head.receiver_count() == 0;
        if is_unread {
            channels.remove(&fanout.channel);
        }
        is_unread
    }

    fn remove(&self, fanout: &Arc<Fanout<F>>) {
        let mut channels = self.channels.lock();
        if channels
            .get(&fanout.channel)
            .is_some_and(|present| Arc::ptr_eq(present, fanout))
        {
            channels.remove(&fanout.channel);
        }
    }
}

impl<F: Frame> Fanout<F> {
    /// Makes the frames of a batch; whether it had video.
    fn push<P: Pack<Frame = F>>(&self, packer: &mut P, batch: &Batch) -> bool {
        if batch.missed_gops > 0 {
            metrics::counter!(P::MISSED_GOPS).increment(batch.missed_gops);
            tracing::warn!(channel.id = %self.channel, gops = batch.missed_gops, "fan-out lagged");
        }
        let frames = packer.pack(batch);
        let has_video = frames.iter().any(Frame::is_video);
        let mut window = self.window.lock();
        for frame in frames {
            window.push(frame);
        }
        has_video
    }

    fn wake(&self) {
        let end = self.window.lock().end();
        self.head.send_replace(Head::Open(end));
    }
}

/// The fan-out ended; the reader has been given everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream ended or changed its tracks")]
pub(crate) struct Closed;

/// What a reader sends next.
#[derive(Debug)]
pub(crate) struct Frames<F> {
    pub(crate) frames: Vec<F>,
    /// Whether the first of them is a key frame that does not follow on what was sent before: the reader
    /// begins here.
    pub(crate) begins: bool,
    /// Frames that were overwritten before this reader got to them.
    pub(crate) missed: u64,
}

/// One reader's place in the window.
#[derive(Debug)]
pub(crate) struct Reader<F: Frame> {
    fanout: Arc<Fanout<F>>,
    head: watch::Receiver<Head>,
    cursor: u64,
    is_waiting_for_key: bool,
    /// Whether the next frame is one to begin with.
    begins: bool,
    missed: u64,
}

impl<F: Frame> Reader<F> {
    fn new(fanout: &Arc<Fanout<F>>) -> Self {
        let head = fanout.head.subscribe();
        let window = fanout.window.lock();
        let (cursor, is_waiting_for_key) = match window.newest_key {
            Some(key) => (key, false),
            None => (window.end(), true),
        };
        drop(window);
        Self {
            fanout: Arc::clone(fanout),
            head,
            cursor,
            is_waiting_for_key,
            begins: true,
            missed: 0,
        }
    }

    /// What all frames have in common.
    pub(crate) fn stream(&self) -> &F::Stream {
        &self.fanout.stream
    }

    /// The frame that it begins with, if that is here.
    pub(crate) fn first(&self) -> Option<F> {
        self.fanout.window.lock().get(self.cursor).cloned()
    }

    /// Waits for frames: at least one, and no more than `max_bytes` unless it is one. Cancel-safe.
    pub(crate) async fn next(&mut self, max_bytes: usize) -> Result<Frames<F>, Closed> {
        loop {
            let is_closed = *self.head.borrow_and_update() == Head::Closed;
            if let Some(frames) = self.take(max_bytes) {
                return Ok(frames);
            }
            if is_closed || self.head.changed().await.is_err() {
                return Err(Closed);
            }
        }
    }

    fn take(&mut self, max_bytes: usize) -> Option<Frames<F>> {
        let window = self.fanout.window.lock();
        if self.cursor < window.first {
            self.missed += window.newest_key.unwrap_or_else(|| window.end()) - self.cursor;
            self.cursor = window.end();
            self.is_waiting_for_key = true;
            self.begins = true;
        }
        if self.is_waiting_for_key {
            self.cursor = window.newest_key?;
            self.is_waiting_for_key = false;
        }
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while let Some(frame) = window.get(self.cursor) {
            bytes += frame.bytes();
            if bytes > max_bytes && !frames.is_empty() {
                break;
            }
            frames.push(frame.clone());
            self.cursor += 1;
        }
        if frames.is_empty() {
            return None;
        }
        Some(Frames {
            frames,
            begins: std::mem::take(&mut self.begins),
            missed: std::mem::take(&mut self.missed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_live::{RingConfig, SystemClock};
    use framewell_media::{AccessUnit, TrackKind};
    use framewell_model::RunId;
    use framewell_testkit::encode::{ClipSpec, EncodedClip};

    /// A frame of 64 KiB, whatever its unit has.
    #[derive(Debug, Clone, PartialEq)]
    struct Sized(AccessUnit);

    impl Frame for Sized {
        type Stream = ();

        fn bytes(&self) -> usize {
            64 << 10
        }

        fn is_key(&self) -> bool {
            self.is_video() && self.0.is_key
        }

        fn is_video(&self) -> bool {
            self.0.track == TrackKind::Video
        }
    }

    struct AsTheyAre;

    impl Pack for AsTheyAre {
        type Frame = Sized;
        const MISSED_GOPS: &'static str = "test_missed_gops_total";

        fn stream(&self) {}

        fn goes_on(&self, _: &Batch) -> bool {
            true
        }

        fn pack(&mut self, batch: &Batch) -> Vec<Sized> {
            batch.units.iter().cloned().map(Sized).collect()
        }
    }

    struct World {
        clip: EncodedClip,
        track: Track,
        fanouts: Arc<Fanouts<Sized>>,
        channel: ChannelId,
        stop: CancellationToken,
    }

    impl World {
        /// A channel with its first key frame.
        fn new() -> Self {
            let clip = ClipSpec::default().encode().unwrap();
            let registry = Registry::new(RingConfig::default(), Arc::new(SystemClock));
            let channel = ChannelId::new(1).unwrap();
            let track = registry.track(channel);
            let run: RunId = "00000000-0000-7000-8000-000000000001".parse().unwrap();
            track.begin_run(run, Arc::new(clip.parameters.clone()));
            track.push(clip.units[0].clone());
            let stop = CancellationToken::new();
            let fanouts = Fanouts::new(registry, TaskTracker::new(), stop.clone());
            Self {
                clip,
                track,
                fanouts: Arc::new(fanouts),
                channel,
                stop,
            }
        }

        fn open(&self) -> Reader<Sized> {
            let opened = self.fanouts.open(self.channel, &self.track, |_| AsTheyAre);
            opened.unwrap()
        }

        /// Some of the same pictures again and again; the fan-out runs between them.
        async fn push(&self, from: usize, count: usize) {
            let units = self.clip.units[1..].iter().cycle();
            for unit in units.skip(from).take(count) {
                self.track.push(unit.clone());
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn a_reader_that_is_slow_jumps_to_a_key_frame_and_the_other_misses_nothing() {
        let world = World::new();
        let (mut slow, mut quick) = (world.open(), world.open());
        for reader in [&mut slow, &mut quick] {
            let first = reader.next(usize::MAX).await.unwrap();
            assert!(first.begins && first.missed == 0 && first.frames[0].is_key());
        }
        let (mut seen, total) = (0, 400);
        for from in (0..total).step_by(10) {
            world.push(from, 10).await;
            let frames = quick.next(usize::MAX).await.unwrap();
            assert!(!frames.begins && frames.missed == 0);
            seen += frames.frames.len();
        }
        while seen < total {
            seen += quick.next(usize::MAX).await.unwrap().frames.len();
        }
        let jumped = slow.next(usize::MAX).await.unwrap();
        assert!(jumped.begins && jumped.frames[0].is_key());
        let missed = usize::try_from(jumped.missed).unwrap();
        assert_eq!(missed + jumped.frames.len(), total);
        // What is kept is bounded: the newest GOP and 4 MiB.
        assert!(missed > 200, "{missed}");
        world.stop.cancel();
    }

    #[tokio::test]
    async fn frames_come_in_portions_and_the_end_comes_last() {
        let world = World::new();
        let mut reader = world.open();
        world.push(0, 20).await;
        let mut seen = 0;
        while seen < 21 {
            let frames = reader.next(200 << 10).await.unwrap().frames;
            assert!(frames.len() <= 3);
            seen += frames.len();
        }
        world.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), reader.next(1)).await;
        assert_eq!(ended.unwrap().unwrap_err(), Closed);
    }
}
