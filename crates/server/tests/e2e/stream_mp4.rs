//! Fragmented MP4 over HTTP and over WebSockets: engines, ffmpeg, Chromium.

use crate::browser::{Browser, Page};
use crate::cameras;
use crate::main_job::naive_time;
use crate::server::Server;
use crate::site::{ChannelKeys, acc, create_channel, wait_for_records, wait_for_status};
use crate::tools::{assert_consecutive, ffprobe, stamps_of};
use bytes::Bytes;
use framewell_model::WallTime;
use framewell_testkit::stamp::read_stamps_video_bytes;
use futures::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A camera's channel that is streaming.
async fn live() -> (Server, framewell_testkit::camera::Camera, ChannelKeys) {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    (server, camera, channel)
}

fn url(server: &Server, channel: &ChannelKeys, file: &str, more: &str) -> String {
    let token: String = url::form_urlencoded::byte_serialize(channel.watch.as_bytes()).collect();
    let (base, id) = (server.base(), channel.id);
    format!("{base}/v1/channels/{id}/{file}?token={token}&{more}")
}

async fn open(server: &Server, channel: &ChannelKeys, more: &str) -> Socket {
    let url = url(server, channel, "stream", more).replacen("http", "ws", 1);
    connect_async(url).await.expect("upgraded").0
}

/// What the server says next, pings aside.
async fn heard(socket: &mut Socket) -> Option<Result<Message, Error>> {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(40), socket.next());
        match next.await.expect("in time") {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => return other,
        }
    }
}

/// The next binary message; what was said before it goes to `said`.
async fn binary(socket: &mut Socket, said: &mut Vec<Value>) -> Bytes {
    loop {
        match heard(socket).await.expect("open").expect("a message") {
            Message::Binary(bytes) => return bytes,
            Message::Text(text) => said.push(serde_json::from_str(&text).expect("JSON")),
            other => panic!("{other:?}"),
        }
    }
}

/// The cursor in front of a fragment, as an engine reads it.
fn cursor_of(fragment: &[u8]) -> String {
    assert_eq!(&fragment[4..24], b"uuidframewell/cursor");
    let length = u32::from_be_bytes(fragment[..4].try_into().expect("4 bytes")) as usize;
    String::from_utf8(fragment[24..length].to_vec()).expect("text")
}

