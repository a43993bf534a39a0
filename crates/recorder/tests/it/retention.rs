//! Old footage goes, row and object.

use crate::rig::{Camera, Rig, small_clip, until};
use framewell_catalog::{Order, Slice};
use framewell_live::EndReason;
use framewell_model::RecMode;
use framewell_recorder::Policy;
use std::collections::BTreeMap;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

async fn recorded_rig() -> Rig {
    let mut rig = Rig::new().await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    camera.play();
    camera.end_run(EndReason::CameraLost);
    rig.until_published(4).await;
    rig
}

#[tokio::test]
async fn footage_older_than_its_retention_is_deleted_row_and_object() {
    let mut rig = recorded_rig().await;
    rig.set_policy(Policy {
        mode: RecMode::On,
        retention: Some(HOUR),
        max_bytes: None,
        rolls: None,
    });
    rig.clock.set(small_clip().start + HOUR);
    rig.node.recorder.sweep().await.unwrap();
    assert_eq!(rig.pieces().await.len(), 4, "nothing is older than an hour");

    // Two of the four segments ended more than an hour ago.
    rig.clock.advance(Duration::from_millis(4_500));
    rig.node.recorder.sweep().await.unwrap();
    let left = rig.pieces().await;
    assert_eq!(left.len(), 2);
    assert_eq!(
        left[0].range.start,
        small_clip().start + Duration::from_secs(4)
    );
    assert_eq!(rig.files("objects").len(), 2);
    assert!(
        rig.catalog
            .list_doomed_segments(10)
            .await
            .unwrap()
            .is_empty()
    );

    rig.clock.advance(HOUR);
    rig.node.recorder.sweep().await.unwrap();
    assert!(rig.files("objects").is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn beyond_the_limit_of_bytes_the_oldest_footage_goes() {
    let mut rig = recorded_rig().await;
    rig.stop().await;
    let pieces = rig.pieces().await;
    let sizes: Vec<u64> = pieces.iter().map(|piece| piece.size_bytes).collect();
    rig.limit_bytes(sizes.iter().sum());
    rig.node.recorder.sweep().await.unwrap();
    assert_eq!(rig.files("objects").len(), 4, "all of it is allowed");
    rig.limit_bytes(sizes[2] + sizes[3] + 1);
    rig.node.recorder.sweep().await.unwrap();
    let left = rig.pieces().await;
    assert_eq!(left.len(), 2);
    assert_eq!(left[0].id, pieces[2].id);
    assert_eq!(rig.files("objects").len(), 2);
}

#[tokio::test]
async fn a_segment_that_a_user_deletes_goes_with_its_object() {
    let mut rig = recorded_rig().await;
    let slice = Slice {
        limit: 1,
        offset: 1,
    };
    let page = rig
        .catalog
        .list_segments(rig.channel, None, None, Order::Ascending, slice)
        .await
        .unwrap();
    let record = page.items[0].record;
    let now = small_clip().start;
    rig.catalog.doom_segment(record, now).await.unwrap();
    rig.node.recorder.sweep().await.unwrap();
    assert_eq!(rig.files("objects").len(), 3);
    assert!(rig.catalog.load_segment(record).await.is_err());
    rig.stop().await;
}

#[tokio::test]
async fn footage_of_a_deleted_channel_goes_and_its_open_segment_leaves_nothing() {
    let mut rig = recorded_rig().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start + HOUR);
    camera.play_units(15);
    until("a spool file", async || {
        (!rig.files("spool").is_empty()).then_some(())
    })
    .await;
    let account = rig.catalog.load_channel(rig.channel).await.unwrap().account;
    let now = small_clip().start;
    rig.catalog
        .delete_channel(account, rig.channel, now)
        .await
        .unwrap();
    rig.node.recorder.set_wanted(BTreeMap::new());
    until("an empty spool", async || {
        rig.files("spool").is_empty().then_some(())
    })
    .await;
    rig.node.recorder.sweep().await.unwrap();
    assert!(rig.files("objects").is_empty());
    assert!(rig.pieces().await.is_empty());
    rig.stop().await;
}
