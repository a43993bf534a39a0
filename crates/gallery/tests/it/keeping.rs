//! Age, retention, quota.

use crate::rig::Rig;
use framewell_gallery::{ChannelPolicy, GalleryConfig, NewPicture};
use framewell_model::ImageOrigin;
use std::time::Duration;

fn keeping(seconds: u64) -> ChannelPolicy {
    ChannelPolicy {
        retention: Some(Duration::from_secs(seconds)),
        live_period_us: None,
    }
}

#[tokio::test]
async fn pictures_go_when_the_footage_of_their_channel_does() {
    let mut rig = Rig::new(GalleryConfig::default()).await;
    for seconds in 0..5 {
        rig.store(&rig.picture(seconds)).await;
    }
    let gate = rig.channel;
    rig.channel = rig.new_channel("other").await;
    rig.store(&rig.picture(0)).await;
    rig.channel = gate;
    rig.sweep().await;
    assert_eq!(rig.files().len(), 6, "nothing says that they should go");
    rig.set_policy(keeping(10));
    rig.clock.advance(Duration::from_secs(13));
    rig.sweep().await;
    assert_eq!(rig.seconds().await, [3, 4]);
    assert_eq!(rig.files().len(), 3, "the other channel keeps its own");
}

#[tokio::test]
async fn the_age_limit_of_the_server_holds_where_a_channel_keeps_longer() {
    let config = GalleryConfig {
        max_age: Some(Duration::from_secs(10)),
        ..GalleryConfig::default()
    };
    let rig = Rig::new(config).await;
    for seconds in 0..5 {
        rig.store(&rig.picture(seconds)).await;
    }
    rig.set_policy(keeping(1_000));
    rig.clock.advance(Duration::from_secs(12));
    rig.sweep().await;
    assert_eq!(rig.seconds().await, [2, 3, 4]);
    rig.set_policy(keeping(9));
    rig.sweep().await;
    assert_eq!(rig.seconds().await, [3, 4]);
}

#[tokio::test]
async fn beyond_the_quota_those_stored_first_go_first() {
    let config = GalleryConfig {
        max_bytes: Some(3_000),
        ..GalleryConfig::default()
    };
    let rig = Rig::new(config).await;
    for seconds in [9, 8, 1, 2, 3] {
        rig.store(&rig.picture(seconds)).await;
    }
    rig.sweep().await;
    assert_eq!(rig.seconds().await, [1, 2, 3]);
    assert_eq!(rig.files().len(), 3);
    rig.sweep().await;
    assert_eq!(rig.seconds().await, [1, 2, 3], "as many as may be stay");
}

#[tokio::test]
async fn thumbnails_go_with_the_footage_that_they_show() {
    let rig = Rig::new(GalleryConfig::default()).await;
    let thumbnail = |seconds| NewPicture {
        origin: ImageOrigin::RecordingThumbnail,
        origin_id: None,
        ..rig.picture(seconds)
    };
    for seconds in [0, 10, 20] {
        rig.store(&thumbnail(seconds)).await;
    }
    rig.store(&rig.picture(5)).await;
    rig.set_policy(ChannelPolicy::default());
    rig.sweep().await;
    assert_eq!(
        rig.seconds().await,
        [0, 5, 10, 20],
        "their footage may not be published yet"
    );
    rig.footage(10, 30).await;
    rig.sweep().await;
    assert_eq!(rig.seconds().await, [5, 10, 20], "a task's picture stays");
}

/// A file where a folder should be keeps the store from deleting.
#[tokio::test]
async fn what_cannot_be_deleted_now_is_deleted_later() {
    let rig = Rig::new(GalleryConfig::default()).await;
    let id = rig.store(&rig.picture(5)).await;
    let file = rig.files().pop().unwrap();
    let data = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir_all(file.join("in the way")).unwrap();
    rig.gallery.delete(id).await.unwrap();
    rig.sweep().await;
    assert_eq!(
        rig.catalog
            .list_doomed_images(None, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    std::fs::remove_dir_all(&file).unwrap();
    std::fs::write(&file, data).unwrap();
    rig.sweep().await;
    assert!(
        rig.catalog
            .list_doomed_images(None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(rig.files().is_empty());
}
