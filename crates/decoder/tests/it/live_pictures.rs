//! Pictures out of the live ring.

use crate::common::{poll_once, ready_pid, signal, until, within};
use crate::rig::{Rig, b_clip, on_screen, request, stamp};
use framewell_imaging::{Error, ImagesConfig, Output};
use framewell_live::EndReason;
use framewell_media::{AccessUnit, VideoCodec};
use framewell_model::{ChannelStatus, ErrorKind, HasKind, WallTime};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use rustix::process::Signal;
use std::time::Duration;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[tokio::test]
async fn any_instant_of_the_ring_gives_the_picture_on_screen() {
    for (codec, b_frames) in [
        (VideoCodec::H264, 2),
        (VideoCodec::H265, 2),
        (VideoCodec::H264, 0),
    ] {
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
        let rig = Rig::new(spec.start + ms(1_900)).await;
        rig.stream(1, &clip, clip.video());
        // A step that shares no factor with the frame time of 40 ms, and every capture time itself.
        let odd = (0..1_880).step_by(93).map(|after| spec.start + ms(after));
        let captures = (0..48).map(|index| spec.stamp(index).capture);
        for at in odd.chain(captures) {
            let image = rig.image(Some(at)).await.unwrap();
            let expected = on_screen(&clip, at);
            assert_eq!(stamp(&image).capture, expected, "{codec:?} {b_frames} {at}");
            assert_eq!((image.captured, image.requested), (expected, at));
            assert!(image.is_live && image.clock == clip.units[0].clock);
        }
    }
}

/// H.265 with open GOPs: pictures before a key frame refer to the GOP before it.
fn open_gop_clip() -> EncodedClip {
    let (spec, clip) = b_clip();
    let folder = tempfile::tempdir().unwrap();
    let [source, target] = ["in.h264", "out.mp4"].map(|name| folder.path().join(name));
    std::fs::write(&source, clip.annex_b()).unwrap();
    let params = "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0:log-level=none";
    let ran = std::process::Command::new("ffmpeg")
        .args(["-loglevel", "error", "-f", "h264", "-framerate", "25", "-i"])
        .arg(&source)
        .args(["-c:v", "libx265", "-crf", "15", "-x265-params", params])
        .arg(&target)
        .status();
    assert!(ran.unwrap().success());
    EncodedClip::from_file(&target, spec.start).unwrap()
}

#[tokio::test]
async fn leading_pictures_of_an_open_gop_are_found() {
    let clip = open_gop_clip();
    let mut key = 0;
    let mut leading = Vec::new();
    for unit in clip.video() {
        if unit.is_key {
            key = unit.pts.ticks;
        } else if unit.pts.ticks < key {
            leading.push(unit);
        }
    }
    assert!(leading.len() > 3, "the encoder made open GOPs");
    let rig = Rig::new(leading[0].wall + ms(5_000)).await;
    rig.stream(1, &clip, clip.video());
    for unit in clip.video() {
        let image = within(rig.image(Some(unit.wall))).await.unwrap();
        assert_eq!(
            (image.captured, stamp(&image).capture),
            (unit.wall, unit.wall)
        );
    }
}

/// The newest picture whose turn on screen has come: whatever still comes is decoded, hence shown, after
/// the last one that came.
fn newest_shown(units: &[&AccessUnit]) -> WallTime {
    let passed = units.last().unwrap().dts.ticks;
    let shown = units.iter().filter(|unit| unit.pts.ticks <= passed);
    shown.map(|unit| unit.wall).max().unwrap()
}

#[tokio::test]
async fn now_is_the_newest_picture() {
    let (spec, clip) = b_clip();
    let rig = Rig::new(spec.start + ms(2_000)).await;
    rig.stream(1, &clip, clip.video());
    let image = rig.image(None).await.unwrap();
    let units: Vec<&AccessUnit> = clip.video().collect();
    assert_eq!(stamp(&image).capture, newest_shown(&units));
    assert_eq!(image.captured, newest_shown(&units));
    assert_eq!(image.requested, spec.start + ms(2_000));
    assert!(image.is_live);
}

