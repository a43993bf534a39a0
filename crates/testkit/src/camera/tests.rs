//! The camera as `ffmpeg`, an independent client, sees it.

use super::*;
use crate::clock::wall_now;
use crate::stamp::{Stamp, StampError, VideoInput};
use framewell_media::{AudioCodec, VideoCodec};

fn spec() -> ClipSpec {
    ClipSpec {
        width: 320,
        height: 240,
        gop: 10,
        frames: 30,
        ..ClipSpec::default()
    }
}

fn watch(url: &str, transport: &str, frames: usize) -> Result<Vec<Stamp>, StampError> {
    VideoInput::new(url)
        .option("-rtsp_transport", transport)
        .max_frames(frames)
        .read_stamps()
}

/// Frames follow each other, and after the last one of the clip comes the first.
fn assert_consecutive(stamps: &[Stamp], lap: u32) {
    for pair in stamps.windows(2) {
        assert_eq!(pair[1].frame, (pair[0].frame + 1) % lap, "{stamps:?}");
    }
}

#[tokio::test]
async fn a_clip_is_played_again_and_again_over_tcp() {
    let camera = Camera::play(spec()).await.unwrap();
    let stamps = watch(&camera.url(), "tcp", 45).unwrap();
    assert_eq!(stamps.len(), 45);
    assert_eq!(stamps[0].frame % 10, 0, "starts at a key frame");
    assert_consecutive(&stamps, 30);
}

#[tokio::test]
async fn h265_with_b_frames_and_aac_arrives_over_udp() {
    let camera = Camera::play(ClipSpec {
        codec: VideoCodec::H265,
        b_frames: 2,
        audio: Some(AudioCodec::Aac),
        ..spec()
    })
    .await
    .unwrap();
    let stamps = watch(&camera.url(), "udp", 20).unwrap();
    assert_consecutive(&stamps, 30);
}

#[tokio::test]
async fn a_live_camera_stamps_the_present() {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let before = wall_now();
        let source = Source::Live(ClipSpec { codec, ..spec() });
        let camera = Camera::start(CameraConfig::new(source)).await.unwrap();
        let stamps = watch(&camera.url(), "tcp", 12).unwrap();
        let after = wall_now();
        for pair in stamps.windows(2) {
            let frames = i64::from(pair[1].frame - pair[0].frame);
            let time = pair[1].capture.micros_since(pair[0].capture);
            assert!(frames >= 1 && time == frames * 40_000, "{pair:?}");
        }
        assert!(
            stamps
                .iter()
                .all(|s| before <= s.capture && s.capture <= after)
        );
    }
}

#[tokio::test]
async fn credentials_are_asked_for_and_checked() {
    let clip = Arc::new(spec().encode().unwrap());
    for auth in [AuthScheme::Basic, AuthScheme::Digest] {
        let config = CameraConfig::new(Source::Clip(Arc::clone(&clip)));
        let camera = Camera::start(config.with_login(auth, "admin", "s3cret"))
            .await
            .unwrap();
        let with = |who: &str| camera.url().replace("rtsp://", &format!("rtsp://{who}@"));
        assert_eq!(watch(&with("admin:s3cret"), "tcp", 2).unwrap().len(), 2);
        assert!(watch(&with("admin:wrong"), "tcp", 2).is_err(), "{auth:?}");
        assert!(watch(&camera.url(), "tcp", 2).is_err(), "{auth:?}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let camera = Camera::play(spec()).await.unwrap();
    let error = watch(&camera.url().replace("/cam", "/other"), "tcp", 1).unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
}

#[tokio::test]
async fn two_cameras_with_one_clip_begin_at_different_frames() {
    let clip = Arc::new(spec().encode().unwrap());
    let config = |name, first_key| CameraConfig {
        first_key,
        ..CameraConfig::new(Source::Clip(Arc::clone(&clip))).named(name)
    };
    let cameras = start_cameras(0, vec![config("a", 0), config("b", 1)])
        .await
        .unwrap();
    let (first, second) = (cameras[0].truth(), cameras[1].truth());
    let now = wall_now();
    let frames = [first, second].map(|truth| truth.frame_at(now).unwrap().0);
    let distance = (frames[1] + 30 - frames[0]) % 30;
    assert!((9..=11).contains(&distance), "{frames:?}");
}

#[tokio::test]
async fn a_dropped_camera_stops_listening() {
    let camera = Camera::play(spec()).await.unwrap();
    let address = camera.address;
    drop(camera);
    let gone = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .unwrap();
}
