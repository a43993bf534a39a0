//! Rules over documents of the compatible face, by the token of a group.

use super::{nowhere, objects, on_both_databases, text};
use crate::client::Api;
use crate::server::{Server, wait_for};
use crate::site::{acc, create_channel_from, create_group};
use framewell_model::WallTime;
use serde_json::{Value, json};

const EVENTS: &str = "/api/v2/storage/events/?events=crowd&include_meta=true&order_by=time";

fn rule() -> Value {
    json!({"name": "two at the gate", "event": "crowd", "filter": {"field": "long.Person", "gte": 2},
        "for_seconds": 2, "cooldown_s": 1, "tolerance_s": 0.5, "tags": {"level": "high"}})
}

/// Documents every half second from so many seconds after `start` on.
async fn write(api: &Api, start: WallTime, from: i64, persons: &[i64]) {
    let document = |(n, persons): (i64, &i64)| {
        let at = start.plus_micros(from * 1_000_000 + n * 500_000);
        json!({"timestamp": at.to_naive_text(), "long": {"Person": persons}})
    };
    let documents: Vec<Value> = (0..).zip(persons).map(document).collect();
    api.post("/api/v4/meta/", &json!(documents))
        .await
        .expect(200);
}

async fn until_events(api: &Api, count: usize) -> Vec<Value> {
    wait_for("events of the rule", 20, async || {
        let page = api.get(EVENTS).await.expect(200);
        let events = objects(&page).to_vec();
        (events.len() >= count).then_some(events)
    })
    .await
}

on_both_databases! {
    async fn a_rule_of_a_group_raises_events_and_survives_a_kill(database: &str) {
        let mut server = Server::start_with(database).await;
        let channel = create_channel_from(&server, "a", &nowhere()).await;
        let group = create_group(&server, &[&channel]).await;
        let engine = server.api(&format!("Bearer {group}"));
        let made = engine.post("/v1/rules", &rule()).await.expect(201);
        assert_eq!((&made["event"], &made["enabled"]), (&json!("crowd"), &json!(true)));
        let start: WallTime = "2024-05-01T10:00:00Z".parse().expect("a time");
        let api = acc(&server, &channel);
        write(&api, start, 0, &[2, 2, 0, 2, 3, 2, 2, 2, 2, 0]).await;
        let events = until_events(&api, 1).await;
        // There from 1.5 s on.
        assert_eq!(text(&events[0]["time"]), start.plus_micros(3_500_000).to_naive_text());
        assert_eq!(events[0]["meta"]["since"], start.plus_micros(1_500_000).to_rfc3339());
        assert_eq!((&events[0]["meta"]["rule"], &events[0]["meta"]["level"]), (&json!("1"), &json!("high")));
        write(&api, start, 10, &[2, 2]).await;
        server.kill_9();
        server.restart().await;
        let api = acc(&server, &channel);
        write(&api, start, 11, &[2, 2, 2, 2, 0]).await;
        let events = until_events(&api, 2).await;
        assert_eq!(events.len(), 2);
        assert_eq!(text(&events[1]["time"]), start.plus_micros(12_000_000).to_naive_text());
        assert_eq!(events[1]["meta"]["since"], start.plus_micros(10_000_000).to_rfc3339());
    }

    async fn rules_are_made_seen_and_changed_by_their_owner_only(database: &str) {
        let server = Server::start_with(database).await;
        let channel = create_channel_from(&server, "a", &nowhere()).await;
        let other = create_channel_from(&server, "b", &nowhere()).await;
        let group = create_group(&server, &[&channel]).await;
        let engine = server.api(&format!("Bearer {group}"));
        let id = engine.post("/v1/rules", &rule()).await.expect(201)["id"].clone();
        let path = format!("/v1/rules/{id}");
        let foreign = server.api(&format!("Bearer {}", other.all));
        for refused in [foreign.get(&path).await, foreign.put(&path, &rule()).await, foreign.delete(&path).await] {
            refused.expect(404);
        }
        assert_eq!(foreign.get("/v1/rules").await.expect(200)["rules"], json!([]));
        let watcher = server.api(&format!("Bearer {}", channel.watch));
        watcher.post("/v1/rules", &rule()).await.expect(403);
        let mut named = rule();
        named["channels"] = json!([other.id]);
        engine.post("/v1/rules", &named).await.expect(404);
        let mut misspelt = rule();
        misspelt["for_second"] = json!(3);
        let why = engine.put(&path, &misspelt).await.expect(400);
        assert!(text(&why["error"]["message"]).contains("for_second"), "{why}");
        let mut changed = rule();
        changed["enabled"] = json!(false);
        engine.put(&path, &changed).await.expect(200);
        let shown = engine.get(&path).await.expect(200);
        assert_eq!(shown["enabled"], false);
        let admin = server.admin().get("/v1/rules").await.expect(200);
        assert_eq!((&admin["rules"], &admin["meta"]["next"]), (&json!([shown]), &Value::Null));
        assert_eq!(engine.delete(&path).await.status.as_u16(), 204);
        engine.get(&path).await.expect(404);
    }

    async fn a_rule_times_each_object_track_in_its_region(database: &str) {
        let server = Server::start_with(database).await;
        let channel = create_channel_from(&server, "a", &nowhere()).await;
        let native = server.api(&format!("Bearer {}", channel.all));
        let rule = json!({"event": "crowd", "for_seconds": 1, "tolerance_s": 0.2, "objects": {"label": "Person",
            "min_score": 0.6, "region": [[0, 0.5], [1, 0.5], [1, 1], [0, 1]], "anchor": "bottom", "per_track": true}});
        native.post("/v1/rules", &rule).await.expect(201);
        let start: WallTime = "2024-05-01T10:00:00Z".parse().expect("a time");
        let person = |track: &str, score: f64, y: f64| {
            json!({"label": "Person", "score": score, "track": track, "box": {"x": 0.1, "y": y, "width": 0.1, "height": 0.1}})
        };
        let documents: Vec<Value> = (0..5)
            .map(|n| {
                let objects = [person("stays", 0.9, 0.6), person("above", 0.9, 0.1), person("unsure", 0.3, 0.6)];
                json!({"channel": channel.id, "timestamp": start.plus_micros(n * 500_000).to_rfc3339(), "objects": objects})
            })
            .collect();
        let written = native.post("/v1/metadata", &json!({"documents": documents})).await;
        assert!(written.status.is_success(), "{written:?}");
        let events = until_events(&acc(&server, &channel), 1).await;
        assert_eq!(events.len(), 1);
        assert_eq!((&events[0]["meta"]["track"], &events[0]["meta"]["count"]), (&json!("stays"), &json!("1")));
        assert_eq!(text(&events[0]["time"]), start.plus_micros(1_000_000).to_naive_text());
    }
}
