//! What lies around events is recorded, and nothing else. The rig keeps 2 s before an event and 3 s behind
//! it; there is a key frame every second.

use crate::rig::{Camera, Rig, small_clip, until};
use framewell_live::RingConfig;
use framewell_model::{
    ChannelPatch, ChannelStatus, EventProcessing, EventSource, GapReason, NewEvent, RecMode,
    WallTime,
};
use framewell_recorder::Reach;
use framewell_testkit::encode::EncodedClip;
use std::collections::BTreeMap;

/// So many seconds behind the first picture.
fn at(seconds: f64) -> WallTime {
    small_clip().start.plus_micros((seconds * 1e6) as i64)
}

async fn rig_by_event() -> (Rig, EncodedClip) {
    let mut rig = Rig::new().await;
    rig.set_mode(RecMode::ByEvent);
    rig.start();
    (rig, small_clip().encode().unwrap())
}

fn happens(rig: &Rig, seconds: f64) -> Reach {
    let recorder = &rig.node.recorder;
    recorder.record_around(rig.channel, at(seconds), EventSource::Api)
}

async fn until_recording(rig: &Rig, wanted: bool) {
    let recording = rig.track().recording();
    until("recording to change", async || {
        (*recording.borrow() == wanted).then_some(())
    })
    .await;
}

/// Pictures from one second to another, each with its ten pictures.
fn seconds<'a, T>(video: &'a [T], parts: &[(usize, usize)]) -> Vec<&'a T> {
    let of = |(from, to): &(usize, usize)| &video[from * 10..to * 10];
    parts.iter().flat_map(of).collect()
}

async fn assert_kept(rig: &Rig, camera: &Camera, parts: &[(usize, usize)]) {
    let video = camera.video();
    let kept: Vec<_> = seconds(&video, parts).into_iter().copied().collect();
    rig.assert_recorded(&kept).await;
}

#[tokio::test]
async fn footage_goes_from_the_key_frame_before_the_pre_roll_to_the_first_one_behind_the_post_roll()
{
    let (mut rig, clip) = rig_by_event().await;
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    for _ in 0..3 {
        camera.play();
    }
    rig.clock.set(at(11.9));
    assert_eq!(happens(&rig, 6.5), Reach::Whole);
    rig.until_recorded(60).await;
    until_recording(&rig, false).await;
    rig.stop().await;
    // From 4.5 s to 9.5 s.
    assert_kept(&rig, &camera, &[(4, 10)]).await;
    assert!(rig.gaps().await.is_empty());
    let pieces = rig.pieces().await;
    assert!(pieces.windows(2).all(|w| w[0].continues_into(&w[1])));
    assert_eq!(pieces.last().unwrap().range.end, at(10.0));
}

#[tokio::test]
async fn the_post_roll_is_followed_live_and_a_second_event_extends_it() {
    let (mut rig, clip) = rig_by_event().await;
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    rig.clock.set(at(3.9));
    happens(&rig, 3.9);
    // What is complete of it: 1.9 s to now.
    rig.until_recorded(20).await;
    camera.play();
    rig.clock.set(at(6.0));
    happens(&rig, 6.0);
    rig.until_recorded(60).await;
    camera.play();
    rig.clock.set(at(11.9));
    until_recording(&rig, false).await;
    rig.stop().await;
    assert_kept(&rig, &camera, &[(1, 10)]).await;
    assert!(rig.gaps().await.is_empty());
}

#[tokio::test]
async fn recordings_that_follow_on_each_other_leave_no_gap_row_between() {
    let (mut rig, clip) = rig_by_event().await;
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    for _ in 0..6 {
        camera.play();
    }
    rig.clock.set(at(23.9));
    happens(&rig, 3.0);
    happens(&rig, 18.0);
    rig.until_recorded(120).await;
    until_recording(&rig, false).await;
    // And one that is told when those around it are recorded.
    assert_eq!(happens(&rig, 10.5), Reach::Whole);
    rig.until_recorded(180).await;
    rig.stop().await;
    // From 1 s to 6 s, 8.5 s to 13.5 s and 16 s to 21 s.
    assert_kept(&rig, &camera, &[(1, 7), (8, 14), (16, 22)]).await;
    assert!(rig.gaps().await.is_empty());
    assert_eq!(rig.files("spool").len(), 0);
}

