//! Pictures pushed by the real server: WebSocket, ffmpeg, Chromium.

use crate::browser::{Browser, Page};
use crate::cameras;
use crate::server::{Server, wait_for};
use crate::site::{ChannelKeys, acc, create_channel, wait_for_status};
use bytes::Bytes;
use framewell_model::WallTime;
use framewell_testkit::stamp::read_stamp_jpeg;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn query(token: &str, more: &str) -> String {
    let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    format!("token={token}&{more}")
}

fn path(server: &Server, channel: &ChannelKeys, more: &str) -> String {
    let query = query(&channel.watch, more);
    format!(
        "{}/v1/channels/{}/images?{query}",
        server.base(),
        channel.id
    )
}

async fn open(server: &Server, channel: &ChannelKeys, more: &str) -> Socket {
    let url = path(server, channel, more).replacen("http", "ws", 1);
    connect_async(url).await.expect("upgraded").0
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    let limited = tokio::time::timeout(Duration::from_secs(40), work);
    limited.await.expect("done within 40 s")
}

/// What the server says next, pings aside.
async fn heard(socket: &mut Socket) -> Option<Result<Message, Error>> {
    loop {
        match within(socket.next()).await {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => return other,
        }
    }
}

/// The next picture: its header, and its bytes.
async fn picture(socket: &mut Socket) -> (Value, Bytes) {
    let message = heard(socket).await.expect("open").expect("a message");
    let Message::Binary(bytes) = message else {
        panic!("no picture: {message:?}");
    };
    // As an engine reads it: four bytes of length, JSON, picture.
    let length = u32::from_be_bytes(bytes[..4].try_into().expect("4 bytes")) as usize;
    let header = serde_json::from_slice(&bytes[4..4 + length]).expect("JSON");
    (header, bytes.slice(4 + length..))
}

