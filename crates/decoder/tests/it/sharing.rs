//! What pictures cost: one decode for all who want the same GOP, one frame for its neighbour, nothing
//! for a picture that was made already; and the same bytes in every case.

use crate::archive::{make, record};
use crate::common::{poll_once, ready_pid, signal, until, within};
use crate::rig::{Rig, b_clip, request, stamp};
use framewell_imaging::{
    Crop, Error, Image, ImagesConfig, Imaging, Match, Output, PictureFormat, Rectangle, Request,
};
use framewell_media::AccessUnit;
use framewell_model::{ErrorKind, HasKind};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use rustix::process::Signal;
use std::time::Duration;

/// Two GOPs of 24 pictures at 25 per second without B pictures.
fn plain_clip() -> (ClipSpec, EncodedClip) {
    let spec = ClipSpec {
        width: 320,
        height: 240,
        gop: 24,
        frames: 48,
        ..ClipSpec::default()
    };
    let clip = spec.encode().unwrap();
    (spec, clip)
}

async fn recorded(spec: &ClipSpec, clip: &EncodedClip) -> Rig {
    let rig = Rig::new(spec.start + Duration::from_secs(3_600)).await;
    record(&rig, clip, 1, spec.gop as usize);
    rig
}

/// The same service without anything kept.
fn forgetful(rig: &Rig, config: ImagesConfig) -> Imaging {
    let none = ImagesConfig {
        cache_bytes: 0,
        ..config
    };
    rig.imaging.clone().with_images(none)
}

async fn picture(imaging: &Imaging, spec: &ClipSpec, frame: u32) -> Image {
    let at = spec.stamp(frame).capture;
    let image = within(imaging.image(&request(Some(at)))).await.unwrap();
    assert_eq!(stamp(&image), spec.stamp(frame));
    image
}

#[tokio::test]
async fn neighbours_asked_for_one_after_another_cost_one_frame_each() {
    let (spec, clip) = plain_clip();
    let rig = recorded(&spec, &clip).await;
    let mut decoded = Vec::new();
    for frame in 9..20 {
        let before = rig.imaging.decode_counts().frames;
        picture(&rig.imaging, &spec, frame).await;
        decoded.push(rig.imaging.decode_counts().frames - before);
    }
    assert_eq!(decoded[0], 10, "from the key frame on");
    assert!(
        decoded[1..].iter().all(|frames| *frames == 1),
        "{decoded:?}"
    );
    // A step back starts at the key frame again.
    picture(&forgetful(&rig, ImagesConfig::default()), &spec, 3).await;
}

#[tokio::test]
async fn a_gop_with_b_pictures_watched_in_order_is_decoded_once() {
    let (spec, clip) = b_clip();
    let rig = recorded(&spec, &clip).await;
    for frame in 12..24 {
        picture(&rig.imaging, &spec, frame).await;
    }
    let counts = rig.imaging.decode_counts();
    assert_eq!(counts.frames, 12, "{counts:?}");
}

