//! What channels do on events.

use crate::events::list;
use crate::site::{Site, TestChannel, assert_compat_error, inner, text};
use serde_json::json;

fn processing_of(channel: &TestChannel) -> String {
    let id = channel.id;
    format!("/api/v2/cameras/{id}/event_processing/events/")
}

#[tokio::test]
async fn processing_is_set_for_each_name() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let path = processing_of(&channel);
    let token = format!("?token={}", inner(&channel.all));
    let names = async || {
        let listed = site.get(&channel.watch, &path).await.expect(200);
        let names = listed["objects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|o| text(&o["name"]).to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        names().await,
        ["motion", "network", "recording_gap", "storage"]
    );
    let put = json!({"record": true, "snapshot": true});
    let motion = site
        .put("", &format!("{path}motion/{token}"), &put)
        .await
        .expect(200);
    assert_eq!(
        motion,
        json!({"name": "motion", "notify": true, "receive": true, "record": true, "snapshot": true, "period": null, "generate_images": false,
               "custom": false, "caps": {"can_be_triggered": false, "can_record": true, "can_snapshot": true, "is_periodic": false}})
    );
    assert_eq!(
        site.get(&channel.watch, &format!("{path}motion"))
            .await
            .expect(200),
        motion
    );
    assert_eq!(
        site.delete(&channel.all, &format!("{path}motion/"))
            .await
            .status
            .as_u16(),
        204
    );
    assert_eq!(
        site.get(&channel.watch, &format!("{path}motion"))
            .await
            .expect(200)["snapshot"],
        false
    );
}

#[tokio::test]
async fn custom_events_are_registered_and_triggered() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let path = processing_of(&channel);
    let custom = site
        .post(
            &channel.all,
            &path,
            &json!({"name": "door", "notify": false}),
        )
        .await
        .expect(201);
    assert!(
        custom.is_object() && custom["custom"] == true && custom["notify"] == false,
        "{custom}"
    );
    let listed = site.get(&channel.watch, &path).await.expect(200);
    assert_eq!(listed["meta"]["total_count"], 5);
    let fired = json!({"time": "2024-05-01T10:20:05", "meta": {"who": "me"}});
    let event = site
        .post(&channel.all, &format!("{path}door/trigger/"), &fired)
        .await
        .expect(201);
    assert_eq!(
        (&event["name"], &event["meta"]),
        (&json!("door"), &json!({"who": "me"}))
    );
    assert_eq!(list(&site, &channel.watch, "events=door").await.1, 1);
    assert_compat_error(
        &site
            .post(&channel.all, &format!("{path}motion/trigger/"), &fired)
            .await,
        400,
        "invalid_param",
    );
    assert_eq!(
        site.delete(&channel.all, &format!("{path}door/"))
            .await
            .status
            .as_u16(),
        204
    );
}

#[tokio::test]
async fn processing_that_is_none_is_refused() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let path = processing_of(&channel);
    let put = json!({"snapshot": true});
    for (method, uri) in [
        ("POST", "nothing/trigger/"),
        ("GET", "nothing/"),
        ("PUT", "nothing/"),
        ("DELETE", "nothing/"),
    ] {
        let headers = [("authorization", channel.all.as_str())];
        let answer = site
            .send(method, &format!("{path}{uri}"), &headers, "{}")
            .await;
        assert_compat_error(&answer, 404, "not_found");
    }
    for bad in [
        json!({"record": "perhaps"}),
        json!({"period": 0}),
        json!({"period": "often"}),
    ] {
        assert_compat_error(
            &site
                .put(&channel.all, &format!("{path}motion/"), &bad)
                .await,
            400,
            "invalid_param",
        );
    }
    assert_compat_error(
        &site
            .put(&channel.watch, &format!("{path}motion/"), &put)
            .await,
        403,
        "access_deny",
    );
}
