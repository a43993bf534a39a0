//! Lines 15, 16 and 26: pictures out of recordings and of the live stream, stored and listed.

use super::{
    assert_no_zones, assert_vxg_error, inner_token, objects, on_both_databases, text, time,
};
use crate::cameras::{self, FPS, ROUNDING_US};
use crate::client::Api;
use crate::server::{Server, wait_for};
use crate::site::{ChannelKeys, acc, create_channel, create_group, wait_for_records};
use framewell_model::WallTime;
use framewell_testkit::camera::Camera;
use framewell_testkit::stamp::{Stamp, read_stamp_jpeg};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const TASKS: &str = "/api/v4/images/generation/tasks/";
const LIVE: &str = "/api/v4/images/generation/live/";
const IMAGES: &str = "/api/v4/storage/images/";
const THUMBNAILS: &str = "/api/v2/storage/thumbnails/";
const FRAME_US: i64 = 1_000_000 / FPS;
const THUMBNAIL_US: i64 = 2_000_000;

/// A recording camera on a server that makes a thumbnail every 2 s.
struct Site {
    server: Server,
    _camera: Camera,
    channel: ChannelKeys,
    records: Vec<Value>,
}

impl Site {
    async fn new(database: &str) -> Self {
        let images = "images = { thumbnail_period_s = 2.0, thumbnail_width = 160 }";
        let server = Server::start_with(&format!("{database}\n{images}")).await;
        let camera = cameras::h264().await;
        let channel = create_channel(&server, "gate", &camera).await;
        let records = wait_for_records(&server, &channel, 4).await;
        Self {
            server,
            _camera: camera,
            channel,
            records,
        }
    }

    fn acc(&self) -> Api {
        acc(&self.server, &self.channel)
    }

    fn watcher(&self) -> Api {
        self.server.api(&format!("Acc {}", self.channel.watch))
    }

    /// A moment after the start of the first record, between two pictures.
    fn at(&self, us: i64) -> WallTime {
        time(&self.records[0]["start"]).plus_micros(us + 37_000)
    }

    /// Opens a picture as `<img src>` does and reads its stamp, which has to say what the list says.
    async fn open(&self, image: &Value) -> Stamp {
        let file = self.server.api("").get(text(&image["url"])).await;
        file.expect_ok();
        assert_eq!(file.header("content-type"), "image/jpeg");
        assert_eq!(image["size"].as_u64(), Some(file.body.len() as u64));
        let stamp = read_stamp_jpeg(&file.body).expect("a stamp");
        let off_us = time(&image["time"]).micros_since(stamp.capture);
        assert!(off_us.abs() <= ROUNDING_US, "{image} shows {stamp:?}");
        stamp
    }
}

/// Asks for a task and waits until it has ended.
async fn run_task(api: &Api, body: &Value) -> Value {
    let created = api.post(TASKS, body).await.expect(201);
    assert!(created["id"].as_i64() >= Some(1), "{created}");
    assert_no_zones(&created);
    let path = format!("{TASKS}{}/", created["id"]);
    wait_for("the task to end", 60, async || {
        let task = api.get(&path).await.expect(200);
        (task["status"] != "pending").then_some(task)
    })
    .await
}

on_both_databases! {
    async fn lines_15_16_and_26_pictures_are_made_stored_and_listed(database: &str) {
        let site = Site::new(database).await;
        line_15_a_task_gives_the_pictures_of_its_instants(&site).await;
        line_15_gaps_are_skipped_and_nothing_at_all_is_an_error(&site).await;
        line_16_live_pictures_come_until_null(&site).await;
        thumbnails_follow_the_recording(&site).await;
        previews_show_the_newest_picture(&site).await;
        line_26_a_watch_token_reads_and_makes_nothing(&site).await;
    }
}

