//! Native metadata documents: written, read, changed, searched and counted; the compatible face beside them.

use crate::site::{Site, TestChannel, text};
use framewell_live::SourceState;
use framewell_model::{ChannelStatus, RunId, WallClock as _};
use serde_json::{Value, json};

pub(crate) const META: &str = "/v1/metadata";
pub(crate) const SEARCH: &str = "/v1/metadata/search";
const BUCKETS: &str = "/v1/metadata/buckets";

fn person(score: f64, x: f64) -> Value {
    json!({"label": "person", "score": score, "track": "t1", "box": {"x": x, "y": 0.25, "width": 0.25, "height": 0.5}})
}

pub(crate) async fn write(site: &Site, token: &str, documents: Value) -> Value {
    site.post(token, META, &documents).await.expect(200)
}

pub(crate) async fn ids(site: &Site, token: &str, body: Value) -> Vec<String> {
    let found = site.post(token, SEARCH, &body).await.expect(200);
    let documents = found["documents"].as_array().unwrap();
    documents
        .iter()
        .map(|document| text(&document["id"]).to_owned())
        .collect()
}

#[tokio::test]
async fn each_document_of_a_write_has_its_own_result() {
    let site = Site::new().await;
    let (a, b, other) = (
        site.channel("a").await,
        site.channel("b").await,
        site.channel("c").await,
    );
    let (_, group) = site.group(&[&a, &b], "all").await;
    let at = "2024-05-01T10:00:00Z";
    let documents = json!([
        {"id": "x", "channel": a.id, "timestamp": at, "objects": [person(0.5, 0.0)]},
        {"channel": b.id, "timestamp": at, "objects": [{"label": "car"}, {"score": 2}]},
        {"channel": other.id, "timestamp": at},
        {"id": "x", "channel": b.id, "timestamp": at},
        {"timestamp": at},
        {"channel": "nine", "timestamp": at},
        5,
    ]);
    let answer = write(&site, &group, documents.clone()).await;
    assert_eq!(answer["meta"], json!({"errors": 5, "total": 7}));
    let results = answer["results"].as_array().unwrap();
    let indices: Vec<&Value> = results.iter().map(|result| &result["index"]).collect();
    assert_eq!(indices, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(
        results[0],
        json!({"index": 0, "status": 201, "channel": a.id, "id": "x"})
    );
    assert_eq!(
        results[1],
        json!({"index": 1, "status": 400, "channel": b.id, "error": "objects[1].score 2 is not between 0 and 1"})
    );
    assert_eq!(
        results[2]["error"],
        format!("channel {} does not exist", other.id)
    );
    assert_eq!(results[3]["status"], 201);
    for (n, word) in [
        (4, "more than one"),
        (5, "channel id"),
        (6, "more than one"),
    ] {
        assert!(text(&results[n]["error"]).contains(word), "{}", results[n]);
    }
    let again = write(&site, &group, documents).await;
    assert_eq!(
        again["results"][0]["status"], 200,
        "a write may be repeated"
    );
    assert_eq!(ids(&site, &group, json!({})).await, ["x", "x"]);
}

#[tokio::test]
async fn a_document_is_read_changed_and_deleted_by_its_id() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let (_, group) = site.group(&[&a, &b], "all").await;
    let document = json!({
        "id": "x/1", "timestamp": "2024-05-01T10:00:00.5Z", "long": {"n": 1, "m": 2}, "objects": [person(0.5, 0.25)],
        "data": {"any": [1, {"thing": null}]}, "model": {"name": "yolo", "version": "11"}, "vector": [1, 2.5, -3], "raw_data": "free",
    });
    write(&site, &a.all, json!({"documents": [document]})).await;
    let path = format!("{META}/x%2F1");
    let shown = site.get(&group, &path).await.expect(200);
    let at = "2024-05-01T10:00:00.500000Z";
    assert_eq!(
        shown,
        json!({
            "id": "x/1", "channel": a.id, "timestamp": at, "long": {"n": 1, "m": 2}, "float": {}, "string": {}, "raw_data": "free",
            "objects": [{
                "label": "person", "score": 0.5, "track": "t1", "box": {"x": 0.25, "y": 0.25, "width": 0.25, "height": 0.5},
                "links": {"image": format!("/v1/channels/{}/image?at={at}&crop=0.250000,0.250000,0.250000,0.500000", a.id)},
            }],
            "data": {"any": [1, {"thing": null}]}, "model": {"name": "yolo", "version": "11"}, "vector_dimensions": 3,
            "links": {
                "image": format!("/v1/channels/{}/image?at={at}", a.id),
                "clip": format!("/v1/channels/{}/clip.mp4?start=2024-05-01T09:59:55.500000Z&end=2024-05-01T10:00:05.500000Z&wait=true", a.id),
                "live": format!("/v1/channels/{}/live", a.id),
            },
        })
    );
    is_changed_and_deleted(&site, &group, &a, &b).await;
}

