//! One picture over HTTP: which one, in which form, with which headers, and every way to ask wrongly.

use crate::cameras::{self, ROUNDING_US};
use crate::client::{Answer, Api};
use crate::main_job::naive_time;
use crate::server::{Server, files_below, wait_for};
use crate::site::{ChannelKeys, create_channel, wait_for_records};
use framewell_model::WallTime;
use framewell_testkit::stamp::read_stamp_jpeg;

/// A camera that was recorded for a while and is gone; the server was restarted since, so that only
/// the recording is left.
struct Recorded {
    server: Server,
    channel: ChannelKeys,
    /// Start of the first record and end of the last one that were seen.
    start: WallTime,
    end: WallTime,
    /// An instant, and its picture while it was still in the live ring.
    live: (WallTime, Answer),
}

impl Recorded {
    async fn new() -> Self {
        let server = Server::start().await;
        let camera = cameras::h264().await;
        let channel = create_channel(&server, "gate", &camera).await;
        let records = wait_for_records(&server, &channel, 3).await;
        let start = naive_time(&records[0]["start"]);
        let at = start.plus_micros(1_730_000);
        let api = server.api(&format!("Bearer {}", channel.watch));
        let path = format!("/v1/channels/{}/image?at={at}", channel.id);
        let picture = api.get(&path).await;
        picture.expect_ok();
        assert_eq!(picture.header("cache-control"), "private, no-cache");
        drop(camera);
        let mut site = Self {
            start,
            end: naive_time(&records[records.len() - 1]["end"]),
            server,
            channel,
            live: (at, picture),
        };
        site.server.stop().await;
        site.server.restart().await;
        site
    }

    fn api(&self) -> Api {
        self.server.api(&format!("Bearer {}", self.channel.watch))
    }

    fn path(&self, query: &str) -> String {
        format!("/v1/channels/{}/image?{query}", self.channel.id)
    }

    async fn get(&self, query: &str) -> Answer {
        self.api().get(&self.path(query)).await
    }
}

fn near(stated: WallTime, expected: WallTime) -> bool {
    stated.micros_since(expected).abs() <= ROUNDING_US
}

