//! Pictures of all cameras of a group at the same instant: what the stamps in them say.

use crate::cameras::{self, FPS, ROUNDING_US};
use crate::client::Api;
use crate::server::{Server, wait_for};
use crate::site::{ChannelKeys, create_channel, create_group, wait_for_records, wait_for_status};
use framewell_model::WallTime;
use framewell_testkit::camera::Camera;
use framewell_testkit::multipart::{Part, PartReader, parts_of};
use framewell_testkit::stamp::read_stamp_jpeg;
use serde_json::Value;
use std::collections::BTreeSet;

/// From one picture of a camera to the next.
const FRAME_US: i64 = 1_000_000 / FPS;

/// Three cameras, one behind a login; their phases differ.
struct Scene {
    server: Server,
    cameras: Vec<Camera>,
    channels: Vec<ChannelKeys>,
    engine: Api,
}

impl Scene {
    /// All of one coding, each picture sent as soon as it is taken.
    async fn start() -> Self {
        Self::start_with(cameras::h264().await).await
    }

    async fn start_with(second: Camera) -> Self {
        let server = Server::start().await;
        let cameras = vec![
            cameras::h264().await,
            second,
            cameras::h264_with_password("eye", "secret").await,
        ];
        let mut channels = Vec::new();
        for (index, camera) in cameras.iter().enumerate() {
            channels.push(create_channel(&server, &format!("c{index}"), camera).await);
        }
        for channel in &channels {
            wait_for_status(&server, channel, "active").await;
        }
        let members: Vec<&ChannelKeys> = channels.iter().collect();
        let group = create_group(&server, &members).await;
        let engine = server.api(&format!("SI {group}"));
        Self {
            server,
            cameras,
            channels,
            engine,
        }
    }

    /// The parts of an answer: the pictures and errors in the order of the channels, and the end.
    async fn set(&self, query: &str) -> (Vec<Part>, Value) {
        let answer = self.engine.get(&format!("/v1/images?{query}")).await;
        answer.expect_ok();
        let mut parts = parts_of(answer.header("content-type"), &answer.body).expect("parts");
        let end: Value = serde_json::from_slice(&parts.pop().expect("an end").body).expect("JSON");
        let order: Vec<i64> = parts.iter().map(channel_of).collect();
        let expected: Vec<i64> = self.channels.iter().map(|channel| channel.id).collect();
        assert_eq!(order, expected);
        let requested = answer.header("framewell-requested-time");
        assert_eq!(end["requested"], requested);
        (parts, end)
    }
}

fn channel_of(part: &Part) -> i64 {
    part.header("framewell-channel").parse().expect("an id")
}

fn time(part: &Part, name: &str) -> WallTime {
    part.header(name).parse().expect("a time")
}

/// Checks that the picture in a part is the one that its headers state; its capture time as stated.
/// Before the camera has sent a report of its clock, that is the time of arrival.
fn captured(part: &Part) -> WallTime {
    assert_eq!(part.header("content-type"), "image/jpeg", "{part:?}");
    let stamp = read_stamp_jpeg(&part.body).expect("a stamp");
    let stated = time(part, "framewell-capture-time");
    let off_us = stated.micros_since(stamp.capture);
    if part.header("framewell-clock-source") == "camera_rtcp" {
        assert!(
            off_us.abs() <= ROUNDING_US,
            "stated {stated}, stamped {}",
            stamp.capture
        );
    } else {
        assert!(off_us >= -ROUNDING_US, "it arrived before it was taken");
    }
    stated
}

