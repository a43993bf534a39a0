//! Recordings over RTSP: which pictures, when, and how fast.

use crate::client::{Client, Packet};
use crate::recording::later;
use crate::support::{Server, encode, run_id, spec};
use framewell_media::{AudioCodec, VideoCodec};
use framewell_model::WallTime;
use framewell_streaming::rtsp::RtspConfig;
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use framewell_testkit::stamp::{Stamp, VideoInput};
use std::time::{Duration, Instant};

/// RTP ticks from one picture to the next.
const FRAME: u32 = 3_600;

async fn recorded(spec: &ClipSpec) -> (Server, EncodedClip) {
    let clip = encode(spec.clone()).await;
    let server = Server::start(RtspConfig::default()).await;
    server.record(7, run_id(1), &clip);
    (server, clip)
}

fn at(spec: &ClipSpec, ms: i64) -> WallTime {
    spec.start.plus_micros(ms * 1_000)
}

async fn ffmpeg(url: String, options: &[(&str, &str)]) -> Vec<Stamp> {
    let mut input = VideoInput::new(url);
    for (name, value) in options {
        input = input.option(*name, *value);
    }
    let playing = tokio::task::spawn_blocking(move || input.read_stamps());
    playing.await.unwrap().unwrap()
}

/// RTP time of the range's start, from `RTP-Info`.
fn rtptime(info: &str) -> u32 {
    let (_, behind) = info.split_once("rtptime=").unwrap();
    behind.split(',').next().unwrap().parse().unwrap()
}

/// All video packets up to BYE, by access unit; sender reports apart.
async fn until_bye(client: &mut Client) -> (Vec<Vec<Packet>>, Vec<(WallTime, u32)>) {
    let (mut units, mut reports) = (vec![Vec::new()], Vec::new());
    loop {
        let packet = client.packet().await.unwrap();
        if packet.channel != 0 {
            if packet.is_bye() {
                units.pop();
                return (units, reports);
            }
            reports.extend(packet.report());
            continue;
        }
        let is_last = packet.is_marked();
        units.last_mut().unwrap().push(packet);
        if is_last {
            units.push(Vec::new());
        }
    }
}

