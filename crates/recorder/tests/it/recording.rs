//! What is pushed is recorded: every unit, once, with its times.

use crate::rig::{Camera, Rig, small_clip, until};
use framewell_live::EndReason;
use framewell_media::{AccessUnit, AudioCodec, TrackKind, VideoCodec};
use framewell_model::RecMode;
use framewell_testkit::encode::ClipSpec;
use std::path::Path;
use std::process::Command;

/// When a player shows the pictures of a file, in seconds.
fn shown_by_ffprobe(file: &Path) -> Vec<f64> {
    let args =
        "-v error -select_streams v -show_entries frame=best_effort_timestamp_time -of csv=p=0";
    let output = Command::new("ffprobe")
        .args(args.split(' '))
        .arg(file)
        .output()
        .unwrap();
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(errors.is_empty(), "{errors}");
    let times = text.lines().filter_map(|line| line.split(',').next());
    // Frames with side data leave an empty line behind.
    let times = times.filter(|time| !time.is_empty());
    times.map(|time| time.parse().unwrap()).collect()
}

/// Where a file begins and how long it is to a player, in seconds.
fn extent_by_ffprobe(file: &Path) -> (f64, f64) {
    let output = Command::new("ffprobe")
        .args("-v error -show_entries format=start_time,duration -of csv=p=0".split(' '))
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (start, duration) = text.trim().split_once(',').unwrap();
    (start.parse().unwrap(), duration.parse().unwrap())
}

/// Records 12 s of a run that has been going on for `since_s` seconds.
async fn records_everything(spec: ClipSpec, since_s: i64) {
    let mut rig = Rig::new().await;
    rig.record().await;
    let clip = spec.encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, spec.start).since(since_s);
    for _ in 0..3 {
        camera.play();
    }
    camera.end_run(EndReason::Stopped);
    rig.until_recorded(camera.video().len()).await;
    rig.stop().await;

    rig.assert_recorded(&camera.video()).await;
    let samples = rig.samples().await;
    let recorded = samples.iter().filter(|s| s.track == TrackKind::Audio);
    let is_audio = |unit: &&AccessUnit| unit.track == TrackKind::Audio;
    // Sound from before the first picture has nothing to go with.
    let first = camera.sent.iter().position(|u| u.track == TrackKind::Video);
    let sent = camera.sent[first.unwrap()..].iter().filter(is_audio);
    let sent: Vec<_> = sent.map(|u| (u.pts.ticks, u.data.clone())).collect();
    let recorded: Vec<_> = recorded.map(|s| (s.pts, s.data.clone())).collect();
    assert!(sent == recorded, "{} of {}", recorded.len(), sent.len());
    assert_eq!(spec.audio.is_some(), !sent.is_empty());

    let pieces = rig.pieces().await;
    assert_eq!(pieces.len(), 6, "12 s in segments of 2 s");
    assert!(pieces.iter().all(|piece| piece.run == camera.run()));
    assert!(pieces.iter().map(|piece| piece.sequence).eq(0..6));
    assert!(pieces.windows(2).all(|w| w[0].continues_into(&w[1])));
    assert_eq!(pieces[5].range.end, camera.end());
    assert!(rig.files("spool").is_empty(), "all is published");
    for file in rig.files("objects") {
        let shown = shown_by_ffprobe(&file);
        assert_eq!(shown.len(), 20);
        // Players add their own time to the start of the record, so it has to begin at 0.
        assert!(shown[0].abs() < 0.001, "begins at {} s", shown[0]);
        assert!(shown.is_sorted());
        let (start, duration) = extent_by_ffprobe(&file);
        assert!(start.abs() < 0.1, "begins at {start} s");
        assert!((duration - 2.0).abs() < 0.1, "lasts {duration} s");
    }
}

#[tokio::test]
async fn every_picture_is_recorded_once_with_its_capture_time() {
    records_everything(small_clip(), 0).await;
}

#[tokio::test]
async fn reordered_pictures_and_sound_are_recorded_too() {
    let spec = ClipSpec {
        b_frames: 2,
        audio: Some(AudioCodec::Aac),
        ..small_clip()
    };
    records_everything(spec, 3_600).await;
}

