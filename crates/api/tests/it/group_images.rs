//! `/v1/images`, as far as it goes without a decoder; the pictures are looked at end to end.

use crate::site::{Answer, Site, text};
use framewell_testkit::multipart::{Part, parts_of};
use serde_json::Value;

/// The parts of an answer, all JSON here: what each channel got, and the summary.
fn parts(answer: &Answer) -> (Vec<(String, Value)>, Value) {
    assert_eq!(answer.status.as_u16(), 200, "{:?}", answer.body);
    let mut parts = parts_of(answer.header("content-type"), &answer.body).unwrap();
    let json = |part: &Part| -> Value {
        assert_eq!(part.header("content-type"), "application/json");
        serde_json::from_slice(&part.body).unwrap()
    };
    let summary = json(&parts.pop().unwrap());
    assert_eq!(summary["type"], "end");
    let channels = parts
        .iter()
        .map(|part| (part.header("framewell-channel").to_owned(), json(part)));
    (channels.collect(), summary)
}

#[tokio::test]
async fn a_channel_without_a_picture_is_an_error_of_its_own() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let stranger = site.channel("c").await;
    site.record(a.id, "2024-05-01T10:00:00Z", 10).await;
    let (_, group) = site.group(&[&b, &a], "watch").await;
    let uri = "/v1/images?at=2024-05-01T10:30:00Z&tolerance=40ms";
    let answer = site.get(&group, uri).await;
    assert_eq!(
        answer.header("framewell-requested-time"),
        "2024-05-01T10:30:00.000000Z"
    );
    assert_eq!(answer.header("framewell-tolerance-ms"), "40");
    let (channels, summary) = parts(&answer);
    let ids: Vec<&str> = channels.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, [a.id.to_string(), b.id.to_string()]);
    let error = &channels[0].1["error"];
    assert_eq!(error["code"], "not_found");
    assert_eq!(error["nearest_before"], "2024-05-01T10:00:10.000000Z");
    assert_eq!(
        (&summary["pictures"], &summary["errors"]),
        (&0.into(), &2.into())
    );
    assert_eq!(summary["next"], Value::Null);

    let uri = format!("/v1/images?channels={},{},99999", stranger.id, b.id);
    let (channels, _) = parts(&site.get(&group, &uri).await);
    assert_eq!(channels.len(), 3);
    for (id, answer) in channels {
        let is_mine = id == b.id.to_string();
        let error = &answer["error"];
        assert_eq!(text(&error["message"]).contains("does not exist"), !is_mine);
    }
}

#[tokio::test]
async fn pages_show_the_same_instant() {
    let site = Site::new().await;
    for n in 0..3 {
        site.channel(&format!("c{n}")).await;
    }
    let first = site.get(site.key(), "/v1/images?limit=2").await;
    let instant = first.header("framewell-requested-time").to_owned();
    let (channels, summary) = parts(&first);
    assert_eq!(channels.len(), 2);
    site.clock.advance(std::time::Duration::from_secs(5));
    let uri = format!("/v1/images?limit=2&cursor={}", text(&summary["next"]));
    let second = site.get(site.key(), &uri).await;
    assert_eq!(second.header("framewell-requested-time"), instant);
    let (rest, summary) = parts(&second);
    assert_eq!((rest.len(), &summary["next"]), (1, &Value::Null));
    assert!(rest[0].0 > channels[1].0);
}

#[tokio::test]
async fn lines_of_json_say_the_same() {
    let site = Site::new().await;
    let a = site.channel("a").await;
    let answer = site.get(&a.watch, "/v1/images?at=-5s&as=ndjson").await;
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let lines: Vec<Value> = std::str::from_utf8(&answer.body)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["channel"], a.id.get());
    assert_eq!(lines[0]["error"]["code"], "not_found");
    assert_eq!(lines[1]["errors"], 1);
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_before_anything_is_sent() {
    let site = Site::new().await;
    for (query, word) in [
        ("limit=0", "limit"),
        ("limit=201", "200"),
        ("channels=x", "channels"),
        ("tolerance=-1s", "tolerance"),
        ("at=2030-01-01T00:00:00Z", "future"),
        ("cursor=c1", "cursor"),
        ("as=zip", "multipart"),
        ("format=bmp", "format"),
        ("width=3", "width"),
    ] {
        let answer = site.get(site.key(), &format!("/v1/images?{query}")).await;
        let error = answer.expect(400);
        assert!(text(&error["error"]["message"]).contains(word), "{error}");
    }
}