#[tokio::test]
async fn an_older_event_is_caught_up_while_a_newer_one_is_recorded() {
    let (mut rig, clip) = rig_by_event().await;
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    camera.play();
    camera.play();
    rig.clock.set(at(11.9));
    happens(&rig, 11.5);
    rig.until_recorded(20).await;
    happens(&rig, 4.0);
    rig.until_recorded(80).await;
    camera.play();
    rig.clock.set(at(15.9));
    until_recording(&rig, false).await;
    rig.stop().await;
    // 2 s to 7 s, and 9.5 s to 14.5 s.
    assert_kept(&rig, &camera, &[(2, 8), (9, 15)]).await;
    assert!(rig.gaps().await.is_empty());
}

#[tokio::test]
async fn what_the_ring_does_not_hold_is_told() {
    let ring = RingConfig {
        max_age_us: 3_000_000,
        ..RingConfig::default()
    };
    let mut rig = Rig::with_ring(ring).await;
    rig.set_mode(RecMode::ByEvent);
    rig.start();
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    camera.play();
    camera.play();
    rig.clock.set(at(11.9));
    let oldest = rig.track().gop_spans()[0].start;
    assert!(oldest > at(6.0), "the ring holds a few seconds");
    assert_eq!(happens(&rig, 2.0), Reach::Nothing);
    assert_eq!(happens(&rig, 9.0), Reach::Partial);
    assert_eq!(happens(&rig, 11.8), Reach::Whole);
    let first = usize::try_from(oldest.micros_since(at(0.0)) / 1_000_000).unwrap();
    rig.until_recorded((11 - first) * 10).await;
    rig.stop().await;
    assert_kept(&rig, &camera, &[(first, 12)]).await;
}

#[tokio::test]
async fn off_records_nothing_whatever_happens() {
    let (mut rig, clip) = rig_by_event().await;
    rig.set_mode(RecMode::Off);
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    rig.clock.set(at(3.9));
    assert_eq!(happens(&rig, 2.0), Reach::NotWanted);
    rig.set_mode(RecMode::ServerByEvent);
    let told = rig
        .node
        .recorder
        .record_around(rig.channel, at(2.0), EventSource::Camera);
    assert_eq!(told, Reach::NotWanted, "the server decides");
    camera.play();
    rig.stop().await;
    assert!(rig.pieces().await.is_empty());
    assert!(rig.gaps().await.is_empty());
}

#[tokio::test]
async fn footage_lost_inside_a_recording_is_a_gap_and_outside_it_is_not() {
    let (mut rig, clip) = rig_by_event().await;
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    rig.clock.set(at(3.9));
    happens(&rig, 3.9);
    rig.until_recorded(20).await;
    camera.disconnect(ChannelStatus::Offline);
    rig.until_gaps("an open gap", |gaps| {
        gaps == [(at(4.0), None, GapReason::CameraOffline)]
    })
    .await;
    // The window ends at 6.9 s, the camera is away until the 60th.
    rig.clock.set(at(59.0));
    rig.until_gaps("a gap that ends with its window", |gaps| {
        gaps == [(at(4.0), Some(at(6.9)), GapReason::CameraOffline)]
    })
    .await;
    let mut back = Camera::connect(&rig, &clip, at(60.0));
    back.play();
    rig.clock.set(at(63.9));
    happens(&rig, 62.0);
    rig.until_recorded(60).await;
    rig.clock.set(at(66.0));
    rig.stop().await;
    let sent: Vec<_> = seconds(&camera.video(), &[(1, 4)])
        .into_iter()
        .copied()
        .chain(back.video())
        .collect();
    rig.assert_recorded(&sent).await;
    assert_eq!(rig.gaps().await.len(), 1);
}

#[tokio::test]
async fn a_change_of_mode_drops_no_picture_that_is_to_be_kept() {
    let (mut rig, clip) = rig_by_event().await;
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    rig.clock.set(at(3.9));
    happens(&rig, 3.9);
    rig.until_recorded(20).await;
    // Everything, in the middle of a recording.
    rig.set_mode(RecMode::On);
    camera.play();
    camera.play();
    rig.until_recorded(100).await;
    rig.clock.set(at(11.9));
    happens(&rig, 11.0);
    // And back, with an event on: until 14 s.
    rig.set_mode(RecMode::ByEvent);
    // The runtime of a test has one thread and runs each waiting task once per turn.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    camera.play();
    camera.play();
    rig.clock.set(at(19.9));
    until_recording(&rig, false).await;
    rig.set_mode(RecMode::Off);
    rig.until_gaps("the row of what is switched off", |gaps| {
        gaps == [(at(19.9), None, GapReason::RecordingOff)]
    })
    .await;
    rig.stop().await;
    assert_kept(&rig, &camera, &[(1, 15)]).await;
}