#[tokio::test]
async fn h265_is_recorded_as_well() {
    let spec = ClipSpec {
        codec: VideoCodec::H265,
        ..small_clip()
    };
    records_everything(spec, 30 * 86_400).await;
}

#[tokio::test]
async fn long_gops_are_cut_by_the_second_and_read_from_their_key_frame() {
    let mut rig = Rig::new().await;
    rig.record().await;
    let spec = ClipSpec {
        gop: 40,
        ..small_clip()
    };
    let clip = spec.encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, spec.start);
    camera.play();
    camera.play();
    rig.until_recorded(70).await;
    let pieces = rig.pieces().await;
    let first = &pieces[0].index.fragments;
    let keys: Vec<bool> = first.iter().map(|fragment| fragment.is_key).collect();
    assert_eq!(keys, [true, false, false, false]);
    assert!(first.iter().all(|fragment| fragment.duration == 90_000));

    let at = spec.start.plus_micros(2_450_000);
    let gop = rig.footage().gop_at(rig.channel, at).await.unwrap();
    assert_eq!(gop.samples.len(), 25);
    assert!(gop.samples[0].is_key);
    assert_eq!(gop.samples[24].wall, spec.stamp(24).capture);
    rig.stop().await;
    rig.assert_recorded(&camera.video()).await;
}

#[tokio::test]
async fn new_parameters_start_a_segment_with_its_own_init() {
    let mut rig = Rig::new().await;
    rig.record().await;
    let small = small_clip().encode().unwrap();
    let larger = ClipSpec {
        width: 480,
        height: 352,
        ..small_clip()
    };
    let larger = larger.encode().unwrap();
    let mut camera = Camera::connect(&rig, &small, small_clip().start);
    camera.play_units(10);
    camera.change(&larger);
    camera.play_units(20);
    camera.end_run(EndReason::CameraLost);
    rig.until_published(2).await;
    let pieces = rig.pieces().await;
    assert_eq!(pieces.len(), 2);
    for (piece, (width, pictures)) in pieces.iter().zip([(320, 10), (480, 20)]) {
        let parameters = rig.footage().parameters(piece).await.unwrap();
        assert_eq!(parameters.video.width, width);
        let ticks: i64 = piece.index.fragments.iter().map(|f| f.duration).sum();
        // The camera sent one second of a clip of four, and went on at the fourth.
        assert!(ticks >= pictures * 9_000, "{ticks}");
    }
    rig.assert_recorded(&camera.video()).await;
    rig.stop().await;
}

#[tokio::test]
async fn footage_is_readable_before_its_segment_is_closed() {
    let mut rig = Rig::new().await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play_units(15);
    rig.until_recorded(10).await;
    let pieces = rig.pieces().await;
    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].record, None);
    let parameters = rig.footage().parameters(&pieces[0]).await.unwrap();
    assert_eq!(*parameters, clip.parameters);
    assert!(*rig.track().recording().borrow());

    camera.end_run(EndReason::CameraLost);
    let published = rig.until_published(1).await;
    assert_eq!(published[0].id, pieces[0].id);
    // What a reader got before is still good: the file has become the object.
    let init = rig.footage().read(&pieces[0], 0..16).await.unwrap();
    assert_eq!(init.len(), 16);
    assert!(!*rig.track().recording().borrow());
    rig.stop().await;
}

#[tokio::test]
async fn recording_starts_with_the_gop_that_is_on() {
    let mut rig = Rig::new().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play_units(35);
    rig.record().await;
    until("recording", async || {
        let source = rig.track();
        camera.play_units(10);
        (*source.recording().borrow()).then_some(())
    })
    .await;
    rig.stop().await;
    let sent = camera.video();
    rig.assert_recorded(&sent[30..]).await;
}

#[tokio::test]
async fn a_channel_that_is_not_wanted_is_not_recorded() {
    let mut rig = Rig::new().await;
    rig.set_mode(RecMode::Off);
    rig.start();
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    camera.end_run(EndReason::CameraLost);
    rig.stop().await;
    assert!(rig.pieces().await.is_empty());
    assert!(rig.gaps().await.is_empty());
    assert!(rig.files("spool").is_empty());
}
