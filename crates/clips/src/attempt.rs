//! One attempt to make a clip: objects of its own, and the only one whose objects may be published.

use crate::handler::Stop;
use crate::{ClipMakeup, Error};
use framewell_blob::{BlobStore, ObjectKey};
use framewell_catalog::{Catalog, ClipFile, StoredClip};
use framewell_model::{AccountId, ChannelId, ClipId, ClipObjectId, ErrorKind, HasKind, WallTime};
use uuid::Uuid;

/// One attempt to make a clip.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) clip: ClipId,
    pub(crate) account: AccountId,
    pub(crate) channel: ChannelId,
    start: WallTime,
    pub(crate) object: ClipObjectId,
}

impl Attempt {
    /// Takes the clip over, then deletes what the attempt before this one left. In this order: until the row names
    /// the new attempt, the one before may still be published, and its objects with it.
    pub(crate) async fn begin(
        catalog: &Catalog,
        blobs: &BlobStore,
        clip: &StoredClip,
        now: WallTime,
    ) -> Result<Self, Stop> {
        let attempt = |object| Self {
            clip: clip.id,
            account: clip.account,
            channel: clip.channel,
            start: clip.range.start,
            object,
        };
        let object = ClipObjectId::from_uuid(Uuid::now_v7());
        let started = catalog.start_clip(clip.id, clip.object, object, now);
        started.await.map_err(|error| unwanted(&error))?;
        if let Some(before) = clip.object.map(attempt) {
            let deleted = before.delete(blobs).await;
            deleted.map_err(|error| Stop::of(&Error::Blob(error)))?;
        }
        Ok(attempt(object))
    }

    pub(crate) const fn key(&self) -> ObjectKey {
        ObjectKey::Clip {
            channel: self.channel,
            time: self.start,
            id: self.object,
        }
    }

    pub(crate) const fn thumb_key(&self) -> ObjectKey {
        ObjectKey::ClipThumb {
            channel: self.channel,
            time: self.start,
            id: self.object,
        }
    }

    /// Lets everybody see the clip. If it is not wanted any more, its objects go: no row names them.
    pub(crate) async fn publish(
        &self,
        catalog: &Catalog,
        blobs: &BlobStore,
        file: &ClipFile,
        makeup: &ClipMakeup,
        now: WallTime,
    ) -> Result<(), Stop> {
        let published = catalog
            .publish_clip(self.clip, self.object, file, &makeup.text(), now)
            .await;
        if let Err(error) = published {
            let stop = unwanted(&error);
            if matches!(stop, Stop::Unwanted) && !self.may_be_published(catalog, now).await {
                self.tidy(blobs).await;
            }
            return Err(stop);
        }
        metrics::counter!("framewell_stored_clips_total").increment(1);
        metrics::counter!("framewell_stored_clip_bytes_total")
            .increment(u64::try_from(file.size_bytes).unwrap_or(0));
        Ok(())
    }