async fn ffmpeg_plays_a_part(spec: ClipSpec) {
    let (server, _clip) = recorded(&spec).await;
    // 0.6 s into the third GOP: ffmpeg shows all that it gets, from the key frame on.
    let (start, end) = (at(&spec, 2_600), at(&spec, 4_320));
    let url = server.recorded_url(7, &format!("&start={start}&end={end}"));
    let stamps = ffmpeg(url, &[("-rtsp_transport", "tcp")]).await;
    let expected: Vec<_> = (50..108).map(|number| spec.stamp(number)).collect();
    assert_eq!(stamps.get(..expected.len()), Some(&expected[..]));
    // Behind the end come only pictures that B-frames before it refer to.
    assert!(stamps.len() <= expected.len() + usize::try_from(spec.b_frames).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_a_part_of_a_recording_with_aac() {
    let audio = Some(AudioCodec::Aac);
    ffmpeg_plays_a_part(ClipSpec { audio, ..spec() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_a_part_of_a_recording_of_h265_with_b_frames() {
    let codec = VideoCodec::H265;
    ffmpeg_plays_a_part(ClipSpec {
        codec,
        b_frames: 2,
        ..spec()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_before_the_start_have_rtp_times_before_that_of_the_answer() {
    let spec = spec();
    let (server, _clip) = recorded(&spec).await;
    let (start, end) = (at(&spec, 2_600), at(&spec, 3_400));
    let url = server.recorded_url(7, &format!("&start={start}&end={end}"));
    let mut client = Client::connect(server.addr).await;
    client.set_up(&url).await;
    let answer = client.request("PLAY", &url, &[]).await;
    let expected = "clock=20260101T000002.600000Z-20260101T000003.400000Z";
    assert_eq!(answer.headers["range"], expected);
    let first_shown = rtptime(&answer.headers["rtp-info"]);
    let (units, reports) = until_bye(&mut client).await;
    // From the key frame at 2 s on.
    assert_eq!(units.len(), 35);
    let info = &answer.headers["rtp-info"];
    assert!(info.contains(&format!("seq={};", units[0][0].sequence())));
    let is_early = |unit: &&Vec<Packet>| {
        let ticks = unit[0].timestamp().wrapping_sub(first_shown);
        i32::from_be_bytes(ticks.to_be_bytes()) < 0
    };
    assert_eq!(units.iter().filter(is_early).count(), 15);
    // Every picture's capture time by the newest report before it.
    let (wall, ticks) = reports[0];
    assert_eq!(ticks, units[0][0].timestamp());
    assert!(wall.micros_since(at(&spec, 2_000)).abs() <= 12);
    // The session is still there.
    let again = client.request("PLAY", &url, &["Range: npt=0-0.2"]).await;
    assert_eq!(again.headers["range"], "npt=0.000000-0.200000");
    assert_eq!(until_bye(&mut client).await.0.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_end_a_client_has_the_time_it_is_told_to_ask_for_more() {
    let clip = encode(spec()).await;
    let config = RtspConfig {
        session_timeout: Duration::from_secs(1),
        ..RtspConfig::default()
    };
    let server = Server::start(config).await;
    server.record(7, run_id(1), &clip);
    let url = server.recorded_url(7, "");
    let mut client = Client::connect(server.addr).await;
    client.set_up(&url).await;
    // It plays for longer than a silent client is kept.
    client.request("PLAY", &url, &["Range: npt=0-1.5"]).await;
    until_bye(&mut client).await;
    client.request("PLAY", &url, &["Range: npt=5-5.2"]).await;
    until_bye(&mut client).await;
    let begin = Instant::now();
    assert!(client.packet().await.is_none(), "the connection ends");
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_without_footage_is_refused_with_what_is_near() {
    let spec = spec();
    let (server, _clip) = recorded(&spec).await;
    let mut client = Client::connect(server.addr).await;
    let late = server.recorded_url(7, "&start=2026-01-02T00:00:00Z");
    assert_eq!(client.request("DESCRIBE", &late, &[]).await.status, 457);
    let early = server.recorded_url(7, "&end=2025-12-31T00:00:00Z");
    assert_eq!(client.request("DESCRIBE", &early, &[]).await.status, 457);
    let nothing = server.recorded_url(8, "");
    assert_eq!(client.request("DESCRIBE", &nothing, &[]).await.status, 457);
    let url = server.recorded_url(7, "");
    client.set_up(&url).await;
    for range in [
        "Range: clock=20260102T000000Z-",
        "Range: npt=3600-",
        "Range: npt=5-4",
        "Range: smpte=0:10:00-",
        "Range: clock=yesterday-",
    ] {
        let answer = client.request("PLAY", &url, &[range]).await;
        assert_eq!(answer.status, 457, "{range}");
    }
    // What the ticket is not for.
    let live = url.replace("/rec/", "/live/");
    assert_eq!(client.request("DESCRIBE", &live, &[]).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rate_control_an_engine_gets_it_as_fast_as_it_reads() {
    let spec = spec();
    let (server, clip) = recorded(&spec).await;
    let url = server.recorded_url(7, "");
    let mut client = Client::connect(server.addr).await;
    client.set_up(&url).await;
    let begin = Instant::now();
    let headers = ["Require: onvif-replay", "Rate-Control: no"];
    let answer = client.request("PLAY", &url, &headers).await;
    assert_eq!(answer.status, 200);
    let (units, _) = until_bye(&mut client).await;
    assert!(begin.elapsed() < Duration::from_secs(5), "10 s of footage");
    assert_eq!(units.len(), 250);
    for (number, (unit, original)) in units.iter().zip(clip.video()).enumerate() {
        let extension = unit[0].extension().unwrap();
        assert_eq!(&unit[0].data[12..14], b"\xab\xac");
        let ntp = u64::from_be_bytes(extension[..8].try_into().unwrap());
        let off_us = WallTime::from_ntp(ntp).micros_since(original.wall);
        assert!(off_us.abs() <= 12, "unit {number}: {off_us}");
        let (is_clean, is_discontinuous) = (extension[8] & 0x80 != 0, extension[8] & 0x20 != 0);
        assert_eq!(is_clean, original.is_key, "unit {number}");
        assert_eq!(is_discontinuous, number == 0);
        let sequence: u32 = answer.headers["cseq"].parse().unwrap();
        assert_eq!(u32::from(extension[9]), sequence);
        let mut rest = unit[1..].iter();
        assert!(rest.all(|packet| packet.extension().is_none()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scale_hurries_and_reports_keep_captured_time_true() {
    let spec = spec();
    let (server, _clip) = recorded(&spec).await;
    let end = at(&spec, 3_000);
    let url = server.recorded_url(7, &format!("&end={end}"));
    let mut client = Client::connect(server.addr).await;
    client.set_up(&url).await;
    let begin = Instant::now();
    let answer = client.request("PLAY", &url, &["Scale: 4.0"]).await;
    assert_eq!(answer.headers["scale"], "4.0");
    let (units, reports) = until_bye(&mut client).await;
    let took = begin.elapsed();
    assert!(
        took > Duration::from_millis(600) && took < Duration::from_secs(2),
        "{took:?}"
    );
    assert_eq!((units.len(), reports.len()), (75, 75));
    for (number, (unit, (wall, ticks))) in units.iter().zip(&reports).enumerate() {
        let number = u32::try_from(number).unwrap();
        let passed = unit[0].timestamp().wrapping_sub(units[0][0].timestamp());
        assert!(passed.abs_diff(number * FRAME / 4) <= 1);
        assert_eq!(unit[0].timestamp(), *ticks);
        let captured = spec.stamp(number).capture;
        assert!(wall.micros_since(captured).abs() <= 12);
    }
    // Faster: key frames alone.
    let answer = client
        .request("PLAY", &url, &["Range: npt=0-", "Scale: 64"])
        .await;
    assert_eq!(answer.headers["scale"], "16.0");
    assert_eq!(until_bye(&mut client).await.0.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_is_skipped_and_times_tell_how_long_it_was() {
    let spec = ClipSpec {
        frames: 50,
        ..spec()
    };
    let (server, clip) = recorded(&spec).await;
    server.record(7, run_id(2), &later(&clip, 600_000));
    let url = server.recorded_url(7, "");
    let mut client = Client::connect(server.addr).await;
    client.set_up(&url).await;
    let begin = Instant::now();
    client.request("PLAY", &url, &["Scale: 2"]).await;
    let (units, reports) = until_bye(&mut client).await;
    assert!(begin.elapsed() < Duration::from_secs(6));
    assert_eq!(units.len(), 100);
    let hole = units[50][0]
        .timestamp()
        .wrapping_sub(units[49][0].timestamp());
    let passed_ms = 600_000 - 49 * 40;
    assert!(hole.abs_diff(passed_ms * 90 / 2) <= 2, "{hole}");
    let (wall, ticks) = reports[50];
    assert_eq!(ticks, units[50][0].timestamp());
    assert!(wall.micros_since(at(&spec, 600_000)).abs() <= 12);
    let sequence = |unit: &Vec<Packet>| unit[0].sequence();
    let before = units[49].last().unwrap().sequence();
    assert_eq!(sequence(&units[50]), before.wrapping_add(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_of_a_recording_misses_nothing() {
    // 20 s of larger pictures: more than the sockets hold.
    let spec = ClipSpec {
        width: 1_280,
        height: 720,
        frames: 500,
        ..spec()
    };
    let (server, _clip) = recorded(&spec).await;
    let url = server.recorded_url(7, "");
    let mut client = Client::connect_narrow(server.addr).await;
    client.set_up(&url).await;
    client.request("PLAY", &url, &["Rate-Control: no"]).await;
    let mut next = None;
    let mut count = 0;
    loop {
        let packet = client.packet().await.unwrap();
        if packet.channel == 0 {
            assert_eq!(packet.sequence(), *next.get_or_insert(packet.sequence()));
            next = Some(packet.sequence().wrapping_add(1));
            count += usize::from(packet.is_marked());
        } else if packet.is_bye() {
            break;
        }
        if count % 100 == 1 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(count, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_are_not_there_are_named() {
    let spec = spec();
    let (server, _clip) = recorded(&spec).await;
    let mut client = Client::connect(server.addr).await;
    let url = server.recorded_url(7, "");
    let headers = ["Require: onvif-replay, org.example.warp"];
    let answer = client.request("DESCRIBE", &url, &headers).await;
    assert_eq!(answer.status, 551);
    assert_eq!(answer.headers["unsupported"], "org.example.warp");
}
