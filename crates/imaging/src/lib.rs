//! Pictures of a channel: now, or at any recorded instant, exact to the frame.
//!
//! [`Imaging::image`] finds the GOP (live ring first, then recorded footage), picks the picture on
//! screen, and has it decoded. What does not belong here: decoding itself, HTTP, rights.

pub mod batch;
mod feed;
mod grid;
mod group;
mod group_feed;
mod hub;
mod in_flight;
mod live;
mod request;
mod sets;
mod shot;

pub use feed::{Delivery, LiveFeed, LiveImage, LiveRequest};
pub use framewell_decode::{Crop, Fit, Output, PictureFormat, Rectangle};
pub use grid::Grid;
pub use group_feed::{GroupFeed, GroupRequest};
pub use hub::{HubConfig, HubStats};
pub use request::{ContentHash, Image, Match, Request, When};
pub use sets::{Absence, ImageSet};

use crate::hub::Hub;
use crate::in_flight::{InFlight, PictureKey};
use crate::shot::Shot;
use framewell_decode::Pool;
use framewell_footage::Footage;
use framewell_live::Registry;
use framewell_model::{ChannelId, ErrorKind, FrameId, HasKind, WallClock, WallTime};
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
        /// Capture time of its last picture in memory, if there is one.
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
            Self::Future { .. } | Self::Invalid(_) => ErrorKind::InvalidArgument,
            Self::TooManyBatches(_) => ErrorKind::ResourceExhausted,
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
    in_flight: InFlight,
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
        Self {
            registry,
            footage,
            pool,
            clock,
            in_flight: InFlight::default(),
            batches: batch::Batches::default(),
            hub,
        }
    }

    /// What the live decoders have done.
    #[must_use]
    pub fn hub_stats(&self) -> HubStats {
        self.hub.stats()
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
        let result = self.make(request).await;
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
        let (shot, is_live) = self.find(request).await?;
        let key = PictureKey {
            channel,
            captured: shot.captured,
            pts: shot.pts,
            output,
        };
        let decode = || self.pool.decode(shot.job(output));
        let picture = self.in_flight.join(key, decode).await.map_err(failed)?;
        Ok(Image {
            data: picture.data,
            format: picture.format,
            width: picture.width,
            height: picture.height,
            requested: match request.when {
                When::Now => self.clock.now(),
                When::At(at) => at,
            },
            captured: shot.captured,
            clock: shot.clock,
            frame: FrameId {
                run: shot.run,
                ticks: shot.pts,
            },
            is_key: shot.is_key,
            is_live,
        })
    }

    /// The picture's compressed form, and whether it comes from the live ring.
    async fn find(&self, request: &Request) -> Result<(Shot, bool), Error> {
        let channel = request.channel;
        let track = self.registry.get(channel);
        let When::At(at) = request.when else {
            let shot = match &track {
                Some(track) => live::now(track, self.clock.as_ref()).await,
                None => Err(None),
            };
            return match shot {
                Ok(shot) => Ok((shot, true)),
                Err(newest) => Err(Error::NotLive { channel, newest }),
            };
        };
        if let Some(track) = &track
            && let Some(shot) = live::at(track, at, self.clock.as_ref()).await
        {
            return Ok((shot, true));
        }
        let now = self.clock.now();
        if at > now {
            return Err(Error::Future { channel, at, now });
        }
        let gop = self.footage.gop_at(channel, at).await;
        let gop = gop.map_err(Error::Footage)?;
        match Shot::of_footage(gop, at) {
            Some(shot) => Ok((shot, false)),
            None => Err(Error::Footage(framewell_footage::Error::NoFootage {
                channel,
                at,
                before: None,
                after: None,
            })),
        }
    }
}
