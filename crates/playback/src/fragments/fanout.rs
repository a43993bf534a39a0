//! One live track to many readers: every fragment is made once, every reader is sent the same bytes.
//!
//! A task for each watched channel and choice of tracks follows the ring and ends with its last reader.
//! A reader that falls out of the window goes on at a key frame.

use super::chunker::{Chunker, Grouping};
use super::cursor::Cursor;
use super::piece::{Piece, Tracks};
use super::window::Window;
use framewell_live::{Batch, Registry, Start, Subscriber, Wake};
use framewell_model::ChannelId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A watched channel.
#[derive(Debug)]
struct Fanout {
    window: Mutex<Window>,
    /// Moves when there are fragments; only its version counts.
    head: watch::Sender<()>,
    /// What follows the ring; aborted with the last reader.
    task: Mutex<JoinSet<()>>,
}

/// Those that somebody reads, by what they carry.
type Open = BTreeMap<(ChannelId, Tracks), Weak<Fanout>>;

/// Live fragments of all channels; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Fanouts {
    registry: Registry,
    // Lock order: this before a fan-out's `window`.
    open: Arc<Mutex<Open>>,
}

impl Fanouts {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            registry,
            open: Arc::default(),
        }
    }

    pub(super) const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A reader that begins at the newest key frame, or with the next one. `None` if the channel has no
    /// track.
    pub(super) fn open(&self, channel: ChannelId, tracks: Tracks) -> Option<LiveReader> {
        let fanout = self.fanout(channel, tracks)?;
        let head = fanout.head.subscribe();
        let (next, is_waiting_for_key) = {
            let window = fanout.window.lock();
            match window.newest_key() {
                Some(key) => (key, false),
                None => (window.end(), true),
            }
        };
        Some(LiveReader {
            fanout,
            head,
            next,
            is_waiting_for_key,
            pictures_seen: None,
        })
    }

    /// A reader that goes on exactly behind `cursor`; `None` if the window does not have that place.
    pub(super) fn join(
        &self,
        channel: ChannelId,
        tracks: Tracks,
        cursor: &Cursor,
    ) -> Option<LiveReader> {
        let fanout = self.fanout(channel, tracks)?;
        let head = fanout.head.subscribe();
        let (next, pictures_seen) = {
            let window = fanout.window.lock();
            let next = window.after(cursor)?;
            let before = window.get(next - 1)?;
            (next, before.pictures_before + before.pictures)
        };
        Some(LiveReader {
            fanout,
            head,
            next,
            is_waiting_for_key: false,
            pictures_seen: Some(pictures_seen),
        })
    }

    fn fanout(&self, channel: ChannelId, tracks: Tracks) -> Option<Arc<Fanout>> {
        let mut open = self.open.lock();
        if let Some(fanout) = open.get(&(channel, tracks)).and_then(Weak::upgrade) {
            return Some(fanout);
        }
        open.retain(|_, fanout| fanout.strong_count() > 0);
        let track = self.registry.get(channel)?;
        let mut subscriber = track.subscribe(Start::NewestKey);
        let mut chunker = Chunker::new(tracks, Grouping::EachPicture);
        let fanout = Arc::new(Fanout {
            window: Mutex::default(),
            head: watch::Sender::default(),
            task: Mutex::default(),
        });
        while let Some(batch) = subscriber.try_next() {
            fanout.push(channel, &mut chunker, batch);
        }
        let following = follow(channel, Arc::downgrade(&fanout), subscriber, chunker);
        fanout.task.lock().spawn(following);
        open.insert((channel, tracks), Arc::downgrade(&fanout));
        Some(fanout)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        let open = self.open.lock();
        open.values()
            .filter(|fanout| fanout.strong_count() > 0)
            .count()
    }
}

/// Runs until nobody reads.
async fn follow(
    channel: ChannelId,
    fanout: Weak<Fanout>,
    mut subscriber: Subscriber,
    mut chunker: Chunker,
) {
    loop {
        let batch = subscriber.next(Wake::EveryUnit).await;
        let Some(fanout) = fanout.upgrade() else {
            return;
        };
        fanout.push(channel, &mut chunker, batch);
    }
}

impl Fanout {
    fn push(&self, channel: ChannelId, chunker: &mut Chunker, batch: Batch) {
        if batch.missed_gops > 0 {
            metrics::counter!("framewell_fragments_fanout_missed_gops_total")
                .increment(batch.missed_gops);
            tracing::warn!(channel.id = %channel, gops = batch.missed_gops, "fan-out of fragments lagged");
        }
        let mut pieces = Vec::new();
        if batch.starts_gop {
            chunker.begin(batch.run, &batch.parameters, &mut pieces);
        }
        for unit in batch.units {
            chunker.push(unit, &mut pieces);
        }
        if batch.run_end.is_some() {
            chunker.flush(None, &mut pieces);
        }
        if pieces.is_empty() {
            return;
        }
        let mut window = self.window.lock();
        for piece in pieces {
            window.push(piece);
        }
        drop(window);
        self.head.send_replace(());
    }
}

/// A fragment for one reader.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) piece: Arc<Piece>,
    /// Pictures that the reader was too slow for.
    pub(super) missed: u64,
}

/// A reader's place in the window.
#[derive(Debug)]
pub(super) struct LiveReader {
    fanout: Arc<Fanout>,
    head: watch::Receiver<()>,
    next: u64,
    is_waiting_for_key: bool,
    /// Pictures of the stream up to here; `None` before the first fragment.
    pictures_seen: Option<u64>,
}

impl LiveReader {
    /// Waits for the next fragment. Cancel-safe.
    pub(super) async fn next(&mut self) -> Step {
        loop {
            self.head.mark_unchanged();
            if let Some(step) = self.try_next() {
                return step;
            }
            if self.head.changed().await.is_err() {
                // The reader holds the fan-out, so the sender cannot be gone.
                std::future::pending::<()>().await;
            }
        }
    }

    fn try_next(&mut self) -> Option<Step> {
        let window = self.fanout.window.lock();
        if self.next < window.first() {
            self.next = window.end();
            self.is_waiting_for_key = true;
        }
        if self.is_waiting_for_key {
            self.next = window.newest_key().filter(|key| *key >= window.first())?;
            self.is_waiting_for_key = false;
        }
        let piece = Arc::clone(window.get(self.next)?);
        drop(window);
        self.next += 1;
        let seen = self.pictures_seen.unwrap_or(piece.pictures_before);
        self.pictures_seen = Some(piece.pictures_before + piece.pictures);
        let missed = piece.pictures_before.saturating_sub(seen);
        Some(Step { piece, missed })
    }
}
