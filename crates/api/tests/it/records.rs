//! Records and timelines; checklist lines 18 and 19 as far as they need no video.

use crate::site::{Site, assert_compat_error, text};
use serde_json::{Value, json};

const RECORDS: &str = "/api/v4/storage/records/";

#[tokio::test]
async fn a_record_matches_if_it_touches_the_closed_interval() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    site.record(channel.id, "2024-05-01T10:00:00Z", 10).await;
    site.record(channel.id, "2024-05-01T10:00:10Z", 10).await;
    let count = async |query: &str| {
        let list = site
            .get(&channel.watch, &format!("{RECORDS}?{query}"))
            .await
            .expect(200);
        list["meta"]["total_count"].as_i64().unwrap()
    };
    assert_eq!(count("").await, 2);
    assert_eq!(
        count("start=2024-05-01T10:00:10&end=2024-05-01T10:00:10").await,
        2
    );
    assert_eq!(count("end=2024-05-01T10:00:00").await, 1);
    assert_eq!(count("start=2024-05-01T10:00:20").await, 1);
    assert_eq!(count("start=2024-05-01T10:00:20.000001").await, 0);
    assert_eq!(count("start=2001-01-01&end=2001-01-02").await, 0);
}

#[tokio::test]
async fn both_lists_show_the_same_record_in_the_same_words() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let id = site.record(channel.id, "2024-05-01T10:20:00.04Z", 30).await;
    let one = |list: Value| list["objects"][0].clone();
    let records = one(site.get(&channel.watch, RECORDS).await.expect(200));
    let data = format!("/api/v2/storage/data/?camid={}", channel.id);
    let data = one(site.get(site.key(), &data).await.expect(200));
    let single = site
        .get(&channel.watch, &format!("{RECORDS}{id}/"))
        .await
        .expect(200);
    for record in [&records, &data, &single] {
        assert_eq!(
            (&record["id"], &record["camid"]),
            (&json!(id), &json!(channel.id))
        );
        assert_eq!(record["start"], "2024-05-01T10:20:00.040000");
        assert_eq!(record["end"], "2024-05-01T10:20:30.040000");
        assert_eq!(record["size"], 1_834_211);
        let url = text(&record["url"]);
        assert!(url.starts_with("http://vms.test:8080/media/rec/"), "{url}");
        let name = url.split('?').next().unwrap().rsplit('/').next().unwrap();
        assert_eq!(name, format!("20240501T102000.040000_{id}.mp4"));
        assert!(
            !url.contains([' ', '"', '\'', '<', '>', '`']),
            "goes into HTML unquoted"
        );
    }
    let list = site.get(&channel.watch, RECORDS).await.expect(200);
    assert_eq!(list["meta"]["expire"], "2024-05-01T13:00:00.000000");
    assert_eq!(list["meta"]["limit"], 20);
    let data = site
        .get(&channel.watch, "/api/v2/storage/data/")
        .await
        .expect(200);
    assert_eq!(data["meta"]["limit"], 1_000);
}

#[tokio::test]
async fn order_and_bad_parameters() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    site.record(channel.id, "2024-05-01T10:00:00Z", 10).await;
    site.record(channel.id, "2024-05-01T10:01:00Z", 10).await;
    let first = async |query: &str| {
        let list = site
            .get(&channel.watch, &format!("{RECORDS}?{query}"))
            .await
            .expect(200);
        text(&list["objects"][0]["start"]).to_owned()
    };
    assert_eq!(
        first("limit=1&order_by=-time").await,
        "2024-05-01T10:01:00.000000"
    );
    assert_eq!(
        first("limit=1&order_by=time").await,
        "2024-05-01T10:00:00.000000"
    );
    assert_eq!(first("").await, "2024-05-01T10:00:00.000000");
    for query in ["order_by=size", "limit=x", "start=x", "offset=-1"] {
        let answer = site
            .get(&channel.watch, &format!("{RECORDS}?{query}"))
            .await;
        assert_compat_error(&answer, 400, "invalid_param");
    }
}

