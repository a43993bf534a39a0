//! GStreamer's `rtspsrc` as a player: live and recorded, over TCP and UDP.

use crate::recording::later;
use crate::support::{Server, encode, run_id, spec};
use framewell_streaming::rtsp::RtspConfig;
use framewell_testkit::encode::ClipSpec;
use framewell_testkit::stamp::{Stamp, read_stamps_video};
use std::time::Duration;
use tokio::process::Command;

/// Longest play of a test.
const PATIENCE: Duration = Duration::from_secs(40);

/// What `gst-launch-1.0` writes until the end of the stream, or until it has had `buffers` access units.
async fn gstreamer(url: &str, protocol: &str, buffers: Option<u32>) -> Vec<Stamp> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stream.h264");
    let count = buffers.map_or(-1, i64::from);
    let playing = Command::new("gst-launch-1.0")
        .args(["-q", "rtspsrc", &format!("location={url}")])
        .args([&format!("protocols={protocol}"), "!", "rtph264depay", "!"])
        .args(["video/x-h264,stream-format=byte-stream,alignment=au", "!"])
        .args(["identity", &format!("eos-after={count}"), "!"])
        .args(["filesink", &format!("location={}", file.display())])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, playing)
        .await
        .unwrap()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    // Ended early, it now and then cuts off its own PAUSE before its TEARDOWN and calls that a failure.
    let is_cut_short = buffers.is_some();
    assert!(is_cut_short || output.status.success(), "{complaints}");
    let reading = tokio::task::spawn_blocking(move || read_stamps_video(file));
    reading
        .await
        .unwrap()
        .unwrap_or_else(|error| panic!("{error}: {complaints}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn gstreamer_plays_live_over_tcp_and_udp() {
    let spec = spec();
    let clip = encode(spec.clone()).await;
    let mut server = Server::start(RtspConfig::default()).await;
    server.feed(7, &clip);
    for protocol in ["tcp", "udp"] {
        let stamps = gstreamer(&server.url(7), protocol, Some(40)).await;
        assert!(
            stamps.len() >= 30,
            "{} pictures over {protocol}",
            stamps.len()
        );
        for (stamp, number) in stamps.iter().zip(stamps[0].frame..) {
            assert_eq!(*stamp, spec.stamp(number), "{protocol}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gstreamer_plays_a_recording_from_its_start_to_its_end() {
    let spec = ClipSpec {
        frames: 75,
        ..spec()
    };
    let clip = encode(spec.clone()).await;
    let server = Server::start(RtspConfig::default()).await;
    server.record(7, run_id(1), &clip);
    // A hole of a minute behind it, and the same pictures again.
    server.record(7, run_id(2), &later(&clip, 60_000));
    let stamps = gstreamer(&server.recorded_url(7, ""), "tcp", None).await;
    let frames: Vec<u32> = stamps.iter().map(|stamp| stamp.frame).collect();
    let expected: Vec<u32> = (0..75).chain(0..75).collect();
    assert_eq!(frames, expected);
}
