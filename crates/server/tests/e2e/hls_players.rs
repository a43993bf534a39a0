//! Recorded and live HLS in ffmpeg, and every playlist of a real server under the rules of RFC 8216bis.

use crate::cameras;
use crate::main_job::naive_time;
use crate::server::{Server, wait_for};
use crate::site::{ChannelKeys, acc, create_channel, wait_for_records, wait_for_status};
use crate::tools::{assert_consecutive, ffprobe, stamps_of};
use framewell_testkit::camera::Camera;
use framewell_testkit::m3u8::{Kind, Playlist};
use serde_json::Value;

/// A camera's clock is followed at key frames, in steps smaller than this.
const CLOCK_US: i64 = 10_000;

/// A playlist by its URL, checked.
async fn playlist(server: &Server, url: &str) -> Playlist {
    let path = url
        .strip_prefix(&server.base())
        .expect("a URL of the server");
    let answer = server.api("none").get(path).await;
    answer.expect_ok();
    let text = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    let (_, query) = url.split_once('?').expect("a ticket");
    let ticket = query.split('&').next().expect("a ticket");
    Playlist::read_within(&text, ticket, CLOCK_US).unwrap_or_else(|rule| panic!("{rule}\n{text}"))
}

/// The recorded URL of what lies between these times of the contract's face.
async fn recorded(server: &Server, channel: &ChannelKeys, start: &Value, end: &Value) -> Value {
    let (start, end) = (naive_time(start), naive_time(end));
    let path = format!("/v1/channels/{}/hls?start={start}&end={end}", channel.id);
    acc(server, channel).get(&path).await.expect(200)
}

async fn plays(camera: Camera, codec: &str) {
    let server = Server::start().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 4).await;
    let (start, end) = (&records[0]["start"], &records[3]["end"]);
    let view = wait_for("the range to be past", 40, async || {
        let view = recorded(&server, &channel, start, end).await;
        (view["type"] == "vod").then_some(view)
    })
    .await;
    let url = view["url"].as_str().expect("a URL");
    let told = playlist(&server, url).await;
    assert_eq!(told.kind, Some(Kind::Vod));
    let jumps = told.segments.iter().filter(|s| s.starts_discontinuity);
    assert_eq!(jumps.count(), 0, "{told:#?}");
    let length_us: i64 = told
        .segments
        .iter()
        .map(|segment| segment.duration_us)
        .sum();
    let probed = ffprobe(url, &[]);
    assert_eq!(probed["streams"][0]["codec_name"], codec);
    let duration: f64 = probed["format"]["duration"]
        .as_str()
        .expect("a length")
        .parse()
        .expect("seconds");
    let off = duration - length_us as f64 / 1e6;
    assert!(off.abs() < 0.2, "{duration} s, told {length_us} us");
    let stamps = stamps_of(url, &[], 1_000).await;
    assert_consecutive(&stamps);
    let first_off_us = stamps[0].capture.micros_since(told.segments[0].start);
    assert!(
        first_off_us.abs() <= cameras::ROUNDING_US,
        "{first_off_us} us"
    );
    let shown_us = stamps
        .last()
        .expect("pictures")
        .capture
        .micros_since(stamps[0].capture);
    // The last picture stays for a tenth of a second, or as long as the next one took to come.
    let last_us = length_us - shown_us;
    assert!(
        (80_000..2_000_000).contains(&last_us),
        "{shown_us} us of {length_us} us"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_recorded_hls_without_a_missing_picture() {
    plays(cameras::h264().await, "h264").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_recorded_hls_of_h265_with_b_frames() {
    plays(cameras::h265_with_b_frames().await, "hevc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_playlists_of_a_real_camera_keep_to_the_rules_over_a_reconnect() {
    keeps_to_the_rules(cameras::h264().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_playlists_of_h265_with_b_frames_keep_to_the_rules_over_a_reconnect() {
    keeps_to_the_rules(cameras::h265_with_b_frames().await).await;
}

async fn keeps_to_the_rules(camera: Camera) {
    let server = Server::start().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    let urls = acc(&server, &channel)
        .get("/api/v4/live/watch/")
        .await
        .expect(200);
    let url = urls["hls"]
        .as_str()
        .expect("a URL")
        .replace("index.m3u8", "media.m3u8");
    let mut before = playlist(&server, &url).await;
    let mut has_jumped = false;
    let mut parts = 0;
    for reload in 0..40 {
        if reload == 10 {
            camera.control().close();
        }
        // What comes next: the part behind the newest one.
        let (sequence, part) = before.newest_part().expect("parts");
        let next = format!("{url}&_HLS_msn={sequence}&_HLS_part={}", part + 1);
        let answer = server
            .api("none")
            .get(next.strip_prefix(&server.base()).expect("ours"))
            .await;
        if answer.status == 503 {
            continue;
        }
        let after = playlist(&server, &next).await;
        before
            .check_successor(&after)
            .unwrap_or_else(|rule| panic!("{rule}: {before:#?} {after:#?}"));
        has_jumped |= after.all().any(|segment| segment.starts_discontinuity);
        parts += i32::from(after.newest_part() > before.newest_part());
        before = after;
    }
    assert!(has_jumped, "the camera was away");
    assert!(parts > 25, "{parts} answers brought something new");
    let stamps = stamps_of(&url.replace("media.m3u8", "index.m3u8"), &[], 40).await;
    assert_consecutive(&stamps);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_url_can_be_given_to_a_player_as_it_is() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_records(&server, &channel, 2).await;
    let token = crate::contract::inner_token(&channel.watch);
    let url = format!(
        "{}/v1/channels/{}/hls?start=-1m&redirect=true&token={token}",
        server.base(),
        channel.id
    );
    // It grows: ffmpeg begins where the playlist does if it is told so.
    let stamps = stamps_of(&url, &[("-live_start_index", "0")], 20).await;
    assert_consecutive(&stamps);
}
