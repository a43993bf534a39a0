//! Lines 18, 19 and 25: recorded files, the timeline, and pages of records.

use super::footage::Footage;
use super::paging::follow;
use super::{assert_vxg_error, inner_token, list, objects, text, time};
use crate::cameras;
use crate::site::create_group;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const RECORDS: &str = "/api/v4/storage/records/";

pub(super) async fn line_18_intervals_are_closed(footage: &Footage) {
    let api = footage.acc();
    let get = async |query: String| api.get(&format!("{RECORDS}?{query}")).await.expect(200);
    let starts = |answer: &Value| -> Vec<Value> {
        objects(answer).iter().map(|r| r["start"].clone()).collect()
    };
    // A record that ends at t and one that starts at t are both there.
    let (first, second, third) = (
        &footage.records[0],
        &footage.records[1],
        &footage.records[2],
    );
    let boundary = text(&second["start"]);
    let ending = get(format!("end={boundary}&limit=1&order_by=-time")).await;
    let starting = get(format!("start={boundary}&limit=100")).await;
    assert_eq!(
        ending["objects"][0]["start"], second["start"],
        "the very same text"
    );
    assert!(starts(&starting).contains(&second["start"]));
    let ended = text(&first["end"]);
    let inside = get(format!("start={ended}&end={ended}")).await;
    assert_eq!(inside["objects"][0]["start"], first["start"]);
    // A moment inside a record is covered by it alone.
    let middle = time(&second["start"]).plus_micros(700_000).to_naive_text();
    let inside = get(format!("start={middle}&end={middle}")).await;
    assert_eq!(starts(&inside), [second["start"].clone()]);
    assert_eq!(inside["meta"]["total_count"], 1);
    // Nothing before the first, and each record once in order of time.
    let before = time(&first["start"]).plus_micros(-1).to_naive_text();
    let none = get(format!("end={before}")).await;
    assert_eq!(
        (&none["objects"], &none["meta"]["total_count"]),
        (&json!([]), &json!(0))
    );
    let end = text(&third["start"]);
    let forth = get(format!("end={end}&order_by=time")).await;
    let back = get(format!("end={end}&order_by=-time")).await;
    let expected: Vec<Value> = footage.records[..3]
        .iter()
        .map(|r| r["start"].clone())
        .collect();
    assert_eq!(starts(&forth), expected);
    assert_eq!(
        starts(&back),
        expected.into_iter().rev().collect::<Vec<_>>()
    );
    assert_vxg_error(&api.get(&format!("{RECORDS}?order_by=size")).await, 400);
}

pub(super) async fn line_18_records_and_data_agree(footage: &Footage) {
    let (first, id) = (&footage.records[0], footage.channel.id);
    let inside = text(&first["end"]);
    let path = format!("/api/v2/storage/data/?camid={id}&start={inside}&end={inside}");
    let data = footage.server.admin().get(&path).await.expect(200);
    assert_eq!(data["objects"][0]["start"], first["start"]);
    // The same objects with every credential that may see them.
    let group = create_group(&footage.server, &[&footage.channel]).await;
    let query = format!("limit=3&order_by=time&camid={id}");
    let inner = inner_token(&footage.channel.watch);
    for (api, path) in [
        (
            footage.server.admin(),
            format!("/api/v2/storage/data/?{query}"),
        ),
        (
            footage.server.api(&format!("SI {group}")),
            format!("/api/v2/storage/data/?{query}"),
        ),
        (footage.acc(), "/api/v2/storage/data?limit=3".to_owned()),
        (
            footage.open(),
            format!("/api/v2/storage/data/?limit=3&token={inner}"),
        ),
        (footage.open(), format!("{RECORDS}?limit=3&token={inner}")),
    ] {
        let page = api.get(&path).await.expect(200);
        let pairs = objects(&page).iter().zip(&footage.records);
        assert_eq!(objects(&page).len(), 3, "{path}");
        for (object, record) in pairs {
            for member in ["id", "camid", "start", "end", "size"] {
                assert_eq!(object[member], record[member], "{member} of {path}");
            }
        }
    }
    let one = footage
        .acc()
        .get(&format!("{RECORDS}{}/", first["id"]))
        .await;
    let one = one.expect(200);
    assert_eq!(
        (&one["start"], &one["size"]),
        (&first["start"], &first["size"])
    );
    assert_vxg_error(&footage.acc().get(&format!("{RECORDS}999999/")).await, 404);
    let unnamed = footage.server.admin().get("/api/v2/storage/data/").await;
    assert_vxg_error(&unnamed, 400);
    let foreign = footage.acc().get("/api/v2/storage/data/?camid=4711").await;
    assert_vxg_error(&foreign, 404);
}

/// The part of a record's URL by which clients name the file.
fn base_name(record: &Value) -> &str {
    let url = text(&record["url"]);
    url.split('?')
        .next()
        .expect("a path")
        .rsplit('/')
        .next()
        .expect("a name")
}

