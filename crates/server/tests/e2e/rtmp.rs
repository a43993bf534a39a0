//! RTMP: encoders and players nobody here wrote.

use crate::cameras;
use crate::crash::{gaps, native_time};
use crate::publish::{Encoder, Footage, OUTAGE, create_open_channel, spec};
use crate::server::{Server, wait_for};
use crate::site::{ChannelKeys, acc, create_channel, wait_for_records, wait_for_status};
use crate::tools::{assert_consecutive, ffprobe, stamps_of};
use framewell_media::VideoCodec;
use framewell_testkit::camera::Camera;
use std::path::PathBuf;
use std::process::Command;

/// The RTMP URL of a channel to publish to.
async fn publish_url(server: &Server, channel: &ChannelKeys) -> String {
    let path = format!("/v1/channels/{}/publish", channel.id);
    let api = server.api(&format!("Bearer {}", channel.all));
    let urls = api.get(&path).await.expect(200);
    urls["rtmp"].as_str().expect("a URL").to_owned()
}

/// The RTMP URL of a channel to watch, as a vendor's client gets it.
async fn watch_url(server: &Server, channel: &ChannelKeys) -> String {
    let api = server.api(&format!("Acc {}", channel.watch));
    let urls = api.get("/api/v4/live/watch/").await.expect(200);
    let url = urls["rtmp"].as_str().expect("a URL").to_owned();
    assert!(
        url.contains(&format!("/app/{}_main?ticket=", channel.id)),
        "{url}"
    );
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_encoder_publishes_is_watched_and_recorded_and_its_loss_is_a_gap() {
    let server = Server::start().await;
    let channel = create_open_channel(&server, "encoder").await;
    let footage = Footage::new(spec(VideoCodec::H264)).await;
    let url = publish_url(&server, &channel).await;
    let mut encoder = footage.send(&["-f", "flv", &url]);
    wait_for_status(&server, &channel, "active").await;

    // Live, by ffmpeg's own RTMP client.
    let watch = watch_url(&server, &channel).await;
    let stamps = stamps_of(&watch, &[], 30).await;
    assert_eq!(stamps.len(), 30);
    assert_consecutive(&stamps);
    let probed = ffprobe(&watch, &[]);
    let codecs: Vec<_> = probed["streams"]
        .as_array()
        .expect("a list")
        .iter()
        .collect();
    let codec = |kind: &str| {
        let stream = codecs.iter().find(|stream| stream["codec_type"] == kind);
        stream.expect("a stream")["codec_name"].clone()
    };
    assert_eq!(
        (codec("video"), codec("audio")),
        ("h264".into(), "aac".into())
    );

    // Recorded, with sound, in order.
    let records = wait_for_records(&server, &channel, 2).await;
    let mut recorded = Vec::new();
    for record in &records[..2] {
        let url = record["url"].as_str().expect("a URL");
        recorded.extend(stamps_of(url, &[], 1_000).await);
        assert_eq!(
            ffprobe(url, &[])["streams"]
                .as_array()
                .expect("a list")
                .len(),
            2
        );
    }
    assert_consecutive(&recorded);
    assert!(recorded.len() >= 20, "{} pictures", recorded.len());

    // A power cut at the encoder, and a new start.
    let cut = cameras::now();
    encoder.kill();
    wait_for_status(&server, &channel, "offline").await;
    tokio::time::sleep(OUTAGE).await;
    let again = cameras::now();
    let _encoder = footage.send(&["-f", "flv", &url]);
    wait_for_status(&server, &channel, "active").await;
    let found = wait_for("the gap of the outage", 30, async || {
        let gaps = gaps(
            &server,
            &channel,
            cut.plus_micros(-5_000_000),
            again.plus_micros(60_000_000),
        )
        .await;
        gaps.into_iter().find(|gap| gap["end"].is_string())
    })
    .await;
    assert_eq!(found["reason"], "camera_offline", "{found}");
    let end = native_time(&found["end"]);
    assert!(end >= again, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_publish_is_told_why() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let pulled = create_channel(&server, "pulled", &camera).await;
    let open = create_open_channel(&server, "open").await;
    let footage = Footage::new(spec(VideoCodec::H264)).await;
    let host = server.rtmp();
    let refused = async |url: String, why: &str| {
        let (status, log) = footage.send(&["-f", "flv", &url]).failed().await;
        let told = format!("Server error: {why}");
        assert!(!status.success() && log.contains(&told), "{url}: {log}");
    };
    let own = publish_url(&server, &open).await;
    let stranger = format!("{own}x");
    refused(stranger, "token is not valid").await;
    refused(
        format!("rtmp://{host}/publish/{}", open.id),
        "no credential",
    )
    .await;
    let watching = format!("rtmp://{host}/publish/{}?token={}", open.id, open.watch);
    refused(watching, "this token does not allow to publish video").await;
    let other = own.replace(&format!("/{}?", open.id), &format!("/{}?", pulled.id));
    refused(other, "ticket is for another resource").await;
    refused(
        publish_url(&server, &pulled).await,
        &format!("channel {} has a camera source", pulled.id),
    )
    .await;
    let ticket_to_watch = watch_url(&server, &open).await;
    refused(ticket_to_watch, "ticket is for another resource").await;

    // The first of two keeps the channel, here with the token itself as the stream key.
    let with_token = format!("rtmp://{host}/publish/{}", open.all);
    let first = footage.send(&["-f", "flv", &with_token]);
    wait_for_status(&server, &open, "active").await;
    refused(
        own,
        &format!("channel {} is being published to over rtmp since", open.id),
    )
    .await;
    assert_eq!(first.log(), "");
    let channel = acc(&server, &open).get("/api/v4/channel/").await;
    assert_eq!(channel.expect(200)["status"], "active");

    ends_with_its_session_and_for_a_camera(&server, &open, &camera, &footage, first).await;
}

async fn ends_with_its_session_and_for_a_camera(
    server: &Server,
    open: &ChannelKeys,
    camera: &Camera,
    footage: &Footage,
    mut first: Encoder,
) {
    // It is listed as a session, and ends when that is ended.
    let api = server.api(&format!("Bearer {}", open.all));
    let path = format!("/v1/sessions?channel={}&protocol=rtmp", open.id);
    let listed = api.get(&path).await.expect(200)["sessions"].clone();
    assert_eq!(listed[0]["activity"], "publish", "{listed}");
    assert!(listed[0]["bytes"].as_u64() > Some(1_000), "{listed}");
    let id = listed[0]["id"].as_str().expect("an id");
    api.delete(&format!("/v1/sessions/{id}")).await.expect(204);
    first.failed().await;

    // A source that is set takes the channel over.
    let mut second = footage.send(&["-f", "flv", &publish_url(server, open).await]);
    wait_for_status(server, open, "active").await;
    let source = serde_json::json!({"url": camera.url(), "login": camera.login(), "password": camera.password()});
    let api = server.admin();
    let path = format!("/api/v3/channels/{}/", open.id);
    api.put(&path, &serde_json::json!({ "source": source }))
        .await
        .expect(200);
    second.failed().await;
    wait_for_status(server, open, "active").await;
}

/// Enhanced RTMP: Debian's FFmpeg 5.1 does not know it, a newer one sends and plays.
#[tokio::test(flavor = "multi_thread")]
async fn h265_is_published_recorded_and_watched_as_enhanced_rtmp() {
    let Some(program) = std::env::var_os("FRAMEWELL_TEST_NEW_FFMPEG") else {
        eprintln!(
            "FRAMEWELL_TEST_NEW_FFMPEG names no FFmpeg 6.1 or newer: cargo xtask test installs one"
        );
        return;
    };
    let program = PathBuf::from(program);
    let server = Server::start().await;
    let channel = create_open_channel(&server, "encoder").await;
    let footage = Footage::new(spec(VideoCodec::H265)).await;
    let url = publish_url(&server, &channel).await;
    let _encoder = footage.send_with(&program, &["-f", "flv", &url]);
    wait_for_status(&server, &channel, "active").await;

    let watch = watch_url(&server, &channel).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("live.mp4");
    let mut player = Command::new(&program);
    player
        .args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-nostdin",
            "-i",
            &watch,
        ])
        .args(["-map", "0:v", "-c", "copy", "-t", "3"])
        .arg(&file);
    let played = tokio::task::spawn_blocking(move || player.output()).await;
    let played = played.expect("joined").expect("ffmpeg runs");
    assert!(
        played.status.success(),
        "{}",
        String::from_utf8_lossy(&played.stderr)
    );
    let file = file.to_str().expect("UTF-8");
    assert_eq!(ffprobe(file, &[])["streams"][0]["codec_name"], "hevc");
    let stamps = stamps_of(file, &[], 20).await;
    assert_eq!(stamps.len(), 20);
    assert_consecutive(&stamps);

    let records = wait_for_records(&server, &channel, 1).await;
    let record = records[0]["url"].as_str().expect("a URL");
    let stamps = stamps_of(record, &[], 1_000).await;
    assert!(stamps.len() >= 10, "{} pictures", stamps.len());
    assert_consecutive(&stamps);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_is_watched_over_rtmp_by_the_url_of_the_contract() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    let url = watch_url(&server, &channel).await;
    let stamps = stamps_of(&url, &[], 20).await;
    assert_consecutive(&stamps);
    let newest = stamps.last().expect("twenty pictures").capture;
    let late_us = cameras::now().micros_since(newest);
    assert!(late_us < 5_000_000, "{late_us} us behind");
}