/// Stores the event as the API does.
async fn store_event(rig: &Rig, seconds: f64) {
    let processing = EventProcessing {
        record: true,
        ..EventProcessing::new("door", true)
    };
    rig.catalog
        .put_event_processing(rig.channel, &processing)
        .await
        .unwrap();
    let event = NewEvent {
        channel: rig.channel,
        name: "door".into(),
        time: at(seconds),
        source: EventSource::Api,
        tags: BTreeMap::new(),
    };
    let no_jobs = |_| Vec::new();
    rig.catalog
        .insert_event(&event, no_jobs, at(seconds))
        .await
        .unwrap();
}

async fn store_mode(rig: &Rig, mode: RecMode) {
    let account = rig.catalog.load_channel(rig.channel).await.unwrap().account;
    let patch = ChannelPatch {
        rec_mode: Some(mode),
        ..ChannelPatch::default()
    };
    rig.catalog
        .update_channel(account, rig.channel, &patch)
        .await
        .unwrap();
}

/// Records an event of 3.9 s, whose window ends at 6.9 s, and is killed at 4.5 s.
async fn killed_rig() -> (Rig, Camera, WallTime) {
    let (mut rig, clip) = rig_by_event().await;
    store_mode(&rig, RecMode::ByEvent).await;
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    rig.clock.set(at(3.9));
    store_event(&rig, 3.9).await;
    happens(&rig, 3.9);
    camera.play_units(5);
    // One segment is complete, the open file of the next has a second.
    rig.until_recorded(30).await;
    rig.until_published(1).await;
    rig.crash().await;
    (rig, camera, at(4.0))
}

#[tokio::test]
async fn a_server_that_dies_in_a_recording_and_comes_back_late_says_what_is_missing() {
    let (mut rig, camera, tail) = killed_rig().await;
    rig.clock.set(at(100.0));
    rig.node
        .recorder
        .recover(|channel| channel.rec_mode)
        .await
        .unwrap();
    assert_kept(&rig, &camera, &[(1, 4)]).await;
    let missing = (tail, Some(at(6.9)), GapReason::ServerDown);
    assert_eq!(rig.gaps().await, [missing]);
    rig.set_mode(RecMode::ByEvent);
    rig.start();
    let clip = small_clip().encode().unwrap();
    let mut back = Camera::connect(&rig, &clip, at(99.0));
    back.play();
    rig.stop().await;
    rig.node
        .recorder
        .recover(|channel| channel.rec_mode)
        .await
        .unwrap();
    assert_eq!(rig.gaps().await, [missing]);
    assert_kept(&rig, &camera, &[(1, 4)]).await;
}

#[tokio::test]
async fn a_recording_goes_on_after_a_quick_restart() {
    let (mut rig, camera, tail) = killed_rig().await;
    rig.clock.set(at(5.0));
    rig.node
        .recorder
        .recover(|channel| channel.rec_mode)
        .await
        .unwrap();
    assert_eq!(rig.gaps().await, [(tail, None, GapReason::ServerDown)]);
    rig.set_mode(RecMode::ByEvent);
    rig.start();
    let clip = small_clip().encode().unwrap();
    let mut back = Camera::connect(&rig, &clip, at(5.0));
    back.play();
    rig.until_recorded(30 + 20).await;
    rig.clock.set(at(8.0));
    until_recording(&rig, false).await;
    rig.stop().await;
    let sent: Vec<_> = seconds(&camera.video(), &[(1, 4)])
        .into_iter()
        .chain(seconds(&back.video(), &[(0, 2)]))
        .copied()
        .collect();
    rig.assert_recorded(&sent).await;
    assert_eq!(
        rig.gaps().await,
        [(tail, Some(at(5.0)), GapReason::ServerDown)]
    );
}

#[tokio::test]
async fn a_restart_goes_by_the_mode_in_force_and_not_by_the_stored_one() {
    // The schedule asks for recording by event where `on` is stored.
    let (rig, _, tail) = killed_rig().await;
    store_mode(&rig, RecMode::On).await;
    rig.clock.set(at(100.0));
    let recovered = rig.node.recorder.recover(|_| RecMode::ByEvent);
    recovered.await.unwrap();
    let missing = (tail, Some(at(6.9)), GapReason::ServerDown);
    assert_eq!(rig.gaps().await, [missing]);

    // It asks for everything where `by_event` is stored.
    let (rig, _, tail) = killed_rig().await;
    rig.clock.set(at(100.0));
    let recovered = rig.node.recorder.recover(|_| RecMode::On);
    recovered.await.unwrap();
    assert_eq!(rig.gaps().await, [(tail, None, GapReason::ServerDown)]);
}
