//! Retention, and the deletion of doomed segments.

use crate::Recorder;
use framewell_blob::ObjectKey;
use framewell_catalog::StagedSegment;
use framewell_model::{ChannelId, ErrorKind, HasKind, WallTime};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often old footage is looked for. Footage lives at most this much longer than it may.
const ROUND: Duration = Duration::from_secs(30);
/// Rows per step: small, so that the recorder's own writes never wait long for the database.
const BATCH: i64 = 100;

impl Recorder {
    /// One round of the janitor: dooms footage that is older than its channel's retention or beyond
    /// [`crate::RecorderConfig::max_bytes`], and deletes the objects and rows of all doomed segments. [`Recorder::run`] does this every 30 s.
    pub async fn sweep(&self) -> Result<(), framewell_catalog::Error> {
        let wanted = self.shared.wanted.borrow().clone();
        let now = self.shared.clock.now();
        for (channel, policy) in wanted {
            if let Some(retention) = policy.retention {
                self.doom_older(channel, retention, now).await?;
            }
        }
        if let Some(max_bytes) = self.shared.config.max_bytes {
            self.doom_beyond(max_bytes, now).await?;
        }
        self.delete_doomed().await
    }

    async fn doom_beyond(
        &self,
        max_bytes: u64,
        now: WallTime,
    ) -> Result<(), framewell_catalog::Error> {
        let catalog = &self.shared.catalog;
        let allowed = i64::try_from(max_bytes).unwrap_or(i64::MAX);
        let mut excess = catalog.published_bytes().await? - allowed;
        while excess > 0 {
            let doomed = catalog.doom_oldest_segments(excess, BATCH, now).await?;
            if doomed == 0 {
                break;
            }
            excess -= doomed;
        }
        Ok(())
    }

    async fn doom_older(
        &self,
        channel: ChannelId,
        retention: Duration,
        now: WallTime,
    ) -> Result<(), framewell_catalog::Error> {
        let catalog = &self.shared.catalog;
        loop {
            let doomed = catalog
                .doom_segments_before(channel, now - retention, BATCH, now)
                .await?;
            if doomed < BATCH.unsigned_abs() {
                return Ok(());
            }
        }
    }

    async fn delete_doomed(&self) -> Result<(), framewell_catalog::Error> {
        loop {
            let doomed = self.shared.catalog.list_doomed_segments(BATCH).await?;
            let mut deleted = 0;
            for segment in &doomed {
                deleted += usize::from(self.delete(segment).await?);
            }
            // What the store would not delete stays doomed for the next round.
            let is_done = doomed.len() < BATCH.unsigned_abs() as usize;
            if is_done || deleted == 0 {
                return Ok(());
            }
        }
    }

    /// Whether object and row are gone.
    async fn delete(&self, segment: &StagedSegment) -> Result<bool, framewell_catalog::Error> {
        let key = ObjectKey::Segment {
            channel: segment.channel,
            start: segment.start,
            id: segment.id,
        };
        if let Err(error) = self.shared.blobs.delete(&key).await {
            tracing::warn!(segment.id = %segment.id, error = &error as &dyn std::error::Error, "object cannot be deleted now");
            return Ok(false);
        }
        let row = self
            .shared
            .catalog
            .delete_doomed_segment(segment.record)
            .await;
        match row {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            done => done.map(|()| true),
        }
    }

    /// Sweeps until `stop`, starting at once.
    pub(crate) async fn sweep_until(self, stop: CancellationToken) {
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = rounds.tick() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                swept = self.sweep() => if let Err(error) = swept {
                    tracing::warn!(error = &error as &dyn std::error::Error, "clean-up stopped early; it goes on in the next round");
                }
            }
        }
    }
}
