//! Pictures of a channel: now, or at any recorded instant, exact to the frame.
//!
//! [`Imaging::image`] finds the GOP (live ring first, then recorded footage), picks the picture on
//! screen, and has it decoded. What does not belong here: decoding itself, HTTP, rights.

pub mod batch;
mod cache;
mod choose;
mod feed;
mod find;
mod frame_times;
mod grid;
mod group;
mod group_feed;
mod hub;
mod live;
mod loader;
mod lru;
mod reference;
mod request;
mod ring;
mod ring_gop;
mod sets;
mod settings;
mod share;
pub mod sheet;

pub use feed::{Delivery, LiveFeed, LiveImage, LiveRequest};
pub use frame_times::{FrameTime, FrameTimes};
pub use framewell_decode::Error as DecodeError;
pub use framewell_decode::{Crop, Fit, Output, PictureFormat, Rectangle};
pub use grid::Grid;
pub use group_feed::{GroupFeed, GroupRequest};
pub use hub::{HubConfig, HubStats};
pub use request::{ContentHash, Image, Match, Request, When};
pub use sets::{Absence, ImageSet};
pub use settings::ImagesConfig;
pub use share::DecodeCounts;

use crate::cache::{Cache, ContentKey, Finished};
use crate::find::{Finder, Found, Media};
use crate::hub::Hub;
use crate::loader::Loader;
use crate::share::Share;
use framewell_decode::Pool;
use framewell_footage::Footage;
use framewell_live::Registry;
use framewell_model::{ChannelId, ErrorKind, HasKind, WallClock, WallTime};
use std::sync::Arc;
use std::time::Instant;

/// A picture that cannot be had. Never a placeholder instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// "Now" was asked, and the camera delivers nothing.
    #[error("channel {channel} is not streaming")]
    NotLive {
        /// The channel.
        channel: ChannelId,
        /// Capture time of its last picture in memory, else the end of its recording, if there is one.
        newest: Option<WallTime>,
    },
    /// A moment that has not come yet was asked for.
    #[error("channel {channel} has no picture of {at} yet, now it is {now}")]
    Future {
        /// The channel.
        channel: ChannelId,
        /// The moment.
        at: WallTime,
        /// Our time.
        now: WallTime,
    },
    /// The footage.
    #[error(transparent)]
    Footage(framewell_footage::Error),
    /// A rule or a range that makes no sense; the text says what the limit is.
    #[error("{0}")]
    Invalid(String),
    /// The footage or the decoders cannot be reached; the log says why.
    #[error("the footage of channel {0}, or the decoders, are not available")]
    Unavailable(ChannelId),
    /// As many batches run as may.
    #[error("{0} batches of pictures are running, as many as may")]
    TooManyBatches(usize),
    /// The decoder.
    #[error("decoding a picture of channel {channel} failed")]
    Decode {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: framewell_decode::Error,
    },
    /// The picture lies too far behind its key frame; of a batch, what is wanted of one GOP does.
    #[error(
        "this takes {frames} decoded frames of channel {channel} from the key frame on, at most {limit} are allowed"
    )]
    TooCostly {
        /// The channel.
        channel: ChannelId,
        /// How many frames it takes.
        frames: usize,
        /// How many may be decoded, [`ImagesConfig::max_decode_frames`] for each picture.
        limit: usize,
    },
    /// As many live decoders run as may.
    #[error("all {limit} live decoders are in use")]
    TooManyDecoders {
        /// How many may run.
        limit: usize,
    },
    /// A push fell behind what the live ring keeps and goes on at a later key frame.
    #[error(
        "{gops} groups of pictures of channel {channel} were overwritten before they were decoded"
    )]
    Overrun {
        /// The channel.
        channel: ChannelId,
        /// How many were missed.
        gops: u64,
    },
    /// The channel was deleted during a push.
    #[error("channel {channel} does not exist any more")]
    Gone {
        /// The channel.
        channel: ChannelId,
    },
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotLive { .. } | Self::TooManyDecoders { .. } | Self::Overrun { .. } => {
                ErrorKind::Unavailable
            }
            Self::Gone { .. } => ErrorKind::NotFound,
            Self::Future { .. } | Self::Invalid(_) | Self::TooCostly { .. } => {
                ErrorKind::InvalidArgument
            }
            Self::TooManyBatches(_) => ErrorKind::ResourceExhausted,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Footage(source) => source.kind(),
            Self::Decode { source, .. } => source.kind(),
        }
    }
}

/// The service; cheap to clone.
#[derive(Debug, Clone)]
pub struct Imaging {
    registry: Registry,
    footage: Footage,
    pool: Pool,
    clock: Arc<dyn WallClock>,
    images: ImagesConfig,
    finder: Finder,
    cache: Cache,
    share: Share,
    hub: Hub,
    batches: batch::Batches,
}

impl Imaging {
    /// Joins the parts.
    #[must_use]
    pub fn new(
        registry: Registry,
        footage: Footage,
        pool: Pool,
        clock: Arc<dyn WallClock>,
    ) -> Self {
        let hub = Hub::new(
            registry.clone(),
            pool.clone(),
            Arc::clone(&clock),
            HubConfig::default(),
        );
        let images = ImagesConfig::default();
        let cache = Cache::new(images.cache_bytes);
        let finder = Finder {
            registry: registry.clone(),
            footage: footage.clone(),
            loader: Loader::new(footage.clone(), images.footage_bytes),
            clock: Arc::clone(&clock),
        };
        Self {
            share: Share::new(pool.clone(), cache.clone(), images),
            registry,
            footage,
            pool,
            clock,
            images,
            finder,
            cache,
            batches: batch::Batches::default(),
            hub,
        }
    }