    /// Whether the row names this attempt after all, as after a write whose answer was lost, or cannot be read.
    async fn may_be_published(&self, catalog: &Catalog, now: WallTime) -> bool {
        match catalog.load_clip(self.clip, now).await {
            Ok(clip) => clip.object == Some(self.object),
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }

    async fn tidy(&self, blobs: &BlobStore) {
        if let Err(error) = self.delete(blobs).await {
            tracing::warn!(clip.id = %self.clip, error = &error as &dyn std::error::Error, "the objects of a clip that is not wanted any more stay");
        }
    }

    async fn delete(&self, blobs: &BlobStore) -> Result<(), framewell_blob::Error> {
        blobs.delete(&self.key()).await?;
        blobs.delete(&self.thumb_key()).await
    }
}

/// A write that found no row: somebody deleted the clip, or goes on with it.
fn unwanted(error: &framewell_catalog::Error) -> Stop {
    match error.kind() {
        ErrorKind::NotFound => Stop::Unwanted,
        _ => Stop::of(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_catalog::{CLIP_JOB, CatalogConfig, ClipLimits, ClipThumb, NewClip};
    use framewell_model::{NewChannel, RecMode, Secret, TimeRange};
    use std::collections::BTreeMap;

    const NOW: WallTime = WallTime::from_secs(1_767_225_600);

    struct Rig {
        catalog: Catalog,
        blobs: BlobStore,
        clip: ClipId,
        _dir: tempfile::TempDir,
    }

    impl Rig {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", dir.path().join("db").display());
            let config = CatalogConfig {
                url: Secret::new(url),
                max_connections: 2,
            };
            let catalog = Catalog::open(&config).await.unwrap();
            let account = catalog.create_account("test", NOW).await.unwrap().id;
            let camera = NewChannel {
                name: "gate".to_owned(),
                rec_mode: RecMode::On,
                timezone: "UTC".to_owned(),
                source: None,
                retention_s: None,
                meta: BTreeMap::new(),
            };
            let channel = catalog.create_channel(account, &camera, NOW).await.unwrap();
            let new = NewClip {
                account,
                channel: channel.id,
                title: String::new(),
                group: None,
                range: range(),
                event_time: None,
                delete_at: None,
                options: serde_json::json!({}),
                job_kind: CLIP_JOB,
            };
            let limits = ClipLimits {
                open_of_channel: 9,
                open_of_account: 9,
                rows_of_channel: 9,
                bytes: None,
                bytes_of_account: None,
            };
            let clip = catalog.create_clip(&new, limits, NOW).await.unwrap();
            Self {
                catalog,
                blobs: BlobStore::local(&dir.path().join("objects")).unwrap(),
                clip: clip.unwrap(),
                _dir: dir,
            }
        }

        async fn load(&self) -> StoredClip {
            self.catalog.load_clip(self.clip, NOW).await.unwrap()
        }

        /// An attempt with both objects.
        async fn attempt(&self, seen: &StoredClip) -> Attempt {
            let attempt = Attempt::begin(&self.catalog, &self.blobs, seen, NOW);
            let attempt = attempt.await.unwrap();
            for key in [attempt.key(), attempt.thumb_key()] {
                self.blobs.put_bytes(&key, vec![1; 9].into()).await.unwrap();
            }
            attempt
        }

        async fn publish(&self, attempt: &Attempt) -> Result<(), Stop> {
            let file = ClipFile {
                shown: range(),
                duration_us: 10_000_000,
                size_bytes: 9,
                thumb: Some(ClipThumb {
                    time: NOW,
                    width: 1,
                    height: 1,
                    size_bytes: 9,
                }),
                thumb_error: None,
                gaps: None,
            };
            let makeup = ClipMakeup::default();
            attempt
                .publish(&self.catalog, &self.blobs, &file, &makeup, NOW)
                .await
        }

        /// Which of its objects are there.
        async fn objects(&self, attempt: &Attempt) -> [bool; 2] {
            let is_there = async |key| self.blobs.size(&key).await.is_ok();
            [
                is_there(attempt.key()).await,
                is_there(attempt.thumb_key()).await,
            ]
        }
    }

    fn range() -> TimeRange {
        TimeRange::new(NOW.plus_micros(-20_000_000), NOW.plus_micros(-10_000_000)).unwrap()
    }

    #[tokio::test]
    async fn the_objects_of_an_attempt_that_is_published_meanwhile_stay() {
        let rig = Rig::new().await;
        let first = rig.attempt(&rig.load().await).await;
        // Another worker sees the clip unfinished, and the first one ends before it begins.
        let seen = rig.load().await;
        rig.publish(&first).await.unwrap();
        let second = Attempt::begin(&rig.catalog, &rig.blobs, &seen, NOW).await;
        assert!(matches!(second, Err(Stop::Unwanted)), "{second:?}");
        assert_eq!(rig.objects(&first).await, [true, true]);
    }

    #[tokio::test]
    async fn what_an_attempt_left_goes_when_another_one_begins() {
        let rig = Rig::new().await;
        let first = rig.attempt(&rig.load().await).await;
        let second = rig.attempt(&rig.load().await).await;
        assert_eq!(rig.objects(&first).await, [false, false]);
        rig.publish(&second).await.unwrap();
        // The same write once more, as after an answer that was lost.
        assert!(matches!(rig.publish(&second).await, Err(Stop::Unwanted)));
        assert_eq!(rig.objects(&second).await, [true, true]);
    }

    #[tokio::test]
    async fn the_objects_of_an_attempt_that_comes_too_late_go() {
        let rig = Rig::new().await;
        let first = rig.attempt(&rig.load().await).await;
        let second = rig.attempt(&rig.load().await).await;
        for key in [first.key(), first.thumb_key()] {
            // It was still writing.
            rig.blobs.put_bytes(&key, vec![1; 9].into()).await.unwrap();
        }
        assert!(matches!(rig.publish(&first).await, Err(Stop::Unwanted)));
        assert_eq!(rig.objects(&first).await, [false, false]);
        assert_eq!(rig.objects(&second).await, [true, true]);
    }
}
