//! Lines 21 and 22: events, and what channels do on them.

use super::{
    assert_no_zones, assert_vxg_error, inner_token, nowhere, objects, on_both_databases, text, time,
};
use crate::cameras;
use crate::client::Api;
use crate::server::{Server, wait_for};
use crate::site::{
    ChannelKeys, acc, create_channel, create_channel_from, create_group, wait_for_status,
};
use framewell_testkit::camera::Notification;
use framewell_testkit::stamp::read_stamp_jpeg;
use serde_json::{Value, json};
use std::time::Duration;

const EVENTS: &str = "/api/v2/storage/events/";

async fn create(api: &Api, body: &Value) -> i64 {
    let created = api.post(EVENTS, body).await.expect(201);
    created["id"].as_i64().expect("an id")
}

/// Ids of the events that a query finds; no member is null, and the total is theirs.
async fn found(api: &Api, query: &str) -> Vec<i64> {
    let page = api
        .get(&format!("{EVENTS}?limit=1000&{query}"))
        .await
        .expect(200);
    assert_no_zones(&page["objects"]);
    assert_eq!(page["meta"]["total_count"], objects(&page).len());
    for object in objects(&page) {
        let members = object.as_object().expect("an object");
        assert!(members.values().all(|value| !value.is_null()), "{object}");
    }
    objects(&page)
        .iter()
        .map(|object| object["id"].as_i64().expect("an id"))
        .collect()
}

/// The event once it has its picture.
async fn with_thumb(api: &Api, id: i64) -> Value {
    wait_for("the picture of an event", 20, async || {
        let event = api
            .get(&format!("{EVENTS}{id}/?include_meta=true"))
            .await
            .expect(200);
        event["thumb"].is_object().then_some(event)
    })
    .await
}

fn processing_of(channel: &ChannelKeys) -> String {
    format!("/api/v2/cameras/{}/event_processing/events/", channel.id)
}