async fn is_changed_and_deleted(site: &Site, group: &str, a: &TestChannel, b: &TestChannel) {
    let path = format!("{META}/x%2F1");
    let change = json!({"long": {"n": null, "k": 3}, "objects": [{"label": "dog"}], "data": null});
    let headers = [("authorization", group)];
    let changed = site
        .send("PATCH", &path, &headers, change.to_string())
        .await
        .expect(200);
    assert_eq!(changed["long"], json!({"m": 2, "k": 3}));
    assert_eq!(changed["objects"], json!([{"label": "dog"}]));
    assert_eq!(
        (&changed["data"], &changed["vector_dimensions"]),
        (&Value::Null, &json!(3))
    );
    let bad = site
        .send("PATCH", &path, &headers, r#"{"objects": [{"label": ""}]}"#)
        .await;
    assert!(text(&bad.expect(400)["error"]["message"]).contains("objects[0].label"));
    // The same id in two channels has to be told apart.
    write(
        site,
        &b.all,
        json!([{"id": "x/1", "timestamp": "2024-05-01T10:00:00Z"}]),
    )
    .await;
    site.get(group, &path).await.expect(400);
    let named = format!("{path}?channel={}", b.id);
    assert_eq!(
        site.get(group, &named).await.expect(200)["channel"],
        json!(b.id)
    );
    site.delete(group, &named).await.expect(204);
    site.delete(group, &named).await.expect(404);
    assert_eq!(
        site.get(group, &path).await.expect(200)["channel"],
        json!(a.id)
    );
    site.get(&b.all, &path).await.expect(404);
}

#[tokio::test]
async fn the_compatible_face_shows_and_keeps_what_it_did_before() {
    let site = Site::new().await;
    let a = site.channel("a").await;
    let document = json!({"id": "x", "timestamp": "2024-05-01T10:00:00Z", "string": {"s": "a"}, "objects": [person(0.5, 0.0)],
        "vector": [1], "data": {"k": 1}, "model": {"name": "m"}});
    write(&site, &a.all, json!([document])).await;
    let found = site
        .post(&a.all, "/api/v4/meta/filter/", &json!({}))
        .await
        .expect(200);
    assert_eq!(
        found["objects"],
        json!([{
            "id": "x", "camid": a.id, "timestamp": "2024-05-01T10:00:00.000000", "long": {}, "float": {}, "string": {"s": "a"},
        }])
    );
    for filter in [
        json!({"field": "objects.label", "eq": "person"}),
        json!({"text": "a"}),
        json!({"object": []}),
    ] {
        site.post(&a.all, "/api/v4/meta/filter/", &json!({"filter": filter}))
            .await
            .expect(400);
    }
    // A merge on the compatible face leaves the native members alone, a replacement replaces all.
    let merged = json!([{"id": "x", "string": {"t": "b"}}]);
    site.put(&a.all, "/api/v4/meta/", &merged).await.expect(200);
    let shown = site.get(&a.all, &format!("{META}/x")).await.expect(200);
    assert_eq!(
        (&shown["objects"][0]["label"], &shown["vector_dimensions"]),
        (&json!("person"), &json!(1))
    );
    assert_eq!(shown["string"], json!({"s": "a", "t": "b"}));
    let replaced = json!([{"id": "x", "timestamp": "2024-05-01T10:00:00"}]);
    site.post(&a.all, "/api/v4/meta/", &replaced)
        .await
        .expect(200);
    let shown = site.get(&a.all, &format!("{META}/x")).await.expect(200);
    assert_eq!(
        (&shown["objects"], &shown["vector_dimensions"]),
        (&Value::Null, &Value::Null)
    );
}

/// Channels `a` and `b` of a group, with documents `d0` to `d5` a minute apart, in turn.
async fn store(site: &Site) -> (TestChannel, TestChannel, String) {
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let (_, group) = site.group(&[&a, &b], "all").await;
    let documents: Vec<Value> = (0..6).map(|n| {
        let channel = if n % 2 == 0 { a.id } else { b.id };
        let objects = match n {
            0 => json!([person(0.25, 0.0), {"label": "car", "score": 0.75}]),
            1 => json!([person(0.75, 0.75)]),
            2 => json!([{"label": "car", "score": 0.5, "polygon": [[0, 0], [0.25, 0], [0, 0.25]]}]),
            _ => json!([]),
        };
        json!({"id": format!("d{n}"), "channel": channel, "timestamp": format!("2024-05-01T10:0{n}:00Z"),
            "objects": objects, "long": {"n": n}, "string": {"s": format!("number {n} of the Red car")}})
    }).collect();
    let written = write(site, &group, json!(documents)).await;
    assert_eq!(written["meta"]["errors"], 0);
    (a, b, group)
}

#[tokio::test]
async fn documents_are_found_by_objects_words_and_time() {
    let site = Site::new().await;
    let (a, b, group) = store(&site).await;
    let strong_person =
        json!({"object": [{"field": "label", "eq": "person"}, {"field": "score", "gte": 0.5}]});
    let left = json!({"x": 0, "y": 0, "width": 0.5, "height": 1});
    for (body, expected) in [
        (json!({}), &["d5", "d4", "d3", "d2", "d1", "d0"][..]),
        (json!({"sort": "time", "limit": 2}), &["d0", "d1"]),
        (
            json!({"filter": {"field": "objects.label", "eq": "person"}}),
            &["d1", "d0"],
        ),
        // Any person and any strong object, or one that is both.
        (
            json!({"filter": {"and": [{"field": "objects.label", "eq": "person"}, {"field": "objects.score", "gte": 0.5}]}}),
            &["d1", "d0"],
        ),
        (json!({"filter": strong_person}), &["d1"]),
        (
            json!({"filter": {"field": "objects.region", "intersects": left}}),
            &["d2", "d0"],
        ),
        (
            json!({"filter": {"field": "objects.label", "exists": false}}),
            &["d5", "d4", "d3"],
        ),
        (json!({"text": "red 3"}), &["d3"]),
        (
            json!({"text": "\"the red\" num*", "filter": {"field": "long.n", "gt": 3}}),
            &["d5", "d4"],
        ),
        (json!({"text": "blue"}), &[]),
        (
            json!({"filter": {"not": {"text": "2"}}, "start": "2024-05-01T10:01:00Z", "end": "2024-05-01T10:04:00Z"}),
            &["d3", "d1"],
        ),
        (json!({"channels": [b.id]}), &["d5", "d3", "d1"]),
        (json!({"channels": []}), &[]),
    ] {
        assert_eq!(ids(&site, &group, body.clone()).await, expected, "{body}");
    }
    assert_eq!(ids(&site, &a.all, json!({})).await, ["d4", "d2", "d0"]);
    let total = site
        .post(
            &group,
            SEARCH,
            &json!({"limit": 1, "total": true, "text": "car"}),
        )
        .await
        .expect(200);
    assert_eq!(total["meta"]["total"], 6);
    site.post(&a.all, SEARCH, &json!({"channels": [b.id]}))
        .await
        .expect(404);
    site.post(&a.watch, SEARCH, &json!({})).await.expect(403);
}

#[tokio::test]
async fn cursors_hold_while_documents_are_written() {
    let site = Site::new().await;
    let (a, _, group) = store(&site).await;
    let mut found = Vec::new();
    let mut cursor = Value::Null;
    for n in 0.. {
        let body = json!({"limit": 2, "cursor": cursor});
        let page = site.post(&group, SEARCH, &body).await.expect(200);
        found.extend(
            page["documents"]
                .as_array()
                .unwrap()
                .iter()
                .map(|d| text(&d["id"]).to_owned()),
        );
        // Newer than all: no page that comes may shift.
        let newer =
            json!([{"id": format!("new{n}"), "timestamp": format!("2024-05-01T11:0{n}:00Z")}]);
        write(&site, &a.all, newer).await;
        cursor = page["meta"]["next"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(found, ["d5", "d4", "d3", "d2", "d1", "d0"]);
}

#[tokio::test]
async fn documents_are_counted_by_time_and_label() {
    let site = Site::new().await;
    let (_, _, group) = store(&site).await;
    let count =
        async |body: Value| site.post(&group, BUCKETS, &body).await.expect(200)["buckets"].clone();
    assert_eq!(
        count(json!({"interval": "5m", "field": "long.n"})).await,
        json!([
            {"start": "2024-05-01T10:00:00.000000Z", "end": "2024-05-01T10:05:00.000000Z", "documents": 5,
                "field": {"count": 5, "min": 0, "max": 4, "avg": 2.0}},
            {"start": "2024-05-01T10:05:00.000000Z", "end": "2024-05-01T10:10:00.000000Z", "documents": 1,
                "field": {"count": 1, "min": 5, "max": 5, "avg": 5.0}},
        ])
    );
    let by_label = count(json!({"interval": "1h", "by": "label", "field": "objects.score"})).await;
    let told: Vec<_> = by_label
        .as_array()
        .unwrap()
        .iter()
        .map(|b| (text(&b["label"]), &b["documents"], &b["field"]["avg"]))
        .collect();
    assert_eq!(
        told,
        [
            ("car", &json!(2), &json!(0.625)),
            ("person", &json!(2), &json!(0.5))
        ]
    );
    for bad in [
        json!({}),
        json!({"interval": "0s"}),
        json!({"interval": "1m", "by": "color"}),
        json!({"interval": "1m", "field": "string.s"}),
        json!({"interval": "1m", "fields": "long.n"}),
    ] {
        site.post(&group, BUCKETS, &bad).await.expect(400);
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_name() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    for (body, word) in [
        (json!({"filters": {}}), "filters"),
        (json!({"sort": "score"}), "near"),
        (json!({"sort": "id"}), "sort"),
        (json!({"limit": 0}), "limit"),
        (json!({"limit": 1001}), "1000"),
        (json!({"cursor": "a1.1"}), "cursor"),
        (json!({"start": "yesterday"}), "start"),
        (json!({"text": "\"\""}), "no word"),
        (json!({"channels": "all"}), "channels"),
        (
            json!({"filter": {"field": "objects.colour", "eq": 1}}),
            "objects.colour",
        ),
        (json!({"total": 1}), "total"),
    ] {
        let error = site.post(&channel.all, SEARCH, &body).await.expect(400);
        let message = text(&error["error"]["message"]);
        assert!(message.contains(word), "{body}: {message}");
    }
}

/// Texts that are SQL, JSON paths or queries of a full text search stay texts wherever they stand.
#[tokio::test]
async fn nothing_that_a_client_says_becomes_sql() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let evil = [
        "' OR 1=1 --",
        "\"; DROP TABLE meta_document; --",
        "x') UNION SELECT 1 --",
        "$1 ?1 :a @a",
        "* NEAR(a b)",
        "a\u{1f4f7}\\%_",
    ];
    for (n, text) in evil.iter().enumerate() {
        let document = json!({"id": text, "timestamp": "2024-05-01T10:00:00Z", "string": {*text: text}, "long": {*text: n},
            "raw_data": text, "model": {"name": text, "version": text}, "objects": [{"label": text, "track": text}], "data": {*text: text}});
        write(&site, &channel.all, json!([document])).await;
    }
    for text in evil {
        for filter in [
            json!({"field": "objects.label", "eq": text}),
            json!({"field": "objects.track", "in": [text]}),
            json!({"field": "model.name", "eq": text}),
            json!({"field": "model.version", "eq": text}),
            json!({"field": format!("string.{text}"), "eq": text}),
            json!({"field": format!("long.{text}"), "exists": true}),
            json!({"object": {"field": "label", "eq": text}}),
            json!({"field": "frame", "ne": text, "exists": false}),
        ] {
            let found = ids(&site, &channel.all, json!({"filter": filter})).await;
            if filter["field"] == "frame" {
                assert_eq!(found.len(), evil.len());
            } else {
                assert_eq!(found, [text], "{filter}");
            }
        }
        let status = site
            .post(&channel.all, SEARCH, &json!({"text": text}))
            .await
            .status
            .as_u16();
        assert!(status == 200 || status == 400, "{text}: {status}");
        let field = format!("long.{text}");
        let counted = site
            .post(
                &channel.all,
                BUCKETS,
                &json!({"interval": "1h", "field": field}),
            )
            .await
            .expect(200);
        assert_eq!(counted["buckets"][0]["field"]["count"], 1, "{text}");
    }
    assert_eq!(ids(&site, &channel.all, json!({})).await.len(), evil.len());
}

/// A run that is on the air; its first picture has not come yet.
pub(crate) fn on_the_air(site: &Site, channel: &TestChannel) -> RunId {
    let run: RunId = "01900000-0000-7000-8000-000000000007".parse().unwrap();
    let track = site.state.registry.track(channel.id);
    track.set_source_state(SourceState {
        status: ChannelStatus::Active,
        since: site.clock.now(),
        detail: None,
        run: Some(run),
    });
    run
}

#[tokio::test]
async fn a_frame_has_to_be_the_channels_own() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let run = on_the_air(&site, &a);
    let frame = format!("{}.900", run.uuid().simple());
    let at = "2024-05-01T10:00:00Z";
    let refused = async |token: &str, document: Value| {
        let answer = write(&site, token, json!([document])).await;
        answer["results"][0]["error"].as_str().map(str::to_owned)
    };
    let unknown = refused(&b.all, json!({"frame": frame, "timestamp": at}))
        .await
        .unwrap();
    assert!(unknown.contains("none of channel"), "{unknown}");
    let untimed = refused(&a.all, json!({"frame": frame})).await.unwrap();
    assert!(untimed.contains("no longer held"), "{untimed}");
    assert_eq!(
        refused(&a.all, json!({"frame": frame, "timestamp": at})).await,
        None
    );
    let found = json!({"filter": {"field": "frame", "eq": frame}});
    assert_eq!(ids(&site, &a.all, found).await.len(), 1);
}
