//! The cameras of these tests: small, stamped, honest.

use framewell_live::SystemClock;
use framewell_media::{AudioCodec, VideoCodec};
use framewell_model::{WallClock, WallTime};
use framewell_testkit::camera::{AuthScheme, Camera, CameraConfig, Source};
use framewell_testkit::encode::ClipSpec;

/// Pictures per second of every test camera.
pub(crate) const FPS: i64 = 10;

/// Stamps and stated times differ by at most this: RTP ticks and sender reports are rounded.
pub(crate) const ROUNDING_US: i64 = 1_000;

/// What the time is.
pub(crate) fn now() -> WallTime {
    SystemClock.now()
}

fn spec(codec: VideoCodec, b_frames: u32) -> ClipSpec {
    ClipSpec {
        codec,
        width: 480,
        height: 270,
        fps: 10,
        gop: 10,
        b_frames,
        ..ClipSpec::default()
    }
}

/// H.264, a key frame a second, no B-frames, painted live.
pub(crate) async fn h264() -> Camera {
    start(CameraConfig::new(Source::Live(spec(VideoCodec::H264, 0)))).await
}

/// H.265 with B-frames, painted live.
pub(crate) async fn h265_with_b_frames() -> Camera {
    start(CameraConfig::new(Source::Live(spec(VideoCodec::H265, 2)))).await
}

/// H.264 of a size that fills socket buffers soon.
pub(crate) async fn h264_fat() -> Camera {
    let spec = ClipSpec {
        width: 1280,
        height: 720,
        ..spec(VideoCodec::H264, 0)
    };
    start(CameraConfig::new(Source::Live(spec))).await
}

/// H.264 behind Digest authentication.
pub(crate) async fn h264_with_password(login: &str, password: &str) -> Camera {
    let config = CameraConfig::new(Source::Live(spec(VideoCodec::H264, 0)));
    start(config.with_login(AuthScheme::Digest, login, password)).await
}

/// H.264 with a tone in this coding: a clip again and again, with sender reports.
pub(crate) async fn h264_with_sound(codec: AudioCodec) -> Camera {
    let spec = ClipSpec {
        audio: Some(codec),
        ..spec(VideoCodec::H264, 0)
    };
    let clip = tokio::task::spawn_blocking(move || spec.encode());
    let clip = clip.await.expect("joined").expect("a clip");
    start(CameraConfig::new(Source::Clip(clip.into()))).await
}

/// A camera whose session description names a codec that nobody knows.
pub(crate) async fn unknown_codec() -> Camera {
    let camera = h264().await;
    camera.control().announce_codec(Some("X-FUTURE"));
    camera
}

async fn start(config: CameraConfig) -> Camera {
    Camera::start(config).await.expect("the camera starts")
}
