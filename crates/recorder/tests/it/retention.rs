//! Old footage goes, row and object.

use crate::rig::{Camera, Rig, small_clip, until};
use framewell_blob::ObjectKey;
use framewell_catalog::{Order, Slice};
use framewell_live::EndReason;
use framewell_model::RecMode;
use framewell_recorder::Policy;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::JoinSet;

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

/// How many segments the account of deletions tells of.
async fn accounted(rig: &Rig) -> i64 {
    let deletions = rig.catalog.list_deletions(rig.channel, None, 100);
    let deletions = deletions.await.unwrap();
    deletions.iter().map(|deletion| deletion.segments).sum()
}

/// Every segment is whole, or gone for readers and in the account.
async fn assert_whole_or_gone(rig: &Rig, what: &str) {
    let pieces = rig.pieces().await;
    let whole = i64::try_from(pieces.len()).unwrap();
    assert_eq!(whole + accounted(rig).await, 4, "{what}");
    let objects = rig.files("objects");
    for piece in pieces {
        let name = piece.id.to_string();
        let is_there = |path: &PathBuf| path.to_string_lossy().contains(&name);
        assert!(objects.iter().any(is_there), "{what}: {name}");
    }
}

async fn restart(rig: &mut Rig) {
    rig.crash().await;
    rig.node
        .recorder
        .recover(|channel| channel.rec_mode)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_deletion_that_a_crash_cuts_off_behind_any_step_is_finished_by_the_next_start() {
    for steps in 0..=3 {
        let mut rig = recorded_rig().await;
        rig.stop().await;
        let piece = rig.pieces().await.remove(0);
        let record = piece.record.unwrap();
        let now = small_clip().start;
        if steps >= 1 {
            rig.catalog.doom_segment(record, now).await.unwrap();
        }
        if steps >= 2 {
            let key = ObjectKey::Segment {
                channel: rig.channel,
                start: piece.range.start,
                id: piece.id,
            };
            rig.blobs.delete(&key).await.unwrap();
        }
        if steps >= 3 {
            rig.catalog.delete_doomed_segment(record).await.unwrap();
        }
        let what = format!("after {steps} steps");
        restart(&mut rig).await;
        assert_whole_or_gone(&rig, &what).await;
        rig.node.recorder.sweep().await.unwrap();
        assert_whole_or_gone(&rig, &what).await;
        let left = if steps == 0 { 4 } else { 3 };
        assert_eq!(rig.files("objects").len(), left, "{what}");
        assert_eq!(rig.pieces().await.len(), left, "{what}");
        let doomed = rig.catalog.list_doomed_segments(10).await.unwrap();
        assert!(doomed.is_empty(), "{what}");
    }
}

#[tokio::test]
async fn retention_that_is_killed_at_many_moments_leaves_nothing_in_between() {
    let policy = Policy {
        mode: RecMode::Off,
        retention: Some(HOUR),
        max_bytes: None,
        rolls: None,
    };
    for moment in 0..12 {
        let mut rig = recorded_rig().await;
        rig.stop().await;
        rig.clock.set(small_clip().start + 3 * HOUR);
        rig.set_policy(policy);
        let recorder = rig.node.recorder.clone();
        let mut sweep = JoinSet::new();
        sweep.spawn(async move { recorder.sweep().await.unwrap() });
        // Not to wait for anything: somewhere in it.
        tokio::time::sleep(Duration::from_micros(400 * moment)).await;
        sweep.shutdown().await;
        restart(&mut rig).await;
        assert_whole_or_gone(&rig, &format!("moment {moment}")).await;
        rig.set_policy(policy);
        rig.node.recorder.sweep().await.unwrap();
        assert_eq!(accounted(&rig).await, 4, "moment {moment}");
        assert!(rig.pieces().await.is_empty() && rig.files("objects").is_empty());
    }
}
