//! Many pictures and contact sheets over HTTP, read by tools that are not ours.

use crate::cameras;
use crate::client::Api;
use crate::main_job::naive_time;
use crate::server::Server;
use crate::site::{ChannelKeys, create_channel, wait_for_records, wait_for_status};
use framewell_model::WallTime;
use framewell_testkit::stamp::read_stamp_jpeg;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn many_pictures_come_in_three_containers_and_go_on_behind_a_cursor() {
    let mut server = Server::start().await;
    let camera = cameras::h265_with_b_frames().await;
    let channel = create_channel(&server, "yard", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    let records = wait_for_records(&server, &channel, 3).await;
    let from = naive_time(&records[0]["start"]);
    let to = from.plus_micros(4_500_000);
    let api = server.api(&format!("Bearer {}", channel.watch));
    let path = format!("/v1/channels/{}/images?from={from}&to={to}", channel.id);

    let folder = tempfile::tempdir().unwrap();
    let native = native(&api, &path).await;
    let samples = parts(&api, &format!("{path}&every=500ms"), folder.path()).await;
    let expected = on_screen(&native, from, 9);
    assert_eq!(samples.len(), expected.len());
    for (sample, expected) in samples.iter().zip(&expected) {
        check_sample(sample, *expected);
    }
    tar(
        &api,
        &format!("{path}&every=500ms&as=tar"),
        folder.path(),
        &samples,
    )
    .await;
    lines(
        &server,
        &api,
        &format!("{path}&every=500ms&as=ndjson"),
        &samples,
    )
    .await;

    // Half of it, then a restart, then the rest.
    let half = parts(
        &api,
        &format!("{path}&every=500ms&max_images=4"),
        folder.path(),
    )
    .await;
    let cursor = half[3]["cursor"].as_str().unwrap().to_owned();
    server.restart().await;
    let api = server.api(&format!("Bearer {}", channel.watch));
    let rest = format!("/v1/channels/{}/images?cursor={cursor}", channel.id);
    let rest = parts(&api, &rest, folder.path()).await;
    let frames = |samples: &[Value]| -> Vec<Value> {
        samples
            .iter()
            .map(|sample| sample["frame"].clone())
            .collect()
    };
    assert_eq!(frames(&rest), frames(&samples[4..]));

    key_frames_and_limits(&api, &channel, &path).await;
    sheet(&api, &channel, (from, to), &native).await;
}

/// Capture times of all pictures of the range: a camera on a busy machine leaves some out.
async fn native(api: &Api, path: &str) -> Vec<WallTime> {
    let answer = api.get(&format!("{path}&fps=native&as=ndjson")).await;
    answer.expect_ok();
    let text = String::from_utf8(answer.body.to_vec()).expect("text");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let pictures = lines.filter(|line: &Value| line["type"] == "picture");
    let captured: Vec<WallTime> = pictures.map(|line| wall(&line["captured"])).collect();
    assert!(captured.len() > 9 && captured.is_sorted());
    captured
}

/// A time in JSON.
fn wall(value: &Value) -> WallTime {
    let text = value.as_str().expect("a text");
    text.parse().expect("a time")
}

/// Every half a second the picture on screen, none twice.
fn on_screen(native: &[WallTime], from: WallTime, count: i64) -> Vec<(WallTime, WallTime)> {
    let mut expected: Vec<(WallTime, WallTime)> = Vec::new();
    for number in 0..count {
        let instant = from.plus_micros(number * 500_000);
        let shown = native.iter().rfind(|captured| **captured <= instant);
        let shown = shown.unwrap_or(&native[0]);
        if expected.last().is_none_or(|(_, last)| last != shown) {
            expected.push((instant, *shown));
        }
    }
    assert!(expected.len() > 4, "{expected:?}");
    expected
}

/// A part as the tools describe it, and the stamp that its picture shows.
fn check_sample(sample: &Value, expected: (WallTime, WallTime)) {
    let time = |name: &str| -> WallTime { wall(&sample[name]) };
    assert_eq!((time("requested"), time("captured")), expected);
    let error_us = time("captured").micros_since(time("stamp")).abs();
    assert!(error_us <= cameras::ROUNDING_US, "{sample}");
    assert_eq!(sample["clock_source"], "camera_rtcp");
}

/// Runs a Python program on a file; the JSON that it prints.
fn python(program: &str, file: &Path) -> Value {
    let output = Command::new("python3")
        .args(["-c", program])
        .arg(file)
        .output()
        .expect("python3 runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Headers of each part, and a file for each picture.
const READ_PARTS: &str = r#"
import sys, json, email, pathlib
data = pathlib.Path(sys.argv[1]).read_bytes()
message = email.message_from_bytes(data)
assert message.is_multipart() and not message.defects, message.defects
out = []
for number, part in enumerate(message.get_payload()):
    body = part.get_payload(decode=True)
    length = int(part["content-length"])
    # The email module leaves a line break at the end of binary bodies alone or drops one; the length tells.
    entry = {name.lower(): value for name, value in part.items()}
    if part.get_content_type() == "application/json":
        entry["json"] = json.loads(body)
    else:
        file = f"{sys.argv[1]}.{number}.jpg"
        pathlib.Path(file).write_bytes(body[:length])
        entry["file"] = file
    out.append(entry)
print(json.dumps(out))
"#;

/// All pictures of a multipart answer, whose last entry is the end.
async fn parts(api: &Api, path: &str, folder: &Path) -> Vec<Value> {
    let answer = api.get(path).await;
    answer.expect_ok();
    let mut message =
        b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: binary\r\nContent-Type: ".to_vec();
    message.extend_from_slice(answer.header("content-type").as_bytes());
    message.extend_from_slice(b"\r\n\r\n");
    message.extend_from_slice(&answer.body);
    let file = folder.join("message");
    std::fs::write(&file, message).expect("the file is written");
    let found = python(READ_PARTS, &file);
    let found = found.as_array().expect("a list");
    assert_eq!(found.last().expect("an entry")["framewell-entry"], "end");
    let pictures = found.iter().filter(|entry| entry["file"].is_string());
    pictures
        .map(|entry| {
            let jpeg = std::fs::read(entry["file"].as_str().expect("a text")).expect("a file");
            let stamp = read_stamp_jpeg(&jpeg).expect("a stamp");
            serde_json::json!({
                "stamp": stamp.capture.to_rfc3339(),
                "captured": entry["framewell-capture-time"],
                "requested": entry["framewell-requested-time"],
                "clock_source": entry["framewell-clock-source"],
                "frame": entry["framewell-frame"],
                "cursor": entry["framewell-cursor"],
                "hash": entry["etag"].as_str().expect("a text").trim_matches('"'),
            })
        })
        .collect()
}

/// Names in order, and what the JSON files say.
const READ_TAR: &str = r#"
import sys, json, tarfile
names, samples = [], []
with tarfile.open(sys.argv[1], "r|") as tar:
    for member in tar:
        names.append(member.name)
        data = tar.extractfile(member).read()
        if member.name.endswith(".json"):
            samples.append(json.loads(data))
print(json.dumps({"names": names, "samples": samples}))
"#;

async fn tar(api: &Api, path: &str, folder: &Path, expected: &[Value]) {
    let answer = api.get(path).await;
    answer.expect_ok();
    assert_eq!(answer.header("content-type"), "application/x-tar");
    let file = folder.join("samples.tar");
    std::fs::write(&file, &answer.body).expect("a file");
    let found = python(READ_TAR, &file);
    let names: Vec<&str> = found["names"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|name| name.as_str().expect("a text"))
        .collect();
    let (samples, aside): (Vec<&str>, Vec<&str>) = names
        .iter()
        .partition(|name| !name.starts_with("__framewell__/"));
    assert_eq!(aside, ["__framewell__/end.json"]);
    assert!(samples.is_sorted(), "{samples:?}");
    for pair in samples.chunks(2) {
        assert_eq!(pair[0].strip_suffix(".jpg"), pair[1].strip_suffix(".json"));
    }
    let found = found["samples"].as_array().expect("a list");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found["frame"], expected["frame"]);
        assert_eq!(found["hash"], expected["hash"]);
    }
    assert_eq!(found[expected.len()]["reason"], "complete");
}

async fn lines(server: &Server, api: &Api, path: &str, expected: &[Value]) {
    let answer = api.get(path).await;
    answer.expect_ok();
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let text = String::from_utf8(answer.body.to_vec()).expect("text");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), expected.len() + 1);
    assert_eq!(lines[expected.len()]["type"], "end");
    // Without any credential: the URL carries its own.
    let open = server.api("");
    for (line, expected) in lines.iter().zip(expected) {
        assert_eq!(line["frame"], expected["frame"]);
        let picture = open.get(line["url"].as_str().expect("a text")).await;
        picture.expect_ok();
        assert_eq!(
            picture.header("framewell-frame"),
            expected["frame"].as_str().expect("a text")
        );
    }
}

