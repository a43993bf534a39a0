//! A channel that records by event keeps what lies around its events, and nothing else.

use crate::cameras;
use crate::client::Api;
use crate::server::{Server, wait_for};
use crate::site::{ChannelKeys, acc, create_channel, wait_for_records, wait_for_status};
use framewell_model::WallTime;
use framewell_testkit::camera::Camera;
use framewell_testkit::stamp::read_stamp_jpeg;
use serde_json::{Value, json};

const SECOND_US: i64 = 1_000_000;

fn time(value: &Value) -> WallTime {
    let text = value.as_str().expect("a time");
    format!("{text}Z").parse().expect("a time")
}

/// Status of the picture at an instant, which carries the stamp of that instant.
async fn picture(server: &Server, channel: &ChannelKeys, at: WallTime) -> u16 {
    let path = format!("/v1/channels/{}/image?at={at}", channel.id);
    let answer = server
        .api(&format!("Bearer {}", channel.all))
        .get(&path)
        .await;
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

async fn happens(api: &Api, name: &str, at: WallTime) -> i64 {
    let event = json!({"name": name, "time": at.to_naive_text()});
    let event = api
        .post("/api/v2/storage/events/", &event)
        .await
        .expect(201);
    event["id"].as_i64().expect("an id")
}

/// A channel that keeps 2 s before an event called `door` and 2.5 s behind it, with more in its ring.
async fn channel_by_event(server: &Server, camera: &Camera) -> (ChannelKeys, String) {
    let channel = create_channel(server, "gate", camera).await;
    let native = server.api(&format!("Bearer {}", channel.all));
    let settings = format!("/v1/channels/{}/recording", channel.id);
    let wanted = json!({"rec_mode": "by_event", "pre_roll_s": 2, "post_roll_s": 2.5});
    native.put(&settings, &wanted).await.expect(200);
    wait_for_status(server, &channel, "active").await;
    wait_for("three seconds in the ring", 30, async || {
        let shown = native.get(&settings).await.expect(200);
        (shown["ring_s"].as_f64()? > 3.0 && shown["recording"] == false).then_some(())
    })
    .await;
    let processing = format!("/api/v2/cameras/{}/event_processing/events/", channel.id);
    let put = json!({"name": "door", "record": true});
    acc(server, &channel)
        .post(&processing, &put)
        .await
        .expect(201);
    (channel, settings)
}

/// From the key frame before the pre-roll to the first one behind the post-roll, without a hole.
fn assert_around(records: &[Value], at: WallTime) {
    let (first, last) = (&records[0], &records[records.len() - 1]);
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
    for pair in records.windows(2) {
        let hole_us = time(&pair[1]["start"]).micros_since(time(&pair[0]["end"]));
        assert!(hole_us.abs() <= cameras::ROUNDING_US, "{hole_us}");
    }
}

async fn tags(api: &Api, event: i64) -> Value {
    let path = format!("/api/v2/storage/events/{event}/?include_meta=true");
    api.get(&path).await.expect(200)["meta"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_with_record_makes_footage_with_what_was_before_it() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let (channel, settings) = channel_by_event(&server, &camera).await;
    let api = acc(&server, &channel);
    let native = server.api(&format!("Bearer {}", channel.all));
    // The channel recorded everything until its mode was changed.
    let before = wait_for_records(&server, &channel, 0).await.len();

    let ignored = happens(&api, "window", cameras::now()).await;
    let at = cameras::now();
    let event = happens(&api, "door", at).await;
    wait_for("the end of the recording", 30, async || {
        let shown = native.get(&settings).await.expect(200);
        let is_over = cameras::now().micros_since(at) > 4 * SECOND_US;
        (is_over && shown["recording"] == false).then_some(())
    })
    .await;
    let records = wait_for_records(&server, &channel, before + 2).await;
    assert_around(&records[before..], at);
    for shift in [-2_000_000, -500_000, 0, 2_400_000] {
        let at = at.plus_micros(shift);
        assert_eq!(picture(&server, &channel, at).await, 200, "{shift}");
    }
    for id in [ignored, event] {
        assert_eq!(
            tags(&api, id).await,
            json!({}),
            "all that was asked for is there"
        );
    }
    let past = happens(&api, "door", at.plus_micros(-3_600 * SECOND_US)).await;
    wait_for("a tag that says that nothing is kept", 10, async || {
        (tags(&api, past).await["recording"] == "none").then_some(())
    })
    .await;
    let (start, end) = (at.plus_micros(-SECOND_US), at.plus_micros(30 * SECOND_US));
    let timeline = format!(
        "/v1/channels/{}/timeline?start={start}&end={end}",
        channel.id
    );
    let timeline = native.get(&timeline).await.expect(200);
    assert_eq!(timeline["gaps"], json!([]), "nothing is missing behind it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_with_generate_images_gets_a_picture_for_each_of_its_seconds() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    let api = acc(&server, &channel);
    let processing = format!("/api/v2/cameras/{}/event_processing/events/", channel.id);
    let put = json!({"name": "door", "generate_images": true, "period": 3, "notify": false});
    api.post(&processing, &put).await.expect(201);
    // The first picture is there before the event.
    api.get("/api/v4/live/image/").await.expect(200);
    let at = cameras::now();
    happens(&api, "door", at).await;
    let images = wait_for("the pictures of the event", 30, async || {
        let path = "/api/v4/storage/images/?origin=generated_from_records&order_by=time";
        let page = api.get(path).await.expect(200);
        (page["meta"]["total_count"] == 3).then(|| page["objects"].clone())
    })
    .await;
    for (n, image) in (0..).zip(images.as_array().expect("a list")) {
        let early_us = at
            .plus_micros(n * SECOND_US)
            .micros_since(time(&image["time"]));
        let frame_us = SECOND_US / cameras::FPS;
        assert!(
            (-cameras::ROUNDING_US..=frame_us + cameras::ROUNDING_US).contains(&early_us),
            "picture {n} is {early_us} us early"
        );
    }
}
