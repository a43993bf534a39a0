//! Pictures out of recorded footage.

use crate::archive::record;
use crate::rig::{Rig, b_clip, on_screen, stamp};
use framewell_imaging::Error;
use framewell_media::{AccessUnit, VideoCodec};
use framewell_model::{ClockSource, WallTime};
use framewell_testkit::encode::ClipSpec;
use std::time::Duration;

#[tokio::test]
async fn any_recorded_instant_gives_the_picture_on_screen() {
    for (number, codec, b_frames) in [(1, VideoCodec::H264, 2), (2, VideoCodec::H265, 2)] {
        let spec = ClipSpec {
            codec,
            width: 320,
            height: 240,
            gop: 12,
            b_frames,
            frames: 48,
            ..ClipSpec::default()
        };
        let clip = spec.encode().unwrap();
        let rig = Rig::new(spec.start + Duration::from_secs(3_600)).await;
        // Fragments end in the middle of a GOP, as those of long GOPs do.
        record(&rig, &clip, number, 6);
        for after_ms in (0..1_900).step_by(61) {
            let at = spec.start + Duration::from_millis(after_ms);
            let image = rig.image(Some(at)).await.unwrap();
            assert_eq!(
                stamp(&image).capture,
                on_screen(&clip, at),
                "{codec:?} {at}"
            );
            assert_eq!(image.captured, on_screen(&clip, at));
            assert!(!image.is_live && image.clock == ClockSource::CameraRtcp);
        }
    }
}

#[tokio::test]
async fn a_read_that_fails_costs_nothing_of_what_was_read() {
    let spec = ClipSpec {
        width: 320,
        height: 240,
        gop: 24,
        frames: 48,
        ..ClipSpec::default()
    };
    let rig = Rig::new(spec.start + Duration::from_secs(3_600)).await;
    record(&rig, &spec.encode().unwrap(), 1, 6);
    let show = |frame: u32| {
        let at = spec.stamp(frame).capture;
        let rig = &rig;
        async move { rig.image(Some(at)).await.map(|image| stamp(&image)) }
    };
    assert_eq!(show(1).await.unwrap(), spec.stamp(1));
    let file = std::fs::read_dir(rig.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let file = file
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "mp4"));
    let (file, away) = (file.unwrap(), rig.folder.path().join("away"));
    std::fs::rename(&file, &away).unwrap();
    // The second fragment cannot be read; the first one is in memory.
    let error = show(10).await.unwrap_err();
    assert!(matches!(error, Error::Footage(_)), "{error:?}");
    assert_eq!(show(3).await.unwrap(), spec.stamp(3));
    std::fs::rename(&away, &file).unwrap();
    assert_eq!(show(10).await.unwrap(), spec.stamp(10));
}

#[tokio::test]
async fn a_gap_names_the_footage_on_both_sides() {
    let (spec, clip) = b_clip();
    let rig = Rig::new(spec.start + Duration::from_secs(3_600)).await;
    record(&rig, &clip, 1, 12);
    let later = clip.starting_at(spec.start + Duration::from_secs(60));
    record(&rig, &later, 2, 12);
    let at = spec.start + Duration::from_secs(30);
    let error = rig.image(Some(at)).await.unwrap_err();
    let Error::Footage(framewell_footage::Error::NoFootage { before, after, .. }) = error else {
        panic!("{error:?}");
    };
    let end: WallTime = spec.start + Duration::from_millis(1_920);
    assert_eq!(
        (before, after),
        (Some(end), Some(spec.start + Duration::from_secs(60)))
    );
}

#[tokio::test]
async fn the_ring_answers_before_the_record() {
    let (spec, clip) = b_clip();
    let rig = Rig::new(spec.start + Duration::from_secs(2)).await;
    record(&rig, &clip, 1, 12);
    let units: Vec<&AccessUnit> = clip.video().collect();
    rig.stream(1, &clip, units[24..].iter().copied());
    for (frame, is_live) in [(5, false), (30, true)] {
        let image = rig.image(Some(spec.stamp(frame).capture)).await.unwrap();
        assert_eq!((stamp(&image), image.is_live), (spec.stamp(frame), is_live));
    }
}