#[tokio::test]
async fn those_who_wait_for_a_decoder_share_one_job() {
    let (spec, clip) = plain_clip();
    let rig = recorded(&spec, &clip).await;
    let pid = ready_pid(&rig.pool).await;
    signal(pid, Signal::STOP);
    let at = |frame| request(Some(spec.stamp(frame).capture));
    let first = at(10);
    let mut first = Box::pin(rig.imaging.image(&first));
    within(loop_until(&rig, first.as_mut())).await;
    // These come while the decoder is busy: other frames, the same one twice, the same in other forms.
    let small = Request {
        output: Output {
            width: Some(160),
            ..Output::jpeg(70)
        },
        ..at(14)
    };
    let png = Request {
        output: Output::new(PictureFormat::Png),
        ..at(14)
    };
    let more = [at(12), at(14), at(14), small, png, at(20)];
    let mut others: Vec<_> = more
        .iter()
        .map(|r| Box::pin(rig.imaging.image(r)))
        .collect();
    within(async {
        let all_are_in = || {
            let counts = rig.imaging.decode_counts();
            (counts.waiting, counts.joined) == (5, 1)
        };
        while !all_are_in() {
            for other in &mut others {
                assert!(poll_once(other.as_mut()).await.is_none());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    signal(pid, Signal::CONT);
    assert_eq!(stamp(&within(first).await.unwrap()), spec.stamp(10));
    for (other, frame) in others.into_iter().zip([12, 14, 14, 14, 14, 20]) {
        let image = within(other).await.unwrap();
        assert_eq!(image.captured, spec.stamp(frame).capture);
    }
    let counts = rig.imaging.decode_counts();
    assert_eq!(
        (counts.jobs, counts.frames),
        (2, 21),
        "0 to 10, then 11 to 20"
    );
    assert_eq!((counts.joined, counts.waiting), (1, 0));
}

/// Polls a request until its job is with the decoder.
async fn loop_until<F: Future>(rig: &Rig, mut request: std::pin::Pin<&mut F>) {
    while rig.imaging.decode_counts().jobs == 0 {
        assert!(poll_once(request.as_mut()).await.is_none());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_picture_that_was_made_costs_nothing_live_or_recorded() {
    let (spec, clip) = plain_clip();
    let rig = recorded(&spec, &clip).await;
    let first = picture(&rig.imaging, &spec, 30).await;
    let counts = rig.imaging.decode_counts();
    assert_eq!(picture(&rig.imaging, &spec, 30).await, first);
    // The key frame of a GOP is known by its name without reading it.
    let at = spec.stamp(24).capture;
    rig.matching(at, Match::Keyframe).await.unwrap();
    let with_key = rig.imaging.decode_counts();
    assert_eq!(with_key.frames, counts.frames + 1);
    rig.matching(spec.stamp(40).capture, Match::Keyframe)
        .await
        .unwrap();
    assert_eq!(rig.imaging.decode_counts(), with_key);
    // The ring has the same frames.
    rig.clock.set(spec.start + Duration::from_millis(1_900));
    rig.stream(1, &clip, clip.video());
    let live = picture(&rig.imaging, &spec, 30).await;
    assert!(live.is_live);
    assert_eq!((live.data, live.frame), (first.data, first.frame));
    assert_eq!(rig.imaging.decode_counts(), with_key);
}

#[tokio::test]
async fn the_same_question_gives_the_same_bytes_warm_cold_and_elsewhere() {
    for (spec, clip) in [plain_clip(), b_clip()] {
        let units: Vec<AccessUnit> = clip.video().cloned().collect();
        let made = make(&clip, &units, (1, 1), spec.gop as usize, None);
        let rig = Rig::new(spec.start + Duration::from_secs(60)).await;
        rig.keep_in_spool(&made);
        let elsewhere = Rig::new(spec.start + Duration::from_secs(60)).await;
        elsewhere.publish(&made, &made.bytes).await;
        let live = Rig::new(spec.start + Duration::from_millis(1_900)).await;
        live.stream(1, &clip, clip.video());
        let (warm, stored, ring) = (
            forgetful(&rig, ImagesConfig::default()),
            forgetful(&elsewhere, ImagesConfig::default()),
            forgetful(&live, ImagesConfig::default()),
        );
        let cold_config = ImagesConfig {
            warm_decoders: 0,
            footage_bytes: 0,
            ..ImagesConfig::default()
        };
        let cold = forgetful(&rig, cold_config);
        for frame in 2..30 {
            let first = picture(&warm, &spec, frame).await;
            let mirrored = picture(&cold, &spec, frame).await;
            assert_eq!(first.data, mirrored.data, "cold, frame {frame}");
            if frame % 9 == 5 {
                assert_eq!(first.data, picture(&stored, &spec, frame).await.data);
                assert_eq!(first.data, picture(&ring, &spec, frame).await.data);
            }
        }
    }
}

#[tokio::test]
async fn a_decoder_that_died_between_two_pictures_is_not_missed() {
    let (spec, clip) = plain_clip();
    let rig = recorded(&spec, &clip).await;
    picture(&rig.imaging, &spec, 5).await;
    let pid = ready_pid(&rig.pool).await;
    signal(pid, Signal::KILL);
    until(|| {
        rig.pool.workers()[0]
            .pid
            .is_none_or(|now| now != pid.as_raw_nonzero().get().unsigned_abs())
    })
    .await;
    picture(&rig.imaging, &spec, 6).await;
    picture(&rig.imaging, &spec, 7).await;
}

#[tokio::test]
async fn a_position_that_nobody_asks_for_is_given_up() {
    let (spec, clip) = plain_clip();
    let rig = recorded(&spec, &clip).await;
    let config = ImagesConfig {
        warm_idle: Duration::from_millis(50),
        ..ImagesConfig::default()
    };
    let imaging = forgetful(&rig, config);
    picture(&imaging, &spec, 5).await;
    until(|| rig.pool.workers()[0].sessions == 0).await;
    let before = imaging.decode_counts().frames;
    picture(&imaging, &spec, 6).await;
    assert_eq!(
        imaging.decode_counts().frames - before,
        7,
        "from the key frame again"
    );
}

#[tokio::test]
async fn beyond_the_budget_the_number_of_frames_is_told() {
    let (spec, clip) = plain_clip();
    let rig = recorded(&spec, &clip).await;
    let config = ImagesConfig {
        max_decode_frames: 10,
        ..ImagesConfig::default()
    };
    let imaging = forgetful(&rig, config);
    picture(&imaging, &spec, 9).await;
    let error = imaging.image(&request(Some(spec.stamp(15).capture))).await;
    let error = error.unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooCostly {
                frames: 16,
                limit: 10,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let key = Request {
        matching: Match::Keyframe,
        ..request(Some(spec.stamp(15).capture))
    };
    assert!(imaging.image(&key).await.is_ok());
}

#[tokio::test]
async fn a_segment_that_is_missing_or_cut_is_named() {
    let (spec, clip) = plain_clip();
    let units: Vec<AccessUnit> = clip.video().cloned().collect();
    let made = make(&clip, &units, (1, 1), 24, None);
    let rig = Rig::new(spec.start + Duration::from_secs(60)).await;
    let half = made.bytes.len() / 2;
    rig.publish(&made, &made.bytes[..half]).await;
    let early = rig.image(Some(spec.stamp(2).capture)).await;
    let late = rig.image(Some(spec.stamp(40).capture)).await;
    for result in [late].into_iter().chain(early.is_err().then_some(early)) {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DataLoss, "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains("01900000-0000-7000-9000-000000000001"),
            "{text}"
        );
        assert!(text.contains(&spec.start.to_rfc3339()), "{text}");
    }
}

#[tokio::test]
async fn a_crop_outside_of_the_picture_is_the_callers_fault() {
    let (spec, clip) = plain_clip();
    let rig = recorded(&spec, &clip).await;
    let crop = |x, width| Request {
        output: Output {
            crop: Some(Crop::Pixels(Rectangle {
                x,
                y: 0,
                width,
                height: 64,
            })),
            ..Output::jpeg(80)
        },
        ..request(Some(spec.stamp(3).capture))
    };
    let error = rig.imaging.image(&crop(300, 64)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:?}");
    let image = rig.imaging.image(&crop(200, 64)).await.unwrap();
    assert_eq!((image.width, image.height), (64, 64));
    // The one who asked for nonsense does not spoil it for those who share the job.
    let (good, bad) = (crop(100, 64), crop(319, 64));
    let (good, bad) = tokio::join!(rig.imaging.image(&good), rig.imaging.image(&bad));
    assert!(good.is_ok(), "{good:?}");
    assert!(bad.is_err());
}
