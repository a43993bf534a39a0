//! Every hole is a row that says why.

use crate::rig::{Camera, Rig, set_status, small_clip, until};
use framewell_live::{EndReason, RingConfig};
use framewell_model::{ChannelStatus, GapReason, RecMode};

#[tokio::test]
async fn a_lost_camera_leaves_a_gap_from_its_last_picture_to_the_next() {
    let mut rig = Rig::new().await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    camera.disconnect(ChannelStatus::Offline);
    let lost = camera.end();
    let gaps = rig.until_gaps("an open gap", |gaps| gaps.len() == 1).await;
    assert_eq!(gaps, [(lost, None, GapReason::CameraOffline)]);

    let back = lost.plus_micros(60_000_000);
    let mut camera = Camera::connect(&rig, &clip, back);
    camera.play();
    let gaps = rig
        .until_gaps("a closed gap", |gaps| gaps[0].1.is_some())
        .await;
    assert_eq!(gaps, [(lost, Some(back), GapReason::CameraOffline)]);
    rig.stop().await;
}

#[tokio::test]
async fn refused_credentials_are_told_from_a_lost_camera() {
    let mut rig = Rig::new().await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    camera.disconnect(ChannelStatus::Offline);
    let lost = camera.end();
    rig.until_gaps("an open gap", |gaps| gaps.len() == 1).await;
    let refused = lost.plus_micros(30_000_000);
    set_status(&rig.track(), ChannelStatus::Unauthorized, refused);
    let gaps = rig
        .until_gaps("the other reason", |gaps| gaps.len() == 2)
        .await;
    assert_eq!(
        gaps,
        [
            (lost, Some(refused), GapReason::CameraOffline),
            (refused, None, GapReason::Unauthorized)
        ]
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_recorder_that_lags_says_what_it_missed() {
    let ring = RingConfig {
        max_bytes: 1,
        ..RingConfig::default()
    };
    let mut rig = Rig::with_ring(ring).await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    // Ten pictures are one GOP; the eleventh completes it.
    camera.play_units(11);
    rig.until_recorded(10).await;
    // This runtime has one thread: nobody reads while three loops overwrite the ring.
    camera.play();
    camera.play();
    camera.play();
    let gaps = rig.until_gaps("a gap", |gaps| gaps.len() == 1).await;
    camera.end_run(EndReason::CameraLost);
    rig.stop().await;
    let pieces = rig.pieces().await;
    assert_eq!(pieces.len(), 2);
    assert_eq!(pieces[0].run, pieces[1].run);
    assert_eq!(
        gaps,
        [(
            pieces[0].range.end,
            Some(pieces[1].range.start),
            GapReason::RecorderLagged
        )]
    );
    // All that was left in the ring is recorded, from its key frame on.
    assert_eq!(pieces[1].range.end, camera.end());
    assert!(pieces[1].range.micros() <= 3_000_000);
}

#[tokio::test]
async fn switching_off_and_on_leaves_a_gap_and_records_nothing_twice() {
    let mut rig = Rig::new().await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play_units(25);
    rig.until_recorded(20).await;
    let off = rig.track().recording();
    rig.clock.set(small_clip().stamp(25).capture);
    rig.set_mode(RecMode::Off);
    until("the end of recording", async || {
        (!*off.borrow()).then_some(())
    })
    .await;
    let gaps = rig.until_gaps("an open gap", |gaps| gaps.len() == 1).await;
    assert_eq!(
        gaps,
        [(
            small_clip().stamp(25).capture,
            None,
            GapReason::RecordingOff
        )]
    );
    rig.set_mode(RecMode::On);
    // The GOP that is on has been recorded in part; the next one is the first of the new footage.
    until("recording again", async || {
        camera.play();
        (*off.borrow()).then_some(())
    })
    .await;
    rig.stop().await;

    let gaps = rig.gaps().await;
    assert_eq!(gaps[0].2, GapReason::RecordingOff);
    let back = gaps[0].1.unwrap();
    let sent = camera.video();
    let kept: Vec<_> = sent
        .iter()
        .enumerate()
        .filter(|(n, unit)| *n < 25 || unit.wall >= back)
        .map(|(_, unit)| *unit)
        .collect();
    assert!(kept[25].is_key);
    rig.assert_recorded(&kept).await;
    assert_eq!(gaps[1].2, GapReason::ServerDown);
    assert_eq!((gaps[1].0, gaps[1].1), (camera.end(), None));
}

#[tokio::test]
async fn a_jump_of_media_time_starts_a_run_and_a_hole_in_it_has_a_row() {
    let mut rig = Rig::new().await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    camera.end_run(EndReason::TimeJump);
    let jumped = camera.end().plus_micros(7_000_000);
    let mut after = Camera::connect(&rig, &clip, jumped);
    after.play();
    let gaps = rig.until_gaps("a gap", |gaps| gaps.len() == 1).await;
    assert_eq!(
        gaps,
        [(camera.end(), Some(jumped), GapReason::CameraOffline)]
    );
    rig.stop().await;
    let sent: Vec<_> = camera.video().into_iter().chain(after.video()).collect();
    rig.assert_recorded(&sent).await;
    let pieces = rig.pieces().await;
    assert_ne!(pieces[0].run, pieces.last().unwrap().run);
}

#[tokio::test]
async fn where_clocks_are_put_forward_and_back_footage_goes_on() {
    // In Berlin, 02:00 is 03:00 on the one day, and 03:00 is 02:00 on the other; a leap second was between
    // the last two.
    for moment in [
        "2026-03-29T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2017-01-01T00:00:00Z",
    ] {
        let moment: framewell_model::WallTime = moment.parse().unwrap();
        let mut rig = Rig::new().await;
        rig.record().await;
        let clip = small_clip().encode().unwrap();
        let mut camera = Camera::connect(&rig, &clip, moment.plus_micros(-6_000_000));
        for _ in 0..3 {
            camera.play();
        }
        rig.until_recorded(110).await;
        assert_eq!(rig.gaps().await, []);
        camera.end_run(EndReason::Stopped);
        rig.stop().await;
        rig.assert_recorded(&camera.video()).await;
        let pieces = rig.pieces().await;
        assert!(
            pieces
                .windows(2)
                .all(|pair| pair[0].continues_into(&pair[1]))
        );
        assert_eq!(
            pieces.last().unwrap().range.end,
            moment.plus_micros(6_000_000)
        );
    }
}

#[tokio::test]
async fn a_source_that_is_removed_is_recording_switched_off() {
    let mut rig = Rig::new().await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    set_status(&rig.track(), ChannelStatus::Inactive, camera.end());
    camera.end_run(EndReason::Stopped);
    let gaps = rig.until_gaps("an open gap", |gaps| gaps.len() == 1).await;
    assert_eq!(gaps, [(camera.end(), None, GapReason::RecordingOff)]);
    rig.stop().await;
}
