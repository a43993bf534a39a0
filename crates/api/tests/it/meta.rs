//! Metadata documents; checklist lines 11, 12, 13, 26.

use crate::site::{Site, TestChannel, assert_compat_error, assert_no_zone, text};
use serde_json::{Value, json};

const META: &str = "/api/v4/meta/";
const FILTER: &str = "/api/v4/meta/filter/";

/// Three documents; their ids.
async fn write(site: &Site, channel: &TestChannel) -> Vec<String> {
    let documents = json!([
        {"timestamp": "2024-05-01T10:00:00", "long": {"Person": 2, "Vehicle": 0}, "float": {}, "string": {"type": "note"}},
        {"timestamp": "2024-05-01T10:01", "long": {"Person": 0, "Vehicle": 3}, "string": {"type": "a clip of Anna"}},
        {"timestamp": "2024-05-01T10:02:00.5", "float": {"lux": 0.25}, "raw_data": "free"},
    ]);
    let posted = site.post(&channel.all, META, &documents).await.expect(200);
    let objects = posted["objects"].as_array().unwrap();
    objects
        .iter()
        .map(|object| text(&object["id"]).to_owned())
        .collect()
}

#[tokio::test]
async fn writes_answer_per_element_and_200_as_a_whole() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let documents = json!([
        {"timestamp": "2024-05-01T10:00:00", "long": {"incident": 1_714_557_600_123_i64}},
        {"timestamp": ""},
        {"timestamp": "2024-05-01T10:00:00", "long": {"n": 1.5}},
        "text",
        {"timestamp": "2024-05-01T10:00:00", "id": "of-nobody"},
    ]);
    let posted = site.post(&channel.all, META, &documents).await.expect(200);
    let status = |n: usize| posted["objects"][n]["status"].as_i64().unwrap();
    assert_eq!([0, 1, 2, 3, 4].map(status), [201, 400, 400, 400, 404]);
    assert_eq!(posted["meta"], json!({"errors_count": 4, "total_count": 5}));
    assert!(text(&posted["objects"][2]["errorDetail"]).contains("long.n"));
    let found = site
        .post(&channel.all, FILTER, &json!({}))
        .await
        .expect(200);
    assert_eq!(found["meta"]["total_count"], 1);
    assert_eq!(
        found["objects"][0]["long"]["incident"],
        1_714_557_600_123_i64
    );
    assert_compat_error(
        &site.post(&channel.all, META, &json!("x")).await,
        400,
        "invalid_param",
    );
}

#[tokio::test]
async fn an_id_replaces_put_merges_and_delete_removes() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let ids = write(&site, &channel).await;
    let load = async |id: &str| {
        let body = json!({"filter": {"field": "id", "eq": id}});
        site.post(&channel.all, FILTER, &body).await.expect(200)["objects"][0].clone()
    };
    let patch = json!([{"id": ids[0], "string": {"case": "7"}, "long": {"Vehicle": null}}]);
    let merged = site.put(&channel.all, META, &patch).await.expect(200);
    assert_eq!(merged["objects"], json!([{"status": 200, "id": ids[0]}]));
    let document = load(&ids[0]).await;
    assert_eq!(document["string"], json!({"type": "note", "case": "7"}));
    assert_eq!(document["long"], json!({"Person": 2}));
    let whole =
        json!([{"id": ids[0], "timestamp": "2024-05-01T10:00:00", "string": {"type": "new"}}]);
    let replaced = site.post(&channel.all, META, &whole).await.expect(200);
    assert_eq!(replaced["objects"][0]["status"], 200);
    let document = load(&ids[0]).await;
    assert_eq!(
        (&document["string"], &document["long"]),
        (&json!({"type": "new"}), &json!({}))
    );
    let headers = [("authorization", channel.all.as_str())];
    let body = json!([{"id": ids[0]}, {"id": "nothing"}, {}]).to_string();
    let deleted = site.send("DELETE", META, &headers, body).await.expect(200);
    let status = |n: usize| deleted["objects"][n]["status"].as_i64().unwrap();
    assert_eq!([0, 1, 2].map(status), [200, 404, 400]);
    assert_eq!(load(&ids[0]).await, Value::Null);
}

#[tokio::test]
async fn filters_find_what_they_say() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    write(&site, &channel).await;
    let count = async |filter: Value| {
        let found = site
            .post(&channel.all, FILTER, &json!({"filter": filter}))
            .await
            .expect(200);
        for object in found["objects"].as_array().unwrap() {
            for map in ["long", "float", "string"] {
                assert!(object[map].is_object(), "{object}");
            }
            assert_eq!(object["camid"], json!(channel.id));
            assert_no_zone(object);
        }
        found["meta"]["total_count"].as_i64().unwrap()
    };
    let at = |op: &str, time: &str| json!({"field": "timestamp", op: time});
    assert_eq!(count(json!({})).await, 3);
    assert_eq!(count(json!({"field": "long.Person", "gt": 1})).await, 1);
    assert_eq!(
        count(json!({"field": "long.Person", "lt": 5})).await,
        2,
        "the third has no such field"
    );
    assert_eq!(
        count(
            json!({"or": [{"field": "long.Person", "gt": 1}, {"field": "long.Vehicle", "gte": 3}]})
        )
        .await,
        2
    );
    assert_eq!(count(json!({"and": [at("gt", "2024-05-01T10:00"), {"not": {"field": "float.lux", "exists": true}}]})).await, 1);
    assert_eq!(count(json!({"field": "timestamp", "gte": "2024-05-01T10:00:00", "lte": "2024-05-01T10:01:00"})).await, 2);
    assert_eq!(
        count(json!({"field": "string.type", "words_in": "CLIP"})).await,
        1
    );
    assert_eq!(
        count(json!({"field": "string.type", "eq": "clip"})).await,
        0
    );
    assert_eq!(count(json!({"field": "float.lux", "lte": 0.25})).await, 1);
    assert_eq!(count(json!({"field": "raw_data", "eq": "free"})).await, 1);
    for bad in [at("gt", ""), json!({"field": "x", "eq": 1}), json!([])] {
        let answer = site
            .post(&channel.all, FILTER, &json!({"filter": bad}))
            .await;
        assert_compat_error(&answer, 400, "invalid_param");
    }
}

