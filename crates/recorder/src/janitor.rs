//! Retention, and the deletion of doomed segments.

use crate::Recorder;
use framewell_blob::ObjectKey;
use framewell_catalog::{Excess, StagedSegment};
use framewell_live::Track;
use framewell_model::{ChannelId, DeletionReason, ErrorKind, HasKind, RunClock, WallTime};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often old footage is looked for. Footage lives at most this much longer than it may.
const ROUND: Duration = Duration::from_secs(30);
/// Rows per step: small, so that the recorder's own writes never wait long for the database.
const BATCH: i64 = 100;
/// How long it is known what was deleted.
const ACCOUNT_AGE: Duration = Duration::from_secs(400 * 86_400);
/// A clock that does nothing new is written down this often.
const CLOCK_STEP_US: i64 = 300_000_000;
/// How long it is known what the clocks of cameras did.
const CLOCK_AGE: Duration = Duration::from_secs(90 * 86_400);

impl Recorder {
    /// One round of the janitor: dooms footage that is older than its channel's retention or beyond
    /// [`crate::RecorderConfig::max_bytes`], and deletes the objects and rows of all doomed segments. [`Recorder::run`] does this every 30 s.
    pub async fn sweep(&self) -> Result<(), framewell_catalog::Error> {
        let wanted = self.shared.wanted.borrow().clone();
        let now = self.shared.clock.now();
        self.store_clocks(wanted.keys().copied()).await;
        for (channel, policy) in wanted {
            if let Some(retention) = policy.retention {
                self.doom_older(channel, retention, now).await?;
            }
            if let Some(max_bytes) = policy.max_bytes {
                self.doom_beyond(Some(channel), max_bytes, now).await?;
            }
        }
        if let Some(max_bytes) = self.shared.config.max_bytes {
            self.doom_beyond(None, max_bytes, now).await?;
        }
        self.delete_doomed().await?;
        let catalog = &self.shared.catalog;
        catalog.delete_expired_holds(now).await?;
        catalog.forget_deletions(now - ACCOUNT_AGE).await?;
        catalog.forget_run_clocks(now - CLOCK_AGE).await?;
        catalog.forget_stream_offsets(now - CLOCK_AGE).await?;
        Ok(())
    }

    /// Writes down what the clocks of cameras do.
    async fn store_clocks(&self, channels: impl Iterator<Item = ChannelId>) {
        for channel in channels {
            let Some(track) = self.shared.registry.get(channel) else {
                continue;
            };
            self.store_offset(channel, &track).await;
            let Some(clock) = track.clock() else { continue };
            let reading = clock.reading;
            let memory = self.shared.memory(channel);
            let is_told = memory.state.lock().told_clock.is_some_and(|told| {
                told.run == clock.run
                    && told.reading.jumps == reading.jumps
                    && reading.last.micros_since(told.reading.last) < CLOCK_STEP_US
            });
            if is_told {
                continue;
            }
            let row = RunClock {
                run: clock.run,
                channel,
                first: reading.first,
                last: reading.last,
                offset_us: reading.offset_us,
                drift_ppb: reading.drift_ppb,
                jumps: reading.jumps,
                largest_jump_us: reading.largest_jump_us,
                is_used: clock.is_used,
            };
            match self.shared.catalog.put_run_clock(&row).await {
                Ok(()) => memory.state.lock().told_clock = Some(clock),
                Err(error) => {
                    tracing::debug!(channel.id = %channel, error = &error as &dyn std::error::Error, "clock of the camera is not stored");
                }
            }
        }
    }

    /// Writes down how the clock of a sub stream lies to that of its main stream.
    async fn store_offset(&self, channel: ChannelId, track: &Track) {
        let Some(offset) = track.offset() else { return };
        let memory = self.shared.memory(channel);
        let is_told = memory.state.lock().told_offset.is_some_and(|told| {
            let moved_us = told.offset_us.saturating_sub(offset.offset_us);
            told.run == offset.run
                && moved_us.saturating_abs() <= told.error_us
                && offset.measured.micros_since(told.measured) < CLOCK_STEP_US
        });
        if is_told {
            return;
        }
        match self
            .shared
            .catalog
            .put_stream_offset(channel, &offset)
            .await
        {
            Ok(()) => memory.state.lock().told_offset = Some(offset),
            Err(error) => {
                tracing::debug!(channel.id = %channel, error = &error as &dyn std::error::Error, "offset of the stream is not stored");
            }
        }
    }

    async fn doom_beyond(
        &self,
        channel: Option<ChannelId>,
        max_bytes: u64,
        now: WallTime,
    ) -> Result<(), framewell_catalog::Error> {
        let catalog = &self.shared.catalog;
        let allowed = i64::try_from(max_bytes).unwrap_or(i64::MAX);
        let stored = match channel {
            Some(channel) => catalog.published_bytes_of(channel).await?,
            None => catalog.published_bytes().await?,
        };
        let mut bytes = stored - allowed;
        while bytes > 0 {
            let excess = Excess {
                channel,
                bytes,
                limit: BATCH.unsigned_abs(),
                reason: DeletionReason::Bytes,
            };
            let doomed = catalog.doom_oldest_segments(excess, now).await?;
            if doomed == 0 {
                break;
            }
            bytes -= doomed;
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

    /// Deletes the objects and rows of all doomed segments.
    pub(crate) async fn delete_doomed(&self) -> Result<(), framewell_catalog::Error> {
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