pub(super) async fn line_18_urls_open_one_record(footage: &Footage) {
    let (records, id) = (&footage.records, footage.channel.id);
    let names: BTreeSet<&str> = records.iter().map(base_name).collect();
    assert_eq!(names.len(), records.len());
    assert!(names.iter().all(|name| name.ends_with(".mp4")), "{names:?}");
    let url = text(&records[0]["url"]);
    assert!(!url.contains([' ', '"', '\'', '<', '>', '`']), "{url}");
    assert!(url.starts_with(&footage.server.base()), "{url}");
    let open = footage.open();
    let busted = open.get(&format!("{url}&1700000000000")).await;
    assert_eq!(
        (busted.status.as_u16(), busted.header("content-type")),
        (200, "video/mp4")
    );
    assert_eq!(json!(busted.body.len()), records[0]["size"]);
    assert_eq!(busted.body.get(4..8), Some(&b"ftyp"[..]));
    let (path, ticket) = url.split_once('?').expect("a ticket");
    let second = text(&records[1]["url"]);
    let (second, _) = second.split_once('?').expect("a ticket");
    for other in [
        url.replace(&format!("/{id}/"), "/999/"),
        format!("{second}?{ticket}"),
        path.to_owned(),
        format!(
            "{path}?{}",
            ticket.replace("ticket=media.", "ticket=media.x")
        ),
    ] {
        let other = open.get(&other).await;
        assert!(
            matches!(other.status.as_u16(), 401 | 403 | 404),
            "a ticket opens one record only: {}",
            other.status
        );
        assert_vxg_error(&other, other.status.as_u16());
    }
}

pub(super) async fn line_18_ranges_of_a_record(footage: &Footage) {
    let first = &footage.records[0];
    let url = text(&first["url"]);
    let size = first["size"].as_u64().expect("a size");
    let open = footage.open();
    let whole = open.get(url).await;
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let get = async |range: &str| {
        let headers = [("Range", range), ("Origin", "https://page.example")];
        open.send("GET", url, &headers, None).await
    };
    let part = get("bytes=0-99").await;
    assert_eq!((part.status.as_u16(), part.body.len()), (206, 100));
    assert_eq!(
        part.header("content-range"),
        format!("bytes 0-99/{}", first["size"])
    );
    assert_eq!(
        part.header("access-control-allow-origin"),
        "https://page.example"
    );
    let last = size - 1;
    for (range, from) in [
        // As the vendor's player asks for a whole record.
        ("bytes=0-100000000".to_owned(), 0),
        ("bytes=200-".to_owned(), 200),
        (format!("bytes={last}-{last}"), last),
        ("bytes=-50".to_owned(), size - 50),
    ] {
        let part = get(&range).await;
        assert_eq!(part.status.as_u16(), 206, "{range}");
        let stated = format!("bytes {from}-{last}/{size}");
        assert_eq!(part.header("content-range"), stated, "{range}");
        let from = usize::try_from(from).expect("a small file");
        assert_eq!(Some(&part.body[..]), whole.body.get(from..), "{range}");
    }
    let beyond = get(&format!("bytes={size}-")).await;
    assert_vxg_error(&beyond, 416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
}

pub(super) async fn line_19_timeline(footage: &Footage) {
    let (first, id) = (&footage.records[0], footage.channel.id);
    let (api, begin) = (footage.acc(), text(&first["start"]));
    let path = format!("/api/v2/storage/timeline/{id}/");
    let timeline = api
        .get(&format!("{path}?slices=3&limit=1000&start={begin}"))
        .await;
    let timeline = timeline.expect(200);
    let periods = list(&timeline["objects"][0]["3"]);
    assert_eq!(
        periods.len(),
        1,
        "records that touch are one period: {timeline}"
    );
    assert!(periods[0][1].as_i64() >= Some(4), "{timeline}");
    assert_eq!(periods[0][0], first["start"]);
    // Whole seconds, rounded down: no player looks for pictures behind the end.
    let seconds = periods[0][1].as_i64().expect("whole seconds");
    let end = time(&first["start"]).plus_micros(seconds * 1_000_000);
    assert!(end <= cameras::now(), "{timeline}");
    let empty = api
        .get(&format!(
            "{path}?slices=4&start=2001-01-01T00:00:00&end=2001-01-02T00:00:00"
        ))
        .await
        .expect(200);
    assert_eq!(empty["objects"][0], json!({"4": []}));
    // Cut to the range, under the number that was asked for, with any credential.
    let (from, to) = (time(&first["start"]), time(&footage.records[2]["start"]));
    let (from, to) = (from.plus_micros(500_000), to.plus_micros(500_000));
    let whole_seconds = to.micros_since(from) / 1_000_000;
    let query = format!(
        "slices=1&start={}&end={}",
        from.to_naive_text(),
        to.to_naive_text()
    );
    let inner = inner_token(&footage.channel.watch);
    let cut = footage
        .open()
        .get(&format!("{path}?{query}&token={inner}"))
        .await;
    let cut = cut.expect(200);
    assert_eq!(
        cut["objects"],
        json!([{"1": [[from.to_naive_text(), whole_seconds]]}])
    );
    assert_vxg_error(&api.get(&format!("{path}?slices=all")).await, 400);
    let foreign = api.get("/api/v2/storage/timeline/4711/?slices=1").await;
    assert_vxg_error(&foreign, 404);
}

/// Pages follow `next`, which keeps every parameter and the token, and ends with null.
pub(super) async fn line_25_pages(footage: &Footage) {
    let inner = inner_token(&footage.channel.all);
    let (records, open) = (&footage.records, footage.open());
    let end = text(&records[2]["start"]);
    let path = format!("{RECORDS}?limit=1&order_by=time&end={end}&token={inner}");
    let token = format!("token={inner}");
    let kept = ["limit=1", "order_by=time", "end=", &token];
    let seen: Vec<Value> = follow(&open, &path, &kept)
        .await
        .iter()
        .map(|r| r["start"].clone())
        .collect();
    let expected: Vec<Value> = records[..3].iter().map(|r| r["start"].clone()).collect();
    assert_eq!(seen, expected);
}
