//! Which picture a request means, and where its compressed form is: live ring first, then footage.

use crate::loader::Loader;
use crate::ring::{self, Answer, Hit};
use crate::{Error, Match, choose};
use framewell_footage::{CompressedGop, Footage, GopRef, TICK_US};
use framewell_live::{Gop, Registry};
use framewell_model::{ChannelId, ClockSource, FrameId, WallClock, WallTime};
use std::sync::Arc;

/// A picture that was found and not decoded yet.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) frame: FrameId,
    pub(crate) captured: WallTime,
    pub(crate) clock: ClockSource,
    pub(crate) is_key: bool,
    pub(crate) is_live: bool,
    pub(crate) media: Media,
}

/// The compressed form.
#[derive(Debug)]
pub(crate) enum Media {
    /// In memory: the GOP, and the picture's place in it.
    Gop(Arc<CompressedGop>, usize),
    /// A key frame that is not read yet; it may not have to be.
    Key(GopRef),
}

impl Found {
    fn loaded(gop: Arc<CompressedGop>, index: usize, is_live: bool) -> Self {
        let sample = &gop.samples[index];
        Self {
            frame: FrameId {
                run: gop.run,
                ticks: sample.pts,
            },
            captured: sample.wall,
            clock: gop.clock,
            is_key: sample.is_key,
            is_live,
            media: Media::Gop(gop, index),
        }
    }

    fn key(gop: GopRef) -> Self {
        Self {
            frame: gop.key,
            captured: gop.range.start,
            clock: gop.clock,
            is_key: true,
            is_live: false,
            media: Media::Key(gop),
        }
    }
}

impl From<Hit> for Found {
    fn from(hit: Hit) -> Self {
        Self::loaded(hit.gop, hit.index, true)
    }
}

/// Finds pictures; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Finder {
    pub(crate) registry: Registry,
    pub(crate) footage: Footage,
    pub(crate) loader: Loader,
    pub(crate) clock: Arc<dyn WallClock>,
}

impl Finder {
    /// The picture of an instant.
    pub(crate) async fn find(
        &self,
        channel: ChannelId,
        at: WallTime,
        matching: Match,
    ) -> Result<Found, Error> {
        let track = self.registry.get(channel);
        let now = self.clock.now();
        // A camera's clock may be ahead of ours: what it has sent is no future.
        let newest = track.as_ref().and_then(|track| track.newest_gop());
        let newest = newest.and_then(|gop| Gop::newest(&gop));
        if at > now && newest.is_none_or(|newest| at > newest) {
            return Err(Error::Future { channel, at, now });
        }
        let (before, after) = match &track {
            Some(track) => match ring::find(track, at, matching, self.clock.as_ref()).await {
                Answer::Hit(hit) => return Ok(hit.into()),
                Answer::Miss(before, after) => (before, after),
            },
            None => (None, None),
        };
        let recorded = self.recorded(channel, at, matching).await;
        settle_with_ring(recorded, at, matching, before, after)
    }

    async fn recorded(
        &self,
        channel: ChannelId,
        at: WallTime,
        matching: Match,
    ) -> Result<Found, Error> {
        match matching {
            Match::Exact => self.exact(channel, at).await,
            Match::Keyframe => self.find_gop(channel, at).await.map(Found::key),
            Match::Before => {
                let exact = self.exact(channel, at).await;
                let missing = match exact {
                    Err(error) if is_hole(&error) => error,
                    exact => return exact,
                };
                self.last_before(channel, at).await?.ok_or(missing)
            }
            Match::After => {
                let missing = self.missing(channel, at);
                match self.first_after(channel, at).await? {
                    Some(found) => Ok(found),
                    None => Err(missing.await),
                }
            }
            Match::Nearest => {
                let before = Box::pin(self.recorded(channel, at, Match::Before)).await;
                let after = match &before {
                    Ok(before) if before.captured == at => None,
                    Ok(_) => self.first_after(channel, at).await?,
                    Err(error) if is_hole(error) => self.first_after(channel, at).await?,
                    Err(_) => None,
                };
                nearer(before, after, at)
            }
        }
    }

    async fn find_gop(&self, channel: ChannelId, at: WallTime) -> Result<GopRef, Error> {
        let found = self.footage.find_gop(channel, at).await;
        found.map_err(Error::Footage)
    }

    async fn exact(&self, channel: ChannelId, at: WallTime) -> Result<Found, Error> {
        let gop = self.find_gop(channel, at).await?;
        let count = gop.fragments_until(at.plus_micros(TICK_US));
        let loaded = self.load(&gop, count).await?;
        match choose::last_by(&loaded, at) {
            Some(index) => Ok(Found::loaded(loaded, index, false)),
            None => Err(self.missing(channel, at).await),
        }
    }