async fn line_15_a_task_gives_the_pictures_of_its_instants(site: &Site) {
    let (start, end) = (site.at(0), site.at(4_000_000));
    let body = json!({
        "period": "0.5",
        "start": start.to_naive_text(),
        "end": end.to_naive_text(),
    });
    let task = run_task(&site.acc(), &body).await;
    assert_eq!(task["status"], "done", "{task}");
    assert_eq!(
        (&task["images"], &task["failed_images"]),
        (&json!(8), &json!(0))
    );
    // As the vendor's page asks: with the range of the task, before which its first picture was taken.
    let query = format!(
        "origin=generated_from_records&origin_ids={}&limit=1000&order_by=-time&start={}&end={}",
        task["id"],
        start.to_naive_text(),
        end.to_naive_text(),
    );
    let list = site
        .acc()
        .get(&format!("{IMAGES}?{query}"))
        .await
        .expect(200);
    assert_no_zones(&list);
    assert_eq!(list["meta"]["total_count"], 8);
    for (step, image) in objects(&list).iter().rev().enumerate() {
        assert!(text(&image["url"]).contains("_recig_"), "{image}");
        assert_eq!(
            (&image["width"], &image["height"]),
            (&json!(480), &json!(270))
        );
        assert_eq!(image["camid"], site.channel.id);
        let asked = start.plus_micros(500_000 * i64::try_from(step).expect("small"));
        let behind_us = asked.micros_since(site.open(image).await.capture);
        assert!(
            (0..=FRAME_US).contains(&behind_us),
            "{behind_us} us at {asked}"
        );
    }
    // Nobody else's number finds them.
    let other = site
        .acc()
        .get(&format!("{IMAGES}?origin_ids=999999"))
        .await
        .expect(200);
    assert_eq!(other["meta"]["total_count"], 0);
    let one = format!("{IMAGES}{}/", objects(&list)[0]["id"]);
    assert_eq!(site.acc().delete(&one).await.status, 204);
    let left = site
        .acc()
        .get(&format!("{IMAGES}?{query}"))
        .await
        .expect(200);
    assert_eq!(left["meta"]["total_count"], 7);
}

async fn line_15_gaps_are_skipped_and_nothing_at_all_is_an_error(site: &Site) {
    let first = time(&site.records[0]["start"]);
    let range = |from_us: i64, to_us: i64| {
        json!({
            "period": 1,
            "start": first.plus_micros(from_us + 37_000).to_naive_text(),
            "end": first.plus_micros(to_us).to_naive_text(),
        })
    };
    let partly = run_task(&site.acc(), &range(-5_000_000, 3_000_000)).await;
    assert_eq!(
        (&partly["status"], &partly["images"]),
        (&json!("done"), &json!(3)),
        "{partly}"
    );
    let nothing = run_task(&site.acc(), &range(-50_000_000, -40_000_000)).await;
    assert_eq!(
        (&nothing["status"], &nothing["images"]),
        (&json!("error"), &json!(0))
    );
    assert!(text(&nothing["error"]).contains("no footage"), "{nothing}");
}

async fn line_16_live_pictures_come_until_null(site: &Site) {
    let api = site.acc();
    let period = async |value: Value| {
        let body = json!({"image_generation_period": value});
        api.put(LIVE, &body).await.expect(200)["image_generation_period"].clone()
    };
    let started = cameras::now();
    assert_eq!(period(json!("0.5")).await, 0.5);
    let group = site.server.api(&format!(
        "SI {}",
        create_group(&site.server, &[&site.channel]).await
    ));
    // As the vendor's sample does: the date and the time with a space between them, sent as `+`.
    let spaced = |at: WallTime| at.to_naive_text().replace('T', "+").replace(':', "%3A");
    let images = wait_for("four live pictures", 30, async || {
        let (from, to) = (spaced(started), spaced(cameras::now()));
        let query = format!("origin=generated_from_live&order_by=-time&start={from}&end={to}");
        let list = group
            .get(&format!("{THUMBNAILS}?{query}"))
            .await
            .expect(200);
        (objects(&list).len() >= 4).then(|| objects(&list).to_vec())
    })
    .await;
    assert_eq!(period(Value::Null).await, Value::Null);
    let stopped = cameras::now();
    let mut frames = BTreeSet::new();
    for image in &images {
        assert!(text(&image["url"]).contains("_livig_"), "{image}");
        assert_eq!(image["camid"], site.channel.id);
        frames.insert(site.open(image).await.frame);
    }
    assert_eq!(frames.len(), images.len(), "every picture is another one");
    // The recording goes on for three seconds, the pictures do not.
    let quiet = stopped.plus_micros(1_500_000);
    wait_for("more footage", 30, async || {
        let records = wait_for_records(&site.server, &site.channel, 1).await;
        let newest = time(&records.last().expect("records")["end"]);
        (newest > quiet.plus_micros(1_500_000)).then_some(())
    })
    .await;
    let query = format!("origin=generated_from_live&start={}", quiet.to_naive_text());
    let after = api.get(&format!("{IMAGES}?{query}")).await.expect(200);
    assert_eq!(after["meta"]["total_count"], 0, "{after}");
}

