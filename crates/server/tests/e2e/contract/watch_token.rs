//! Line 26: what a watch token opens, and what not.

use super::assert_vxg_error;
use super::footage::Footage;
use crate::client::Api;

fn watcher(footage: &Footage) -> Api {
    footage
        .server
        .api(&format!("Acc {}", footage.channel.watch))
}

pub(super) async fn line_26_reads(footage: &Footage) {
    let watcher = watcher(footage);
    let id = footage.channel.id;
    for path in [
        "/api/v4/channel/",
        "/api/v4/live/image/",
        "/api/v4/storage/records/",
        "/api/v4/live/watch/",
        "/api/v2/storage/data/",
        &format!("/api/v4/storage/records/{}/", footage.records[0]["id"]),
        &format!("/api/v2/storage/timeline/{id}/"),
        &format!("/api/v2/cameras/{id}/"),
        &format!("/api/v2/cameras/{id}/media_streams/"),
        &format!("/api/v2/cameras/{id}/video/streams/"),
    ] {
        watcher.get(path).await.expect(200);
    }
    // The camera's address and login are nobody's business who may only watch.
    let shown = watcher
        .get(&format!("/api/v2/cameras/{id}/?detail=detail"))
        .await;
    let shown = shown.expect(200);
    assert_eq!((&shown["url"], &shown["login"]), (&"".into(), &"".into()));
}

pub(super) async fn line_26_writes(footage: &Footage) {
    let watcher = watcher(footage);
    let id = footage.channel.id;
    let record = format!("/api/v4/storage/records/{}/", footage.records[0]["id"]);
    for (method, path) in [
        ("POST", "/api/v4/meta/"),
        ("PUT", "/api/v4/channel/"),
        ("POST", "/api/v4/meta/filter/"),
        ("PUT", "/api/v4/live/source/"),
        ("GET", "/api/v4/live/source/"),
        ("POST", "/api/v4/live/source/"),
        ("PUT", "/api/v4/meta/"),
        ("DELETE", "/api/v4/meta/"),
        ("DELETE", "/api/v4/meta/filter/"),
        ("POST", "/api/v2/storage/meta/filter/"),
        ("PUT", &format!("/api/v2/cameras/{id}/")),
        ("DELETE", &record),
    ] {
        let answer = watcher.send(method, path, &[], Some("{}".into())).await;
        assert_vxg_error(&answer, 403);
        assert_eq!(answer.json()["errorType"], "access_deny", "{method} {path}");
    }
    watcher.get(&record).await.expect(200);
}
