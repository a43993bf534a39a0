//! Metadata documents; checklist lines 11, 12, 13, 26.

use crate::site::{Site, TestChannel, assert_compat_error, assert_no_zone, text};
use framewell_api::{ApiConfig, BodyBudget};
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
        {"timestamp": "2024-05-01T10:01:00", "id": "of-the-client"},
    ]);
    let posted = site.post(&channel.all, META, &documents).await.expect(200);
    let status = |n: usize| posted["objects"][n]["status"].as_i64().unwrap();
    assert_eq!([0, 1, 2, 3, 4].map(status), [201, 400, 400, 400, 201]);
    assert_eq!(posted["meta"], json!({"errors_count": 3, "total_count": 5}));
    assert!(text(&posted["objects"][2]["errorDetail"]).contains("long.n"));
    let found = site
        .post(&channel.all, FILTER, &json!({}))
        .await
        .expect(200);
    assert_eq!(found["meta"]["total_count"], 2);
    assert_eq!(found["objects"][1]["id"], "of-the-client");
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
async fn a_document_of_another_channel_is_neither_changed_nor_shown() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let ids = write(&site, &a).await;
    let steal =
        json!([{"id": ids[0], "timestamp": "2020-01-01T00:00:00", "string": {"type": "stolen"}}]);
    for answer in [
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
    // Posted, it is a document of its own.
    let posted = site.post(&b.all, META, &steal).await.expect(200);
    assert_eq!(posted["objects"][0]["status"], 201);
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

#[tokio::test]
async fn a_write_with_ids_may_be_repeated() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let documents: Vec<Value> = (0..3)
        .map(|n| json!({"id": format!("frame-{n}"), "timestamp": "2024-05-01T10:00:00", "long": {"n": n}}))
        .collect();
    for status in [201, 200, 200] {
        let posted = site
            .post(&channel.all, META, &json!(documents))
            .await
            .expect(200);
        for (n, object) in posted["objects"].as_array().unwrap().iter().enumerate() {
            assert_eq!(
                *object,
                json!({"status": status, "id": format!("frame-{n}")})
            );
        }
    }
    let found = site
        .post(&channel.all, FILTER, &json!({}))
        .await
        .expect(200);
    assert_eq!(found["meta"]["total_count"], 3);
}

#[tokio::test]
async fn a_batch_of_ten_thousand_is_taken_and_one_more_is_not() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let mut documents: Vec<Value> = (0..9_999)
        .map(|n| json!({"timestamp": "2024-05-01T10:00:00", "long": {"n": n}}))
        .collect();
    documents.insert(
        5_000,
        json!({"timestamp": "2024-05-01T10:00:00", "float": {"x": "inf"}}),
    );
    let posted = site
        .post(&channel.all, META, &json!(documents))
        .await
        .expect(200);
    assert_eq!(
        posted["meta"],
        json!({"errors_count": 1, "total_count": 10_000})
    );
    assert_eq!(
        posted["objects"][5_000]["errorDetail"],
        "float.x is not a finite number"
    );
    let last = json!({"filter": {"field": "long.n", "eq": 9_998}});
    let last = site.post(&channel.all, FILTER, &last).await.expect(200);
    assert_eq!(last["objects"][0]["id"], posted["objects"][9_999]["id"]);
    documents.push(json!({}));
    let refused = site.post(&channel.all, META, &json!(documents)).await;
    assert_compat_error(&refused, 400, "invalid_param");
}