#[tokio::test]
async fn searches_sort_and_page() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let ids = write(&site, &channel).await;
    let found = async |body: Value| {
        let found = site.post(&channel.all, FILTER, &body).await.expect(200);
        assert_eq!(found["meta"]["total_count"], 3);
        let objects = found["objects"].as_array().unwrap();
        objects
            .iter()
            .map(|object| text(&object["id"]).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found(json!({})).await, ids);
    let mut newest_first = ids.clone();
    newest_first.reverse();
    assert_eq!(
        found(json!({"sort": ["-timestamp"], "limit": 1000})).await,
        newest_first
    );
    assert_eq!(found(json!({"limit": 1, "offset": 1})).await, ids[1..2]);
    assert_eq!(found(json!({"limit": "1"})).await, ids[..1]);
    let bad = site.post(&channel.all, FILTER, &json!({"limit": -1})).await;
    assert_compat_error(&bad, 400, "invalid_param");
}

#[tokio::test]
async fn deleting_by_filter_never_wipes_the_store_by_accident() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    write(&site, &channel).await;
    let delete = async |body: &str| {
        let headers = [("authorization", channel.all.as_str())];
        site.send("DELETE", FILTER, &headers, body.to_owned()).await
    };
    for body in ["", "{}", "{\"filter\":{}}", "{\"filter\":{\"and\":[{}]}}"] {
        assert_compat_error(&delete(body).await, 400, "invalid_param");
    }
    let some = json!({"filter": {"field": "long.Person", "gte": 0}}).to_string();
    assert_eq!(delete(&some).await.expect(200)["meta"]["deleted_count"], 2);
    let left = site
        .post(&channel.all, FILTER, &json!({}))
        .await
        .expect(200);
    assert_eq!(left["meta"]["total_count"], 1);
}

#[tokio::test]
async fn a_group_token_searches_all_its_channels_and_no_other() {
    let site = Site::new().await;
    let (a, b, c) = (
        site.channel("a").await,
        site.channel("b").await,
        site.channel("c").await,
    );
    for channel in [&a, &b, &c] {
        write(&site, channel).await;
    }
    let (_, engine) = site.group(&[&a, &b], "all").await;
    let search = "/api/v2/storage/meta/filter/";
    let found = site
        .post(&engine, search, &json!({"limit": 100}))
        .await
        .expect(200);
    assert_eq!(found["meta"]["total_count"], 6);
    assert!(
        found["objects"]
            .as_array()
            .unwrap()
            .iter()
            .all(|o| o["camid"] != json!(c.id))
    );
    let one = site
        .post(&engine, &format!("{search}?camid={}", b.id), &json!({}))
        .await
        .expect(200);
    assert_eq!(one["meta"]["total_count"], 3);
    let foreign = site
        .post(&engine, &format!("{search}?camid={}", c.id), &json!({}))
        .await;
    assert_compat_error(&foreign, 404, "not_found");
    assert_eq!(
        site.post(&a.all, search, &json!({})).await.expect(200)["meta"]["total_count"],
        3
    );
}

#[tokio::test]
async fn an_id_of_another_channel_is_refused_and_nothing_changes() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let ids = write(&site, &a).await;
    let steal =
        json!([{"id": ids[0], "timestamp": "2020-01-01T00:00:00", "string": {"type": "stolen"}}]);
    for answer in [
        site.post(&b.all, META, &steal).await,
        site.put(&b.all, META, &steal).await,
        site.send(
            "DELETE",
            META,
            &[("authorization", &b.all)],
            steal.to_string(),
        )
        .await,
    ] {
        assert_eq!(answer.expect(200)["objects"][0]["status"], 404);
    }
    let kept = json!({"filter": {"field": "id", "eq": ids[0]}});
    let kept = site.post(&a.all, FILTER, &kept).await.expect(200);
    assert_eq!(kept["objects"][0]["string"]["type"], "note");
}

#[tokio::test]
async fn the_viewer_level_reads_video_but_no_metadata() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    site.get(&channel.watch, "/api/v4/channel/")
        .await
        .expect(200);
    for (method, path) in [
        ("POST", META),
        ("PUT", META),
        ("DELETE", META),
        ("POST", FILTER),
        ("DELETE", FILTER),
    ] {
        let answer = site
            .send(method, path, &[("authorization", &channel.watch)], "[]")
            .await;
        assert_compat_error(&answer, 403, "access_deny");
    }
}
