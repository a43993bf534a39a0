//! Files that cameras recorded themselves, of muxers that nobody here wrote.

use crate::cameras;
use crate::client::Api;
use crate::main_job::naive_time;
use crate::server::Server;
use crate::site::{ChannelKeys, acc, create_channel, create_channel_from, wait_for_records};
use bytes::Bytes;
use framewell_model::WallTime;
use framewell_testkit::stamp::read_stamp_jpeg;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two seconds of a camera with B-frames, as a file, and when it begins.
struct Footage {
    source: ChannelKeys,
    folder: tempfile::TempDir,
    start: WallTime,
    end: WallTime,
}

impl Footage {
    async fn record(server: &Server) -> Self {
        let camera = cameras::h265_with_b_frames().await;
        let source = create_channel(server, "with a card", &camera).await;
        let records = wait_for_records(server, &source, 3).await;
        let start = naive_time(&records[0]["start"]);
        let end = naive_time(&records[1]["end"]);
        let path = format!(
            "/v1/channels/{}/clip.mp4?start={start}&end={end}",
            source.id
        );
        let clip = acc(server, &source).get(&path).await;
        clip.expect_ok();
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("clip.mp4"), &clip.body).expect("written");
        Self {
            source,
            folder,
            start,
            end,
        }
    }

    fn clip(&self) -> PathBuf {
        self.folder.path().join("clip.mp4")
    }

    /// The same in the form that ffmpeg gives it.
    fn remux(&self, name: &str, options: &[&str]) -> Vec<u8> {
        let to = self.folder.path().join(name);
        let ran = Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(self.clip())
            .args(["-c", "copy"])
            .args(options)
            .arg(&to)
            .output()
            .expect("ffmpeg runs");
        assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        read(&to)
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("readable")
}

