//! Channels and groups through the public API, as an integrator makes them.

use crate::client::Api;
use crate::server::{Server, wait_for};
use framewell_testkit::camera::Camera;
use serde_json::{Value, json};

/// A channel as its owner knows it.
#[derive(Debug, Clone)]
pub(crate) struct ChannelKeys {
    pub(crate) id: i64,
    /// Base64 channel token of level all.
    pub(crate) all: String,
    /// Base64 channel token of level watch.
    pub(crate) watch: String,
}

/// Creates a channel that pulls from `camera`.
pub(crate) async fn create_channel(server: &Server, name: &str, camera: &Camera) -> ChannelKeys {
    let source =
        json!({"url": camera.url(), "login": camera.login(), "password": camera.password()});
    create_channel_from(server, name, &source).await
}

/// Creates a channel with this `source` object.
pub(crate) async fn create_channel_from(
    server: &Server,
    name: &str,
    source: &Value,
) -> ChannelKeys {
    let body = json!({"name": name, "rec_mode": "on", "source": source});
    let channel = server
        .admin()
        .post("/api/v3/channels/", &body)
        .await
        .expect(201);
    let token = |level: &str| {
        channel["access_tokens"][level]
            .as_str()
            .expect("a token")
            .to_owned()
    };
    ChannelKeys {
        id: channel["id"].as_i64().expect("an id"),
        all: token("all"),
        watch: token("watch"),
    }
}

/// Creates a group of channels; its base64 token.
pub(crate) async fn create_group(server: &Server, channels: &[&ChannelKeys]) -> String {
    let group = server
        .admin()
        .post("/api/v3/channel_groups/", &json!({"name": "engine"}))
        .await
        .expect(201);
    let ids: Vec<i64> = channels.iter().map(|channel| channel.id).collect();
    let path = format!("/api/v3/channel_groups/{}/", group["id"]);
    let group = server
        .admin()
        .put(&path, &json!({"channels": ids}))
        .await
        .expect(200);
    group["token"].as_str().expect("a token").to_owned()
}

/// A client with a channel token of level all.
pub(crate) fn acc(server: &Server, channel: &ChannelKeys) -> Api {
    server.api(&format!("Acc {}", channel.all))
}

/// Waits until a channel has this status.
pub(crate) async fn wait_for_status(server: &Server, channel: &ChannelKeys, status: &str) {
    let api = acc(server, channel);
    wait_for(
        &format!("channel {} to be {status}", channel.id),
        40,
        async || {
            let answer = api.get("/api/v4/channel/").await.expect(200);
            (answer["status"] == status).then_some(())
        },
    )
    .await;
}

/// Waits until a channel has published at least `count` records; all of them, oldest first.
pub(crate) async fn wait_for_records(
    server: &Server,
    channel: &ChannelKeys,
    count: usize,
) -> Vec<Value> {
    let api = acc(server, channel);
    wait_for(
        &format!("{count} records of channel {}", channel.id),
        60,
        async || {
            let answer = api
                .get("/api/v4/storage/records/?limit=1000&order_by=time")
                .await
                .expect(200);
            let records = answer["objects"].as_array().expect("a list").clone();
            (records.len() >= count).then_some(records)
        },
    )
    .await
}
