//! Live HLS with fMP4 segments (RFC 8216).
//!
//! A packager per watched channel follows the ring. It begins with the GOPs that are there, so a
//! playlist is at hand at once, and it has no task of its own: requests and [`Live::run`] move it
//! on. One that nobody asks for ends. Segments share their payload with the ring.

mod packager;
mod playlist;
mod segment;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use framewell_live::{Registry, Start, Track, Wake};
use framewell_model::{ChannelId, ChannelStatus, ErrorKind, HasKind};
use packager::Packager;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A packager that nobody asks for this long is dropped (players ask every few seconds), and so is one
/// whose camera has not delivered for this long.
const MAX_IDLE: Duration = Duration::from_secs(60);
/// How often packagers are moved on between requests, so that the ring does not overtake a channel
/// whose players poll slowly.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for the first segments of a camera that just connected.
const MAX_START_WAIT: Duration = Duration::from_secs(10);

/// A live playlist or segment that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The camera delivers nothing, or not enough yet.
    #[error("channel {0} is not streaming yet")]
    NotLive(ChannelId),
    /// The segment is not in the window.
    #[error("segment {1} of channel {0} is not in the live window")]
    NoSegment(ChannelId, u64),
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotLive(_) => ErrorKind::Unavailable,
            Self::NoSegment(..) => ErrorKind::NotFound,
        }
    }
}

/// Live HLS of all channels; packaging starts when somebody asks and ends when nobody does. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct Live {
    registry: Registry,
    channels: Arc<Mutex<Channels>>,
}

/// Lock order: this before a packager, and never while one is held.
#[derive(Debug, Default)]
struct Channels {
    packagers: BTreeMap<ChannelId, Arc<Mutex<Packager>>>,
    /// Where the media sequence of an ended packager goes on.
    next_sequence: BTreeMap<ChannelId, u64>,
}

impl Live {
    /// Over these tracks.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            channels: Arc::default(),
        }
    }

    /// Keeps packagers up with their rings and drops those that nobody asks for, until `stop`.
    ///
    /// Without it HLS works, but a channel whose players poll more slowly than its ring turns over
    /// loses segments, and idle packagers stay until the next request.
    pub async fn run(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(FOLLOW_EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.drop_idle(Instant::now());
            let packagers: Vec<_> = self.channels.lock().packagers.values().cloned().collect();
            for packager in packagers {
                packager.lock().advance(Instant::now());
            }
        }
    }

    /// Multivariant playlist: codecs, resolution, the one rendition. `query` (for example
    /// `ticket=…`) is appended to every URI.
    pub async fn multivariant(&self, channel: ChannelId, query: &str) -> Result<String, Error> {
        let packager = self.ready(channel, Instant::now() + MAX_START_WAIT).await?;
        let packager = packager.lock();
        playlist::multivariant(&packager, query).ok_or(Error::NotLive(channel))
    }

    /// Media playlist. Waits a short while for the first segments of a stream that just started.
    pub async fn playlist(&self, channel: ChannelId, query: &str) -> Result<String, Error> {
        let packager = self.ready(channel, Instant::now() + MAX_START_WAIT).await?;
        let packager = packager.lock();
        Ok(playlist::media(&packager, query))
    }

    /// Init segment number `epoch` (a new one after a change of parameters).
    pub async fn init(&self, channel: ChannelId, epoch: u64) -> Result<Bytes, Error> {
        let missing = Error::NoSegment(channel, epoch);
        let packager = self.present(channel).ok_or_else(|| missing.clone())?;
        packager.lock().init(epoch, Instant::now()).ok_or(missing)
    }

    /// Media segment.
    pub async fn segment(&self, channel: ChannelId, sequence: u64) -> Result<Bytes, Error> {
        let missing = Error::NoSegment(channel, sequence);
        let packager = self.present(channel).ok_or_else(|| missing.clone())?;
        packager
            .lock()
            .body(sequence, Instant::now())
            .ok_or(missing)
    }

    fn present(&self, channel: ChannelId) -> Option<Arc<Mutex<Packager>>> {
        self.channels.lock().packagers.get(&channel).cloned()
    }

    /// A packager with enough segments to play, moved on to now.
    async fn ready(
        &self,
        channel: ChannelId,
        deadline: Instant,
    ) -> Result<Arc<Mutex<Packager>>, Error> {
        let not_live = Error::NotLive(channel);
        self.drop_idle(Instant::now());
        let track = self.registry.get(channel).ok_or_else(|| not_live.clone())?;
        let mut news = track.subscribe(Start::NewestKey);
        loop {
            let packager = self.start(channel, &track);
            let (segments, is_full) = packager.as_ref().map_or((0, false), |packager| {
                let mut packager = packager.lock();
                packager.touch(Instant::now());
                packager.advance(Instant::now());
                (packager.len(), packager.covers_start())
            });
            if let Some(packager) = &packager
                && (is_full || (segments > 0 && Instant::now() >= deadline))
            {
                return Ok(Arc::clone(packager));
            }
            let may_come =
                packager.is_some() || track.source_state().borrow().status == ChannelStatus::Active;
            let wait = tokio::time::timeout_at(deadline, news.next(Wake::Flush));
            if !may_come || (wait.await.is_err() && segments == 0) {
                return Err(not_live);
            }
        }
    }

    /// The channel's packager, begun now if the camera delivers.
    fn start(&self, channel: ChannelId, track: &Track) -> Option<Arc<Mutex<Packager>>> {
        let mut channels = self.channels.lock();
        if let Some(present) = channels.packagers.get(&channel) {
            return Some(Arc::clone(present));
        }
        let least_sequence = channels.next_sequence.get(&channel).copied().unwrap_or(0);
        let packager = Packager::start(track, least_sequence, Instant::now())?;
        let packager = Arc::new(Mutex::new(packager));
        channels.packagers.insert(channel, Arc::clone(&packager));
        tracing::debug!(channel.id = %channel, "hls packager started");
        Some(packager)
    }

    fn drop_idle(&self, now: Instant) {
        let mut channels = self.channels.lock();
        let Channels {
            packagers,
            next_sequence,
        } = &mut *channels;
        packagers.retain(|channel, packager| {
            // One that is locked is in use.
            let Some(packager) = packager.try_lock() else {
                return true;
            };
            let is_idle = packager.idle(now) >= MAX_IDLE;
            if is_idle {
                next_sequence.insert(*channel, packager.next_sequence());
                tracing::debug!(channel.id = %channel, "hls packager ended");
            }
            !is_idle
        });
    }
}
