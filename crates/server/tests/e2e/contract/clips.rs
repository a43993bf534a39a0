//! Line 17: stored clips.

use super::{assert_no_zones, assert_vxg_error, objects, on_both_databases, text, time};
use crate::cameras::{self, FPS, ROUNDING_US};
use crate::client::Api;
use crate::server::{Server, files_below, wait_for};
use crate::site::{ChannelKeys, acc, create_channel, wait_for_records};
use crate::tools::{assert_consecutive, ffprobe, stamps_of};
use framewell_model::WallTime;
use framewell_testkit::stamp::read_stamp_jpeg;
use serde_json::{Value, json};

const V2: &str = "/api/v2/storage/clips/";
const V4: &str = "/api/v4/clips/";
const FRAME_US: i64 = 1_000_000 / FPS;

/// Polls a clip until it is no longer pending.
pub(crate) async fn ended(api: &Api, clip: &Value) -> Value {
    let path = format!("{V4}{}/", clip["id"]);
    wait_for("the clip to end", 60, async || {
        let clip = api.get(&path).await.expect(200);
        (clip["status"] != "pending").then_some(clip)
    })
    .await
}

/// A clip that is done, with both URLs.
pub(crate) async fn done(api: &Api, clip: &Value) -> Value {
    let clip = ended(api, clip).await;
    assert_eq!(clip["status"], "done", "{clip}");
    assert!(
        clip["url"].is_string() && clip["thumb"]["url"].is_string(),
        "{clip}"
    );
    clip
}

pub(crate) fn body(start: WallTime, end: WallTime) -> Value {
    json!({"title": "at the gate", "start": start.to_naive_text(), "end": end.to_naive_text()})
}

/// The file shows the very pictures that were on screen from `start` to `end`.
pub(crate) async fn check_file(clip: &Value, start: WallTime, end: WallTime) {
    let stamps = stamps_of(text(&clip["url"]), &[], 10_000).await;
    assert_consecutive(&stamps);
    let (first, last) = (stamps[0].capture, stamps[stamps.len() - 1].capture);
    assert!(
        (-ROUNDING_US..=FRAME_US + ROUNDING_US).contains(&start.micros_since(first)),
        "asked for {start}, begins with {first}"
    );
    assert!(
        (-ROUNDING_US..=FRAME_US + ROUNDING_US).contains(&end.micros_since(last)),
        "asked up to {end}, ends with {last}"
    );
}

async fn urls_open_the_file_and_its_thumbnail(server: &Server, clip: &Value, start: WallTime) {
    let open = server.api("");
    let url = text(&clip["url"]);
    let whole = open.get(url).await;
    whole.expect_ok();
    assert_eq!(whole.header("content-type"), "video/mp4");
    assert_eq!(json!(whole.body.len()), clip["size"]);
    let probed = ffprobe(url, &[]);
    let seconds: f64 = text(&probed["format"]["duration"])
        .parse()
        .expect("seconds");
    let stated = clip["duration"].as_f64().expect("seconds");
    assert!(
        (seconds - stated).abs() < 0.2,
        "{seconds} s, {stated} s stated"
    );
    let head = open.send("HEAD", url, &[], None).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), clip["size"].to_string());
    let part = open
        .send("GET", url, &[("Range", "bytes=-100")], None)
        .await;
    assert_eq!(part.status.as_u16(), 206);
    assert_eq!(part.body[..], whole.body[whole.body.len() - 100..]);
    let known = [("If-None-Match", whole.header("etag"))];
    assert_eq!(
        open.send("GET", url, &known, None).await.status.as_u16(),
        304
    );
    let thumb = open.get(text(&clip["thumb"]["url"])).await;
    thumb.expect_ok();
    assert_eq!(thumb.header("content-type"), "image/jpeg");
    let stamp = read_stamp_jpeg(&thumb.body).expect("a stamp");
    let late_us = start.micros_since(stamp.capture);
    assert!(
        (-ROUNDING_US..=FRAME_US + ROUNDING_US).contains(&late_us),
        "{late_us}"
    );
    // One ticket opens one thing.
    let (path, ticket) = url.split_once('?').expect("a ticket");
    let other = path.replace(".mp4", ".jpg");
    assert_vxg_error(&open.get(&format!("{other}?{ticket}")).await, 401);
    assert_vxg_error(&open.get(path).await, 401);
}

