//! Webhooks as clients make, see and change them. How they are delivered is tested in `framewell-notify`.

use crate::site::{Site, text};
use framewell_catalog::{NewFailure, Trouble, WEBHOOK_REPLAY_JOB};
use framewell_model::WebhookId;
use serde_json::{Value, json};

const PATH: &str = "/v1/webhooks";

fn body() -> Value {
    json!({"url": "https://engine.example/hook", "events": {"names": ["motion"]}})
}

#[tokio::test]
async fn a_webhook_is_made_shown_changed_and_deleted_and_its_secret_is_shown_once() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let made = site.post(site.key(), PATH, &body()).await.expect(201);
    assert_eq!(text(&made["secret"]).len(), 64);
    assert_eq!(
        (&made["state"], &made["active"]),
        (&json!("ok"), &json!(true))
    );
    assert_eq!(made["events"], json!({"names": ["motion"]}));
    assert!(made["documents"].is_null() && made["channels"].is_null());
    let path = format!("{PATH}/{}", made["id"]);
    let shown = site.get(site.key(), &path).await.expect(200);
    assert!(shown.get("secret").is_none());
    let list = site.get(site.key(), PATH).await.expect(200);
    assert_eq!(list, json!({"webhooks": [shown]}));
    let change = json!({"documents": true, "channels": [channel.id], "secret": "0123456789abcdef"});
    let changed = site.put(site.key(), &path, &change).await.expect(200);
    assert_eq!(changed["secret"], "0123456789abcdef");
    assert_eq!(changed["events"], made["events"]);
    assert_eq!(
        (&changed["documents"], &changed["channels"]),
        (&json!(true), &json!([channel.id]))
    );
    let off = site
        .put(
            site.key(),
            &path,
            &json!({"active": false, "channels": null}),
        )
        .await;
    let off = off.expect(200);
    assert_eq!(
        (&off["state"], &off["channels"]),
        (&json!("off"), &Value::Null)
    );
    assert_eq!(site.delete(site.key(), &path).await.status.as_u16(), 204);
    assert_eq!(site.get(site.key(), &path).await.status.as_u16(), 404);
}

fn words_filter(tests: usize) -> Value {
    let test = json!({"field": "raw_data", "words_in": "red"});
    json!({"filter": {"and": vec![test; tests]}})
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let with = |name: &str, value: Value| {
        let mut body = body();
        body[name] = value;
        body
    };
    let cases = [
        (json!({"events": true}), "url"),
        (json!({"url": "https://engine.example/"}), "events"),
        (with("url", json!("http://192.168.0.1/")), "outbound policy"),
        (with("url", json!("ftp://engine.example/")), "http://"),
        (with("events", json!({"name": "x"})), "name"),
        (
            with(
                "documents",
                json!({"filter": {"field": "long.a", "gt": "x"}}),
            ),
            "",
        ),
        (with("secret", json!("short")), "secret"),
        (with("evnets", json!(true)), "evnets"),
        (with("documents", words_filter(17)), "words 17 times"),
        (
            with("events", json!({"names": vec!["x".repeat(100); 200]})),
            "16384 bytes",
        ),
    ];
    for (body, word) in cases {
        let error = site.post(site.key(), PATH, &body).await.expect(400);
        let message = text(&error["error"]["message"]);
        assert!(message.contains(word), "{body}: {message}");
    }
    let foreign = with("channels", json!([channel.id.get() + 1]));
    site.post(&channel.all, PATH, &foreign).await.expect(404);
}

#[tokio::test]
async fn a_group_sees_its_own_webhooks_and_the_account_sees_all() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let (_, group) = site.group(&[&a], "all").await;
    let (_, other) = site.group(&[&b], "all").await;
    let (_, watch) = site.group(&[&a], "watch").await;
    let made = site.post(&group, PATH, &body()).await.expect(201);
    let path = format!("{PATH}/{}", made["id"]);
    site.get(&group, &path).await.expect(200);
    site.get(site.key(), &path).await.expect(200);
    for stranger in [&other, &a.all] {
        site.get(stranger, &path).await.expect(404);
        site.put(stranger, &path, &json!({"active": false}))
            .await
            .expect(404);
        assert_eq!(
            site.get(stranger, PATH).await.expect(200),
            json!({"webhooks": []})
        );
    }
    site.post(&watch, PATH, &body()).await.expect(403);
    // Of a channel that the group does not have.
    let mut foreign = body();
    foreign["channels"] = json!([b.id]);
    site.post(&group, PATH, &foreign).await.expect(404);
}

#[tokio::test]
async fn failures_are_listed_and_sent_again_on_request() {
    let site = Site::new().await;
    let made = site.post(site.key(), PATH, &body()).await.expect(201);
    let id = WebhookId::new(made["id"].as_i64().unwrap()).unwrap();
    let catalog = &site.state.catalog;
    let hook = catalog.load_webhook(id).await.unwrap();
    let failure = NewFailure {
        body: "{}".into(),
        entries: 7,
        attempts: 12,
        trouble: Trouble {
            error: "the answer was 500 Internal Server Error".into(),
            status: Some(500),
        },
    };
    let now = site.state.clock.now();
    catalog
        .give_up_delivery(&hook, hook.cursors, &failure, now)
        .await
        .unwrap();
    let path = format!("{PATH}/{id}");
    let shown = site.get(site.key(), &path).await.expect(200);
    assert_eq!(
        (&shown["state"], &shown["last_status"]),
        (&json!("failing"), &json!(500))
    );
    let list = site
        .get(site.key(), &format!("{path}/failures"))
        .await
        .expect(200);
    assert_eq!(list["total"], 1);
    let failure = &list["failures"][0];
    assert_eq!(
        (&failure["entries"], &failure["replaying"]),
        (&json!(7), &json!(false))
    );
    let replay = format!("{path}/replay");
    site.post(site.key(), &replay, &json!({"failures": [99]}))
        .await
        .expect(404);
    site.post(site.key(), &replay, &json!({"failures": "all"}))
        .await
        .expect(400);
    let answer = site.post(site.key(), &replay, &json!({})).await.expect(202);
    assert_eq!(answer, json!({"replaying": 1}));
    let open = catalog.open_job_keys(WEBHOOK_REPLAY_JOB).await.unwrap();
    assert_eq!(open, [failure["id"].to_string()]);
    let list = site
        .get(site.key(), &format!("{path}/failures"))
        .await
        .expect(200);
    assert_eq!(list["failures"][0]["replaying"], true);
}