async fn key_frames_and_limits(api: &Api, channel: &ChannelKeys, path: &str) {
    let answer = api.get(&format!("{path}&keyframes&as=ndjson")).await;
    answer.expect_ok();
    let text = String::from_utf8(answer.body.to_vec()).expect("text");
    let is_key = |line: &str| line.contains("\"is_key\":true") || line.contains("\"type\":\"end\"");
    assert!(
        text.lines().count() >= 3 && text.lines().all(is_key),
        "{text}"
    );

    let images = format!("/v1/channels/{}/images", channel.id);
    for (query, status, word) in [
        ("from=-10s&to=now&fps=0", 400, "1000"),
        ("from=-10s&to=now&fps=-3", 400, "1000"),
        ("from=-10s&to=now&fps=1e12", 400, "1000"),
        ("from=-10s&to=-20s&fps=1", 400, "before"),
        ("from=%2B60s&to=%2B90s&fps=1", 400, "no picture of"),
        ("from=-10s&to=%2B1h&fps=1", 400, "600 s"),
        ("from=-48h&to=now&fps=900", 400, "1000000"),
        ("from=-10s&to=now&fps=1&width=100000", 400, "8192"),
        ("from=-10s&to=now", 400, "is needed"),
        ("from=-10s&to=now&fps=1&as=zip", 400, "tar"),
        ("cursor=b1_9_0_1_a_x_0_", 400, "another channel"),
        (
            "from=2020-01-01T00:00:00Z&to=2020-01-01T00:01:00Z&fps=1",
            404,
            "nearest",
        ),
    ] {
        let error = api.get(&format!("{images}?{query}")).await.expect(status);
        let message = error["error"]["message"].as_str().expect("a text");
        assert!(message.contains(word), "{query}: {message}");
    }
    api.get("/v1/channels/999999/images?from=-10s&to=now&fps=1")
        .await
        .expect(404);
}

