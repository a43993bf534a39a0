//! Live HLS with fMP4 segments and low latency (RFC 8216bis).
//!
//! A packager per watched channel follows the ring. It begins with the GOPs that are there, so a
//! playlist is at hand at once, and it has no task of its own: requests and [`Live::run`] move it
//! on. While somebody waits for a part, one of those who wait follows the ring unit by unit for all of
//! them. A packager that nobody asks for ends. Segments share their payload with the ring.

mod body;
mod channel;
mod packager;
mod part_length;
mod playlist;
pub mod recorded;
mod reload;
mod segment;
#[cfg(test)]
mod tests;

pub use body::Body;
pub use reload::{Reload, Wanted};

use bytes::Bytes;
use channel::Channel;
use framewell_live::{Registry, Start, Track, Wake};
use framewell_model::{ChannelId, ChannelStatus, ErrorKind, HasKind};
use packager::Packager;
use parking_lot::Mutex;
use reload::Reach;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
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
/// Answers that wait for news, on all channels together; each is a connection and a timer. More are told
/// to come again. Half of the usual `http.max_connections`, so that there is room for everything else.
const MAX_WAITING: usize = 2_048;
/// The same on one channel, so that who asks for one without end leaves room for the others.
const MAX_WAITING_OF_CHANNEL: usize = MAX_WAITING / 2;
/// An answer waits for news this many target durations at most (RFC 8216bis section 6.2.5.2).
const MAX_WAIT_TARGETS: u64 = 3;
/// And no longer than this, however far apart the key frames of a camera are.
const MAX_WAIT: Duration = Duration::from_secs(30);

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
    /// The part is not in the window and not the next one.
    #[error("part {2} of segment {1} of channel {0} is not in the live window")]
    NoPart(ChannelId, u64, u64),
    /// What the player waits for is too far ahead.
    #[error(
        "_HLS_msn and _HLS_part ask for more than what comes next; channel {channel} is at segment {newest}"
    )]
    TooFar {
        /// The channel.
        channel: ChannelId,
        /// Its newest complete segment.
        newest: u64,
    },
    /// The camera delivered nothing while an answer waited for it.
    #[error("nothing new of channel {0} came in time")]
    NoNews(ChannelId),
    /// Too many answers wait already.
    #[error("as many answers as may wait for news already")]
    Busy,
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotLive(_) | Self::NoNews(_) | Self::Busy => ErrorKind::Unavailable,
            Self::NoSegment(..) | Self::NoPart(..) => ErrorKind::NotFound,
            Self::TooFar { .. } => ErrorKind::InvalidArgument,
        }
    }
}

/// Live HLS of all channels; packaging starts when somebody asks and ends when nobody does. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct Live {
    registry: Registry,
    channels: Arc<Mutex<Channels>>,
    /// Answers that may still wait.
    waiting: Arc<Semaphore>,
}