on_both_databases! {
    async fn line_21_filters_tags_and_totals(database: &str) {
        let server = Server::start_with(database).await;
        // Without a source: a camera that cannot be reached makes events of its own.
        let channel = create_channel_from(&server, "a", &Value::Null).await;
        let other = create_channel_from(&server, "b", &Value::Null).await;
        let api = acc(&server, &channel);
        let late = json!({"name": "facedetection", "time": "2024-05-01T10:00:03", "meta": {"Person": 2}});
        let late = create(&api, &late).await;
        let early = json!({"camid": channel.id, "name": "motion", "time": "2024-05-01 10:00:01.5"});
        let early = create(&api, &early).await;
        let foreign = create(&acc(&server, &other), &json!({"name": "motion", "time": "2024-05-01T10:00:02"})).await;
        assert_eq!(found(&api, "").await, [early, late]);
        assert_eq!(found(&api, "events=motion,facedetection&order_by=-time").await, [late, early]);
        assert_eq!(found(&api, "type=facedetection").await, [late]);
        assert_eq!(found(&api, "start=2024-05-01T10:00:01.500&end=2024-05-01T10:00:02").await, [early]);
        let group = create_group(&server, &[&channel, &other]).await;
        let engine = server.api(&format!("SI {group}"));
        assert_eq!(found(&engine, "events=motion").await, [early, foreign]);
        assert_eq!(found(&engine, &format!("camid={}", other.id)).await, [foreign]);
        assert_vxg_error(&api.get(&format!("{EVENTS}?camid={}", other.id)).await, 404);

        // What the face search does, with nothing but the inner token in the query.
        let token = format!("token={}", inner_token(&channel.all));
        let open = server.api("");
        let poll = format!("type=facedetection&meta_not=a_processing,a_processed&{token}");
        assert_eq!(found(&open, &poll).await, [late]);
        let tags = format!("{EVENTS}{late}/meta/");
        let tag = json!({"tag": "a_processing", "data": ""});
        for _ in 0..2 {
            let made = open.post(&format!("{tags}?{token}"), &tag).await;
            assert!(made.status.is_success() && made.json().is_object(), "{made:?}");
        }
        assert_eq!(found(&open, &poll).await, [0; 0]);
        assert_eq!(found(&open, &format!("meta=a_processing,other&{token}")).await, [late]);
        let gone = open.delete(&format!("{tags}a_processing?{token}")).await;
        assert!(gone.status.is_success(), "{gone:?}");
        assert_vxg_error(&open.delete(&format!("{tags}a_processing?{token}")).await, 404);
        let detail = open.get(&format!("{EVENTS}{late}/?include_meta=true&{token}")).await.expect(200);
        assert_eq!(detail["meta"], json!({"Person": "2"}));
        assert_eq!(found(&open, &poll).await, [late]);
    }

    async fn line_22_processing_and_trigger(database: &str) {
        let server = Server::start_with(database).await;
        let channel = create_channel_from(&server, "a", &nowhere()).await;
        let api = acc(&server, &channel);
        let path = processing_of(&channel);
        let custom = json!({"name": "motion_detection", "notify": true});
        let made = api.post(&path, &custom).await;
        assert!(made.status.is_success() && made.json().is_object(), "{made:?}");
        let token = inner_token(&channel.all);
        let motion = format!("{path}motion/?token={token}");
        let set = server.api("").put(&motion, &json!({"record": true, "snapshot": true})).await.expect(200);
        assert_eq!((&set["record"], &set["snapshot"]), (&json!(true), &json!(true)));
        assert_eq!(api.get(&motion).await.expect(200), set);
        let listed = api.get(&path).await.expect(200);
        let names: Vec<&str> = objects(&listed).iter().map(|object| text(&object["name"])).collect();
        assert!(names.contains(&"motion") && names.contains(&"motion_detection"), "{names:?}");
        let fired = json!({"time": "2024-05-01T10:00:00", "meta": {"a": "b"}});
        let event = api.post(&format!("{path}motion_detection/trigger/"), &fired).await;
        assert!(event.status.is_success(), "{event:?}");
        assert_eq!(found(&api, "events=motion_detection").await, [event.json()["id"].as_i64().expect("an id")]);
        assert_vxg_error(&api.post(&format!("{path}unknown/trigger/"), &fired).await, 404);
    }

    async fn an_event_with_snapshot_gets_the_picture_of_its_own_instant(database: &str) {
        let server = Server::start_with(database).await;
        let camera = cameras::h264().await;
        let channel = create_channel(&server, "gate", &camera).await;
        wait_for_status(&server, &channel, "active").await;
        let api = acc(&server, &channel);
        let put = json!({"name": "door", "snapshot": true});
        api.post(&processing_of(&channel), &put).await.expect(201);
        // The first picture is there before the second event's instant, so both lie in the video.
        api.get("/api/v4/live/image/").await.expect(200);
        for _ in 0..2 {
            let at = cameras::now();
            let body = json!({"name": "door", "time": at.to_naive_text()});
            let event = with_thumb(&api, create(&api, &body).await).await;
            let thumb = &event["thumb"];
            let jpeg = server.api("").get(text(&thumb["url"])).await;
            assert_eq!((jpeg.status.as_u16(), jpeg.header("content-type")), (200, "image/jpeg"));
            let stamp = read_stamp_jpeg(&jpeg.body).expect("a stamp");
            let early_us = at.micros_since(stamp.capture);
            let frame_us = 1_000_000 / cameras::FPS;
            assert!((-cameras::ROUNDING_US..frame_us + cameras::ROUNDING_US).contains(&early_us), "{early_us} us early");
            let off_us = time(&thumb["time"]).micros_since(stamp.capture);
            assert!(off_us.abs() <= cameras::ROUNDING_US, "{off_us}");
            assert_eq!((&thumb["width"], &thumb["height"]), (&json!(480), &json!(270)));
            assert_eq!(thumb["size"], jpeg.body.len());
        }
        // It is a stored picture like others.
        let images = api.get("/api/v4/storage/images/?origin=event_snapshot").await.expect(200);
        assert_eq!(images["meta"]["total_count"], 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_goes_and_comes_back_makes_events() {
    let mut server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    let states = async |server: &Server| {
        let page = acc(server, &channel)
            .get(&format!("{EVENTS}?events=network&include_meta=true"))
            .await
            .expect(200);
        let state = |object: &Value| text(&object["meta"]["state"]).to_owned();
        objects(&page).iter().map(state).collect::<Vec<_>>()
    };
    // A camera that works is no news, but on a busy machine its first attempt may fail.
    let before = states(&server).await.len();
    camera.control().set_unplugged(true);
    let told = async |server: &Server, state: &str, more_than: usize| {
        wait_for("an event of the camera", 30, async || {
            let states = states(server).await;
            let is_told = states.len() > more_than && states.last()? == state;
            is_told.then_some(states.len())
        })
        .await
    };
    let known = told(&server, "offline", before).await;
    // A restart does not say it again.
    server.stop().await;
    server.restart().await;
    wait_for_status(&server, &channel, "offline").await;
    camera.control().set_unplugged(false);
    assert_eq!(told(&server, "online", known).await, known + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn motion_that_the_camera_tells_is_an_event_with_the_picture_of_its_instant() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    camera.control().offer_metadata(true);
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    let api = acc(&server, &channel);
    let motion = format!("{}motion/", processing_of(&channel));
    api.put(&motion, &json!({ "snapshot": true }))
        .await
        .expect(200);
    let limit = Duration::from_secs(30);
    camera.control().wait_for_plays(2, limit).await.unwrap();
    let at = cameras::now();
    let notification = Notification {
        topic: "tns1:RuleEngine/CellMotionDetector/Motion",
        at,
        operation: Some("Changed"),
        source: &[("Rule", "yard")],
        data: &[("IsMotion", "true")],
    };
    let query = format!("{EVENTS}?events=motion&include_meta=true");
    let event = wait_for("the event with its picture", 30, async || {
        // Cameras say again and again what goes on.
        camera.control().send_metadata(&notification.document());
        let page = api.get(&query).await.expect(200);
        let event = objects(&page).first().cloned();
        event.filter(|event| event["thumb"].is_object())
    })
    .await;
    assert_eq!(text(&event["time"]), at.to_naive_text());
    assert_eq!(event["meta"]["Rule"], "yard");
    let page = api.get(&query).await.expect(200);
    assert_eq!(page["meta"]["total_count"], 1, "it began once");
}