async fn send(api: &Api, method: &str, url: &str, body: &[u8]) -> (u16, Value) {
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let mut request = client
        .request(method, url)
        .header("Content-Type", "video/mp4");
    if !api.authorization().is_empty() {
        request = request.header("Authorization", api.authorization());
    }
    let answer = request
        .body(Bytes::copy_from_slice(body))
        .send()
        .await
        .expect("answered");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("text");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

async fn new_channel(server: &Server) -> ChannelKeys {
    create_channel_from(server, "behind a router", &json!({"url": ""})).await
}

/// The same pictures come out of the uploaded recording as out of the one that it is a copy of.
async fn assert_pictures(server: &Server, channel: &ChannelKeys, footage: &Footage) {
    for ms in [20, 510, 930, 1_730] {
        let at = footage.start.plus_micros(ms * 1_000);
        let mut stamps = Vec::new();
        for channel in [&footage.source, channel] {
            let path = format!("/v1/channels/{}/image?at={at}", channel.id);
            let picture = acc(server, channel).get(&path).await;
            picture.expect_ok();
            let stamp = read_stamp_jpeg(&picture.body).expect("a stamp");
            let stated = picture.time("framewell-capture-time");
            assert!(stamp.capture.micros_since(stated).abs() <= cameras::ROUNDING_US);
            stamps.push(stamp);
        }
        assert_eq!(stamps[0], stamps[1], "at {ms} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_layout_become_records_with_pictures() {
    let server = Server::start().await;
    let footage = Footage::record(&server).await;
    let layouts: [(&str, Vec<u8>); 4] = [
        ("our own", read(&footage.clip())),
        ("moov at the end", footage.remux("end.mp4", &[])),
        (
            "moov first",
            footage.remux("first.mp4", &["-movflags", "+faststart"]),
        ),
        (
            "fragmented",
            footage.remux("frag.mp4", &["-movflags", "+frag_keyframe+empty_moov"]),
        ),
    ];
    for (layout, file) in layouts {
        let channel = new_channel(&server).await;
        let api = acc(&server, &channel);
        let url = format!(
            "{}/v1/channels/{}/recordings?start={}",
            server.base(),
            channel.id,
            footage.start
        );
        let (status, answer) = send(&api, "POST", &url, &file).await;
        assert_eq!(status, 201, "{layout}: {answer}");
        let end: WallTime = answer["end"]
            .as_str()
            .expect("a time")
            .parse()
            .expect("a time");
        let off_us = end.micros_since(footage.end);
        assert!(off_us.abs() <= 150_000, "{layout}: {off_us} us");
        assert_pictures(&server, &channel, &footage).await;

        // Again: nothing is there twice.
        let (status, answer) = send(&api, "POST", &url, &file).await;
        assert_eq!(
            (status, &answer["stored"]),
            (200, &json!([])),
            "{layout}: {answer}"
        );
        let records = api.get("/api/v4/storage/records/").await.expect(200);
        let timeline = format!("/api/v2/storage/timeline/{}/?slices=3", channel.id);
        let timeline = api.get(&timeline).await.expect(200);
        assert!(records["meta"]["total_count"].as_i64() >= Some(1));
        assert_eq!(
            timeline["objects"][0]["3"].as_array().map(Vec::len),
            Some(1),
            "{layout}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn line_20_an_announced_file_is_put_and_the_record_is_visible() {
    let server = Server::start().await;
    let footage = Footage::record(&server).await;
    let file = footage.remux("agent.mp4", &[]);
    let channel = new_channel(&server).await;
    let api = acc(&server, &channel);
    let time = footage.start.to_naive_text();
    let wish = json!([{"time": time, "duration": 2_000_000_000, "size": file.len()}]);
    let announced = api
        .post("/api/v4/storage/records/upload/", &wish)
        .await
        .expect(200);
    assert!(announced["expire"].is_string());
    let url = announced["urls"][0].as_str().expect("a URL");
    let nobody = server.api("");
    let (status, _) = send(&nobody, "PUT", url, &file).await;
    assert_eq!(status, 200);
    let records = api.get("/api/v4/storage/records/").await.expect(200);
    let start = naive_time(&records["objects"][0]["start"]);
    assert!(start.micros_since(footage.start).abs() <= cameras::ROUNDING_US);
    assert_pictures(&server, &channel, &footage).await;
    // A second time, as an agent that lost the answer: exactly 200, and nothing new.
    let (status, _) = send(&nobody, "PUT", url, &file).await;
    assert_eq!(status, 200);
    let again = api.get("/api/v4/storage/records/").await.expect(200);
    assert_eq!(again["meta"]["total_count"], records["meta"]["total_count"]);

    // The ticket opens this file alone, and watching is not sending.
    let other = url.replacen(&format!("/upload/{}/", channel.id), "/upload/999/", 1);
    assert!([401, 403].contains(&send(&nobody, "PUT", &other, &file).await.0));
    let watcher = server.api(&format!("Acc {}", channel.watch));
    watcher
        .post("/api/v4/storage/records/upload/", &wish)
        .await
        .expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_used_are_refused_with_what_is_wrong() {
    let server =
        Server::start_with_environment(&[("FRAMEWELL_RECORD__MAX_UPLOAD_BYTES", "3000000")]).await;
    let footage = Footage::record(&server).await;
    let channel = new_channel(&server).await;
    let api = acc(&server, &channel);
    let good = read(&footage.clip());
    let other = footage.remux("other.mp4", &["-c:v", "mpeg4"]);
    let start = footage.start;
    let future = cameras::now().plus_micros(3_600_000_000);
    let path = |start: WallTime| {
        format!(
            "{}/v1/channels/{}/recordings?start={start}",
            server.base(),
            channel.id
        )
    };
    let cut = &good[..good.len() / 2];
    for (what, url, body, status, word) in [
        (
            "text",
            path(start),
            &b"hello, this is no video file at all"[..],
            400,
            "no MP4",
        ),
        ("nothing", path(start), &b""[..], 400, "moov"),
        ("half a file", path(start), cut, 400, "cut off"),
        (
            "MPEG-4 part 2",
            path(start),
            &other,
            400,
            "mp4v is not supported",
        ),
        ("a file of tomorrow", path(future), &good, 400, "future"),
        ("too much", path(start), &vec![0; 3_000_001], 413, "3000000"),
    ] {
        let (got, answer) = send(&api, "POST", &url, body).await;
        assert_eq!(got, status, "{what}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(word), "{what}: {message}");
    }
    let records = api.get("/api/v4/storage/records/").await.expect(200);
    assert_eq!(records["meta"]["total_count"], 0);
}