#[tokio::test]
async fn now_stays_hot_though_the_decoder_reorders() {
    // The first request finds the decoder in the middle of a GOP, or right behind a key frame: then what
    // is on screen is of the GOP before.
    for (codec, b_frames, first, begin) in [
        (VideoCodec::H264, 1, 17, 12),
        (VideoCodec::H264, 2, 13, 0),
        (VideoCodec::H265, 2, 17, 12),
        (VideoCodec::H265, 3, 13, 0),
    ] {
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
        assert!(clip.parameters.video.reorder_depth > 0);
        let units: Vec<&AccessUnit> = clip.video().collect();
        let rig = Rig::new(spec.start + ms(2_000)).await;
        rig.stream(1, &clip, units[..first].iter().copied());
        for count in first..=units.len() {
            for _ in 0..2 {
                let image = within(rig.image(None)).await.unwrap();
                let expected = newest_shown(&units[..count]);
                assert_eq!(image.captured, expected, "{codec:?} {b_frames} {count}");
                assert_eq!(stamp(&image).capture, expected);
            }
            rig.push(units.get(count).copied());
        }
        // From the key frame at which it began, each picture once at most: on its way to the edge it
        // leaves out those that nothing refers to.
        let stats = rig.imaging.hub_stats();
        assert_eq!(stats.starts, 1, "{codec:?}");
        assert!(
            (36 - begin..=48 - begin).contains(&stats.samples),
            "{codec:?} {stats:?}"
        );
        assert_eq!(rig.imaging.decode_counts().frames, 0);
    }
}

#[tokio::test]
async fn an_open_gop_keeps_now_hot_too() {
    let clip = open_gop_clip();
    let units: Vec<&AccessUnit> = clip.video().collect();
    let key = units.iter().rposition(|unit| unit.is_key).unwrap();
    let first = units[..key].iter().rposition(|unit| unit.is_key).unwrap();
    let rig = Rig::new(units[key].wall + ms(500)).await;
    // The leading pictures of the key frame that the decoder begins with cannot be shown.
    rig.stream(1, &clip, units[..first + 6].iter().copied());
    for count in first + 6..=units.len() {
        let image = within(rig.image(None)).await.unwrap();
        let expected = newest_shown(&units[..count]);
        assert_eq!(
            (image.captured, stamp(&image).capture),
            (expected, expected)
        );
        rig.push(units.get(count).copied());
    }
    let stats = rig.imaging.hub_stats();
    assert_eq!(stats.starts, 1);
    assert!(stats.samples <= (units.len() - first) as u64);
}

#[tokio::test]
async fn now_is_never_too_costly() {
    let (spec, clip) = b_clip();
    let mut rig = Rig::new(spec.start + ms(2_000)).await;
    rig.imaging = rig.imaging.with_images(ImagesConfig {
        max_decode_frames: 2,
        ..ImagesConfig::default()
    });
    rig.stream(1, &clip, clip.video());
    let units: Vec<&AccessUnit> = clip.video().collect();
    let now = rig.image(None).await.unwrap();
    assert_eq!(stamp(&now).capture, newest_shown(&units));
    let error = rig.image(Some(spec.stamp(47).capture)).await.unwrap_err();
    assert!(matches!(error, Error::TooCostly { .. }), "{error:?}");
}

#[tokio::test]
async fn a_stale_picture_is_never_now() {
    let (spec, clip) = b_clip();
    let rig = Rig::new(spec.start).await;
    let not_live = |result: Result<framewell_imaging::Image, Error>, last: Option<WallTime>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(
            matches!(error, Error::NotLive { newest, .. } if newest == last),
            "{error:?}"
        );
    };
    not_live(rig.image(None).await, None);
    rig.stream(1, &clip, clip.video());
    let last = Some(spec.stamp(47).capture);
    rig.clock.advance(Duration::from_secs(60));
    not_live(within(rig.image(None)).await, last);
    rig.clock.set(spec.start + ms(2_000));
    rig.show(ChannelStatus::Offline);
    not_live(rig.image(None).await, last);
    let mut stranger = request(None);
    stranger.channel = "99".parse().unwrap();
    not_live(rig.imaging.image(&stranger).await, None);
}

#[tokio::test]
async fn a_camera_whose_clock_is_slow_is_live_as_long_as_it_delivers() {
    let (spec, clip) = b_clip();
    let rig = Rig::new(spec.start + Duration::from_secs(9)).await;
    let units: Vec<&AccessUnit> = clip.video().collect();
    rig.stream(1, &clip, units[..36].iter().copied());
    let mut image = Box::pin(rig.image(None));
    assert!(
        poll_once(image.as_mut()).await.is_none(),
        "waits for a sign of life"
    );
    rig.push(units[36..37].iter().copied());
    let image = within(image).await.unwrap();
    assert_eq!(stamp(&image).capture, newest_shown(&units[..37]));
}

