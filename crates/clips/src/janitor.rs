//! Clips whose time is over, and the deletion of doomed ones: the objects first, then the row, so that a
//! crash leaves a row that says what is still to be done.

use crate::{Clips, Error};
use framewell_blob::ObjectKey;
use framewell_catalog::DoomedClip;
use framewell_model::ClipId;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked for. A clip is invisible when its time is over; its bytes stay this much longer.
const ROUND: Duration = Duration::from_secs(15);
/// Rows per step: small, so that other writes never wait long for the database.
const BATCH: u64 = 200;
/// An unfinished clip may be in the middle of a write, which notices within seconds that it is deleted.
const QUIET: Duration = Duration::from_secs(60);
/// How long a clip that failed says why.
const FAILED_STAY: Duration = Duration::from_secs(86_400);

impl Clips {
    /// One round: dooms what is over, and deletes the objects and rows of doomed clips. [`Clips::run`] does
    /// this every 15 s.
    pub async fn sweep(&self) -> Result<(), Error> {
        let inner = &self.inner;
        let now = inner.clock.now();
        while inner.catalog.doom_expired_clips(BATCH, now).await? == BATCH {}
        let before = now - FAILED_STAY;
        while inner.catalog.doom_failed_clips(before, BATCH, now).await? == BATCH {}
        let bytes = inner.catalog.stored_clip_bytes(None).await?;
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        metrics::gauge!("framewell_stored_clips_bytes").set(bytes as f64);
        let mut after: Option<ClipId> = None;
        loop {
            let doomed = inner
                .catalog
                .list_doomed_clips(after, now - QUIET, BATCH)
                .await?;
            let mut gone = Vec::new();
            for clip in &doomed {
                if self.delete_objects(clip).await {
                    gone.push(clip.id);
                }
            }
            inner.catalog.delete_doomed_clips(&gone).await?;
            after = doomed.last().map(|clip| clip.id);
            if (doomed.len() as u64) < BATCH {
                return Ok(());
            }
        }
    }

    /// What the store would not delete stays doomed for the next round.
    async fn delete_objects(&self, clip: &DoomedClip) -> bool {
        let Some(id) = clip.object else {
            return true;
        };
        let (channel, time) = (clip.channel, clip.start);
        for key in [
            ObjectKey::ClipThumb { channel, time, id },
            ObjectKey::Clip { channel, time, id },
        ] {
            if let Err(error) = self.inner.blobs.delete(&key).await {
                tracing::warn!(clip.id = %clip.id, error = &error as &dyn std::error::Error, "an object of a clip cannot be deleted now");
                return false;
            }
        }
        true
    }

    /// Cleans up until `stop`, starting at once.
    pub async fn run(self, stop: CancellationToken) {
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
                    tracing::warn!(error = &error as &dyn std::error::Error, "the clean-up of clips stopped early; it goes on in the next round");
                }
            }
        }
    }
}