    /// The last picture captured by then, however long before.
    async fn last_before(&self, channel: ChannelId, at: WallTime) -> Result<Option<Found>, Error> {
        let gop = self.footage.gop_before(channel, at.plus_micros(TICK_US));
        let Some(gop) = gop.await.map_err(Error::Footage)? else {
            return Ok(None);
        };
        let count = gop.fragments_until(at.plus_micros(TICK_US));
        let loaded = self.load(&gop, count).await?;
        let index = choose::last_by(&loaded, at);
        Ok(index.map(|index| Found::loaded(loaded, index, false)))
    }

    /// The first picture captured from then on, however long after.
    async fn first_after(&self, channel: ChannelId, at: WallTime) -> Result<Option<Found>, Error> {
        let from = at.plus_micros(-TICK_US);
        let held = self.footage.gop_before(channel, at).await;
        if let Some(gop) = held.map_err(Error::Footage)?
            && let Some(found) = self.first_in(&gop, at).await?
        {
            return Ok(Some(found));
        }
        let next = self.footage.gop_after(channel, from).await;
        Ok(next.map_err(Error::Footage)?.map(Found::key))
    }

    /// The first picture of a GOP captured from then on; reads no more fragments than it takes.
    async fn first_in(&self, gop: &GopRef, at: WallTime) -> Result<Option<Found>, Error> {
        if gop.pictures_end() < at.plus_micros(-TICK_US) {
            return Ok(None);
        }
        let mut count = gop.fragments_until(at);
        loop {
            let loaded = self.load(gop, count).await?;
            // With reordering, a picture in the next fragment may be shown before the one found.
            let needed = match choose::first_from(&loaded, at) {
                Some(index) => gop.fragments_until(loaded.samples[index].wall),
                None => count + 1,
            };
            if needed <= count || count == gop.fragment_count() {
                let index = choose::first_from(&loaded, at);
                return Ok(index.map(|index| Found::loaded(loaded, index, false)));
            }
            count = needed.min(gop.fragment_count());
        }
    }

    async fn load(&self, gop: &GopRef, count: usize) -> Result<Arc<CompressedGop>, Error> {
        self.loader.load(gop, count).await.map_err(Error::Footage)
    }

    /// The error that says what is nearest.
    async fn missing(&self, channel: ChannelId, at: WallTime) -> Error {
        match self.footage.no_footage(channel, at).await {
            Ok(error) | Err(error) => Error::Footage(error),
        }
    }
}

fn is_hole(error: &Error) -> bool {
    matches!(
        error,
        Error::Footage(framewell_footage::Error::NoFootage { .. })
    )
}

fn nearer(
    before: Result<Found, Error>,
    after: Option<Found>,
    at: WallTime,
) -> Result<Found, Error> {
    match (before, after) {
        (Ok(before), Some(after)) => {
            let is_before = choose::is_before_nearer(before.captured, at, after.captured);
            Ok(if is_before { before } else { after })
        }
        (Ok(before), None) => Ok(before),
        (Err(_), Some(after)) => Ok(after),
        (Err(error), None) => Err(error),
    }
}

/// What the recording answers, where the ring has pictures around the instant, too: those count where
/// they are nearer, or where nothing is recorded.
fn settle_with_ring(
    recorded: Result<Found, Error>,
    at: WallTime,
    matching: Match,
    before: Option<WallTime>,
    after: Option<Hit>,
) -> Result<Found, Error> {
    let after_wall = after.as_ref().map(Hit::captured);
    match (matching, recorded, after) {
        (Match::After, Ok(found), Some(hit)) if hit.captured() < found.captured => Ok(hit.into()),
        (Match::Nearest, Ok(found), Some(hit))
            if !choose::is_before_nearer(found.captured, at, hit.captured()) =>
        {
            Ok(hit.into())
        }
        (Match::After | Match::Nearest, Err(error), Some(hit)) if is_hole(&error) => Ok(hit.into()),
        (_, Err(error), _) => Err(with_edges(error, before, after_wall)),
        (_, found, _) => found,
    }
}

/// A hole with the pictures that the ring has around it.
fn with_edges(error: Error, ring_before: Option<WallTime>, ring_after: Option<WallTime>) -> Error {
    match error {
        Error::Footage(framewell_footage::Error::NoFootage {
            channel,
            at,
            before,
            after,
        }) => Error::Footage(framewell_footage::Error::NoFootage {
            channel,
            at,
            before: before.into_iter().chain(ring_before).max(),
            after: after.into_iter().chain(ring_after).min(),
        }),
        other => other,
    }
}
