//! One live track to many readers: every access unit is packetized once, every reader is sent the
//! same bytes.
//!
//! A task per watched channel follows the track, writes packets into a window and wakes the readers.
//! The window keeps the newest GOP, so that a new reader starts with a picture, and a little more for
//! readers that are behind. A reader that falls out of the window goes on at a key frame.

use crate::rtp::{Layout, Packed, Packetizer, TrackStart};
use bytes::Bytes;
use framewell_live::{Batch, Registry, Start, Subscriber, Track, Wake};
use framewell_media::TrackKind;
use framewell_model::ChannelId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Packet bytes kept before the newest GOP: at 4 Mbit/s a reader may be 8 s behind before it jumps.
const MAX_BACKLOG_BYTES: usize = 4 << 20;
/// Packet bytes kept in all. A newest GOP beyond it loses its key frame: who joins or lags then waits
/// for the next one.
const MAX_WINDOW_BYTES: usize = 32 << 20;
/// Longest wait of an audio frame for a video frame to travel with. Audio has twice the frames of
/// video; a write and a wake-up for each would triple the cost of a reader.
const MAX_AUDIO_HOLD: Duration = Duration::from_millis(40);
/// How often a fan-out looks whether anybody still reads.
const IDLE_CHECK: Duration = Duration::from_secs(5);

/// How far the packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Open(u64),
    Closed,
}

#[derive(Debug, Default)]
struct Window {
    frames: VecDeque<Packed>,
    /// Number of the first frame in `frames`.
    first: u64,
    bytes: usize,
    newest_key: Option<u64>,
    /// Bytes from the newest key frame on.
    key_bytes: usize,
}

impl Window {
    fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    fn push(&mut self, frame: Packed) {
        if frame.starts.is_some() {
            self.newest_key = Some(self.end());
            self.key_bytes = 0;
        }
        self.bytes += frame.wire.len();
        self.key_bytes += frame.wire.len();
        self.frames.push_back(frame);
        while self.bytes > MAX_WINDOW_BYTES || self.backlog_bytes() > MAX_BACKLOG_BYTES {
            let Some(dropped) = self.frames.pop_front() else {
                return;
            };
            self.bytes -= dropped.wire.len();
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

    fn get(&self, number: u64) -> Option<&Packed> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.frames.get(index)
    }
}

/// A watched channel.
#[derive(Debug)]
struct Fanout {
    channel: ChannelId,
    layout: Layout,
    window: Mutex<Window>,
    head: watch::Sender<Head>,
}

/// All watched channels of the server.
#[derive(Debug)]
pub(crate) struct Fanouts {
    registry: Registry,
    // Lock order: `channels` before a fan-out's `window`.
    channels: Mutex<BTreeMap<ChannelId, Arc<Fanout>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Fanouts {
    pub(crate) fn new(registry: Registry, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            registry,
            channels: Mutex::default(),
            tasks,
            stop,
        }
    }

    pub(crate) const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A reader that begins at the newest key frame. `None` if there is none.
    pub(crate) fn open(self: &Arc<Self>, channel: ChannelId, track: &Track) -> Option<Reader> {
        let mut channels = self.channels.lock();
        if let Some(fanout) = channels.get(&channel)
            && *fanout.head.borrow() != Head::Closed
        {
            return Some(Reader::new(fanout));
        }
        let mut subscriber = track.subscribe(Start::NewestKey);
        let first = subscriber.try_next()?;
        let mut packetizer = Packetizer::new(Layout::of(&first.parameters));
        let fanout = Arc::new(Fanout {
            channel,
            layout: packetizer.layout().clone(),
            window: Mutex::default(),
            head: watch::Sender::new(Head::Open(0)),
        });
        fanout.push(&mut packetizer, &first);
        channels.insert(channel, Arc::clone(&fanout));
        let reader = Reader::new(&fanout);
        let this = Arc::clone(self);
        self.tasks
            .spawn(async move { this.follow(&fanout, subscriber, packetizer).await });
        Some(reader)
    }

