//! The running decoders of live channels: at most one per channel, shared by everybody who wants
//! pictures of now.

use crate::{Error, Image, PictureKey, in_flight::InFlight, live};
use framewell_decode::{Output, Pool};
use framewell_live::Registry;
use framewell_model::{ChannelId, FrameId, WallClock};
use std::sync::Arc;
use std::time::Duration;

/// Settings of the live decoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubConfig {
    /// How long a channel's newest picture stays hot after somebody asked for it (default 10 s).
    pub lease: Duration,
    /// Most live decoders that run at a time (default 64); beyond it
    /// [`Error::TooManyDecoders`].
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

/// The hub; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    registry: Registry,
    pool: Pool,
    clock: Arc<dyn WallClock>,
    in_flight: InFlight,
}

impl Hub {
    pub(crate) fn new(
        registry: Registry,
        pool: Pool,
        clock: Arc<dyn WallClock>,
        _config: HubConfig,
    ) -> Self {
        Self {
            registry,
            pool,
            clock,
            in_flight: InFlight::default(),
        }
    }

    /// The newest picture of a channel that delivers. The first call starts the channel's decoder at
    /// the ring's key frame; while calls go on coming, the newest picture is decoded before anybody
    /// asks. Callers who ask for the same at the same time share one encode.
    #[expect(dead_code, reason = "single pictures move over to it")]
    pub(crate) async fn newest(&self, channel: ChannelId, output: Output) -> Result<Image, Error> {
        let failed = |source| Error::Decode { channel, source };
        let newest = None;
        let not_live = Error::NotLive { channel, newest };
        let track = self.registry.get(channel).ok_or(not_live)?;
        let shot = live::now(&track, self.clock.as_ref()).await;
        let shot = shot.map_err(|newest| Error::NotLive { channel, newest })?;
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
            requested: self.clock.now(),
            captured: shot.captured,
            clock: shot.clock,
            frame: FrameId {
                run: shot.run,
                ticks: shot.pts,
            },
            is_key: shot.is_key,
            is_live: true,
        })
    }
}