/// The picture on screen at an instant was captured at most a frame before it.
fn assert_on_screen(parts: &[Part], at: WallTime) {
    for part in parts {
        let before_us = at.micros_since(captured(part));
        assert!(
            (-ROUNDING_US..=FRAME_US + ROUNDING_US).contains(&before_us),
            "channel {}: {before_us} us before {at}",
            channel_of(part)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_a_group_show_one_instant_live_and_recorded() {
    // One of another coding, with B pictures, which come late and out of order.
    let scene = Scene::start_with(cameras::h265_with_b_frames().await).await;
    let (parts, end) = wait_for("pictures of all cameras", 20, async || {
        let (parts, end) = scene.set("width=320").await;
        (end["errors"] == 0).then_some((parts, end))
    })
    .await;
    let at: WallTime = end["requested"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    assert_on_screen(&parts, at);
    assert!(
        end["spread_ms"].as_i64().expect("a spread") <= FRAME_US / 1_000 + 1,
        "{end}"
    );
    assert!(cameras::now().micros_since(at) < 10_000_000, "{end}");

    for channel in &scene.channels {
        wait_for_records(&scene.server, channel, 2).await;
    }
    let past = cameras::now().plus_micros(-3_000_000);
    let query = format!("at={}", past.to_rfc3339());
    let (parts, end) = scene.set(&query).await;
    assert_eq!(
        (&end["errors"], &end["requested"]),
        (&0.into(), &past.to_rfc3339().into())
    );
    assert_on_screen(&parts, past);

    // The same as lines, with URLs that give the picture in the form that was asked for.
    let query = format!("{query}&as=ndjson&width=320&format=jpg");
    let answer = scene.engine.get(&format!("/v1/images?{query}")).await;
    answer.expect_ok();
    let text = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 4, "{text}");
    for (line, part) in lines.iter().zip(&parts) {
        let url = line["url"].as_str().expect("a URL");
        let picture = scene.server.api("").get(url).await;
        picture.expect_ok();
        assert_eq!(picture.header("framewell-width"), "320");
        assert_eq!(
            picture.header("framewell-frame"),
            part.header("framewell-frame")
        );
        read_stamp_jpeg(&picture.body).expect("a stamp");
    }

    // One camera goes: its part says so, the others do not notice.
    scene.cameras[1].control().set_unplugged(true);
    wait_for_status(&scene.server, &scene.channels[1], "offline").await;
    let (parts, end) = scene.set("").await;
    assert_eq!((&end["errors"], &end["pictures"]), (&1.into(), &2.into()));
    let error: Value = serde_json::from_slice(&parts[1].body).expect("JSON");
    assert_eq!(parts[1].header("framewell-entry"), "error");
    assert!(error["error"]["nearest_before"].is_string(), "{error}");
    let alive = [parts[0].clone(), parts[2].clone()];
    assert_on_screen(&alive, time(&alive[0], "framewell-requested-time"));
}

/// Reads a push of sets as it comes.
struct Push {
    response: reqwest::Response,
    reader: PartReader,
}

/// What a set says about itself, and its pictures.
struct Set {
    about: Value,
    pictures: Vec<Part>,
}

impl Push {
    async fn open(scene: &Scene, token: &str, query: &str) -> Self {
        let url = format!("{}/v1/images/live?{query}", scene.server.base());
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        let request = client.get(url).header("Authorization", token);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        let content_type = response.headers()["content-type"]
            .to_str()
            .expect("text")
            .to_owned();
        Self {
            response,
            reader: PartReader::new(&content_type).expect("multipart"),
        }
    }

    async fn part(&mut self) -> Part {
        loop {
            if let Some(part) = self.reader.next_part().expect("parts") {
                return part;
            }
            let chunk = self.response.chunk().await.expect("bytes");
            self.reader.push(&chunk.expect("the push goes on"));
        }
    }

    /// The next set; `None` at the end.
    async fn set(&mut self) -> Option<Set> {
        let part = self.part().await;
        let about: Value = serde_json::from_slice(&part.body).expect("JSON");
        if part.header("framewell-entry") == "end" {
            return None;
        }
        assert_eq!(about["type"], "set");
        let mut pictures = Vec::new();
        for _ in 0..about["pictures"].as_u64().expect("a count") {
            let part = self.part().await;
            assert_eq!(part.header("framewell-set"), about["set"].to_string());
            pictures.push(part);
        }
        Some(Set { about, pictures })
    }
}

/// What the pushes here are asked for: half a frame and some rounding.
const TOLERANCE_US: i64 = 55_000;

/// Checks that a set is for one instant.
fn assert_aligned(set: &Set) -> WallTime {
    assert_within(set, TOLERANCE_US)
}

fn assert_within(set: &Set, tolerance_us: i64) -> WallTime {
    let at: WallTime = set.about["requested"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    for part in &set.pictures {
        assert_eq!(time(part, "framewell-requested-time"), at);
        let off_us = captured(part).micros_since(at).abs();
        assert!(off_us <= tolerance_us + ROUNDING_US, "{off_us} us off {at}");
    }
    at
}

#[tokio::test(flavor = "multi_thread")]
async fn live_sets_of_a_group_are_aligned_and_survive_a_camera() {
    let scene = Scene::start().await;
    let token = scene.engine_header();
    let mut push = Push::open(&scene, &token, "fps=2&width=320&tolerance=55ms&wait=2s").await;
    let mut whole = 0;
    let mut instants = BTreeSet::new();
    while whole < 4 {
        let set = push.set().await.expect("goes on");
        let at = assert_aligned(&set);
        assert!(instants.insert(at), "{at} came twice");
        assert_eq!(at.micros() % 500_000, 0, "the grid of 2 a second");
        whole += usize::from(set.pictures.len() == 3);
        assert!(
            instants.len() < 120,
            "only {whole} whole sets: {}",
            set.about
        );
    }
    scene.cameras[0].control().set_unplugged(true);
    let error = loop {
        let set = push.set().await.expect("goes on");
        assert_aligned(&set);
        let gone = &set.about["channels"][0]["error"];
        if !gone.is_null() && set.pictures.len() == 2 {
            break gone.clone();
        }
    };
    assert!(error["message"].is_string(), "{error}");
    scene.cameras[0].control().set_unplugged(false);
    loop {
        let set = push.set().await.expect("goes on");
        assert_aligned(&set);
        if set.pictures.len() == 3 {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_push_follows_the_group_and_ends_with_the_token() {
    let scene = Scene::start().await;
    let token = scene.engine_header();
    let mut push = Push::open(&scene, &token, "fps=5&width=160").await;
    let ids = |set: &Set| -> Vec<i64> {
        let channels = set.about["channels"].as_array().expect("a list").iter();
        channels
            .map(|entry| entry["channel"].as_i64().expect("an id"))
            .collect()
    };
    let first = push.set().await.expect("goes on");
    assert_eq!(ids(&first).len(), 3);
    let stays = scene.channels[1].id;
    let body = serde_json::json!({ "channels": [stays] });
    scene
        .server
        .admin()
        .put("/api/v3/channel_groups/1/", &body)
        .await
        .expect(200);
    while ids(&push.set().await.expect("goes on")) != [stays] {}
    scene.server.account(&["revoke", "tests", "--group", "1"]);
    while push.set().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_back_and_ahead_comes_from_memory_whole_and_ends() {
    let scene = Scene::start().await;
    // So much footage has to be in the rings.
    let born = cameras::now();
    wait_for("four seconds in memory", 20, async || {
        (cameras::now().micros_since(born) > 4_000_000).then_some(())
    })
    .await;
    let token = scene.engine_header();
    let mut push = Push::open(&scene, &token, "fps=5&width=160&from=-2s&to=%2B1s").await;
    let mut instants = Vec::new();
    let mut whole = 0;
    while let Some(set) = push.set().await {
        // On a busy machine a camera leaves out pictures; then the nearest one stands there.
        instants.push(assert_within(&set, 1_000_000));
        whole += usize::from(set.pictures.len() == 3);
        assert_eq!(set.about["dropped"], 0);
    }
    assert!(instants.is_sorted());
    assert!((14..=16).contains(&instants.len()), "{instants:?}");
    assert_eq!(whole, instants.len(), "{instants:?}");
}

impl Scene {
    fn engine_header(&self) -> String {
        self.engine.authorization().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_gets_the_same_sets_in_binary() {
    use futures::StreamExt;
    use tokio_tungstenite::tungstenite::Message;

    let scene = Scene::start().await;
    let token = scene.engine_header();
    let token = token.strip_prefix("SI ").expect("a group token");
    let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    let base = scene.server.base().replace("http://", "ws://");
    let url = format!("{base}/v1/images/live?fps=2&width=320&tolerance=55ms&token={token}");
    let (mut socket, _) = tokio_tungstenite::connect_async(url)
        .await
        .expect("a socket");
    let mut whole = 0;
    while whole < 2 {
        let message = socket.next().await.expect("goes on").expect("a message");
        let Message::Text(text) = message else {
            continue;
        };
        let about: Value = serde_json::from_str(&text).expect("JSON");
        let count = about["pictures"].as_u64().expect("a count");
        assert!(about["set"].as_u64().expect("a number") < 120, "{about}");
        for _ in 0..count {
            let message = socket.next().await.expect("goes on").expect("a message");
            let Message::Binary(bytes) = message else {
                panic!("{message:?} inside set {about}");
            };
            let (length, rest) = bytes.split_at(4);
            let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
            let (header, jpeg) = rest.split_at(length as usize);
            let header: Value = serde_json::from_slice(header).expect("JSON");
            assert_eq!(
                (&header["set"], &header["requested"]),
                (&about["set"], &about["requested"])
            );
            let stated: WallTime = header["captured"]
                .as_str()
                .expect("text")
                .parse()
                .expect("a time");
            let stamp = read_stamp_jpeg(jpeg).expect("a stamp");
            assert!(stated.micros_since(stamp.capture).abs() <= ROUNDING_US);
        }
        whole += u32::from(count == 3);
    }
    scene.server.account(&["revoke", "tests", "--group", "1"]);
    let closed = loop {
        let message = socket.next().await.expect("a close comes");
        if let Message::Close(frame) = message.expect("a message") {
            break frame.expect("a reason");
        }
    };
    assert_eq!(u16::from(closed.code), 1008, "{closed:?}");
}
