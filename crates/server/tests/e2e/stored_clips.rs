//! Stored clips when things go wrong: `kill -9` in the middle of jobs, and a store that is away.

use crate::cameras;
use crate::contract::clips::{body, check_file, done, files};
use crate::main_job::naive_time;
use crate::server::{Server, wait_for};
use crate::site::{acc, create_channel, wait_for_records};
use framewell_model::WallTime;

const V4: &str = "/api/v4/clips/";
/// More than are made at once, so that the kill finds some that wait and some that work.
const COUNT: usize = 24;

#[tokio::test(flavor = "multi_thread")]
async fn clips_that_a_kill_interrupts_are_finished_and_leave_nothing_else_behind() {
    let mut server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 3).await;
    let start = naive_time(&records[0]["start"]).plus_micros(37_000);
    let range = |number: usize| -> (WallTime, WallTime) {
        let number = i64::try_from(number).expect("a small number");
        (start, start.plus_micros(2_000_000 + number * 100_000))
    };
    let api = acc(&server, &channel);
    let mut clips = Vec::new();
    for number in 0..COUNT {
        let (start, end) = range(number);
        clips.push(api.post(V4, &body(start, end)).await.expect(201));
    }
    wait_for("an object", 20, async || (files(&server) > 0).then_some(())).await;
    server.kill_9();
    server.restart().await;

    let api = acc(&server, &channel);
    let list = api.get(&format!("{V4}?limit=100")).await.expect(200);
    let pending = list["objects"].as_array().expect("a list").iter();
    let pending = pending.filter(|clip| clip["status"] == "pending").count();
    assert!(
        pending > 0,
        "the clips were too fast to be killed in the middle"
    );
    for (number, clip) in clips.iter().enumerate() {
        let clip = done(&api, clip).await;
        if number % 6 == 0 {
            let (start, end) = range(number);
            check_file(&clip, start, end).await;
        }
    }
    assert_eq!(
        files(&server),
        2 * COUNT,
        "a file and a thumbnail each, and no partial ones"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_made_when_the_store_is_back() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 2).await;
    let start = naive_time(&records[0]["start"]).plus_micros(37_000);
    let end = start.plus_micros(1_000_000);
    // Nothing can be written where a file stands in the way.
    let folder = server.data_dir().join("objects/clip");
    std::fs::write(&folder, b"").expect("written");
    let api = acc(&server, &channel);
    let clip = api.post(V4, &body(start, end)).await.expect(201);
    wait_for("a failed attempt", 20, async || {
        server
            .log()
            .contains("a clip will be tried again")
            .then_some(())
    })
    .await;
    let path = format!("{V4}{}/", clip["id"]);
    assert_eq!(api.get(&path).await.expect(200)["status"], "pending");
    std::fs::remove_file(&folder).expect("removed");
    check_file(&done(&api, &clip).await, start, end).await;
}
