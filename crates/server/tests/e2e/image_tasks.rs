//! `kill -9` in the middle of an image generation task: the task goes on where it was, and its pictures
//! are exactly those that were asked for.

use crate::cameras::{self, FPS, ROUNDING_US};
use crate::client::Api;
use crate::main_job::naive_time;
use crate::server::{Server, wait_for};
use crate::site::{acc, create_channel, wait_for_records};
use framewell_testkit::postgres::TestDatabase;
use framewell_testkit::s3::TestBucket;
use framewell_testkit::stamp::read_stamp_jpeg;
use serde_json::{Value, json};

const TASKS: &str = "/api/v4/images/generation/tasks/";

/// Pictures asked for.
const COUNT: i64 = 100;
/// Pictures stored when the server is killed, at least.
const BEFORE: i64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_task_ends_with_exactly_its_pictures_on_sqlite_and_files() {
    check("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_task_ends_with_exactly_its_pictures_on_postgres_and_s3() {
    let database = TestDatabase::create().expect("a database");
    let bucket = TestBucket::create().expect("a bucket");
    check(&format!(
        "database_url = {:?}\ns3 = {{ bucket = {:?}, endpoint = {:?}, access_key = \"me\", secret_key = \"hunter2\" }}",
        database.url(),
        bucket.name,
        bucket.endpoint
    ))
    .await;
}

async fn pictures(api: &Api, task: &Value) -> Value {
    let query = format!("origin_ids={}&limit=1000", task["id"]);
    let path = format!("/api/v4/storage/images/?{query}");
    api.get(&path).await.expect(200)
}

async fn check(config: &str) {
    let config = format!("{config}\nimages = {{ thumbnail_period_s = 0 }}");
    let mut server = Server::start_with(&config).await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 6).await;
    let start = naive_time(&records[0]["start"]).plus_micros(37_000);
    // Every picture of the recording, each asked for between it and the next one.
    let end = start.plus_micros(COUNT * 1_000_000 / FPS);
    let api = acc(&server, &channel);
    let body = json!({
        "period": "0.1",
        "start": start.to_naive_text(),
        "end": end.to_naive_text(),
    });
    let task = api.post(TASKS, &body).await.expect(201);
    let path = format!("{TASKS}{}/", task["id"]);
    let stored = loop {
        let stored = pictures(&api, &task).await["meta"]["total_count"].as_i64();
        if stored >= Some(BEFORE) {
            break stored;
        }
    };
    server.kill_9();
    assert!(
        stored < Some(COUNT),
        "the task was too fast to be killed in the middle"
    );
    server.restart().await;

    let api = acc(&server, &channel);
    let resumed = api.get(&path).await.expect(200);
    assert_eq!(
        resumed["status"], "pending",
        "its lease is still that of the dead process"
    );
    let done = wait_for("the task to end", 90, async || {
        let task = api.get(&path).await.expect(200);
        (task["status"] != "pending").then_some(task)
    })
    .await;
    assert_eq!(
        (&done["status"], &done["images"]),
        (&json!("done"), &json!(COUNT)),
        "{done}"
    );

    let list = pictures(&api, &task).await;
    assert_eq!(list["meta"]["total_count"], COUNT);
    check_frames(&server, &list).await;
}

/// Each picture shows the stamp of its time, and they are consecutive.
async fn check_frames(server: &Server, list: &Value) {
    let mut frames = Vec::new();
    for image in list["objects"].as_array().expect("a list") {
        let file = server
            .api("")
            .get(image["url"].as_str().expect("a URL"))
            .await;
        file.expect_ok();
        let stamp = read_stamp_jpeg(&file.body).expect("a stamp");
        let off_us = naive_time(&image["time"]).micros_since(stamp.capture);
        assert!(off_us.abs() <= ROUNDING_US, "{image} shows {stamp:?}");
        frames.push(stamp.frame);
    }
    let first = frames[0];
    let expected: Vec<u32> = (first..).take(frames.len()).collect();
    assert_eq!(frames, expected, "each picture once, none left out");
}