async fn thumbnails_follow_the_recording(site: &Site) {
    let thumbnails = wait_for("three thumbnails", 40, async || {
        let path = format!("{IMAGES}?origin=recording_thumbnail&limit=75");
        let list = site.acc().get(&path).await.expect(200);
        (objects(&list).len() >= 3).then(|| objects(&list).to_vec())
    })
    .await;
    let mut slots = BTreeSet::new();
    let mut residues = BTreeSet::new();
    for image in &thumbnails {
        assert_eq!(
            (&image["width"], &image["height"]),
            (&json!(160), &json!(90))
        );
        // The key frame on screen at a whole multiple of the period.
        let at = time(&image["time"]).micros();
        let slot = (at + THUMBNAIL_US - 1).div_euclid(THUMBNAIL_US);
        assert!(slot * THUMBNAIL_US - at <= 1_000_000 + FRAME_US, "{image}");
        slots.insert(slot);
        // Too small for its stamp to be read: the recording tells which frame was captured then.
        let path = format!(
            "/v1/channels/{}/image?at={}Z",
            site.channel.id,
            text(&image["time"])
        );
        let api = site.server.api(&format!("Bearer {}", site.channel.watch));
        let full = api.get(&path).await;
        full.expect_ok();
        let stamp = read_stamp_jpeg(&full.body).expect("a stamp");
        assert_eq!(
            stamp.capture.micros_since(time(&image["time"])).abs() / ROUNDING_US,
            0
        );
        residues.insert(stamp.frame % 10);
    }
    assert_eq!(slots.len(), thumbnails.len(), "one per period");
    let (first, last) = (slots.first().copied(), slots.last().copied());
    let span = last.zip(first).map(|(last, first)| last - first + 1);
    assert_eq!(span, i64::try_from(slots.len()).ok(), "none is left out");
    assert_eq!(
        residues.len(),
        1,
        "all of them are key frames: {residues:?}"
    );
}

async fn previews_show_the_newest_picture(site: &Site) {
    let path = format!("/api/v2/cameras/{}/preview/", site.channel.id);
    let asked = cameras::now();
    let token = inner_token(&site.channel.watch);
    let preview = site
        .server
        .api("")
        .get(&format!("{path}?token={token}"))
        .await
        .expect(200);
    let updated = site
        .acc()
        .post(&format!("{path}update/"), &json!({}))
        .await
        .expect(200);
    let live = site.watcher().get("/api/v4/live/image/").await.expect(200);
    for picture in [&preview, &updated, &live] {
        assert_eq!(
            (&picture["width"], &picture["height"]),
            (&json!(480), &json!(270))
        );
        assert!(
            time(&picture["time"]) > asked.plus_micros(-3_000_000),
            "{picture}"
        );
        let file = site.server.api("").get(text(&picture["url"])).await;
        file.expect_ok();
        let stamp = read_stamp_jpeg(&file.body).expect("a stamp");
        let off_us = time(&picture["time"]).micros_since(stamp.capture);
        assert!(off_us.abs() <= ROUNDING_US, "{picture} shows {stamp:?}");
    }
}

async fn line_26_a_watch_token_reads_and_makes_nothing(site: &Site) {
    let watcher = site.watcher();
    for path in [TASKS, LIVE, IMAGES, THUMBNAILS] {
        watcher.get(path).await.expect(200);
    }
    let list = watcher.get(&format!("{IMAGES}?limit=1")).await.expect(200);
    let one = format!("{IMAGES}{}/", objects(&list)[0]["id"]);
    watcher.get(&one).await.expect(200);
    let body = json!({"period": 1, "start": "2024-05-01T10:00:00", "end": "2024-05-01T11:00:00"});
    let period = json!({"image_generation_period": 1});
    let update = format!("/api/v2/cameras/{}/preview/update/", site.channel.id);
    for refused in [
        watcher.post(TASKS, &body).await,
        watcher.put(LIVE, &period).await,
        watcher.post(&update, &json!({})).await,
        watcher.delete(&one).await,
    ] {
        assert_vxg_error(&refused, 403);
    }
}
