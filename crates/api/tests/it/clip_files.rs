//! Clips over HTTP: stamped footage, taken in as a file that a camera recorded.

use crate::site::{Answer, Site, TestChannel, start_of_test};
use axum::body::Body;
use framewell_blob::ObjectKey;
use framewell_fmp4::{FileClock, build_fragment, build_init};
use framewell_media::{AccessUnit, AudioCodec, TrackKind};
use framewell_model::{ChannelId, Segment, WallTime};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use framewell_testkit::stamp::read_stamps_video_bytes;
use serde_json::{Value, json};

/// Capture time of the first picture: twenty seconds before the present of the site.
pub(crate) fn begin() -> WallTime {
    start_of_test().plus_micros(-20_000_000)
}

fn at(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a few seconds")]
    begin().plus_micros((seconds * 1e6) as i64).to_rfc3339()
}

/// Fifteen seconds with sound, which become segments of ten and five seconds.
pub(crate) fn spec() -> ClipSpec {
    ClipSpec {
        width: 320,
        height: 240,
        frames: 375,
        start: begin(),
        audio: Some(AudioCodec::Aac),
        ..ClipSpec::default()
    }
}

/// The clip as a file with a fragment for each GOP.
fn file_of(clip: &EncodedClip) -> Vec<u8> {
    let mut gops: Vec<Vec<AccessUnit>> = Vec::new();
    for unit in &clip.units {
        if unit.track == TrackKind::Video && unit.is_key {
            gops.push(Vec::new());
        }
        gops.last_mut().unwrap().push(unit.clone());
    }
    let clock = FileClock::of_run(&clip.parameters);
    let mut file = build_init(&clip.parameters, None).to_vec();
    for (number, gop) in gops.iter().enumerate() {
        let next = gops.get(number + 1).map(|gop| gop[0].dts.ticks);
        let sequence = u32::try_from(number + 1).unwrap();
        let fragment = build_fragment(&clock, sequence, &clip.parameters, gop, next);
        file.extend_from_slice(&fragment.header);
        file.extend(fragment.payload.iter().flatten());
    }
    file
}

/// A channel with stamped footage.
pub(crate) async fn recorded(site: &Site, name: &str, spec: &ClipSpec) -> TestChannel {
    let channel = site.channel(name).await;
    let (start, spec) = (spec.start, spec.clone());
    let clip = tokio::task::spawn_blocking(move || spec.encode().unwrap())
        .await
        .unwrap();
    let uri = format!("/v1/channels/{}/recordings?start={start}", channel.id);
    let headers = [
        ("authorization", channel.all.as_str()),
        ("content-type", "video/mp4"),
    ];
    let answer = site
        .send("POST", &uri, &headers, Body::from(file_of(&clip)))
        .await;
    answer.expect(201);
    channel
}

pub(crate) async fn segments(site: &Site, channel: ChannelId) -> Vec<Segment> {
    let all = framewell_model::TimeRange::new(WallTime::from_secs(0), start_of_test()).unwrap();
    site.state
        .catalog
        .segments_in(channel, all, 100)
        .await
        .unwrap()
}

/// Deletes the object of a segment behind the catalog's back.
pub(crate) async fn lose(site: &Site, segment: &Segment) {
    let key = ObjectKey::Segment {
        channel: segment.channel,
        start: segment.range.start,
        id: segment.id,
    };
    site.blobs.delete(&key).await.unwrap();
}

pub(crate) async fn numbers(file: &[u8]) -> Vec<u32> {
    let file = file.to_vec();
    let stamps = tokio::task::spawn_blocking(move || read_stamps_video_bytes(&file)).await;
    stamps
        .unwrap()
        .unwrap()
        .iter()
        .map(|stamp| stamp.frame)
        .collect()
}

/// A site with a recorded channel.
struct Recorded {
    site: Site,
    channel: TestChannel,
}

impl Recorded {
    async fn new() -> Self {
        let site = Site::new().await;
        let channel = recorded(&site, "gate", &spec()).await;
        Self { site, channel }
    }

    fn path(&self, file: &str, query: &str) -> String {
        format!("/v1/channels/{}/{file}?{query}", self.channel.id)
    }

    async fn get(&self, file: &str, query: &str) -> Answer {
        self.site
            .get(&self.channel.watch, &self.path(file, query))
            .await
    }