#[tokio::test]
async fn which_channel_is_meant_has_to_be_clear() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let (_, engine) = site.group(&[&a], "all").await;
    assert_compat_error(&site.get(&engine, RECORDS).await, 403, "access_deny");
    site.get(&engine, &format!("{RECORDS}?camid={}", a.id))
        .await
        .expect(200);
    let foreign = site
        .get(&engine, &format!("{RECORDS}?camid={}", b.id))
        .await;
    assert_compat_error(&foreign, 404, "not_found");
    let data = "/api/v2/storage/data/";
    assert_compat_error(&site.get(&engine, data).await, 400, "invalid_param");
    let other = site.get(&a.all, &format!("{data}?camid={}", b.id)).await;
    assert_compat_error(&other, 404, "not_found");
}

#[tokio::test]
async fn a_record_is_deleted_only_by_who_may() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let id = site.record(a.id, "2024-05-01T10:00:00Z", 10).await;
    let path = format!("{RECORDS}{id}/");
    assert_compat_error(&site.delete(&a.watch, &path).await, 403, "access_deny");
    assert_compat_error(&site.delete(&b.all, &path).await, 404, "not_found");
    assert_compat_error(&site.get(&b.all, &path).await, 404, "not_found");
    assert_eq!(site.delete(&a.all, &path).await.status.as_u16(), 204);
    assert_compat_error(&site.get(&a.all, &path).await, 404, "not_found");
    assert_compat_error(
        &site.get(&a.all, &format!("{RECORDS}x/")).await,
        404,
        "not_found",
    );
}

#[tokio::test]
async fn a_ticket_opens_its_own_record_and_nothing_else() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let id = site.record(channel.id, "2024-05-01T10:00:00Z", 10).await;
    let other = site.record(channel.id, "2024-05-01T10:00:10Z", 10).await;
    let record = site
        .get(&channel.watch, &format!("{RECORDS}{id}/"))
        .await
        .expect(200);
    let url = text(&record["url"])
        .trim_start_matches("http://vms.test:8080")
        .to_owned();
    // The row has no object behind it: past the ticket, the missing bytes are found.
    let opened = site.get("", &format!("{url}&1714558830123")).await;
    assert!(!matches!(opened.status.as_u16(), 401 | 403), "{opened:?}");
    let swapped = url.replace(&format!("_{id}.mp4"), &format!("_{other}.mp4"));
    assert_compat_error(&site.get("", &swapped).await, 401, "invalid_auth");
    let (path, _) = url.split_once('?').unwrap();
    assert_compat_error(&site.get("", path).await, 401, "invalid_auth");
    assert_compat_error(&site.get(&channel.all, path).await, 401, "invalid_auth");
    site.clock.advance(std::time::Duration::from_secs(3_601));
    assert_compat_error(&site.get("", &url).await, 401, "invalid_auth");
}

#[tokio::test]
async fn a_timeline_answers_under_the_slice_that_was_asked() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let path = format!("/api/v2/storage/timeline/{}/", channel.id);
    for slices in [1, 3, 4] {
        let empty = site
            .get(&channel.watch, &format!("{path}?slices={slices}"))
            .await
            .expect(200);
        assert_eq!(empty["objects"], json!([{ slices.to_string(): [] }]));
    }
    for start in ["10:00:00", "10:00:10", "10:00:22", "10:05:00.25"] {
        site.record(channel.id, &format!("2024-05-01T{start}Z"), 10)
            .await;
    }
    let whole = site
        .get(&channel.watch, &format!("{path}?slices=3&limit=1000"))
        .await
        .expect(200);
    assert_eq!(
        whole["objects"][0]["3"],
        json!([
            ["2024-05-01T10:00:00.000000", 32],
            ["2024-05-01T10:05:00.250000", 10]
        ]),
        "pauses of 2 s do not split"
    );
    let cut = format!("{path}?slices=3&start=2024-05-01T10:00:05.500&end=2024-05-01T10:00:08");
    let cut = site.get(&channel.watch, &cut).await.expect(200);
    assert_eq!(
        cut["objects"][0]["3"],
        json!([["2024-05-01T10:00:05.500000", 2]])
    );
    let by_token = format!(
        "{path}?slices=4&token={}",
        crate::site::inner(&channel.watch)
    );
    assert!(site.get("", &by_token).await.expect(200)["objects"][0]["4"].is_array());
    let bad = site.get(&channel.watch, &format!("{path}?slices=x")).await;
    assert_compat_error(&bad, 400, "invalid_param");
}
