//! One picture: stored once, read back, gone.

use crate::rig::{Rig, START};
use bytes::Bytes;
use framewell_blob::{BlobStore, ObjectKey};
use framewell_gallery::{Error, GalleryConfig, NewPicture, Stored};
use framewell_imaging::ContentHash;
use framewell_model::{ErrorKind, HasKind as _};
use framewell_testkit::s3::TestBucket;
use std::time::Duration;

#[tokio::test]
async fn a_stored_picture_is_read_back_as_it_was() {
    let rig = Rig::new(GalleryConfig::default()).await;
    let picture = rig.picture(5);
    let stored = rig.gallery.store(&picture).await.unwrap();
    assert!(matches!(stored, Stored::New(_)));
    let seen = rig.seen().await;
    assert_eq!(rig.gallery.read(&seen[0]).await.unwrap(), picture.data);
    assert_eq!(seen[0].hash, ContentHash::of(&picture.data).to_string());
    assert_eq!(
        (seen[0].time, seen[0].frame),
        (picture.captured, picture.frame)
    );
    assert_eq!(rig.files().len(), 1);
}

#[tokio::test]
async fn storing_a_picture_again_changes_nothing() {
    let rig = Rig::new(GalleryConfig::default()).await;
    let first = rig.store(&rig.picture(5)).await;
    let other_bytes = NewPicture {
        data: Bytes::from_static(b"decoded by another release"),
        ..rig.picture(5)
    };
    let again = rig.gallery.store(&other_bytes).await.unwrap();
    assert_eq!(again, Stored::Known(first));
    let seen = rig.seen().await;
    assert_eq!(
        rig.gallery.read(&seen[0]).await.unwrap(),
        rig.picture(5).data
    );
    assert_eq!((seen.len(), rig.files().len()), (1, 1));
}

/// The row is there, the object may be: `kill -9` between the steps.
#[tokio::test]
async fn a_picture_whose_storing_was_interrupted_is_stored_by_the_next_attempt() {
    let rig = Rig::new(GalleryConfig::default()).await;
    let id = rig.store(&rig.picture(5)).await;
    let object = rig.files().pop().unwrap();
    // Back to the state after the first step, with half an object.
    rig.gallery.delete(id).await.unwrap();
    rig.sweep().await;
    let staged = rig.catalog.stage_image(&row(&rig, 5), START).await.unwrap();
    let key = ObjectKey::Image {
        channel: rig.channel,
        time: rig.picture(5).captured,
        id: staged.object,
    };
    let path = object.ancestors().nth(5).unwrap().join(key.path());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path.with_extension("jpg.part"), b"half").unwrap();
    let stored = rig.gallery.store(&rig.picture(5)).await.unwrap();
    assert_eq!(stored, Stored::New(staged.id));
    assert_eq!(rig.files(), [path]);
    assert_eq!(rig.seconds().await, [5]);
}

#[tokio::test]
async fn what_nobody_finishes_is_cleaned_up_with_its_object() {
    let rig = Rig::new(GalleryConfig::default()).await;
    let staged = rig.catalog.stage_image(&row(&rig, 5), START).await.unwrap();
    rig.sweep().await;
    let again = rig.catalog.stage_image(&row(&rig, 5), START).await.unwrap();
    assert_eq!(again.id, staged.id, "it may still be on its way");
    rig.clock.advance(Duration::from_secs(601));
    rig.sweep().await;
    let gone = rig.catalog.publish_image(staged.id, START).await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(rig.files().is_empty());
}

#[tokio::test]
async fn a_deleted_picture_is_gone_for_readers_at_once_and_from_the_store_soon() {
    let rig = Rig::new(GalleryConfig::default()).await;
    let id = rig.store(&rig.picture(5)).await;
    rig.gallery.delete(id).await.unwrap();
    assert!(rig.seen().await.is_empty());
    rig.sweep().await;
    assert!(rig.files().is_empty());
    let again = rig.gallery.delete(id).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_missing_or_cut_object_is_an_error_that_says_so() {
    let rig = Rig::new(GalleryConfig::default()).await;
    rig.store(&rig.picture(5)).await;
    let image = rig.seen().await.pop().unwrap();
    let file = rig.files().pop().unwrap();
    std::fs::write(&file, b"cut").unwrap();
    let cut = rig.gallery.read(&image).await.unwrap_err();
    assert!(matches!(cut, Error::Damaged(id) if id == image.id));
    std::fs::remove_file(&file).unwrap();
    let missing = rig.gallery.read(&image).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::DataLoss);
}

#[tokio::test]
async fn pictures_of_a_deleted_channel_go_and_no_new_ones_come() {
    let rig = Rig::new(GalleryConfig::default()).await;
    rig.store(&rig.picture(5)).await;
    let deleted = rig.catalog.delete_channel(rig.account, rig.channel, START);
    deleted.await.unwrap();
    let late = rig.gallery.store(&rig.picture(6)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::NotFound);
    rig.sweep().await;
    assert!(rig.files().is_empty());
}

#[tokio::test]
async fn a_bucket_does_as_well() {
    let bucket = TestBucket::create().unwrap();
    let blobs = BlobStore::s3(&framewell_blob::S3Config {
        bucket: bucket.name.clone(),
        prefix: "site/one".into(),
        endpoint: bucket.endpoint.clone(),
        region: "us-east-1".into(),
        access_key: "key".into(),
        secret_key: framewell_model::Secret::new("hunter2".into()),
    });
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::with(dir, blobs.unwrap(), GalleryConfig::default()).await;
    let id = rig.store(&rig.picture(5)).await;
    assert_eq!(
        rig.gallery.store(&rig.picture(5)).await.unwrap(),
        Stored::Known(id)
    );
    let image = rig.seen().await.pop().unwrap();
    assert_eq!(rig.gallery.read(&image).await.unwrap(), rig.picture(5).data);
    rig.gallery.delete(id).await.unwrap();
    rig.sweep().await;
    let gone = rig.gallery.read(&image).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::DataLoss);
}

fn row(rig: &Rig, seconds: i64) -> framewell_catalog::NewImage {
    let picture = rig.picture(seconds);
    framewell_catalog::NewImage {
        object: framewell_model::ImageObjectId::from_uuid(uuid::Uuid::now_v7()),
        channel: picture.channel,
        time: picture.captured,
        clock: picture.clock,
        width: picture.width,
        height: picture.height,
        size_bytes: 4,
        hash: "00".into(),
        origin: picture.origin,
        origin_id: picture.origin_id,
        frame: picture.frame,
    }
}