fn captured(header: &Value) -> WallTime {
    header["captured"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time")
}

fn assert_true(header: &Value, jpeg: &[u8]) {
    let stamp = read_stamp_jpeg(jpeg).expect("a stamp");
    let off_us = stamp.capture.micros_since(captured(header)).abs();
    assert!(off_us <= cameras::ROUNDING_US, "{off_us} us: {header}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_gets_pictures_over_a_websocket_and_says_what_it_has() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;

    // Every picture, once, with the truth.
    let mut socket = open(&server, &channel, "delivery=all").await;
    let mut last: Option<WallTime> = None;
    for sequence in 0..15 {
        let (header, jpeg) = picture(&mut socket).await;
        assert_eq!(
            (&header["sequence"], &header["dropped"]),
            (&json!(sequence), &json!(0))
        );
        assert_true(&header, &jpeg);
        let age_ms = header["age_ms"].as_i64().expect("a number");
        assert!((0..3_000).contains(&age_ms), "{age_ms} ms");
        if let Some(last) = last {
            let step = captured(&header).micros_since(last);
            assert!((step - 1_000_000 / cameras::FPS).abs() < 5_000, "{step} us");
        }
        last = Some(captured(&header));
    }

    // Look-back and look-ahead, from memory, then live, to the end.
    let mut socket = open(&server, &channel, "from=-1s&to=%2B1s&fps=5").await;
    let mut count = 0;
    let end = loop {
        match heard(&mut socket).await.expect("open").expect("a message") {
            Message::Binary(_) => count += 1,
            Message::Text(text) => break serde_json::from_str::<Value>(&text).expect("JSON"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(end, json!({"type": "end"}));
    assert!(
        (9..=12).contains(&count),
        "{count} pictures in two seconds at 5 per second"
    );

    // Raw pixels, and a window of one picture.
    let raw = "format=rgb24&width=160&window=1&delivery=bounded&buffer=2";
    let mut socket = open(&server, &channel, raw).await;
    let (header, pixels) = picture(&mut socket).await;
    assert_eq!(
        (&header["format"], &header["width"], &header["height"]),
        (&json!("rgb24"), &json!(160), &json!(90))
    );
    assert_eq!(pixels.len(), 160 * 90 * 3);
    // While nothing is acknowledged, pictures are dropped and counted.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ack = json!({"ack": header["sequence"]}).to_string();
    socket.send(Message::Text(ack.into())).await.expect("sent");
    let (header, _) = picture(&mut socket).await;
    assert!(header["dropped"].as_u64() >= Some(3), "{header}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_ends_with_its_token_and_absurd_wishes_are_refused() {
    let server = Server::start_with_environment(&[("FRAMEWELL_LIVE__MAX_PUSHES", "1")]).await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    let api = acc(&server, &channel);
    for (wish, word) in [
        ("fps=0", "fps"),
        ("fps=1e9", "1000"),
        ("width=3", "width"),
        ("count=5", "to="),
    ] {
        let answer = api
            .get(&format!("/v1/channels/{}/images?{wish}", channel.id))
            .await;
        let message = answer.expect(400)["error"]["message"].to_string();
        assert!(message.contains(word), "{wish}: {message}");
    }
    let mut socket = open(&server, &channel, "fps=5").await;
    picture(&mut socket).await;
    let refused = api
        .get(&format!("/v1/channels/{}/images?fps=5", channel.id))
        .await;
    assert_eq!(refused.header("retry-after"), "2");
    assert_eq!(refused.expect(503)["error"]["limit"], 1);
    server.account(&["revoke", "tests", "--channel", &channel.id.to_string()]);
    let end = loop {
        match heard(&mut socket).await.expect("told").expect("a message") {
            Message::Binary(_) => {}
            Message::Text(text) => break serde_json::from_str::<Value>(&text).expect("JSON"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(end["type"], "end");
    assert_eq!(end["error"]["code"], "unauthenticated");
    assert!(matches!(
        heard(&mut socket).await,
        Some(Ok(Message::Close(Some(_))))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_reads_a_push_as_mjpeg() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    let url = path(&server, &channel, "fps=5");
    let folder = tempfile::tempdir().expect("a folder");
    let pattern = folder.path().join("%d.jpg");
    let ran = tokio::task::spawn_blocking(move || {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-f", "mpjpeg", "-i", &url]);
        command
            .args(["-frames:v", "5", "-c", "copy", "-f", "image2"])
            .arg(pattern);
        command.output().expect("ffmpeg runs")
    });
    let ran = within(ran).await.expect("joined");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let stamp = |index: u32| {
        let jpeg = std::fs::read(folder.path().join(format!("{index}.jpg"))).expect("a picture");
        read_stamp_jpeg(&jpeg).expect("a stamp").frame
    };
    let frames: Vec<u32> = (1..=5).map(stamp).collect();
    // The first one comes at once, the others every second picture of the camera.
    assert!(
        frames[1..].windows(2).all(|pair| pair[1] == pair[0] + 2),
        "{frames:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_shows_a_push_in_an_image() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    let url = path(&server, &channel, "");
    let page = Page::serve(format!(
        r#"<!doctype html><img id="image" crossorigin="anonymous" src="{url}"><script>
        const canvas = document.createElement("canvas");
        setInterval(() => {{
          if (!image.naturalWidth) return;
          canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
          canvas.getContext("2d").drawImage(image, 0, 0);
          const picture = canvas.toDataURL("image/jpeg", 0.95).split(",")[1];
          fetch("/report", {{ method: "POST", body: JSON.stringify({{ picture }}) }});
        }}, 200);
        </script>"#
    ))
    .await;
    let _browser = Browser::open(&format!("http://{}/", page.address));
    let first = page.wait_for_stamp(|_| true).await;
    let later = page
        .wait_for_stamp(|stamp| stamp.frame > first.frame + 20)
        .await;
    let age_us = cameras::now().micros_since(later.capture);
    assert!(
        age_us < 5_000_000,
        "the browser is {age_us} us behind the camera"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_engines_on_one_camera_cost_one_decode() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    let mut sockets = Vec::new();
    for width in (0..10).map(|index| 160 + 32 * (index % 5)) {
        sockets.push(open(&server, &channel, &format!("fps=2&width={width}")).await);
    }
    for socket in &mut sockets {
        for _ in 0..6 {
            picture(socket).await;
        }
    }
    let metrics = server.api("").get("/metrics").await;
    let metrics = String::from_utf8(metrics.body.to_vec()).expect("text");
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        let number = line.unwrap_or_else(|| panic!("{name} in {metrics}"));
        number.trim().parse::<f64>().expect("a number")
    };
    assert!((value("framewell_live_decoders ") - 1.0).abs() < 0.1);
    // Ten pictures a second for as long as the engines were there: about four seconds, not forty.
    let samples = value("framewell_live_samples_total ");
    assert!(samples < 300.0, "{samples} pictures decoded");
    drop(sockets);
    wait_for("the decoder to end", 40, async || {
        let metrics = server.api("").get("/metrics").await;
        let text = String::from_utf8(metrics.body.to_vec()).ok()?;
        text.contains("framewell_live_decoders 0").then_some(())
    })
    .await;
}
