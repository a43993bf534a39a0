//! Timeline, clips, HLS, streams of fragments, and recorded footage unit by unit.

mod budget;
mod catch_up;
mod clip;
pub mod export;
pub mod fragments;
pub mod hls;
pub mod pace;
mod plan;
mod read;
mod record;
pub mod replay;
mod timeline;

pub use catch_up::{Beginning, CatchUp, CatchUpItem, Role};
pub use clip::{Clip, ClipBytes, ClipError, ClipOptions, ClipSegment};
pub use framewell_fmp4::Holes;
pub use record::RecordFile;
pub use timeline::{Timeline, load_timeline};

use bytes::Bytes;
use framewell_footage::Footage;
use framewell_live::Registry;
use framewell_model::{ChannelId, Holder, RecordId, SegmentId, TimeRange, WallTime};
use futures::stream::BoxStream;
use replay::{FoundFootage, Replay, ReplayError, Selection};
use tokio_util::sync::CancellationToken;

/// Bytes of a body as they are read.
pub type ByteStream = BoxStream<'static, Result<Bytes, framewell_footage::Error>>;

/// The service; cheap to clone.
#[derive(Debug, Clone)]
pub struct Playback {
    footage: Footage,
    registry: Registry,
    hls: hls::Live,
    recorded_hls: hls::recorded::Recorded,
    fragments: fragments::Live,
    /// Seconds of clips that may still be opened.
    clip_budget: budget::ClipBudget,
}

impl Playback {
    /// Joins the parts.
    #[must_use]
    pub fn new(registry: Registry, footage: Footage) -> Self {
        Self {
            recorded_hls: hls::recorded::Recorded::new(footage.clone()),
            footage,
            hls: hls::Live::new(registry.clone()),
            fragments: fragments::Live::new(registry.clone()),
            registry,
            clip_budget: budget::ClipBudget::default(),
        }
    }

    /// Work between requests, until `stop`: see [`hls::Live::run`].
    pub async fn run(self, stop: CancellationToken) {
        self.hls.run(stop).await;
    }

    /// Opens a clip with the defaults of [`ClipOptions`], as for a job.
    pub async fn clip(&self, channel: ChannelId, range: TimeRange) -> Result<Clip, ClipError> {
        self.clip_with(None, channel, range, ClipOptions::default())
            .await
    }

    /// Opens a clip for a job. The segments of `lost` turned out to be lost while an earlier one was read: they
    /// count as damaged, whatever the store says now.
    pub async fn clip_without(
        &self,
        channel: ChannelId,
        range: TimeRange,
        options: ClipOptions,
        lost: &[SegmentId],
    ) -> Result<Clip, ClipError> {
        let wanted = plan::Wanted {
            footage: &self.footage,
            holder: None,
            channel,
            range,
            options,
            lost,
        };
        wanted.plan(&self.clip_budget).await
    }

    /// Opens a clip: reads fragment headers, no media. Gaps are listed.
    /// [`ClipError::Busy`] while eight days of clips are open: each holds its sample tables in memory.
    /// [`ClipError::Share`] while those of this holder, or of its account, have their share; without a
    /// holder it is for a job, which may take all.
    pub async fn clip_with(
        &self,
        holder: Option<Holder>,
        channel: ChannelId,
        range: TimeRange,
        options: ClipOptions,
    ) -> Result<Clip, ClipError> {
        let wanted = plan::Wanted {
            footage: &self.footage,
            holder,
            channel,
            range,
            options,
            lost: &[],
        };
        wanted.plan(&self.clip_budget).await
    }

    /// Recorded footage from `start` on, unit by unit: from the key frame that the picture at `start`
    /// needs, up to `end`, or as far as footage reaches when the replay gets there.
    /// [`ReplayError::Empty`] where nothing is recorded.
    pub async fn replay(
        &self,
        channel: ChannelId,
        start: WallTime,
        end: Option<WallTime>,
    ) -> Result<Replay, ReplayError> {
        let found = self.find_footage(channel, start, end, Selection::All);
        Ok(found.await?.replay())
    }

    /// Looks up what a replay of a selection of units would give, without reading it.
    pub async fn find_footage(
        &self,
        channel: ChannelId,
        start: WallTime,
        end: Option<WallTime>,
        selection: Selection,
    ) -> Result<FoundFootage, ReplayError> {
        FoundFootage::look_up(&self.footage, channel, start, end, selection).await
    }

    /// End of the newest footage of a channel.
    pub async fn newest_footage(
        &self,
        channel: ChannelId,
    ) -> Result<Option<WallTime>, ReplayError> {
        let newest = self.footage.gop_before(channel, replay::FAR_FUTURE).await?;
        Ok(newest.map(|gop| gop.range.end))
    }

    /// Resolves when video that reaches `end` has been recorded; what is there already does not count, nor files
    /// that somebody hands in.
    pub fn recorded(
        &self,
        channel: ChannelId,
        end: WallTime,
    ) -> impl Future<Output = ()> + Send + use<> {
        let reached = self.footage.spool().reached(channel, end);
        async move {
            if reached.await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Opens a published segment as a file of its own.
    pub async fn record(
        &self,
        channel: ChannelId,
        record: RecordId,
    ) -> Result<RecordFile, framewell_footage::Error> {
        RecordFile::open(&self.footage, channel, record).await
    }

    /// Recorded periods and gaps of a channel.
    pub async fn timeline(
        &self,
        channel: ChannelId,
        range: TimeRange,
        merge_us: i64,
    ) -> Result<Timeline, framewell_footage::Error> {
        load_timeline(&self.footage, channel, range, merge_us).await
    }

    /// Recorded HLS.
    #[must_use]
    pub const fn recorded_hls(&self) -> &hls::recorded::Recorded {
        &self.recorded_hls
    }

    pub(crate) const fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) const fn live_fragments(&self) -> &fragments::Live {
        &self.fragments
    }

    /// Live HLS.
    #[must_use]
    pub const fn hls(&self) -> &hls::Live {
        &self.hls
    }
}
