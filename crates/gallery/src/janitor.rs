//! Age, retention, quota, and the deletion of doomed pictures.

use crate::{Error, Gallery};
use framewell_blob::ObjectKey;
use framewell_catalog::DoomedImage;
use framewell_model::{ChannelId, ImageId, ImageOrigin, WallTime};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often old pictures are looked for. A picture lives at most this much longer than it may.
const ROUND: Duration = Duration::from_secs(30);
/// Rows per step: small, so that other writes never wait long for the database.
const BATCH: u64 = 200;
/// A picture that is being stored for longer than this was left by a crash: an object store gives an
/// answer within a minute.
const ABANDONED: Duration = Duration::from_secs(600);
/// Thumbnails of footage that is not published yet have none in the catalog.
const UNPUBLISHED: Duration = Duration::from_secs(3_600);

impl Gallery {
    /// One round of the janitor: dooms what is too old or too much, and deletes the objects and rows of
    /// all doomed pictures. [`Gallery::run`] does this every 30 s.
    pub async fn sweep(&self) -> Result<(), Error> {
        let now = self.inner.clock.now();
        let wanted = self.inner.wanted.borrow().clone();
        for (channel, policy) in wanted {
            let kept = [policy.retention, self.inner.config.max_age];
            if let Some(kept) = kept.into_iter().flatten().min() {
                self.doom_before(channel, None, now - kept, now).await?;
            }
            self.doom_orphaned_thumbnails(channel, now).await?;
        }
        self.doom_beyond_quota(now).await?;
        self.doom_abandoned(now).await?;
        self.delete_doomed().await
    }

    async fn doom_before(
        &self,
        channel: ChannelId,
        origin: Option<ImageOrigin>,
        before: WallTime,
        now: WallTime,
    ) -> Result<(), Error> {
        let catalog = &self.inner.catalog;
        while catalog
            .doom_images_before(channel, origin, before, BATCH, now)
            .await?
            == BATCH
        {}
        Ok(())
    }

    /// Thumbnails go with the footage that they show.
    async fn doom_orphaned_thumbnails(
        &self,
        channel: ChannelId,
        now: WallTime,
    ) -> Result<(), Error> {
        let oldest = self.inner.catalog.oldest_footage(channel).await?;
        let before = oldest.unwrap_or(now - UNPUBLISHED);
        let thumbnails = Some(ImageOrigin::RecordingThumbnail);
        self.doom_before(channel, thumbnails, before, now).await
    }

    async fn doom_beyond_quota(&self, now: WallTime) -> Result<(), Error> {
        let bytes = self.inner.catalog.published_image_bytes().await?;
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        metrics::gauge!("framewell_stored_images_bytes").set(bytes as f64);
        let Some(most) = self.inner.config.max_bytes else {
            return Ok(());
        };
        let mut excess = bytes - i64::try_from(most).unwrap_or(i64::MAX);
        while excess > 0 {
            let catalog = &self.inner.catalog;
            let doomed = catalog.doom_oldest_images(excess, BATCH, now).await?;
            if doomed == 0 {
                break;
            }
            excess -= doomed;
        }
        Ok(())
    }

    async fn doom_abandoned(&self, now: WallTime) -> Result<(), Error> {
        let catalog = &self.inner.catalog;
        while catalog
            .doom_abandoned_images(now - ABANDONED, BATCH, now)
            .await?
            == BATCH
        {}
        Ok(())
    }

    /// What the store would not delete stays doomed for the next round.
    async fn delete_doomed(&self) -> Result<(), Error> {
        let catalog = &self.inner.catalog;
        let mut after: Option<ImageId> = None;
        loop {
            let doomed = catalog.list_doomed_images(after, BATCH).await?;
            let mut gone = Vec::new();
            for image in &doomed {
                if self.delete_object(image).await {
                    gone.push(image.id);
                }
            }
            catalog.delete_doomed_images(&gone).await?;
            after = doomed.last().map(|image| image.id);
            if (doomed.len() as u64) < BATCH {
                return Ok(());
            }
        }
    }

    async fn delete_object(&self, image: &DoomedImage) -> bool {
        let key = ObjectKey::Image {
            channel: image.channel,
            time: image.time,
            id: image.object,
        };
        match self.inner.blobs.delete(&key).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(image.id = %image.id, error = &error as &dyn std::error::Error, "the object of a picture cannot be deleted now");
                false
            }
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
                    tracing::warn!(error = &error as &dyn std::error::Error, "the clean-up of pictures stopped early; it goes on in the next round");
                }
            }
        }
    }
}