#[tokio::test]
async fn an_instant_at_the_live_edge_waits_for_the_pictures_still_to_come() {
    let (spec, clip) = b_clip();
    let units: Vec<&AccessUnit> = clip.video().collect();
    // I P B B: after the P picture, its B pictures are still to come, and one of them is meant.
    assert!(
        units[1].wall > units[2].wall,
        "decoding order is not display order"
    );
    let meant = units[2..6]
        .iter()
        .copied()
        .max_by_key(|unit| (unit.wall < units[1].wall).then_some(unit.wall));
    let meant = meant.unwrap();
    let rig = Rig::new(spec.start + ms(2_000)).await;
    rig.stream(1, &clip, units[..2].iter().copied());
    let mut image = Box::pin(rig.image(Some(meant.wall + ms(1))));
    assert!(poll_once(image.as_mut()).await.is_none());
    rig.push(units[2..9].iter().copied());
    let image = within(image).await.unwrap();
    assert_eq!(stamp(&image).capture, meant.wall);

    // Beyond the newest picture: the next one may be captured before that moment.
    let newest = units[..9].iter().map(|unit| unit.wall).max().unwrap();
    let mut image = Box::pin(rig.image(Some(newest + ms(41))));
    assert!(poll_once(image.as_mut()).await.is_none());
    rig.push(units[9..].iter().copied());
    let image = within(image).await.unwrap();
    assert_eq!(image.captured, on_screen(&clip, newest + ms(41)));
    assert_eq!(stamp(&image).capture, image.captured);
}

#[tokio::test]
async fn an_instant_that_no_new_picture_reaches_shows_the_newest_one() {
    let (spec, clip) = b_clip();
    let rig = Rig::new(spec.start + ms(2_500)).await;
    rig.stream(1, &clip, clip.video());
    let image = within(rig.image(Some(spec.start + ms(2_400))))
        .await
        .unwrap();
    assert_eq!(stamp(&image), spec.stamp(47));
}

#[tokio::test]
async fn between_two_runs_there_is_no_picture() {
    let (spec, clip) = b_clip();
    let rig = Rig::new(spec.start + Duration::from_secs(60)).await;
    rig.stream(1, &clip, clip.video());
    rig.track.end_run(EndReason::CameraLost);
    let later = clip.starting_at(spec.start + Duration::from_secs(20));
    rig.stream(2, &later, later.video());
    for (after_ms, captured_ms) in [(1_000, Some(1_000)), (10_000, None), (20_050, Some(20_040))] {
        let result = within(rig.image(Some(spec.start + ms(after_ms)))).await;
        match captured_ms {
            Some(captured) => assert_eq!(result.unwrap().captured, spec.start + ms(captured)),
            None => {
                let error = result.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFound);
                let is_gap = matches!(
                    error,
                    Error::Footage(framewell_footage::Error::NoFootage { .. })
                );
                assert!(is_gap, "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_future_is_a_clear_error() {
    let (spec, clip) = b_clip();
    let rig = Rig::new(spec.start + ms(2_000)).await;
    rig.stream(1, &clip, clip.video());
    let error = rig
        .image(Some(spec.start + Duration::from_secs(10)))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Future { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn sizes_that_make_no_sense_are_the_callers_fault() {
    let (spec, clip) = b_clip();
    let rig = Rig::new(spec.start + ms(2_000)).await;
    rig.stream(1, &clip, clip.video());
    let mut tiny = request(None);
    tiny.output.width = Some(3);
    let mut no_quality = request(None);
    no_quality.output = Output::jpeg(0);
    for request in [tiny, no_quality] {
        let error = rig.imaging.image(&request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:?}");
    }
}

#[tokio::test]
async fn callers_of_the_same_picture_share_one_decode() {
    let (spec, clip) = b_clip();
    let rig = Rig::new(spec.start + ms(2_000)).await;
    rig.stream(1, &clip, clip.video());
    let pid = ready_pid(&rig.pool).await;
    signal(pid, Signal::STOP);
    let mut callers: Vec<_> = (0..8).map(|_| Box::pin(rig.image(None))).collect();
    for caller in &mut callers {
        assert!(poll_once(caller.as_mut()).await.is_none());
    }
    until(|| rig.pool.workers()[0].is_busy).await;
    signal(pid, Signal::CONT);
    // The first caller goes away; the others do not notice.
    drop(callers.remove(0));
    for caller in callers {
        let expected = newest_shown(&clip.video().collect::<Vec<_>>());
        assert_eq!(stamp(&within(caller).await.unwrap()).capture, expected);
    }
    let jobs = rig.pool.workers()[0].jobs;
    assert!(
        jobs <= 2,
        "one decode, and one more for the caller who left: {jobs}"
    );
}
