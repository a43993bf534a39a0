//! Holds, limits, and what was deleted.

use crate::site::{Site, text};
use serde_json::json;

#[tokio::test]
async fn what_a_hold_keeps_cannot_be_deleted_until_it_ends() {
    let site = Site::new().await;
    let channel = site.channel("Gate").await;
    let record = site.record(channel.id, "2024-05-01T11:00:00Z", 10).await;
    let holds = format!("/v1/channels/{}/holds", channel.id);
    let hold = json!({
        "name": "case 7",
        "start": "2024-05-01T11:00:05Z",
        "end": "2024-05-01T11:00:06Z",
    });
    site.post(&channel.watch, &holds, &hold).await.expect(403);
    // It keeps footage at the cost of all other channels, and from everybody: the account decides.
    site.post(&channel.all, &holds, &hold).await.expect(403);
    let made = site.post(site.key(), &holds, &hold).await.expect(201);
    assert_eq!(made["name"], "case 7");
    assert_eq!(made["expires"], json!(null));
    let listed = site.get(&channel.watch, &holds).await.expect(200);
    assert_eq!(listed["holds"], json!([made]));

    let path = format!("/api/v4/storage/records/{record}/");
    let refused = site.delete(&channel.all, &path).await.expect(409);
    assert!(refused.to_string().contains("case 7"), "{refused}");
    let gone = format!("/api/v3/channels/{}/", channel.id);
    site.delete(site.key(), &gone).await.expect(409);

    let one = format!("{holds}/{}", made["id"]);
    site.delete(&channel.watch, &one).await.expect(403);
    site.delete(&channel.all, &one).await.expect(403);
    site.delete(site.key(), &one).await.expect(204);
    site.delete(site.key(), &one).await.expect(404);
    site.delete(&channel.all, &path).await.expect(204);

    let deletions = format!("/v1/channels/{}/deletions", channel.id);
    let page = site.get(&channel.watch, &deletions).await.expect(200);
    let entry = &page["deletions"][0];
    assert_eq!(
        (text(&entry["reason"]), &entry["segments"]),
        ("request", &json!(1))
    );
    assert_eq!(entry["start"], "2024-05-01T11:00:00.000000Z");
    assert_eq!(page["meta"]["next"], json!(null));
    let bad = format!("{deletions}?limit=0");
    site.get(&channel.watch, &bad).await.expect(400);
}

#[tokio::test]
async fn limits_of_a_channel_are_set_and_taken_back() {
    let site = Site::new().await;
    let channel = site.channel("Gate").await;
    let path = format!("/v1/channels/{}/recording", channel.id);
    let limits = json!({"max_bytes": 5_000_000_000_i64, "retention_s": 86_400});
    let set = site.put(&channel.all, &path, &limits).await.expect(200);
    assert_eq!(
        (&set["max_bytes"], &set["retention_s"], &set["clock"]),
        (&json!(5_000_000_000_i64), &json!(86_400), &json!(null))
    );
    let none = json!({"max_bytes": null});
    let unset = site.put(&channel.all, &path, &none).await.expect(200);
    assert_eq!(
        (&unset["max_bytes"], &unset["retention_s"]),
        (&json!(null), &json!(86_400))
    );
}