    async fn get_with(&self, method: &str, query: &str, headers: &[(&str, &str)]) -> Answer {
        let authorization = ("authorization", self.channel.watch.as_str());
        let headers = [&[authorization], headers].concat();
        let path = self.path("clip.mp4", query);
        self.site.send(method, &path, &headers, Body::empty()).await
    }
}

fn range(from: f64, to: f64) -> String {
    format!("start={}&end={}", at(from), at(to))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_exact_can_be_resumed_and_says_what_it_consists_of() {
    let recorded = Recorded::new().await;
    let query = range(1.01, 12.0);
    let whole = recorded.get("clip.mp4", &query).await;
    assert_eq!(whole.status, 200, "{:?}", whole.body);
    assert_eq!(numbers(&whole.body).await, (25..300).collect::<Vec<_>>());
    let etag = whole.header("etag").to_owned();
    assert_eq!(whole.header("framewell-gaps"), "");

    let head = recorded.get_with("HEAD", &query, &[]).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
    let rest = format!("bytes={}-", whole.body.len() / 2);
    let resumed = [("range", rest.as_str()), ("if-range", etag.as_str())];
    let resumed = recorded.get_with("GET", &query, &resumed).await;
    assert_eq!(resumed.status, 206);
    assert_eq!(resumed.body, whole.body[whole.body.len() / 2..]);
    let outdated = [("range", rest.as_str()), ("if-range", "\"other\"")];
    let outdated = recorded.get_with("GET", &query, &outdated).await;
    assert_eq!(
        (outdated.status.as_u16(), outdated.body.len()),
        (200, whole.body.len())
    );

    let answer = recorded.get("clip.json", &query).await;
    let info = answer.expect(200);
    assert_eq!(info["etag"], etag.trim_matches('"'));
    assert_eq!(info["size"], whole.body.len());
    assert_eq!(info["presented_start"], at(1.0));
    assert_eq!(
        (&info["gaps"], &info["gaps_mode"]),
        (&json!([]), &json!("collapse"))
    );
    let segments = info["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 2, "{info}");
    assert_eq!(segments[1]["start"], at(10.0));
    assert!((segments[1]["at_s"].as_f64().unwrap() - 9.0).abs() < 1e-4);
    let known = [
        ("authorization", recorded.channel.watch.as_str()),
        ("if-none-match", answer.header("etag")),
    ];
    let path = recorded.path("clip.json", &query);
    let known = recorded
        .site
        .send("GET", &path, &known, Body::empty())
        .await;
    assert_eq!(known.status, 304);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_segment_is_told_in_header_and_description_or_is_an_error() {
    let recorded = Recorded::new().await;
    let lost = segments(&recorded.site, recorded.channel.id)
        .await
        .remove(0);
    lose(&recorded.site, &lost).await;
    let query = range(8.0, 12.0);
    let clip = recorded.get("clip.mp4", &query).await;
    assert_eq!(clip.status, 200, "{:?}", clip.body);
    assert_eq!(numbers(&clip.body).await, (250..300).collect::<Vec<_>>());
    let gap = format!("{}/{};data_loss", at(8.0), at(10.0));
    assert_eq!(clip.header("framewell-gaps"), gap);
    let info = recorded.get("clip.json", &query).await.expect(200);
    let segment = lost.id.to_string();
    let told =
        json!([{"start": at(8.0), "end": at(10.0), "reason": "data_loss", "segments": [segment]}]);
    assert_eq!(info["gaps"], told);

    let strict = recorded
        .get("clip.mp4", &format!("{query}&strict=true"))
        .await;
    let error = strict.expect(500)["error"].clone();
    assert_eq!(
        (&error["code"], &error["segment"]),
        (&json!("data_loss"), &json!(segment))
    );
    let all_lost = recorded.get("clip.mp4", &range(1.0, 4.0)).await;
    assert_eq!(all_lost.expect(500)["error"]["segment"], segment);
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_cannot_be_are_refused_with_a_reason() {
    let recorded = Recorded::new().await;
    let message = |error: &Value| error["error"]["message"].as_str().unwrap().to_owned();
    for (query, word) in [
        (range(5.0, 2.0), "start is not before end"),
        (range(5.0, 5.0), "start is not before end"),
        (range(5.0, 21.0), "now it is 2024-05-01T12:00:00.000000Z"),
        (
            format!("start={}&end={}", at(30.0), at(40.0)),
            "lies in the future",
        ),
        (range(-86_400.0 * 8.0, 1.0), "longer than 7 days"),
        (range(-86_400.0, 1.0), "longer than the limit of 86400 s"),
        (format!("{}&wait_s=301", range(1.0, 2.0)), "more than 300"),
        (
            format!("{}&gap=keep", range(1.0, 2.0)),
            "\"gap\" is no parameter",
        ),
        ("end=now".to_owned(), "start is missing"),
    ] {
        for file in ["clip.mp4", "clip.json"] {
            let error = recorded.get(file, &query).await.expect(400);
            assert!(message(&error).contains(word), "{query}: {error}");
        }
    }
    let empty = recorded
        .get("clip.mp4", &range(-60.0, -50.0))
        .await
        .expect(404);
    assert_eq!(empty["error"]["nearest_after"], at(0.0));
    let path = format!("/v1/channels/999/clip.mp4?{}", range(1.0, 2.0));
    recorded
        .site
        .get(&recorded.channel.watch, &path)
        .await
        .expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_waits_for_what_is_about_to_be_recorded() {
    let site = Site::new().await;
    let first = ClipSpec {
        frames: 125,
        ..spec()
    };
    let channel = recorded(&site, "gate", &first).await;
    let path = format!(
        "/v1/channels/{}/clip.mp4?{}&wait_s=30",
        channel.id,
        range(4.0, 6.0)
    );
    let clip = site.get(&channel.watch, &path);
    let more = async {
        let later = ClipSpec {
            start: begin().plus_micros(5_000_000),
            ..first.clone()
        };
        let clip = tokio::task::spawn_blocking(move || later.encode().unwrap())
            .await
            .unwrap();
        let uri = format!("/v1/channels/{}/recordings?start={}", channel.id, at(5.0));
        let headers = [("authorization", channel.all.as_str())];
        site.send("POST", &uri, &headers, Body::from(file_of(&clip)))
            .await
            .expect(201);
    };
    // The present stands still, so the clip waits until the footage is there.
    site.clock.set(begin().plus_micros(6_000_000));
    let (clip, ()) = tokio::join!(clip, more);
    assert_eq!(clip.status, 200, "{:?}", clip.body);
    let shown: Vec<u32> = (100..125).chain(0..25).collect();
    assert_eq!(numbers(&clip.body).await, shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_footage_that_will_not_come() {
    let recorded = Recorded::new().await;
    // Twenty seconds are over since the end of what is there.
    recorded
        .site
        .clock
        .set(start_of_test().plus_micros(15_000_001));
    let clip = recorded
        .get("clip.mp4", &format!("{}&wait_s=300", range(14.0, 20.0)))
        .await;
    assert_eq!(clip.status, 200);
    let gap = format!("{}/{};unknown", at(15.0), at(20.0));
    assert_eq!(clip.header("framewell-gaps"), gap);
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_take_their_time_where_that_is_wanted() {
    let recorded = Recorded::new().await;
    let lost = segments(&recorded.site, recorded.channel.id).await;
    let later = ClipSpec {
        start: begin().plus_micros(-12_000_000),
        frames: 125,
        ..spec()
    };
    let clip = tokio::task::spawn_blocking(move || later.encode().unwrap())
        .await
        .unwrap();
    let uri = format!(
        "/v1/channels/{}/recordings?start={}",
        recorded.channel.id,
        at(-12.0)
    );
    let headers = [("authorization", recorded.channel.all.as_str())];
    let sent = recorded
        .site
        .send("POST", &uri, &headers, Body::from(file_of(&clip)));
    sent.await.expect(201);
    assert_eq!(lost.len(), 2);
    let query = format!("{}&gaps=keep", range(-10.0, 3.0));
    let info = recorded.get("clip.json", &query).await.expect(200);
    assert_eq!(info["gaps"][0]["start"], at(-7.0));
    let at_s = info["segments"][1]["at_s"].as_f64().unwrap();
    assert!((at_s - 10.0).abs() < 1e-4, "{info}");
    let clip = recorded.get("clip.mp4", &query).await;
    let shown: Vec<u32> = (50..125).chain(0..75).collect();
    assert_eq!(numbers(&clip.body).await, shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fragmented_clip_is_a_stream_without_a_length() {
    let recorded = Recorded::new().await;
    let query = format!("{}&fragmented=true", range(1.5, 4.0));
    let clip = recorded.get("clip.mp4", &query).await;
    assert_eq!(clip.status, 200, "{:?}", clip.body);
    assert_eq!(clip.header("content-length"), "");
    // From the key frame before the start on.
    assert_eq!(numbers(&clip.body).await, (25..100).collect::<Vec<_>>());
    // What a stream cannot keep is refused, not left undone.
    for option in ["strict=true", "gaps=keep"] {
        let refused = recorded.get("clip.mp4", &format!("{query}&{option}")).await;
        assert_eq!(refused.status, 400, "{option}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clip_of_an_event_has_what_the_channel_keeps_around_it() {
    let recorded = Recorded::new().await;
    let (site, channel) = (&recorded.site, &recorded.channel);
    let body = json!({"camid": channel.id, "name": "motion", "time": begin().plus_micros(6_000_000).to_naive_text()});
    let event = site
        .post(&channel.all, "/api/v2/storage/events/", &body)
        .await
        .expect(201);
    let path = |file: &str, query: &str| format!("/v1/events/{}/{file}?{query}", event["id"]);
    let info = site
        .get(&channel.watch, &path("clip.json", ""))
        .await
        .expect(200);
    assert_eq!(
        (&info["start"], &info["end"]),
        (&json!(at(1.0)), &json!(at(16.0)))
    );
    let rolls = json!({"pre_roll_s": 2.0, "post_roll_s": 3.0});
    let uri = format!("/v1/channels/{}/recording", channel.id);
    site.put(&channel.all, &uri, &rolls).await.expect(200);
    let clip = site.get(&channel.watch, &path("clip.mp4", "")).await;
    assert_eq!(numbers(&clip.body).await, (100..225).collect::<Vec<_>>());
    let clip = site
        .get(&channel.watch, &path("clip.mp4", "pre=1s&post=500ms"))
        .await;
    assert_eq!(numbers(&clip.body).await, (125..163).collect::<Vec<_>>());

    let future = site
        .get(&channel.watch, &path("clip.mp4", "post=1m"))
        .await
        .expect(400);
    assert!(
        future["error"]["message"]
            .as_str()
            .unwrap()
            .contains("now it is")
    );
    for query in ["pre=2h", "pre=soon", "pre=0&post=0", "prae=1s"] {
        site.get(&channel.watch, &path("clip.mp4", query))
            .await
            .expect(400);
    }
    let stranger = site.channel("other").await;
    site.get(&stranger.watch, &path("clip.mp4", ""))
        .await
        .expect(404);
    site.get(&channel.watch, "/v1/events/4711/clip.mp4")
        .await
        .expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_of_altered_footage_gets_no_signed_manifest() {
    let recorded = Recorded::new().await;
    let query = range(2.0, 12.0);
    let signed = recorded.get("clip.manifest.json", &query).await.expect(200);
    let clip = recorded.get("clip.mp4", &query).await;
    assert_eq!(signed["manifest"]["file"]["size"], clip.body.len());
    let text = signed.to_string();
    let (opened, _) = framewell_archive::manifest::open(&text, None).unwrap();
    let report = framewell_archive::manifest::check_file(&opened, &clip.body[..]).unwrap();
    assert_eq!((report.faults.len(), opened.segments.len()), (0, 2));

    let segment = segments(&recorded.site, recorded.channel.id)
        .await
        .remove(1);
    alter(&recorded.site, &segment).await;
    let refused = recorded.get("clip.manifest.json", &query).await.expect(409);
    assert_eq!(refused["error"]["segment"], segment.id.to_string());
    let other = range(2.0, 8.0);
    recorded.get("clip.manifest.json", &other).await.expect(200);
}

/// Changes the last byte of a segment's object behind the server's back; its length stays.
async fn alter(site: &Site, segment: &Segment) {
    let key = ObjectKey::Segment {
        channel: segment.channel,
        start: segment.range.start,
        id: segment.id,
    };
    let size = site.blobs.size(&key).await.unwrap();
    let mut bytes = site.blobs.get_range(&key, 0..size).await.unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    site.blobs.put_bytes(&key, bytes.into()).await.unwrap();
}
