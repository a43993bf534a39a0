//! Line 25: pages of lists.

use super::{inner_token, nowhere, objects, text};
use crate::client::Api;
use crate::server::Server;
use crate::site::{ChannelKeys, create_channel_from, create_group};
use serde_json::{Value, json};

/// Follows `next` from `path` on; the objects of all pages.
pub(super) async fn follow(api: &Api, path: &str, kept: &[&str]) -> Vec<Value> {
    let mut next = Some(path.to_owned());
    let mut seen = Vec::new();
    let mut offset = 0;
    while let Some(path) = next {
        assert!(path.starts_with("/api/") && path.contains('?'), "{path}");
        for parameter in kept {
            assert!(path.contains(parameter), "{parameter} is lost: {path}");
        }
        let page = api.get(&path).await.expect(200);
        let meta = &page["meta"];
        assert_eq!(meta["offset"], offset, "{path}");
        assert_eq!(meta["previous"].is_null(), offset == 0, "{path}");
        offset += objects(&page).len();
        seen.extend(objects(&page).iter().cloned());
        next = meta["next"].as_str().map(str::to_owned);
        assert_eq!(next.is_none(), meta["total_count"] == offset, "{page}");
    }
    seen
}

fn ids(objects: &[Value]) -> Vec<i64> {
    objects.iter().filter_map(|o| o["id"].as_i64()).collect()
}

async fn create_channels(server: &Server, count: usize) -> Vec<ChannelKeys> {
    let mut channels = Vec::new();
    for n in 0..count {
        let channel = create_channel_from(server, &format!("n{n}"), &nowhere()).await;
        channels.push(channel);
    }
    channels
}

#[tokio::test(flavor = "multi_thread")]
async fn line_25_lists_of_channels_and_groups_are_followed_to_their_end() {
    let server = Server::start().await;
    let admin = server.admin();
    let channels = create_channels(&server, 5).await;
    let all: Vec<i64> = channels.iter().map(|channel| channel.id).collect();
    let path = "/api/v3/channels/?limit=2&name=n&detail=detail";
    let kept = ["limit=2", "name=n", "detail=detail"];
    assert_eq!(ids(&follow(&admin, path, &kept).await), all);
    let token = create_group(&server, &channels.iter().collect::<Vec<_>>()).await;
    let engine = server.api(&format!("SI {token}"));
    let path = "/api/v5/channels/?limit=2&include_meta=true";
    let seen = follow(&engine, path, &["include_meta=true"]).await;
    assert_eq!(ids(&seen), all);
    // The credential of the query is in every link; the client sends no header.
    let parameter = format!("token={}", inner_token(&token));
    let path = format!("/api/v5/channels/?{parameter}&limit=3");
    let seen = follow(&server.api(""), &path, &[&parameter]).await;
    assert_eq!(ids(&seen), all);
    for name in ["g1", "g2"] {
        let group = json!({"name": name});
        admin
            .post("/api/v3/channel_groups/", &group)
            .await
            .expect(201);
    }
    let seen = follow(&admin, "/api/v3/channel_groups/?limit=1", &["limit=1"]).await;
    assert_eq!(seen.len(), 3);
    // The link back leads to the page before.
    let second = admin.get("/api/v3/channels/?limit=2&offset=2").await;
    let previous = text(&second.expect(200)["meta"]["previous"]).to_owned();
    assert!(previous.starts_with("/api/v3/") && previous.contains('?'));
    let first = admin.get(&previous).await.expect(200);
    assert_eq!(ids(objects(&first)), all[..2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn line_25_a_page_has_20_objects_unless_asked_and_1000_if_asked() {
    let server = Server::start().await;
    create_channels(&server, 21).await;
    let admin = server.admin();
    let first = admin.get("/api/v3/channels/").await.expect(200);
    assert_eq!(objects(&first).len(), 20);
    assert_eq!(first["meta"]["limit"], 20);
    assert_eq!(first["meta"]["total_count"], 21);
    let next = admin.get(text(&first["meta"]["next"])).await.expect(200);
    assert_eq!(objects(&next).len(), 1);
    let all = admin.get("/api/v3/channels/?limit=1000").await.expect(200);
    assert_eq!(objects(&all).len(), 21);
    assert_eq!(all["meta"]["limit"], 1000);
    assert!(all["meta"]["next"].is_null() && all["meta"]["previous"].is_null());
}