    /// Runs until nobody reads, the channel is gone, its layout changes, or the server stops.
    async fn follow(
        &self,
        fanout: &Arc<Fanout>,
        mut subscriber: Subscriber,
        mut packetizer: Packetizer,
    ) {
        let mut idle_check = tokio::time::interval(IDLE_CHECK);
        idle_check.tick().await;
        let mut woken = Instant::now();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                batch = subscriber.next(Wake::EveryUnit) => {
                    if Layout::of(&batch.parameters) != fanout.layout {
                        tracing::info!(channel.id = %fanout.channel, "tracks changed, rtsp readers must describe again");
                        break;
                    }
                    let has_video = fanout.push(&mut packetizer, &batch);
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
    fn remove_unread(&self, fanout: &Arc<Fanout>) -> bool {
        let mut channels = self.channels.lock();
        let is_unread = fanout.head.receiver_count() == 0;
        if is_unread {
            channels.remove(&fanout.channel);
        }
        is_unread
    }

    fn remove(&self, fanout: &Arc<Fanout>) {
        let mut channels = self.channels.lock();
        if channels
            .get(&fanout.channel)
            .is_some_and(|present| Arc::ptr_eq(present, fanout))
        {
            channels.remove(&fanout.channel);
        }
    }
}

impl Fanout {
    /// Packetizes a batch; whether it had video.
    fn push(&self, packetizer: &mut Packetizer, batch: &Batch) -> bool {
        if batch.missed_gops > 0 {
            metrics::counter!("framewell_rtsp_fanout_missed_gops_total")
                .increment(batch.missed_gops);
            tracing::warn!(channel.id = %self.channel, gops = batch.missed_gops, "rtsp fan-out lagged");
        }
        let frames = packetizer.pack(batch);
        let has_video = frames.iter().any(|frame| frame.track == TrackKind::Video);
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

/// Packets for one reader, to be sent with one write.
#[derive(Debug)]
pub(crate) struct Packets {
    pub(crate) frames: Vec<(TrackKind, Bytes)>,
    /// Frames that the reader was too slow for.
    pub(crate) missed: u64,
}

/// A reader's place in the window.
#[derive(Debug)]
pub(crate) struct Reader {
    fanout: Arc<Fanout>,
    head: watch::Receiver<Head>,
    cursor: u64,
    is_waiting_for_key: bool,
    missed: u64,
}

impl Reader {
    fn new(fanout: &Arc<Fanout>) -> Self {
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
            missed: 0,
        }
    }

    /// Which tracks the packets are of.
    pub(crate) fn layout(&self) -> &Layout {
        &self.fanout.layout
    }

    /// First packets of the tracks (video, audio), if the reader begins at a key frame that is here.
    pub(crate) fn starts(&self) -> Option<[TrackStart; 2]> {
        self.fanout.window.lock().get(self.cursor)?.starts
    }

    /// Waits for packets: whole frames, up to `max_bytes` if there is more than one. Cancel-safe.
    pub(crate) async fn next(&mut self, max_bytes: usize) -> Result<Packets, Closed> {
        loop {
            let is_closed = *self.head.borrow_and_update() == Head::Closed;
            if let Some(packets) = self.take(max_bytes) {
                return Ok(packets);
            }
            if is_closed || self.head.changed().await.is_err() {
                return Err(Closed);
            }
        }
    }

    fn take(&mut self, max_bytes: usize) -> Option<Packets> {
        let window = self.fanout.window.lock();
        if self.cursor < window.first {
            self.missed += window.newest_key.unwrap_or_else(|| window.end()) - self.cursor;
            self.cursor = window.end();
            self.is_waiting_for_key = true;
        }
        if self.is_waiting_for_key {
            self.cursor = window.newest_key?;
            self.is_waiting_for_key = false;
        }
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while let Some(frame) = window.get(self.cursor) {
            bytes += frame.wire.len();
            if bytes > max_bytes && !frames.is_empty() {
                break;
            }
            frames.push((frame.track, frame.wire.clone()));
            self.cursor += 1;
        }
        let missed = std::mem::take(&mut self.missed);
        (!frames.is_empty()).then_some(Packets { frames, missed })
    }
}
