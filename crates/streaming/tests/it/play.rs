//! Independent players see the right pictures at the right times.

use crate::support::{Server, encode, spec};
use framewell_media::{AudioCodec, VideoCodec};
use framewell_model::WallTime;
use framewell_streaming::rtsp::RtspConfig;
use framewell_testkit::encode::ClipSpec;
use framewell_testkit::stamp::VideoInput;
use futures::StreamExt;
use retina::client::{PlayOptions, Session, SessionOptions, SetupOptions};
use retina::codec::CodecItem;
use std::collections::BTreeMap;
use tokio::process::Command;

/// `ffmpeg` plays 40 pictures: all there, in order, and the first one a key frame.
async fn ffmpeg_plays(spec: ClipSpec, options: &[(&str, &str)]) {
    let clip = encode(spec.clone()).await;
    let mut server = Server::start(RtspConfig::default()).await;
    server.feed(7, &clip);
    let mut input = VideoInput::new(server.url(7)).max_frames(40);
    for (name, value) in options {
        input = input.option(*name, *value);
    }
    let playing = tokio::task::spawn_blocking(move || input.read_stamps());
    let stamps = playing.await.unwrap().unwrap();
    assert_eq!(stamps.len(), 40);
    assert_eq!(stamps[0].frame % spec.gop, 0, "play starts at a key frame");
    for (stamp, number) in stamps.iter().zip(stamps[0].frame..) {
        assert_eq!(*stamp, spec.stamp(number));
    }
}

const TCP: &[(&str, &str)] = &[("-rtsp_transport", "tcp")];

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_h264_with_aac() {
    let audio = Some(AudioCodec::Aac);
    ffmpeg_plays(ClipSpec { audio, ..spec() }, TCP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_h264_with_b_frames() {
    ffmpeg_plays(
        ClipSpec {
            b_frames: 2,
            ..spec()
        },
        TCP,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_h265_with_g711() {
    let spec = ClipSpec {
        codec: VideoCodec::H265,
        audio: Some(AudioCodec::Pcmu),
        ..spec()
    };
    ffmpeg_plays(spec, TCP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_tries_udp_first_gets_it() {
    ffmpeg_plays(spec(), &[]).await;
}

/// `codec_name` and `sample_rate` of every stream, by `ffprobe`; and that audio decodes.
async fn probed_audio(codec: AudioCodec) -> BTreeMap<String, String> {
    let clip = encode(ClipSpec {
        audio: Some(codec),
        ..spec()
    })
    .await;
    let mut server = Server::start(RtspConfig::default()).await;
    server.feed(7, &clip);
    let args = "-v error -rtsp_transport tcp -select_streams a -read_intervals %+#20 -count_frames \
                -show_entries stream=codec_name,sample_rate,channels,nb_read_frames -of default=nw=1";
    let output = Command::new("ffprobe")
        .args(args.split_whitespace())
        .arg(server.url(7))
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ffprobe_decodes_every_audio_codec() {
    for (codec, name, rate) in [
        (AudioCodec::Aac, "aac", "48000"),
        (AudioCodec::Pcmu, "pcm_mulaw", "8000"),
        (AudioCodec::Pcma, "pcm_alaw", "8000"),
    ] {
        let probed = probed_audio(codec).await;
        assert_eq!(probed["codec_name"], name);
        assert_eq!(probed["sample_rate"], rate);
        let frames: u32 = probed["nb_read_frames"].parse().unwrap();
        assert!(frames >= 15, "{frames} frames of {name}");
    }
}

/// The capture time of every frame by sender reports is the one in the clip, to the microsecond of a
/// 90 kHz tick.
async fn capture_times_reach_retina(spec: ClipSpec) {
    let clip = encode(spec.clone()).await;
    let mut server = Server::start(RtspConfig::default()).await;
    server.feed(7, &clip);
    let url = server.url(7).parse().unwrap();
    let mut session = Session::describe(url, SessionOptions::default())
        .await
        .unwrap();
    for index in 0..session.streams().len() {
        session.setup(index, SetupOptions::default()).await.unwrap();
    }
    let playing = session.play(PlayOptions::default()).await.unwrap();
    let mut items = playing.demuxed().unwrap();
    let mut report: Option<(WallTime, i64)> = None;
    let mut walls = Vec::new();
    while walls.len() < 30 {
        match items.next().await.unwrap().unwrap() {
            CodecItem::Rtcp(compound) if compound.stream_id() == 0 => {
                let at = compound.rtp_timestamp().unwrap().timestamp();
                let packets = compound.pkts();
                let ntp = packets
                    .filter_map(|packet| packet.as_sender_report().unwrap())
                    .next();
                report = Some((WallTime::from_ntp(ntp.unwrap().ntp_timestamp().0), at));
            }
            CodecItem::VideoFrame(frame) => {
                assert_eq!(frame.loss(), 0);
                let (wall, at) = report.expect("a report comes before the first frame");
                let ticks = frame.timestamp().timestamp() - at;
                walls.push(wall.plus_micros(ticks * 100 / 9));
            }
            _ => {}
        }
    }
    let captured: Vec<_> = clip.video().map(|unit| unit.wall).collect();
    let start = captured
        .iter()
        .position(|wall| wall.micros_since(walls[0]).abs() <= 12)
        .expect("the first frame has a capture time of the clip");
    for (found, expected) in walls.iter().zip(&captured[start..]) {
        let off_us = found.micros_since(*expected);
        assert!(off_us.abs() <= 12, "{found} instead of {expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_times_reach_a_client_by_sender_reports() {
    let audio = Some(AudioCodec::Aac);
    capture_times_reach_retina(ClipSpec { audio, ..spec() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_times_are_right_with_b_frames_too() {
    capture_times_reach_retina(ClipSpec {
        b_frames: 2,
        ..spec()
    })
    .await;
}
