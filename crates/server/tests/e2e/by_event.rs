//! A channel that records by event keeps what lies around its events, and nothing else.

use crate::cameras;
use crate::client::Api;
use crate::server::{Server, wait_for};
use crate::site::{acc, create_channel, wait_for_records, wait_for_status};
use framewell_model::WallTime;
use framewell_testkit::stamp::read_stamp_jpeg;
use serde_json::{Value, json};

const SECOND_US: i64 = 1_000_000;

fn time(value: &Value) -> WallTime {
    let text = value.as_str().expect("a time");
    format!("{text}Z").parse().expect("a time")
}

/// Status of the picture at an instant, which carries the stamp of that instant.
async fn picture(server: &Server, token: &str, channel: i64, at: WallTime) -> u16 {
    let path = format!("/v1/channels/{channel}/image?at={at}");
    let answer = server.api(&format!("Bearer {token}")).get(&path).await;
    if answer.status.is_success() {
        let stamp = read_stamp_jpeg(&answer.body).expect("a stamp");
        let late_us = at.micros_since(stamp.capture);
        let frame_us = SECOND_US / cameras::FPS;
        assert!(
            (-cameras::ROUNDING_US..=frame_us + cameras::ROUNDING_US).contains(&late_us),
            "{late_us}"
        );
    }
    answer.status.as_u16()
}

async fn happens(api: &Api, name: &str) -> (i64, WallTime) {
    let at = cameras::now();
    let event = json!({"name": name, "time": at.to_naive_text()});
    let event = api
        .post("/api/v2/storage/events/", &event)
        .await
        .expect(201);
    (event["id"].as_i64().expect("an id"), at)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_with_record_makes_footage_with_what_was_before_it() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let api = acc(&server, &channel);
    let native = server.api(&format!("Bearer {}", channel.all));
    let settings = format!("/v1/channels/{}/recording", channel.id);
    let wanted = json!({"rec_mode": "by_event", "pre_roll_s": 2, "post_roll_s": 2.5});
    native.put(&settings, &wanted).await.expect(200);
    wait_for_status(&server, &channel, "active").await;
    wait_for("three seconds in the ring", 30, async || {
        let shown = native.get(&settings).await.expect(200);
        (shown["ring_s"].as_f64()? > 3.0 && shown["recording"] == false).then_some(())
    })
    .await;
    let processing = format!("/api/v2/cameras/{}/event_processing/events/", channel.id);
    let put = json!({"name": "door", "record": true});
    api.post(&processing, &put).await.expect(201);
    let before = wait_for_records(&server, &channel, 0).await;

    let (ignored, _) = happens(&api, "window").await;
    let (event, at) = happens(&api, "door").await;
    wait_for("the end of the recording", 30, async || {
        let shown = native.get(&settings).await.expect(200);
        let is_over = cameras::now().micros_since(at) > 4 * SECOND_US;
        (is_over && shown["recording"] == false).then_some(())
    })
    .await;
    let records = wait_for_records(&server, &channel, before.len() + 2).await;
    // The channel recorded everything until its mode was changed.
    let ours: Vec<&Value> = records[before.len()..].iter().collect();
    let (first, last) = (ours[0], ours[ours.len() - 1]);
    let early_us = at.micros_since(time(&first["start"]));
    assert!(
        (2 * SECOND_US..3 * SECOND_US + 200_000).contains(&early_us),
        "{early_us}"
    );
    let late_us = time(&last["end"]).micros_since(at);
    assert!(
        (5 * SECOND_US / 2..7 * SECOND_US / 2 + 200_000).contains(&late_us),
        "{late_us}"
    );
    for pair in ours.windows(2) {
        let hole_us = time(&pair[1]["start"]).micros_since(time(&pair[0]["end"]));
        assert!(hole_us.abs() <= cameras::ROUNDING_US, "{hole_us}");
    }
    for shift in [-2_000_000, -500_000, 0, 2_400_000] {
        let at = at.plus_micros(shift);
        assert_eq!(
            picture(&server, &channel.all, channel.id, at).await,
            200,
            "{shift}"
        );
    }
    for id in [ignored, event] {
        let shown = api
            .get(&format!("/api/v2/storage/events/{id}/?include_meta=true"))
            .await
            .expect(200);
        assert_eq!(shown["meta"], json!({}), "all that was asked for is there");
    }
    let past = json!({"name": "door", "time": at.plus_micros(-3_600 * SECOND_US).to_naive_text()});
    let past = api.post("/api/v2/storage/events/", &past).await.expect(201);
    wait_for("a tag that says that nothing is kept", 10, async || {
        let path = format!("/api/v2/storage/events/{}/?include_meta=true", past["id"]);
        let shown = api.get(&path).await.expect(200);
        (shown["meta"]["recording"] == "none").then_some(())
    })
    .await;
    let range = format!(
        "start={}&end={}",
        at.plus_micros(-SECOND_US),
        at.plus_micros(30 * SECOND_US)
    );
    let timeline = native
        .get(&format!("/v1/channels/{}/timeline?{range}", channel.id))
        .await
        .expect(200);
    assert_eq!(timeline["gaps"], json!([]), "nothing is missing behind it");
}