/// Lock order: this before a packager, and never while one is held.
#[derive(Debug, Default)]
struct Channels {
    present: BTreeMap<ChannelId, Channel>,
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
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
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
            let present: Vec<_> = self.channels.lock().present.values().cloned().collect();
            for channel in present {
                channel.lock().advance(Instant::now());
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

    /// Media playlist. Waits a short while for the first segments of a stream that just started, and
    /// for what `reload` wants.
    pub async fn playlist(
        &self,
        channel: ChannelId,
        query: &str,
        reload: Reload,
    ) -> Result<String, Error> {
        let packager = self.ready(channel, Instant::now() + MAX_START_WAIT).await?;
        if let Some(wanted) = reload.wanted {
            self.blocked(channel, &packager, wanted).await?;
        }
        let mut packager = packager.lock();
        Ok(playlist::media(&mut packager, query, reload.is_delta))
    }

    /// Init segment number `epoch` (a new one after a change of parameters).
    pub async fn init(&self, channel: ChannelId, epoch: u64) -> Result<Bytes, Error> {
        let missing = Error::NoSegment(channel, epoch);
        let packager = self.present(channel).ok_or_else(|| missing.clone())?;
        let mut packager = packager.lock();
        packager.touch(Instant::now());
        packager.init(epoch).ok_or(missing)
    }

    /// Media segment.
    pub async fn segment(&self, channel: ChannelId, sequence: u64) -> Result<Body, Error> {
        let missing = Error::NoSegment(channel, sequence);
        let packager = self.present(channel).ok_or_else(|| missing.clone())?;
        let mut packager = packager.lock();
        packager.touch(Instant::now());
        packager.advance(Instant::now());
        packager.body(sequence).ok_or(missing)
    }

    /// Part of a segment. The one that comes next is waited for: playlists name it in advance.
    pub async fn part(
        &self,
        channel: ChannelId,
        sequence: u64,
        number: u64,
    ) -> Result<Body, Error> {
        let missing = Error::NoPart(channel, sequence, number);
        let packager = self.present(channel).ok_or_else(|| missing.clone())?;
        let index = usize::try_from(number).map_err(|_| missing.clone())?;
        let look = |packager: &Packager| match packager.parts(sequence) {
            // The first part of the segment behind the one that grows is never the next one.
            None => Some(Err(missing.clone())),
            Some(parts) => match parts.get(index) {
                Some(part) => Some(Ok(part.body.clone())),
                None if sequence == packager.next_sequence() && index == parts.len() => None,
                None => Some(Err(missing.clone())),
            },
        };
        let found = {
            let mut packager = packager.lock();
            packager.touch(Instant::now());
            packager.advance(Instant::now());
            look(&packager)
        };
        if let Some(found) = found {
            return found;
        }
        let _places = self.places(&packager)?;
        let found = packager.wait(deadline(&packager), look).await;
        found.unwrap_or(Err(missing))
    }

    /// Waits until a playlist has what is wanted.
    async fn blocked(
        &self,
        channel: ChannelId,
        packager: &Channel,
        wanted: Wanted,
    ) -> Result<(), Error> {
        let look = |packager: &Packager| match wanted.reach(packager) {
            Reach::There => Some(Ok(())),
            Reach::Soon => None,
            Reach::TooFar => Some(Err(Error::TooFar {
                channel,
                newest: packager.next_sequence().saturating_sub(1),
            })),
        };
        let now = look(&packager.lock());
        if let Some(answer) = now {
            return answer;
        }
        let _places = self.places(packager)?;
        let answer = packager.wait(deadline(packager), look).await;
        answer.unwrap_or(Err(Error::NoNews(channel)))
    }

    /// The right to wait for news of a channel.
    fn places<'a>(&'a self, channel: &'a Channel) -> Result<[SemaphorePermit<'a>; 2], Error> {
        let place = |places: &'a Semaphore| places.try_acquire().map_err(|_| Error::Busy);
        Ok([place(channel.waiting())?, place(&self.waiting)?])
    }

    fn present(&self, channel: ChannelId) -> Option<Channel> {
        self.channels.lock().present.get(&channel).cloned()
    }

    /// A packager with enough segments to play, moved on to now.
    async fn ready(&self, channel: ChannelId, deadline: Instant) -> Result<Channel, Error> {
        let not_live = Error::NotLive(channel);
        let track = self.registry.get(channel).ok_or_else(|| not_live.clone())?;
        let mut news = None;
        loop {
            let present = self.start(channel, &track);
            let (is_empty, is_full) = present.as_ref().map_or((true, false), |packager| {
                let mut packager = packager.lock();
                packager.touch(Instant::now());
                packager.advance(Instant::now());
                (packager.is_empty(), packager.covers_start())
            });
            if let Some(packager) = &present
                && (is_full || (!is_empty && Instant::now() >= deadline))
            {
                return Ok(packager.clone());
            }
            let may_come =
                present.is_some() || track.source_state().borrow().status == ChannelStatus::Active;
            let news = news.get_or_insert_with(|| track.subscribe(Start::NewestKey));
            let wait = tokio::time::timeout_at(deadline, news.next(Wake::Flush));
            if !may_come || (wait.await.is_err() && is_empty) {
                return Err(not_live);
            }
        }
    }

    /// The channel's packager, begun now if the camera delivers.
    fn start(&self, channel: ChannelId, track: &Track) -> Option<Channel> {
        let now = Instant::now();
        if let Some(present) = self.present(channel)
            && present.lock().idle(now) < MAX_IDLE
        {
            return Some(present);
        }
        self.drop_idle(now);
        let mut channels = self.channels.lock();
        if let Some(present) = channels.present.get(&channel) {
            return Some(present.clone());
        }
        let least_sequence = channels.next_sequence.get(&channel).copied().unwrap_or(0);
        let packager = Packager::start(track, least_sequence, now)?;
        let packager = Channel::new(packager, track.clone());
        channels.present.insert(channel, packager.clone());
        tracing::debug!(channel.id = %channel, "hls packager started");
        Some(packager)
    }

    fn drop_idle(&self, now: Instant) {
        let mut channels = self.channels.lock();
        let Channels {
            present,
            next_sequence,
        } = &mut *channels;
        present.retain(|channel, packager| {
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

/// Until when an answer waits.
fn deadline(packager: &Channel) -> Instant {
    let target_s = u64::try_from(packager.lock().target_s()).unwrap_or(0);
    Instant::now() + longest_wait(target_s)
}

fn longest_wait(target_s: u64) -> Duration {
    Duration::from_secs(target_s.saturating_mul(MAX_WAIT_TARGETS)).min(MAX_WAIT)
}