/// Frame numbers of a file, in order.
async fn frames_of(file: Vec<u8>) -> Vec<u32> {
    let reading = tokio::task::spawn_blocking(move || read_stamps_video_bytes(&file));
    let stamps = reading.await.expect("joined").expect("stamps");
    stamps.iter().map(|stamp| stamp.frame).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_reads_live_fragments_a_look_back_and_a_recorded_range() {
    let (server, _camera, channel) = live().await;
    let api = acc(&server, &channel);
    let urls = api.get(&format!("/v1/channels/{}/live", channel.id)).await;
    let urls = urls.expect(200);
    let mp4 = urls["mp4"].as_str().expect("a URL");
    let stamps = stamps_of(mp4, &[], 15).await;
    assert_consecutive(&stamps);
    let age_us = cameras::now().micros_since(stamps[14].capture);
    assert!(age_us < 5_000_000, "{age_us} us");

    // From the first record on: recorded, then from the ring, then live.
    let records = wait_for_records(&server, &channel, 2).await;
    let first = naive_time(&records[0]["start"]);
    let back = url(&server, &channel, "stream.mp4", &format!("from={first}"));
    let stamps = stamps_of(&back, &[], 80).await;
    assert_consecutive(&stamps);
    assert!(stamps[0].capture.micros_since(first).abs() <= cameras::ROUNDING_US);

    // A range has an end, and its packets say when they were captured.
    let to = first.plus_micros(1_950_000);
    let range = format!("from={first}&to={to}&speed=max");
    let range = url(&server, &channel, "stream.mp4", &range);
    let stamps = stamps_of(&range, &[], 1_000).await;
    assert_consecutive(&stamps);
    assert_eq!(stamps.len(), 20);
    let probed = ffprobe(&range, &["-show_packets", "-select_streams", "v"]);
    let packets = probed["packets"].as_array().expect("packets");
    assert_eq!(packets.len(), 20);
    for (packet, stamp) in packets.iter().zip(&stamps) {
        let seconds: f64 = packet["pts_time"]
            .as_str()
            .expect("a time")
            .parse()
            .expect("a number");
        let off_s = seconds - stamp.capture.micros() as f64 / 1e6;
        assert!(off_s.abs() < 0.002, "{off_s} s");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_comes_back_with_its_cursor_and_misses_nothing() {
    let (server, _camera, channel) = live().await;
    let records = wait_for_records(&server, &channel, 1).await;
    let first = naive_time(&records[0]["start"]);
    let (mut file, mut said) = (Vec::new(), Vec::new());
    let mut cursor: Option<String> = None;
    // Cut off again and again, in what is recorded and in what is live.
    for (visit, fragments) in [2, 5, 9, 4].into_iter().enumerate() {
        let place = match &cursor {
            None => format!("from={first}"),
            Some(cursor) => format!("cursor={cursor}"),
        };
        let mut socket = open(&server, &channel, &place).await;
        let init = binary(&mut socket, &mut said).await;
        assert_eq!(&init[4..8], b"ftyp");
        if visit == 0 {
            file.extend_from_slice(&init);
            assert_eq!(said[0]["type"], "init");
            let mime = said[0]["mime"].as_str().expect("text");
            assert!(mime.starts_with("video/mp4; codecs=\"avc1."), "{mime}");
            assert_eq!(
                (&said[0]["width"], &said[0]["height"]),
                (&json!(480), &json!(270))
            );
        }
        for _ in 0..fragments {
            let fragment = binary(&mut socket, &mut said).await;
            cursor = Some(cursor_of(&fragment));
            file.extend_from_slice(&fragment);
        }
        drop(socket);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let gaps: Vec<&Value> = said.iter().filter(|m| m["type"] == "gap").collect();
    assert!(gaps.is_empty(), "{gaps:?}");
    let frames = frames_of(file).await;
    assert!(frames.len() > 20);
    assert!(
        frames.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{frames:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_plays_the_socket_with_media_source_extensions_within_a_second() {
    let (server, _camera, channel) = live().await;
    let api = acc(&server, &channel);
    let urls = api.get(&format!("/v1/channels/{}/live", channel.id)).await;
    let urls = urls.expect(200);
    let socket = urls["websocket"].as_str().expect("a URL");
    let page = Page::serve(include_str!("stream_mp4.html").replace("__URL__", socket)).await;
    let _browser = Browser::open(&format!("http://{}/", page.address));
    let first = page.wait_for_stamp(|_| true).await;
    // The clock of the browser is ours: how old is the picture that it shows while it plays on?
    let mut ages = Vec::new();
    let mut frame = first.frame + 20;
    for _ in 0..5 {
        let (stamp, report) = page.wait_for_report(|stamp| stamp.frame > frame).await;
        frame = stamp.frame;
        let shown = WallTime::from_micros(report["shown"].as_i64().expect("ms") * 1_000);
        ages.push(shown.micros_since(stamp.capture));
    }
    ages.sort_unstable();
    assert!(ages[2] < 1_000_000, "{ages:?} us behind the camera");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token_and_absurd_wishes_are_refused() {
    let (server, _camera, channel) = live().await;
    let api = acc(&server, &channel);
    let path = format!("/v1/channels/{}/stream.mp4", channel.id);
    for (query, status) in [
        ("tracks=pictures", 400),
        ("speed=2", 400),
        ("from=-8s&speed=0", 400),
        ("cursor=newest", 400),
        ("tracks=audio", 404),
        ("from=2001-01-01T00:00:00Z&to=2001-01-01T00:01:00Z", 404),
    ] {
        let answer = api.get(&format!("{path}?{query}")).await;
        assert_eq!(answer.status.as_u16(), status, "{query}");
    }
    let plain = api
        .get(&format!("/v1/channels/{}/stream", channel.id))
        .await;
    plain.expect(400);
    let urls = api.get(&format!("/v1/channels/{}/live", channel.id)).await;
    let mp4 = urls.expect(200)["mp4"].as_str().expect("a URL").to_owned();
    server
        .api("")
        .get(&format!("{mp4}&from=-5s"))
        .await
        .expect(403);

    let mut socket = open(&server, &channel, "").await;
    let mut said = Vec::new();
    binary(&mut socket, &mut said).await;
    server.account(&["revoke", "tests", "--channel", &channel.id.to_string()]);
    let end = loop {
        match heard(&mut socket).await.expect("open").expect("a message") {
            Message::Text(text) => break serde_json::from_str::<Value>(&text).expect("JSON"),
            Message::Binary(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(end["type"], "end");
    assert_eq!(end["error"]["code"], "permission_denied");
    assert!(end["cursor"].is_string());
}
