//! Small key-frame pictures of recordings, one per period.
//!
//! One task for all channels: it follows what the catalog says is recorded, never the recorder itself,
//! one channel after the other, as a batch that gives way to every interactive picture. After a restart
//! it goes on behind the newest thumbnail of each channel.

use crate::Gallery;
use crate::config::ThumbnailConfig;
use crate::live::chain;
use crate::slots::slot_after;
use crate::store::NewPicture;
use framewell_imaging::Match;
use framewell_imaging::batch::{BatchRequest, Budget, Entry, Rule, Sample, What};
use framewell_model::{ChannelId, ErrorKind, HasKind as _, ImageOrigin, TimeRange, WallTime};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often finished recordings are looked for.
const LONGEST_ROUND: Duration = Duration::from_secs(10);
/// Most thumbnails of one channel in a round, so that no channel waits for another's backlog.
const PER_ROUND: i64 = 60;

const ORIGIN: ImageOrigin = ImageOrigin::RecordingThumbnail;

/// Per channel, the slot that comes next.
type Cursors = BTreeMap<ChannelId, WallTime>;

impl Gallery {
    /// Makes thumbnails until `stop`.
    pub(crate) async fn make_thumbnails(self, stop: CancellationToken) {
        let Some(config) = self.inner.config.thumbnails else {
            return;
        };
        let mut cursors = Cursors::new();
        let mut is_failing = false;
        let round = LONGEST_ROUND.min(config.period);
        loop {
            let result = tokio::select! {
                () = stop.cancelled() => return,
                result = self.thumbnail_round(&config, &mut cursors) => result,
            };
            let has_more = match result {
                Ok(has_more) => {
                    is_failing = false;
                    has_more
                }
                Err(reason) if is_failing => {
                    tracing::debug!(reason, "still no thumbnails");
                    false
                }
                Err(reason) => {
                    is_failing = true;
                    tracing::warn!(
                        reason,
                        "thumbnails of recordings cannot be made now; will try again"
                    );
                    false
                }
            };
            let pause = if has_more { Duration::ZERO } else { round };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One round over all channels; whether one of them has more to do.
    async fn thumbnail_round(
        &self,
        config: &ThumbnailConfig,
        cursors: &mut Cursors,
    ) -> Result<bool, String> {
        let channels: Vec<ChannelId> = self.inner.wanted.borrow().keys().copied().collect();
        cursors.retain(|channel, _| channels.contains(channel));
        let (mut has_more, mut failure) = (false, None);
        for channel in channels {
            match self.thumbnails_of(channel, config, cursors).await {
                Ok(more) => has_more |= more,
                // The next channel may be well.
                Err(reason) => failure = Some(format!("channel {channel}: {reason}")),
            }
        }
        failure.map_or(Ok(has_more), Err)
    }

    /// Whether there is more to do.
    async fn thumbnails_of(
        &self,
        channel: ChannelId,
        config: &ThumbnailConfig,
        cursors: &mut Cursors,
    ) -> Result<bool, String> {
        let period_us = i64::try_from(config.period.as_micros()).unwrap_or(i64::MAX);
        let now = self.inner.clock.now();
        let next = match cursors.get(&channel) {
            Some(next) => *next,
            None => self.first_slot(channel, period_us).await?,
        };
        let next = next.max(slot_after(now - config.catch_up, period_us));
        cursors.insert(channel, next);
        if next > now {
            return Ok(false);
        }
        let tail = self.inner.catalog.recording_tail(channel).await;
        let (tail, _) = tail.map_err(|error| chain(&error))?;
        // Only what is published: what the recorder has not given out yet is not recorded.
        let Some(tail) = tail.filter(|tail| *tail > next) else {
            return Ok(false);
        };
        let end = tail.min(next.plus_micros(period_us.saturating_mul(PER_ROUND)));
        let range = TimeRange { start: next, end };
        if !self.thumbnails_in(channel, range, config, cursors).await? {
            return Ok(false);
        }
        let reached = slot_after(end.plus_micros(-1), period_us);
        cursors.insert(channel, reached);
        Ok(reached < tail)
    }

    /// The slot behind the newest thumbnail.
    async fn first_slot(&self, channel: ChannelId, period_us: i64) -> Result<WallTime, String> {
        let newest = self.inner.catalog.newest_image_time(channel, ORIGIN).await;
        let newest = newest.map_err(|error| chain(&error))?;
        Ok(newest.map_or(WallTime::from_micros(0), |at| slot_after(at, period_us)))
    }

    /// False if as many batches run already as may: somebody who waits for pictures goes first.
    async fn thumbnails_in(
        &self,
        channel: ChannelId,
        range: TimeRange,
        config: &ThumbnailConfig,
        cursors: &mut Cursors,
    ) -> Result<bool, String> {
        let period_us = i64::try_from(config.period.as_micros()).unwrap_or(i64::MAX);
        let request = BatchRequest {
            channel,
            what: What::Range {
                range,
                rule: Rule::Every(period_us),
                matching: Match::Keyframe,
            },
            output: Some(config.output),
            budget: Budget::default(),
        };
        let mut batch = match self.inner.imaging.batch(request).await {
            Ok(batch) => batch,
            Err(error) if error.kind() == ErrorKind::ResourceExhausted => return Ok(false),
            Err(error) => return Err(chain(&error)),
        };
        while let Some(entry) = batch.next().await {
            match entry {
                Entry::Picture(sample) => {
                    let requested = sample.requested;
                    self.store_thumbnail(channel, sample).await?;
                    cursors.insert(channel, slot_after(requested, period_us));
                }
                Entry::Failed(failure) => {
                    // Damaged footage stays damaged: the next slot is another chance.
                    tracing::debug!(channel.id = %channel, reason = failure.message, "a thumbnail cannot be made");
                }
                Entry::End(end) if end.next.is_some() => {
                    return Err("the recording or the decoders are not available".into());
                }
                _ => {}
            }
        }
        Ok(true)
    }

    async fn store_thumbnail(&self, channel: ChannelId, sample: Sample) -> Result<(), String> {
        let Some(pixels) = sample.pixels else {
            return Ok(());
        };
        let picture = NewPicture {
            channel,
            origin: ORIGIN,
            origin_id: None,
            captured: sample.captured,
            clock: sample.clock,
            frame: sample.frame,
            width: pixels.width,
            height: pixels.height,
            data: pixels.data,
        };
        let stored = self.store(&picture).await;
        stored.map(drop).map_err(|error| chain(&error))
    }
}
