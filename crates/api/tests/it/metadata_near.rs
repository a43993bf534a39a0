//! Native searches for nearest neighbours.

use crate::metadata::{SEARCH, ids, write};
use crate::site::{Site, TestChannel, text};
use serde_json::{Value, json};

#[tokio::test]
async fn neighbours_are_found_among_what_the_rest_of_the_search_leaves() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let (_, group) = site.group(&[&a, &b], "all").await;
    write_vectors(&site, &group, &a, &b).await;
    let near = json!({"vector": [1, 0.5]});
    for (body, expected) in [
        (
            json!({"near": near}),
            &["northeast", "east", "north", "west"][..],
        ),
        (
            json!({"near": {"vector": [1, 0.5], "k": 2}}),
            &["northeast", "east"],
        ),
        (
            json!({"near": {"vector": [1, 0.5], "min_score": 0.9}}),
            &["northeast"],
        ),
        (
            json!({"near": near, "sort": "time"}),
            &["east", "north", "west", "northeast"],
        ),
        (json!({"near": near, "channels": [a.id]}), &["east", "west"]),
        (
            json!({"near": near, "filter": {"field": "objects.label", "in": ["l1", "l2"]}}),
            &["north", "west"],
        ),
        (
            json!({"near": near, "start": "2024-05-01T10:01:00Z", "end": "2024-05-01T10:03:00Z"}),
            &["north", "west"],
        ),
        (json!({"near": {"vector": [0, 0, 1]}}), &["deep"]),
        (json!({"near": {"vector": [1], "exact": true}}), &[]),
    ] {
        assert_eq!(ids(&site, &group, body.clone()).await, expected, "{body}");
    }
    let answer = site
        .post(&group, SEARCH, &json!({"near": near}))
        .await
        .expect(200);
    assert_eq!(
        answer["meta"],
        json!({"next": null, "exact": true, "compared": 4})
    );
    let score = answer["documents"][0]["score"].as_f64().unwrap();
    assert!(
        (score - 1.5 / (1.25_f64 * 2.0).sqrt()).abs() < 1e-6,
        "{score}"
    );
}

#[tokio::test]
async fn a_bad_search_for_neighbours_is_refused_with_its_name() {
    let site = Site::new().await;
    let group = site.channel("a").await.all;
    let near = json!({"vector": [1, 0.5]});
    for (body, word) in [
        (json!({"near": {}}), "near.vector is missing"),
        (
            json!({"near": {"vector": [0, 0]}}),
            "near.vector has no direction",
        ),
        (
            json!({"near": {"vector": [1], "k": 1001}}),
            "k is not between 1 and 1000",
        ),
        (
            json!({"near": {"vector": [1], "min_score": 2}}),
            "near.min_score",
        ),
        (json!({"near": near, "limit": 5}), "limit"),
        (json!({"near": near, "cursor": "d1.1"}), "cursor"),
        (json!({"near": [1, 2]}), "near is not an object"),
    ] {
        let error = site.post(&group, SEARCH, &body).await.expect(400);
        let message = text(&error["error"]["message"]);
        assert!(message.contains(word), "{body}: {message}");
    }
}

async fn write_vectors(site: &Site, group: &str, a: &TestChannel, b: &TestChannel) {
    let document = |id: &str, channel: &TestChannel, minute: u8, vector: Value| {
        json!({"id": id, "channel": channel.id, "timestamp": format!("2024-05-01T10:0{minute}:00Z"), "vector": vector,
            "objects": [{"label": format!("l{minute}")}]})
    };
    let documents = json!([
        document("east", a, 0, json!([1, 0])),
        document("north", b, 1, json!([0, 2])),
        document("west", a, 2, json!([-3, 0])),
        document("northeast", b, 3, json!([1, 1])),
        document("deep", a, 4, json!([1, 0, 0])),
    ]);
    assert_eq!(write(site, group, documents).await["meta"]["errors"], 0);
}

#[tokio::test]
async fn a_page_ends_where_its_documents_are_too_long_together() {
    let mut site = Site::new().await;
    let a = site.channel("a").await;
    let document = |n: i64| {
        let at = format!("2024-05-01T10:0{n}:00Z");
        json!({"id": format!("d{n}"), "timestamp": at, "vector": [1, n], "raw_data": "x".repeat(9_000)})
    };
    let documents: Value = (0..5).map(document).collect();
    write(&site, &a.all, documents).await;
    site.limit_documents(20_000);
    let mut body = json!({"limit": 4, "sort": "time"});
    let mut read = Vec::new();
    loop {
        let found = site.post(&a.all, SEARCH, &body).await.expect(200);
        let documents = found["documents"].as_array().unwrap();
        read.push(documents.len());
        body["cursor"] = found["meta"]["next"].clone();
        if body["cursor"].is_null() {
            break;
        }
    }
    assert_eq!(read, [2, 2, 1]);
    let near = json!({"near": {"vector": [1, 0], "k": 4}});
    let found = site.post(&a.all, SEARCH, &near).await.expect(200);
    assert_eq!(found["meta"]["cut"], true);
    assert_eq!(ids(&site, &a.all, near).await, ["d0", "d1"]);
    let long = json!([
        {"timestamp": "2024-05-01T10:00:00Z", "objects": vec![json!({"label": "x", "polygon": vec![[0.125; 2]; 100]}); 900]},
        {"timestamp": "2024-05-01T10:00:00Z"},
    ]);
    let answer = write(&site, &a.all, long).await;
    let why = answer["results"][0]["error"].as_str().unwrap();
    assert!(why.contains("1048576 are allowed in all"), "{why}");
    assert_eq!(answer["results"][1]["status"], 201);
}
