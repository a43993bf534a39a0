//! Real footage instead of painted pictures: what cameras, phones and encoders really send.

use crate::main_job::naive_time;
use crate::server::Server;
use crate::site::{ChannelKeys, acc, create_channel, wait_for_records};
use crate::tools::ffprobe;
use framewell_media::VideoCodec;
use framewell_model::WallTime;
use framewell_testkit::camera::{Camera, CameraConfig, Source};
use framewell_testkit::encode::EncodedClip;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Every file becomes a camera; all of them are recorded at once, then each is looked at, cut into a
/// clip and watched live.
#[tokio::test(flavor = "multi_thread")]
async fn recorded_footage_of_real_cameras_gives_pictures_clips_and_streams() {
    let files = framewell_testkit::footage::files();
    if files.is_empty() {
        eprintln!(
            "no folder with real footage here: the painted cameras of the other tests stand alone"
        );
        return;
    }
    let server = Server::start().await;
    let mut channels = Vec::new();
    for file in &files {
        let (camera, clip) = start_camera(file).await;
        let name = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("UTF-8");
        let channel = create_channel(&server, name, &camera).await;
        channels.push((channel, camera, clip, file));
    }
    for (channel, _camera, clip, file) in &channels {
        eprintln!("{}", file.display());
        let records = wait_for_records(&server, channel, 2).await;
        describes_the_stream(&server, channel, clip).await;
        gives_a_picture(&server, channel, clip, &records[0]).await;
        gives_a_clip(&server, channel, clip, &records[0]).await;
        plays_live(&server, channel, clip).await;
    }
}

async fn start_camera(file: &Path) -> (Camera, Arc<EncodedClip>) {
    let path: PathBuf = file.to_owned();
    let read =
        tokio::task::spawn_blocking(move || EncodedClip::from_file(&path, WallTime::from_secs(0)));
    let clip = Arc::new(read.await.expect("joined").expect("readable footage"));
    let config = CameraConfig::new(Source::Clip(Arc::clone(&clip)));
    (
        Camera::start(config).await.expect("the camera starts"),
        clip,
    )
}

fn codec_name(clip: &EncodedClip) -> &'static str {
    match clip.parameters.video.codec {
        VideoCodec::H264 => "h264",
        VideoCodec::H265 => "hevc",
    }
}

async fn describes_the_stream(server: &Server, channel: &ChannelKeys, clip: &EncodedClip) {
    let path = format!("/api/v2/cameras/{}/media_streams/", channel.id);
    let streams = acc(server, channel).get(&path).await.expect(200);
    let stream = streams["mstreams_supported"][0]["vs_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/api/v2/cameras/{}/video/streams/{stream}/", channel.id);
    let video = acc(server, channel).get(&path).await.expect(200);
    let expected = [clip.parameters.video.width, clip.parameters.video.height];
    assert_eq!(video["resolution"], serde_json::json!(expected), "{video}");
}

async fn gives_a_picture(
    server: &Server,
    channel: &ChannelKeys,
    clip: &EncodedClip,
    record: &Value,
) {
    let start = naive_time(&record["start"]);
    let at = start.plus_micros(700_000);
    let path = format!("/v1/channels/{}/image?at={at}", channel.id);
    let answer = server
        .api(&format!("Bearer {}", channel.watch))
        .get(&path)
        .await;
    answer.expect_ok();
    let captured = answer.time("framewell-capture-time");
    // The phone's pictures come at a variable rate, but never a second apart.
    assert!(
        (0..1_000_000).contains(&at.micros_since(captured)),
        "asked for {at}, got {captured}"
    );
    let file = save(&answer.body, ".jpg");
    let probed = ffprobe(file.path().to_str().expect("UTF-8"), &[]);
    let stream = &probed["streams"][0];
    let expected = (
        u64::from(clip.parameters.video.width),
        u64::from(clip.parameters.video.height),
    );
    assert_eq!(
        (stream["width"].as_u64(), stream["height"].as_u64()),
        (Some(expected.0), Some(expected.1))
    );
}

async fn gives_a_clip(server: &Server, channel: &ChannelKeys, clip: &EncodedClip, record: &Value) {
    let start = naive_time(&record["start"]).plus_micros(300_000);
    let end = start.plus_micros(1_500_000);
    let path = format!(
        "/v1/channels/{}/clip.mp4?start={start}&end={end}",
        channel.id
    );
    let answer = server
        .api(&format!("Bearer {}", channel.watch))
        .get(&path)
        .await;
    answer.expect_ok();
    let file = save(&answer.body, ".mp4");
    let probed = ffprobe(file.path().to_str().expect("UTF-8"), &[]);
    let codecs: Vec<&str> = probed["streams"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|s| s["codec_name"].as_str())
        .collect();
    assert!(codecs.contains(&codec_name(clip)), "{codecs:?}");
    assert_eq!(
        codecs.contains(&"aac"),
        clip.parameters.audio.is_some(),
        "{codecs:?}"
    );
    let seconds: f64 = probed["format"]["duration"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("a duration");
    assert!(
        (1.2..1.9).contains(&seconds),
        "a clip of 1.5 s lasts {seconds} s"
    );
}

async fn plays_live(server: &Server, channel: &ChannelKeys, clip: &EncodedClip) {
    let urls = acc(server, channel)
        .get("/api/v4/live/watch/")
        .await
        .expect(200);
    for (key, options) in [("rtsp", &["-rtsp_transport", "tcp"][..]), ("hls", &[])] {
        let url = urls[key].as_str().expect("a URL").to_owned();
        let probed = tokio::task::spawn_blocking(move || ffprobe(&url, options))
            .await
            .expect("joined");
        let video = probed["streams"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|s| s["codec_type"] == "video");
        assert_eq!(
            video.expect("a video stream")["codec_name"],
            codec_name(clip),
            "{key}"
        );
    }
}

fn save(body: &[u8], suffix: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new()
        .suffix(suffix)
        .tempfile()
        .expect("a file");
    std::fs::write(file.path(), body).expect("written");
    file
}
