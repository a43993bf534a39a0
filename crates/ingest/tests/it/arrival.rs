//! What a camera sends arrives as it was, with the right times.

use crate::rig::{Rig, frame_number, largest_error_us, playing, source, spec};
use framewell_media::{AudioCodec, TrackKind, VideoCodec};
use framewell_model::{CameraSource, ChannelStatus, ClockSource, RtspTransport};
use framewell_testkit::camera::{Camera, CameraConfig, Source};
use framewell_testkit::encode::ClipSpec;

/// Ticks of a frame at 25 fps.
const FRAME: i64 = 3_600;

async fn arrives(spec: ClipSpec, transport: RtspTransport) {
    let (camera, clip) = playing(&spec).await;
    let (rig, mut viewer) = Rig::with(CameraSource {
        transport,
        ..source(&camera)
    });
    let seen = viewer.video(60).await;

    let first = frame_number(&clip, &seen[0].unit);
    assert!(seen[0].unit.is_key && first.is_multiple_of(spec.gop));
    assert!(largest_error_us(&camera, &clip, &seen) <= 1_000);
    for s in &seen {
        assert_eq!(s.unit.clock, ClockSource::CameraRtcp);
        assert_eq!(s.run, seen[0].run);
        assert!(s.unit.dts.ticks <= s.unit.pts.ticks);
        let number = frame_number(&clip, &s.unit);
        assert_eq!(s.unit.is_key, number.is_multiple_of(spec.gop));
    }
    let rising = |w: &[crate::rig::Seen]| w[0].unit.dts.ticks < w[1].unit.dts.ticks;
    assert!(seen.windows(2).all(rising));
    let mut times: Vec<i64> = seen.iter().map(|s| s.unit.pts.ticks).collect();
    times.sort_unstable();
    // The last ones may still wait for pictures that are shown before them.
    let complete = &times[..times.len() - 3];
    assert!(
        complete.windows(2).all(|w| w[1] - w[0] == FRAME),
        "{times:?}"
    );

    let parameters = viewer.track.parameters().unwrap();
    assert_eq!(parameters.video, clip.parameters.video);
    assert_eq!(
        viewer.track.source_state().borrow().status,
        ChannelStatus::Active
    );
    rig.stop().await;
}

#[tokio::test]
async fn h264_arrives_with_the_cameras_wall_times() {
    arrives(spec(), RtspTransport::Tcp).await;
}

#[tokio::test]
async fn h265_arrives_with_the_cameras_wall_times() {
    let codec = VideoCodec::H265;
    arrives(ClipSpec { codec, ..spec() }, RtspTransport::Tcp).await;
}

#[tokio::test]
async fn h264_with_b_frames_gets_rising_decode_times() {
    let b_frames = 2;
    arrives(ClipSpec { b_frames, ..spec() }, RtspTransport::Tcp).await;
}

#[tokio::test]
async fn h265_with_b_frames_gets_rising_decode_times() {
    let spec = ClipSpec {
        codec: VideoCodec::H265,
        b_frames: 2,
        ..spec()
    };
    arrives(spec, RtspTransport::Tcp).await;
}

#[tokio::test]
async fn h264_arrives_over_udp() {
    arrives(spec(), RtspTransport::Udp).await;
}

#[tokio::test]
async fn audio_is_kept_beside_the_video_in_time_with_it() {
    for codec in [AudioCodec::Aac, AudioCodec::Pcmu, AudioCodec::Pcma] {
        let (camera, clip) = playing(&ClipSpec {
            audio: Some(codec),
            ..spec()
        })
        .await;
        let (rig, mut viewer) = Rig::with(source(&camera));
        let is_audio = |s: &&crate::rig::Seen| s.unit.track == TrackKind::Audio;
        let seen = viewer
            .until(|seen| seen.iter().filter(is_audio).count() >= 40)
            .await;

        let parameters = viewer.track.parameters().unwrap();
        assert_eq!(parameters.audio, clip.parameters.audio, "{codec:?}");
        let frames: Vec<_> = seen.iter().filter(is_audio).collect();
        for (index, s) in frames.iter().enumerate() {
            let original = clip.audio().find(|u| u.data == s.unit.data);
            let original = original.expect("the frame is one of the clip's");
            if codec == AudioCodec::Aac && index > 3 {
                // Its data tell where in the clip it was; a tone's G.711 frames are all alike.
                let picture = clip
                    .video()
                    .find(|u| u.pts.micros() >= original.pts.micros());
                let Some(picture) = picture else { continue };
                let number = frame_number(&clip, picture);
                let capture = camera.truth().capture_near(number, s.unit.wall).unwrap();
                let distance = capture.micros_since(s.unit.wall);
                assert!((-2_000..42_000).contains(&distance), "{distance}");
            }
        }
        let walls = frames.windows(2).map(|w| (w[0].unit.wall, w[1].unit.wall));
        assert!(walls.into_iter().all(|(a, b)| a <= b));
        assert!(
            frames
                .windows(2)
                .all(|w| w[0].unit.dts.ticks < w[1].unit.dts.ticks)
        );
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_live_camera_is_placed_where_it_says() {
    let camera = Camera::start(CameraConfig::new(Source::Live(spec())))
        .await
        .unwrap();
    let (rig, mut viewer) = Rig::with(source(&camera));
    let before = crate::rig::now();
    let seen = viewer.video(30).await;
    let after = crate::rig::now();
    for s in &seen {
        assert_eq!(s.unit.clock, ClockSource::CameraRtcp);
        // A frame is at most a GOP old when the session begins.
        assert!(before.plus_micros(-1_000_000) <= s.unit.wall && s.unit.wall <= after);
    }
    rig.stop().await;
}

#[tokio::test]
async fn without_sender_reports_arrival_is_the_clock() {
    let (camera, clip) = playing(&spec()).await;
    camera.control().set_sender_reports(false);
    let (rig, mut viewer) = Rig::with(source(&camera));
    let seen = viewer.video(40).await;
    assert!(
        seen.iter()
            .all(|s| s.unit.clock == ClockSource::ServerArrival)
    );
    // On one machine arrival is capture, but for scheduling.
    assert!(largest_error_us(&camera, &clip, &seen) < 500_000);
    rig.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_a_year_off_is_not_believed() {
    let (camera, clip) = playing(&spec()).await;
    camera.control().skew_ntp_time(365 * 86_400);
    let (rig, mut viewer) = Rig::with(source(&camera));
    let seen = viewer.video(40).await;
    let clock = viewer.track.clock().expect("a sender report came");
    let off_s = clock.reading.offset_us / 1_000_000;
    assert!(
        (off_s - 365 * 86_400).abs() <= 1,
        "measured though: {clock:?}"
    );
    assert!(!clock.is_used);
    assert!(
        seen.iter()
            .all(|s| s.unit.clock == ClockSource::ServerArrival)
    );
    assert!(largest_error_us(&camera, &clip, &seen) < 500_000);
    rig.stop().await;
}