/// Whether bytes begin like a file of this type.
fn is_type(body: &[u8], media_type: &str) -> bool {
    match media_type {
        "image/jpeg" => body.starts_with(&[0xff, 0xd8, 0xff]),
        "image/png" => body.starts_with(b"\x89PNG"),
        _ => body.starts_with(b"RIFF") && body.get(8..12) == Some(b"WEBP"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_picture_is_the_one_that_is_meant_in_the_form_that_is_asked_for() {
    let mut site = Recorded::new().await;
    every_match(&site).await;
    every_form(&site).await;
    headers_and_revalidation(&site).await;

    // The same question, the same bytes: from the live ring, from the recording, after a restart, and
    // by way of a neighbour.
    let (at, live) = (site.live.0, site.live.1.clone());
    for _ in 0..2 {
        let neighbour = site.get(&format!("at={}", at.plus_micros(-100_000))).await;
        neighbour.expect_ok();
        let again = site.get(&format!("at={at}")).await;
        assert_eq!(again.body, live.body);
        for name in ["etag", "framewell-frame"] {
            assert_eq!(again.header(name), live.header(name), "{name}");
        }
        site.server.stop().await;
        site.server.restart().await;
    }
}

/// Pictures are 100 ms apart, key frames a second.
async fn every_match(site: &Recorded) {
    let at = site.start.plus_micros(1_340_000);
    let first = site.start;
    for (matching, expected_ms, is_key) in [
        ("exact", 1_300, false),
        ("before", 1_300, false),
        ("after", 1_400, false),
        ("nearest", 1_300, false),
        ("keyframe", 1_000, true),
    ] {
        let answer = site.get(&format!("at={at}&match={matching}")).await;
        answer.expect_ok();
        let expected = first.plus_micros(expected_ms * 1_000);
        let stamp = read_stamp_jpeg(&answer.body).expect("a stamp");
        assert!(
            near(stamp.capture, expected),
            "{matching}: {} {expected}",
            stamp.capture
        );
        assert!(near(answer.time("framewell-capture-time"), expected));
        assert_eq!(answer.header("framewell-key-frame"), is_key.to_string());
    }
    let early = site.start.plus_micros(-3_600_000_000);
    for (matching, status) in [
        ("exact", 404),
        ("keyframe", 404),
        ("before", 404),
        ("after", 200),
        ("nearest", 200),
    ] {
        let answer = site.get(&format!("at={early}&match={matching}")).await;
        assert_eq!(answer.status.as_u16(), status, "{matching}");
        if status == 200 {
            assert!(
                near(answer.time("framewell-capture-time"), first),
                "{matching}"
            );
            assert!(answer.header("framewell-distance-ms").starts_with('-'));
        } else {
            let error = answer.expect(404);
            let after = error["error"]["nearest_after"]
                .as_str()
                .expect("what is nearest");
            assert!(
                near(after.parse().expect("a time"), first),
                "{matching} {error}"
            );
        }
    }
}

async fn every_form(site: &Recorded) {
    let at = site.start.plus_micros(1_500_000);
    for (query, media_type, size) in [
        ("", "image/jpeg", (480, 270)),
        ("&format=jpg&width=240", "image/jpeg", (240, 135)),
        ("&format=png&height=90", "image/png", (160, 90)),
        ("&format=webp&quality=50", "image/webp", (480, 270)),
        ("&width=100&height=100", "image/jpeg", (100, 56)),
        ("&width=100&height=100&fit=cover", "image/jpeg", (100, 100)),
        ("&width=100&height=100&fit=fill", "image/jpeg", (100, 100)),
        ("&width=100&height=100&fit=pad", "image/jpeg", (100, 100)),
        ("&crop=100,50,200,100", "image/jpeg", (200, 100)),
        ("&crop=0.5,0,0.5,1", "image/jpeg", (240, 270)),
    ] {
        let answer = site.get(&format!("at={at}{query}")).await;
        answer.expect_ok();
        assert_eq!(answer.header("content-type"), media_type, "{query}");
        assert!(is_type(&answer.body, media_type), "{query}");
        let stated =
            ["framewell-width", "framewell-height"].map(|name| answer.header(name).parse());
        assert_eq!(stated, [Ok(size.0), Ok(size.1)], "{query}");
    }
    let whole = site.get(&format!("at={at}&quality=95")).await;
    let limit = whole.body.len() / 2;
    let small = site
        .get(&format!("at={at}&quality=95&max_bytes={limit}"))
        .await;
    small.expect_ok();
    assert!(small.body.len() <= limit, "{} of {limit}", small.body.len());
    let path = site.path(&format!("at={at}"));
    let accepted = site
        .api()
        .send("GET", &path, &[("Accept", "image/webp")], None)
        .await;
    assert!(is_type(&accepted.body, "image/webp"));
    assert_eq!(accepted.header("vary"), "accept");
}

async fn headers_and_revalidation(site: &Recorded) {
    let at = site.start.plus_micros(1_250_000);
    let path = site.path(&format!("at={at}"));
    let answer = site.api().get(&path).await;
    answer.expect_ok();
    assert_eq!(answer.time("framewell-requested-time"), at);
    assert_eq!(answer.header("framewell-clock-source"), "camera_rtcp");
    let distance: i64 = answer.header("framewell-distance-ms").parse().expect("ms");
    assert!((48..=51).contains(&distance), "{distance}");
    let age: i64 = answer.header("framewell-age-ms").parse().expect("ms");
    assert!(age > 1_000, "{age}");
    assert_eq!(answer.header("cache-control"), "private, max-age=3600");
    let head = site.api().send("HEAD", &path, &[], None).await;
    assert_eq!(head.status.as_u16(), 200);
    assert!(head.body.is_empty());
    for name in [
        "etag",
        "content-type",
        "framewell-frame",
        "framewell-capture-time",
    ] {
        assert_eq!(head.header(name), answer.header(name), "{name}");
    }
    let known = [("If-None-Match", answer.header("etag"))];
    let same = site.api().send("GET", &path, &known, None).await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
    let after = site.api().get(&format!("{path}&match=after")).await;
    assert_eq!(after.header("cache-control"), "private, no-cache");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_question_has_its_own_answer() {
    let site = Recorded::new().await;
    let at = site.start.plus_micros(1_500_000);
    for (query, word) in [
        ("width=0", "width 0"),
        ("width=-5", "width"),
        ("width=15", "16 to 8192"),
        ("height=100000", "16 to 8192"),
        ("quality=0", "1 to 100"),
        ("quality=101", "1 to 100"),
        ("format=gif", "jpg, png or webp"),
        ("format=nv12", "jpg, png or webp"),
        ("fit=squeeze", "contain"),
        ("match=soon", "keyframe"),
        ("max_bytes=5", "1024"),
        ("crop=0,0,0,10", "empty"),
        ("crop=1,2,3", "x,y,width,height"),
        ("crop=0.6,0,0.6,1", "outside"),
        ("crop=400,0,200,100", "outside"),
        ("heigth=100", "heigth"),
    ] {
        let error = site.get(&format!("at={at}&{query}")).await.expect(400);
        assert_eq!(error["error"]["code"], "invalid_argument", "{query}");
        let message = error["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(word), "{query}: {message}");
    }
    for at in ["2099-01-01T00:00:00Z", "yesterday", "-5", "+5s"] {
        site.get(&format!("at={at}")).await.expect(400);
    }
    the_camera_is_gone(&site).await;
    a_lost_object_is_named(&site, at).await;
}

async fn the_camera_is_gone(site: &Recorded) {
    let error = wait_for("the camera to be gone", 30, async || {
        let answer = site.get("at=now").await;
        (answer.status.as_u16() == 503).then_some(answer)
    })
    .await;
    assert!(!error.header("retry-after").is_empty());
    let error = error.expect(503);
    let newest = error["error"]["nearest_before"]
        .as_str()
        .expect("the last picture");
    let newest: WallTime = newest.parse().expect("a time");
    assert!(newest >= site.end, "{error}");
    let late = site.get("at=-1ms&match=before").await;
    late.expect_ok();
    // The end of the last picture is that of its time on screen.
    let shown_us = newest.micros_since(late.time("framewell-capture-time"));
    assert!((0..=200_000).contains(&shown_us), "{shown_us}");
    let gap = site.get("at=-1ms").await.expect(404);
    assert!(gap["error"]["nearest_before"].is_string(), "{gap}");
}

async fn a_lost_object_is_named(site: &Recorded, at: WallTime) {
    let objects = files_below(&site.server.data_dir());
    let objects = objects
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "mp4"));
    let mut removed = 0;
    for object in objects.filter(|path| !path.components().any(|c| c.as_os_str() == "spool")) {
        std::fs::remove_file(object).expect("removed");
        removed += 1;
    }
    assert!(removed > 2, "segments lie as files: {removed}");
    // What was read before the loss may still be in memory.
    let lost = at.plus_micros(2_500_000);
    let error = site.get(&format!("at={lost}")).await.expect(500);
    assert_eq!(error["error"]["code"], "data_loss");
    assert!(error["error"]["segment"].is_string(), "{error}");
    let time = |name: &str| -> WallTime {
        let text = error["error"][name].as_str().unwrap_or_default();
        text.parse().expect("a time")
    };
    assert!(
        time("segment_start") <= lost && lost < time("segment_end"),
        "{error}"
    );
    assert!(
        !error
            .to_string()
            .contains(site.server.data_dir().to_str().expect("UTF-8"))
    );
}
