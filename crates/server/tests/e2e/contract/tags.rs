//! Line 23: tags of channels.

use super::{assert_vxg_error, nowhere, on_both_databases};
use crate::server::Server;
use crate::site::{acc, create_channel_from};
use serde_json::json;

on_both_databases! {
    async fn line_23_tags_are_created_once_and_changed_by_put(database: &str) {
        let server = Server::start_with(database).await;
        let channel = create_channel_from(&server, "a", &nowhere()).await;
        let admin = server.admin();
        let tags = format!("/api/v3/channels/{}/meta/", channel.id);
        let site = format!("{tags}site/");
        let new = json!({"tag": "site", "data": "berlin"});
        let created = admin.post(&tags, &new).await.expect(201);
        assert_eq!(created, new);
        assert_vxg_error(
            &admin
                .post(&tags, &json!({"tag": "site", "data": "x"}))
                .await,
            400,
        );
        assert_eq!(admin.get(&site).await.expect(200)["data"], "berlin");
        admin.put(&site, &json!({"data": "bonn"})).await.expect(200);
        let list = admin.get(&tags).await.expect(200);
        assert_eq!(list["objects"], json!([{"tag": "site", "data": "bonn"}]));
        assert_eq!(list["meta"]["total_count"], 1);
        // The channel object has them on request.
        let path = format!("/api/v3/channels/{}/?include_meta=true", channel.id);
        let shown = admin.get(&path).await.expect(200);
        assert_eq!(shown["meta"], json!({"site": "bonn"}));
        let own = acc(&server, &channel)
            .get("/api/v4/channel/?include_meta=true")
            .await;
        assert_eq!(own.expect(200)["meta"], json!({"site": "bonn"}));
        assert_eq!(admin.delete(&site).await.status.as_u16(), 204);
        assert_vxg_error(&admin.get(&site).await, 404);
        let list = admin.get(&tags).await.expect(200);
        assert_eq!(list["objects"], json!([]));
        // Tags belong to the administration: a channel token does not reach them.
        assert_vxg_error(&acc(&server, &channel).get(&tags).await, 403);
        assert_vxg_error(&admin.get("/api/v3/channels/4711/meta/").await, 404);
        assert_vxg_error(&admin.post(&tags, &json!({"data": "x"})).await, 400);
    }
}