async fn a_range_without_footage_ends_in_error(api: &Api) {
    let old = body(
        WallTime::from_secs(1_000_000_000),
        WallTime::from_secs(1_000_000_060),
    );
    let clip = api.post(V4, &old).await.expect(201);
    let clip = ended(api, &clip).await;
    assert_eq!(clip["status"], "error");
    assert!(text(&clip["error"]).contains("no footage"), "{clip}");
    let end = cameras::now().plus_micros(60_000_000);
    assert_vxg_error(&api.post(V4, &body(cameras::now(), end)).await, 400);
}

async fn a_range_in_the_future_is_waited_for(server: &Server, channel: &ChannelKeys) {
    let api = acc(server, channel);
    let start = cameras::now();
    let end = start.plus_micros(3_000_000);
    let mut body = body(start, end);
    body["wait_for_data"] = json!(true);
    body["camid"] = json!(channel.id);
    let clip = api.post(V2, &body).await.expect(201);
    assert_eq!(clip["status"], "pending");
    check_file(&done(&api, &clip).await, start, end).await;
}

async fn a_sharing_shows_the_clip_without_a_login(server: &Server, api: &Api, clip: &Value) {
    let expire = cameras::now().plus_micros(3_600_000_000);
    let path = format!("{V2}{}/sharings/", clip["id"]);
    let share = api
        .post(&path, &json!({"expire": expire.to_naive_text()}))
        .await;
    let share = share.expect(201);
    let path = format!("{V2}{}/?token={}", clip["id"], text(&share["token"]));
    let shown = server.api("").get(&path).await.expect(200);
    assert_eq!(
        (&shown["status"], &shown["id"]),
        (&json!("done"), &clip["id"])
    );
    server.api("").get(text(&shown["url"])).await.expect_ok();
}

/// Objects of clips in the data folder.
pub(crate) fn files(server: &Server) -> usize {
    files_below(&server.data_dir().join("objects/clip")).len()
}

on_both_databases! {
    async fn line_17_clips_are_stored_played_shared_and_deleted(database: &str) {
        let server = Server::start_with(database).await;
        let camera = cameras::h264().await;
        let channel = create_channel(&server, "a", &camera).await;
        let records = wait_for_records(&server, &channel, 3).await;
        let api = acc(&server, &channel);
        let start = time(&records[0]["start"]).plus_micros(337_000);
        let end = start.plus_micros(3_000_000);
        let clip = api.post(V4, &body(start, end)).await.expect(201);
        assert!(clip["id"].as_i64() >= Some(1), "{clip}");
        let clip = done(&api, &clip).await;
        assert_no_zones(&clip);
        urls_open_the_file_and_its_thumbnail(&server, &clip, start).await;
        check_file(&clip, start, end).await;
        a_range_without_footage_ends_in_error(&api).await;
        a_range_in_the_future_is_waited_for(&server, &channel).await;
        a_sharing_shows_the_clip_without_a_login(&server, &api, &clip).await;
        // A clip outlives the footage that it was copied from.
        for record in &records {
            let path = format!("/api/v4/storage/records/{}/", record["id"]);
            assert_eq!(api.delete(&path).await.status.as_u16(), 204);
        }
        check_file(&clip, start, end).await;
        let list = api.get(&format!("{V4}?order_by=-created&limit=10&offset=0")).await.expect(200);
        assert_eq!(objects(&list).len(), 3, "{list}");
        // Deleted by hand, without a slash as one client does, and by time.
        let path = format!("{V4}{}", clip["id"]);
        assert_eq!(api.delete(&path).await.expect(204), Value::Null);
        assert_vxg_error(&api.get(&path).await, 404);
        assert_vxg_error(&server.api("").get(text(&clip["url"])).await, 404);
        let soon = cameras::now().plus_micros(2_000_000).to_naive_text();
        let last = format!("{V4}{}/", objects(&list)[0]["id"]);
        api.put(&last, &json!({"title": "b", "delete_at": soon})).await.expect(200);
        wait_for("the clip to expire", 10, async || {
            (api.get(&last).await.status.as_u16() == 404).then_some(())
        }).await;
        wait_for("the objects to be deleted", 60, async || (files(&server) == 0).then_some(())).await;
    }
}
