//! Many frames in one write: what cannot be found costs its own document at most.

use crate::metadata::{META, ids, on_the_air, write};
use crate::site::Site;
use framewell_model::RunId;
use serde_json::{Value, json};

/// More than one write searches for.
const MANY: usize = 1_500;
const AT: &str = "2024-05-01T10:00:00Z";

async fn frames_of(site: &Site, token: &str, frame: impl Fn(usize) -> String) -> Value {
    let documents: Vec<Value> = (0..MANY)
        .map(|n| json!({"frame": frame(n), "timestamp": AT}))
        .collect();
    write(site, token, json!(documents)).await
}

#[tokio::test]
async fn many_late_frames_do_not_refuse_a_write() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let run = on_the_air(&site, &a).uuid().simple();
    let late = frames_of(&site, &a.all, |n| format!("{run}.{n}")).await;
    assert_eq!(late["meta"], json!({"errors": 0, "total": MANY}));
    let told = |answer: &Value, n: usize| answer["results"][n]["error"].to_string();
    // One run of another channel is looked for once, whatever the number of its frames.
    let strange = frames_of(&site, &b.all, |n| format!("{run}.{n}")).await;
    assert_eq!(strange["meta"]["errors"], MANY);
    for n in [0, MANY - 1] {
        assert!(told(&strange, n).contains("none of channel"), "{strange}");
    }
    let runs = |n: usize| format!("01900000000070008000{n:012x}.900");
    let many = frames_of(&site, &b.all, runs).await;
    assert!(told(&many, 999).contains("none of channel"), "{many}");
    assert!(told(&many, 1_000).contains("not looked for"), "{many}");
}

#[tokio::test]
async fn a_channel_that_fails_leaves_the_results_of_the_others() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let (_, group) = site.group(&[&a, &b], "all").await;
    let run: RunId = "01900000-0000-7000-8000-000000000009".parse().unwrap();
    site.record_run(b.id, run, AT, 10).await;
    let damaged =
        json!({"channel": b.id, "timestamp": AT, "frame": format!("{}.900", run.uuid().simple())});
    let documents = json!([
        {"id": "x", "channel": a.id, "timestamp": AT},
        damaged,
        {"channel": a.id},
        {"channel": b.id, "timestamp": AT},
    ]);
    let answer = write(&site, &group, documents).await;
    let results = answer["results"].as_array().unwrap();
    let statuses: Vec<&Value> = results.iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, [201, 500, 400, 500], "{answer}");
    assert_eq!(answer["meta"], json!({"errors": 3, "total": 4}));
    assert!(results[3]["error"].is_string());
    assert_eq!(ids(&site, &group, json!({})).await, ["x"]);
    // Nothing was stored: all of it may be sent again.
    site.post(&b.all, META, &json!([damaged])).await.expect(500);
}