/// A sheet of four tiles, fewer if two mean the same picture: each shows what the map says.
async fn sheet(
    api: &Api,
    channel: &ChannelKeys,
    (from, to): (WallTime, WallTime),
    native: &[WallTime],
) {
    let path = format!(
        "/v1/channels/{}/sheet?from={from}&to={to}&count=4&tile_width=480&quality=95",
        channel.id
    );
    let picture = api.get(&path).await;
    picture.expect_ok();
    assert_eq!(picture.header("content-type"), "image/jpeg");
    let answer = api.get(&format!("{path}&as=json")).await;
    assert_eq!(answer.header("etag"), picture.header("etag"));
    let map = answer.expect(200);
    let tiles = map["tiles"].as_array().expect("a list");
    assert_eq!(picture.header("framewell-tiles"), tiles.len().to_string());
    assert!((2..=4).contains(&tiles.len()));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sheet.jpg");
    std::fs::write(&file, &picture.body).expect("a file");
    for tile in tiles {
        let (x, y) = (&tile["x"], &tile["y"]);
        let (width, height) = (&tile["width"], &tile["height"]);
        let cut = folder.path().join(format!("{}.jpg", tile["tile"]));
        let done = Command::new("ffmpeg")
            .args(["-v", "error", "-y", "-i"])
            .arg(&file)
            .args(["-vf", &format!("crop={width}:{height}:{x}:{y}")])
            .args(["-q:v", "2"])
            .arg(&cut)
            .status()
            .expect("ffmpeg runs");
        assert!(done.success());
        let stamp = read_stamp_jpeg(&std::fs::read(&cut).expect("a file")).expect("a stamp");
        let captured: WallTime = tile["captured"]
            .as_str()
            .expect("a text")
            .parse()
            .expect("a time");
        assert!(captured.micros_since(stamp.capture).abs() <= cameras::ROUNDING_US);
    }
    let captured = |tile: &Value| -> WallTime {
        tile["captured"]
            .as_str()
            .expect("a text")
            .parse()
            .expect("a time")
    };
    assert_eq!(captured(&tiles[0]), native[0]);
    assert_eq!(tiles.last().map(captured), native.last().copied());
    let many = format!(
        "/v1/channels/{}/sheet?from={from}&to={to}&fps=30",
        channel.id
    );
    let error = api.get(&many).await.expect(400);
    let message = error["error"]["message"].as_str().expect("a text");
    assert!(message.contains("would take 135 tiles"), "{message}");
}
