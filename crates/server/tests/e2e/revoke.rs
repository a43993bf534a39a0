//! Credentials that got into wrong hands.

use crate::server::Server;
use crate::site::{acc, create_channel_from, create_group};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn revoked_tokens_open_nothing_at_once_and_the_new_ones_do() {
    let server = Server::start().await;
    let channel = create_channel_from(&server, "gate", &json!({"url": ""})).await;
    let group = create_group(&server, &[&channel]).await;
    let engine = server.api(&format!("SI {group}"));
    engine.get("/api/v5/channels/").await.expect(200);

    server.account(&["revoke", "tests", "--group", "1"]);
    engine.get("/api/v5/channels/").await.expect(401);
    // The channel's own tokens are another matter.
    acc(&server, &channel)
        .get("/api/v4/channel/")
        .await
        .expect(200);
    server.account(&["revoke", "tests", "--channel", &channel.id.to_string()]);
    acc(&server, &channel)
        .get("/api/v4/channel/")
        .await
        .expect(401);
    server
        .api(&format!("Acc {}", channel.watch))
        .get("/api/v4/channel/")
        .await
        .expect(401);

    let shown = server.admin().get("/api/v3/channel_groups/1/").await;
    let token = shown.expect(200)["token"].clone();
    let engine = server.api(&format!("SI {}", token.as_str().expect("a token")));
    let channels = engine.get("/api/v5/channels/").await.expect(200);
    assert_eq!(channels["objects"][0]["id"], channel.id);

    let key = server.account(&["new-key", "tests"]);
    server.admin().get("/api/v3/channels/").await.expect(401);
    let owner = server.api(&format!("LKey {key}"));
    owner.get("/api/v3/channels/").await.expect(200);
}