    /// What the live decoders have done.
    #[must_use]
    pub fn hub_stats(&self) -> HubStats {
        self.hub.stats()
    }

    /// With these limits for single pictures; before the first request.
    #[must_use]
    pub fn with_images(mut self, config: ImagesConfig) -> Self {
        self.images = config;
        self.finder.loader = Loader::new(self.footage.clone(), config.footage_bytes);
        self.cache = Cache::new(config.cache_bytes);
        self.share = Share::new(self.pool.clone(), self.cache.clone(), config);
        self
    }

    /// What single pictures have cost so far.
    #[must_use]
    pub fn decode_counts(&self) -> DecodeCounts {
        self.share.counts()
    }

    /// With these settings for the live decoders; before the first request.
    #[must_use]
    pub fn with_hub(mut self, config: HubConfig) -> Self {
        let clock = Arc::clone(&self.clock);
        self.hub = Hub::new(self.registry.clone(), self.pool.clone(), clock, config);
        self
    }

    /// Makes a picture.
    ///
    /// A moment that the camera's stream is just reaching is waited for, one second at most.
    /// Callers that want the same picture at the same time share one decode.
    pub async fn image(&self, request: &Request) -> Result<Image, Error> {
        let started = Instant::now();
        let result = match self.make(request).await {
            Err(Error::NotLive {
                channel,
                newest: None,
            }) => Err(self.not_live(channel).await),
            result => result,
        };
        let label = match &result {
            Ok(image) if image.is_live => "live",
            Ok(_) => "recorded",
            Err(error) => error.kind().label(),
        };
        metrics::counter!("framewell_images_total", "result" => label).increment(1);
        if result.is_ok() {
            let seconds = started.elapsed().as_secs_f64();
            metrics::histogram!("framewell_image_seconds", "source" => label).record(seconds);
        }
        result
    }

    async fn make(&self, request: &Request) -> Result<Image, Error> {
        let channel = request.channel;
        let failed = |source| Error::Decode { channel, source };
        let output = request.output;
        output
            .check()
            .map_err(|why| failed(framewell_decode::Error::Invalid(why)))?;
        let found = match request.when {
            When::At(at) => self.finder.find(channel, at, request.matching).await?,
            When::Now if request.matching == Match::Keyframe => self.newest_key(channel).await?,
            When::Now => return self.newest(channel, output).await,
        };
        // What the newest picture takes is not the caller's choice.
        let limit = match request.when {
            When::Now => usize::MAX,
            When::At(_) => self.images.max_decode_frames,
        };
        let picture = self.finish(channel, &found, output, limit).await?;
        Ok(Image {
            data: picture.data,
            format: picture.format,
            width: picture.width,
            height: picture.height,
            requested: match request.when {
                When::Now => self.clock.now(),
                When::At(at) => at,
            },
            captured: found.captured,
            clock: found.clock,
            frame: found.frame,
            is_key: found.is_key,
            is_live: found.is_live,
        })
    }

    /// The newest picture, decoded before anybody asked if somebody did so lately. Of a stream that is
    /// reordered it is the one whose turn on screen has come: one that is shown before it can no more
    /// arrive.
    async fn newest(&self, channel: ChannelId, output: Output) -> Result<Image, Error> {
        let image = self.hub.newest(channel, output).await?;
        let frame = image.frame;
        let finished = Finished {
            data: image.data.clone(),
            format: image.format,
            width: image.width,
            height: image.height,
        };
        // Whoever asks for this very moment next gets the same bytes.
        self.cache.insert(ContentKey { frame, output }, finished);
        Ok(image)
    }

    /// A camera that has sent nothing since the start: the newest picture is a recorded one.
    async fn not_live(&self, channel: ChannelId) -> Error {
        let nearest = self.footage.no_footage(channel, self.clock.now()).await;
        let newest = match nearest {
            Ok(framewell_footage::Error::NoFootage { before, .. }) => before,
            _ => None,
        };
        Error::NotLive { channel, newest }
    }

    /// The key frame of the GOP on screen now.
    async fn newest_key(&self, channel: ChannelId) -> Result<Found, Error> {
        let gone = |newest| Error::NotLive { channel, newest };
        let track = self.registry.get(channel).ok_or(gone(None))?;
        hub::prove(&track, self.clock.as_ref())
            .await
            .map_err(gone)?;
        let key = ring::newest_key(&track).ok_or(gone(None))?;
        Ok(key.into())
    }

    /// The finished picture: kept, or made together with others of its GOP.
    async fn finish(
        &self,
        channel: ChannelId,
        found: &Found,
        output: Output,
        limit: usize,
    ) -> Result<Finished, Error> {
        let (gop, index) = match &found.media {
            Media::Gop(gop, index) => (Arc::clone(gop), *index),
            Media::Key(gop) => {
                let frame = found.frame;
                if let Some(known) = self.cache.get(&ContentKey { frame, output }) {
                    return Ok(known);
                }
                let key = self.footage.read_key(gop).await;
                (Arc::new(key.map_err(Error::Footage)?), 0)
            }
        };
        let frames = reference::cost(&gop, &[index]);
        if frames > limit {
            return Err(Error::TooCostly {
                channel,
                frames,
                limit,
            });
        }
        let made = self.share.picture(gop, index, output).await;
        made.map_err(|source| Error::Decode { channel, source })
    }
}
