//! Cameras that misbehave.

use crate::rig::{Rig, Seen, largest_error_us, playing, source, spec};
use framewell_media::{TrackKind, VideoCodec};
use framewell_model::{CameraSource, ChannelStatus, ClockSource, RtspTransport, RunId};
use framewell_testkit::encode::ClipSpec;
use std::collections::BTreeSet;

fn runs(seen: &[Seen]) -> BTreeSet<RunId> {
    seen.iter().map(|s| s.run).collect()
}

#[tokio::test]
async fn a_camera_that_hangs_without_closing_gets_a_new_session() {
    let (camera, clip) = playing(&spec()).await;
    let (rig, mut viewer) = Rig::with(source(&camera));
    let before = viewer.video(15).await;
    camera.control().hang();
    let state = viewer.state(ChannelStatus::Offline).await;
    assert_eq!(
        state.detail.as_deref(),
        Some("the camera sent no picture for 1.5 s")
    );
    let run = before[0].run;
    let after = viewer.until(|seen| seen.iter().any(|s| s.run != run)).await;
    let after: Vec<Seen> = after.into_iter().filter(|s| s.run != run).collect();
    assert!(largest_error_us(&camera, &clip, &after) <= 1_000);
    assert_eq!(camera.control().plays(), 2);
    assert_eq!(viewer.track.stats().reconnects, 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_session_that_is_closed_or_reset_or_garbled_is_opened_again() {
    let (camera, _) = playing(&spec()).await;
    let (rig, mut viewer) = Rig::with(source(&camera));
    let mut run = viewer.video(5).await[0].run;
    let control = camera.control();
    let faults: [(&str, &dyn Fn()); 3] = [
        ("close", &|| control.close()),
        ("reset", &|| control.reset()),
        ("garbage", &|| control.send_garbage()),
    ];
    for (name, fault) in faults {
        fault();
        let seen = viewer
            .until(|seen| seen.last().is_some_and(|s| s.run != run))
            .await;
        let next = seen.last().unwrap().run;
        assert_ne!(next, run, "{name}");
        run = next;
    }
    rig.stop().await;
}

#[tokio::test]
async fn an_unplugged_camera_comes_back() {
    let (camera, _) = playing(&spec()).await;
    let (rig, mut viewer) = Rig::with(source(&camera));
    viewer.video(5).await;
    camera.control().set_unplugged(true);
    viewer.state(ChannelStatus::Offline).await;
    camera.control().set_unplugged(false);
    viewer.state(ChannelStatus::Active).await;
    rig.stop().await;
}

#[tokio::test]
async fn parameter_sets_that_change_in_mid_stream_are_announced_with_their_key_frame() {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let spec = ClipSpec { codec, ..spec() };
        let (camera, _) = playing(&spec).await;
        let (rig, mut viewer) = Rig::with(source(&camera));
        let before = viewer.video(15).await;
        assert!(before.iter().all(|s| s.width == 320));
        let other = ClipSpec {
            width: 640,
            height: 360,
            ..spec
        };
        let other = other.encode().unwrap();
        camera.control().switch_to(&other);
        let seen = viewer
            .until(|seen| seen.iter().filter(|s| s.width == 640).count() >= 15)
            .await;
        let first = seen.iter().find(|s| s.width == 640).unwrap();
        assert!(first.unit.is_key);
        for s in &seen {
            let is_of_other = other.video().any(|u| u.data == s.unit.data);
            assert_eq!(is_of_other, s.width == 640, "{codec:?}");
        }
        assert_eq!(runs(&seen).len(), 1);
        let after: Vec<Seen> = seen.into_iter().filter(|s| s.width == 640).collect();
        assert!(largest_error_us(&camera, &other, &after) <= 1_000);
        rig.stop().await;
    }
}

#[tokio::test]
async fn media_time_that_jumps_begins_a_new_run_in_the_same_session() {
    for seconds in [7, -7, 30_000] {
        let (camera, clip) = playing(&spec()).await;
        let (rig, mut viewer) = Rig::with(source(&camera));
        let run = viewer.video(15).await[0].run;
        camera.control().jump_rtp_time(seconds);
        let seen = viewer
            .until(|seen| seen.iter().filter(|s| s.run != run).count() >= 40)
            .await;
        assert!(runs(&seen).len() <= 2, "one jump, one new run");
        let after: Vec<Seen> = seen.into_iter().filter(|s| s.run != run).collect();
        assert!(after[0].unit.is_key && after[0].unit.pts.ticks == 0);
        // Until the next sender report, arrival is the clock; then the camera's again.
        assert!(
            largest_error_us(&camera, &clip, &after) < 500_000,
            "{seconds}"
        );
        let last = after.last().unwrap();
        assert_eq!(last.unit.clock, ClockSource::CameraRtcp);
        assert!(largest_error_us(&camera, &clip, std::slice::from_ref(last)) <= 1_000);
        assert_eq!(camera.control().plays(), 1);
        rig.stop().await;
    }
}

#[tokio::test]
async fn lost_packets_are_counted_and_the_session_goes_on() {
    let (camera, clip) = playing(&spec()).await;
    let (rig, mut viewer) = Rig::with(CameraSource {
        transport: RtspTransport::Udp,
        ..source(&camera)
    });
    let run = viewer.video(15).await[0].run;
    camera.control().lose_packets(3);
    let seen = viewer.video(40).await;
    assert_eq!(viewer.track.stats().lost_packets, 3);
    assert!(seen.iter().all(|s| s.run == run));
    let whole: Vec<Seen> = seen
        .into_iter()
        .filter(|s| clip.video().any(|u| u.data == s.unit.data))
        .collect();
    assert!(largest_error_us(&camera, &clip, &whole) <= 1_000);
    rig.stop().await;
}

#[tokio::test]
async fn an_unknown_codec_is_named_in_the_channels_detail() {
    let (camera, _) = playing(&spec()).await;
    camera.control().announce_codec(Some("VP8"));
    let (rig, mut viewer) = Rig::with(source(&camera));
    let state = viewer.state(ChannelStatus::Offline).await;
    assert_eq!(state.detail.as_deref(), Some("codec VP8 is not supported"));
    camera.control().announce_codec(None);
    viewer.video(3).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_url_that_is_no_camera_makes_the_channel_offline() {
    let (camera, _) = playing(&spec()).await;
    let web = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web_url = format!("rtsp://{}/x", web.local_addr().unwrap());
    let closed_url = {
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("rtsp://{}/x", closed.local_addr().unwrap())
    };
    let mut servers = tokio::task::JoinSet::new();
    servers.spawn(async move {
        use tokio::io::AsyncWriteExt;
        while let Ok((mut stream, _)) = web.accept().await {
            let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            // Whether the client still listens is its business.
            let _sent = stream.write_all(answer).await;
        }
    });
    let unknown = camera.url().replace("/cam", "/nothing");
    for (url, expected) in [
        (unknown, "404"),
        (web_url, "does not speak RTSP"),
        (closed_url, "refused"),
        (
            String::from("http://127.0.0.1/cam"),
            "must start with rtsp://",
        ),
        (String::from("camera in the hall"), "cannot be parsed"),
    ] {
        let (rig, viewer) = Rig::with(CameraSource {
            url: url.clone(),
            ..source(&camera)
        });
        let detail = viewer.state(ChannelStatus::Offline).await.detail.unwrap();
        assert!(detail.contains(expected), "{url}: {detail}");
        assert!(!detail.contains('\n'), "{detail}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_host_that_accepts_and_says_nothing_runs_into_the_connect_limit() {
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (camera, _) = playing(&spec()).await;
    let rig = Rig::new(framewell_ingest::IngestConfig {
        connect: std::time::Duration::from_millis(300),
        ..crate::rig::impatient()
    });
    let viewer = rig.viewer(1);
    let silent = CameraSource {
        url: format!("rtsp://{}/x", mute.local_addr().unwrap()),
        ..source(&camera)
    };
    rig.ingest
        .set_wanted([(crate::rig::channel(1), silent)].into());
    let state = viewer.state(ChannelStatus::Offline).await;
    assert_eq!(
        state.detail.as_deref(),
        Some("the camera gave no picture within 0.3 s")
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_run_ends_with_the_session_and_says_so_to_its_readers() {
    let (camera, _) = playing(&spec()).await;
    let (rig, mut viewer) = Rig::with(source(&camera));
    let seen = viewer.video(12).await;
    assert!(seen.iter().all(|s| s.unit.track == TrackKind::Video));
    let track = viewer.track.clone();
    let mut reader = track.subscribe(framewell_live::Start::NewestKey);
    rig.stop().await;
    let end = loop {
        let next = reader.next(framewell_live::Wake::EveryUnit);
        let batch = tokio::time::timeout(crate::rig::LIMIT, next).await.unwrap();
        if let Some(end) = batch.run_end {
            break end;
        }
    };
    assert_eq!(end, framewell_live::EndReason::Stopped);
    assert_eq!(
        track.source_state().borrow().status,
        ChannelStatus::Inactive
    );
}