#[tokio::test]
async fn long_bodies_share_a_bounded_memory_and_short_ones_do_not_need_it() {
    let config = ApiConfig {
        meta_memory: BodyBudget::of_bytes(100 << 10),
        ..ApiConfig::default()
    };
    let site = Site::with(config).await;
    let channel = site.channel("a").await;
    let document =
        |bytes| json!([{"timestamp": "2024-05-01T10:00:00", "raw_data": "x".repeat(bytes)}]);
    site.post(&channel.all, META, &document(90_000))
        .await
        .expect(200);
    let refused = site.post(&channel.all, META, &document(200_000)).await;
    assert_compat_error(&refused, 503, "unavailable");
    assert_eq!(refused.header("retry-after"), "2");
    // What was taken has been given back, and a body of no announced length counts too.
    site.post(&channel.all, META, &document(90_000))
        .await
        .expect(200);
    let chunks = document(200_000).to_string().into_bytes();
    let chunks: Vec<_> = chunks
        .chunks(8_192)
        .map(|c| Ok::<_, std::io::Error>(c.to_vec()))
        .collect();
    let body = axum::body::Body::from_stream(futures::stream::iter(chunks));
    let headers = [("authorization", channel.all.as_str())];
    let refused = site.send("POST", META, &headers, body).await;
    assert_compat_error(&refused, 503, "unavailable");
    site.post(&channel.all, META, &document(1_000))
        .await
        .expect(200);
}

#[tokio::test]
async fn limits_are_kept_and_the_age_of_metadata_is_enforced() {
    let site = Site::new().await;
    let (limited, free) = (site.channel("a").await, site.channel("b").await);
    let path = format!("/api/v3/channels/{}/limits/", limited.id);
    let put =
        json!({"meta_max_age": 24, "records_max_age": "0.5", "storage_size": -1, "unknown": 5});
    let limits = site.put(site.key(), &path, &put).await.expect(200);
    assert_eq!(limits["meta_max_age"], 24);
    assert_eq!(limits["records_max_age"], 0.5);
    assert_eq!(
        (&limits["storage_size"], limits.get("unknown")),
        (&Value::Null, None)
    );
    assert_eq!(site.get(site.key(), &path).await.expect(200), limits);
    for bad in [
        json!({"meta_max_age": "soon"}),
        json!({"meta_max_age": -5}),
        json!({"records_max_age": 1e12}),
    ] {
        let answer = site.put(site.key(), &path, &bad).await;
        assert_compat_error(&answer, 400, "invalid_param");
    }
    assert_compat_error(&site.get(&limited.all, &path).await, 403, "access_deny");
    // The clock of the site stands at 12:00 of this day.
    let documents = json!([
        {"timestamp": "2024-04-30T11:59:59.9"}, {"timestamp": "2024-04-30T12:00:00"}, {"timestamp": "2024-05-01T11:00:00"},
    ]);
    for channel in [&limited, &free] {
        site.post(&channel.all, META, &documents).await.expect(200);
    }
    let old = json!({"name": "motion", "time": "2024-04-30T11:00:00"});
    site.post(&limited.all, "/api/v2/storage/events/", &old)
        .await
        .expect(201);
    let now = site.state.clock.now();
    assert_eq!(site.state.insight.sweep(now).await.unwrap(), 2);
    let left = async |channel: &TestChannel| {
        site.post(&channel.all, FILTER, &json!({}))
            .await
            .expect(200)["meta"]["total_count"]
            .clone()
    };
    assert_eq!(
        (left(&limited).await, left(&free).await),
        (json!(2), json!(3))
    );
    site.put(site.key(), &path, &json!({"meta_max_age": null}))
        .await
        .expect(200);
    assert_eq!(
        site.state
            .insight
            .sweep(now + std::time::Duration::from_secs(900_000))
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn a_search_that_takes_too_long_says_so() {
    let mut site = Site::new().await;
    let channel = site.channel("a").await;
    let documents: Vec<Value> = (0..5_000)
        .map(|_| json!({"timestamp": "2024-05-01T10:00:00"}))
        .collect();
    site.post(&channel.all, META, &json!(documents))
        .await
        .expect(200);
    site.limit_searches(std::time::Duration::from_millis(1));
    let absent: Vec<Value> = (0..50)
        .map(|n| json!({"field": format!("string.s{n}"), "exists": false}))
        .collect();
    let answer = site
        .post(&channel.all, FILTER, &json!({"filter": {"and": absent}}))
        .await;
    assert_compat_error(&answer, 503, "unavailable");
    assert!(
        text(&answer.json()["errorDetail"]).contains("took longer than 1 ms"),
        "{}",
        answer.json()
    );
}
