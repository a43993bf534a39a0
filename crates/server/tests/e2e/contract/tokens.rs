//! Lines 7 to 10 and 14: channels, groups and the tokens that open them.

use super::{assert_vxg_error, inner_token, nowhere, objects, text};
use crate::client::{decode_token, encode_token};
use crate::server::Server;
use crate::site::{create_channel_from, create_group};
use serde_json::{Value, json};

/// A channel with a name and nothing else, as the vendor's sample creates it.
async fn create_bare_channel(server: &Server) -> Value {
    server
        .admin()
        .post("/api/v3/channels/", &json!({"name": "x"}))
        .await
        .expect(201)
}

#[tokio::test(flavor = "multi_thread")]
async fn line_7_a_new_channel_comes_with_its_tokens() {
    let server = Server::start().await;
    let channel = create_bare_channel(&server).await;
    assert!(channel["id"].as_i64() >= Some(1));
    assert!(channel.get("status").is_none(), "{channel}");
    for member in ["name", "created", "rec_mode", "timezone"] {
        assert!(channel[member].is_string(), "{member}: {channel}");
    }
    assert!(channel["streaming"].is_boolean(), "{channel}");
    for level in ["all", "watch"] {
        let token = decode_token(text(&channel["access_tokens"][level]));
        assert_eq!(
            (&token["camid"], &token["access"]),
            (&channel["id"], &json!(level))
        );
        assert!(
            token["token"]
                .as_str()
                .is_some_and(|inner| inner.starts_with("share.")),
            "{token}"
        );
        // Clients put it into URLs as it is.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        assert!(text(&token["token"]).chars().all(is_plain), "{token}");
        // Host and port of the API, without a scheme.
        let address = format!("http://{}:{}", text(&token["api"]), token["api_p"]);
        assert_eq!(address, server.base());
    }
    // The very same tokens in the list and in the detail.
    let admin = server.admin();
    let list = admin.get("/api/v3/channels/").await.expect(200);
    let path = format!("/api/v3/channels/{}/", channel["id"]);
    let detail = admin.get(&path).await.expect(200);
    for shown in [&objects(&list)[0], &detail] {
        assert_eq!(shown["access_tokens"], channel["access_tokens"]);
        assert!(shown["status"].is_string() && shown["recording"].is_boolean());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn line_8_a_group_has_channels_and_a_token_that_stays() {
    let server = Server::start().await;
    let admin = server.admin();
    let channel = create_bare_channel(&server).await;
    let group = admin
        .post("/api/v3/channel_groups/", &json!({"name": "g"}))
        .await
        .expect(201);
    assert!(group.get("status").is_none() && group["name"] == "g");
    assert!(group["id"].as_i64() >= Some(1), "{group}");
    let path = format!("/api/v3/channel_groups/{}/", group["id"]);
    assert_eq!(admin.get(&path).await.expect(200)["channels"], json!([]));
    let token = text(&group["token"]);
    assert!(decode_token(token).get("camid").is_none());
    assert!(decode_token(token)["api"].is_string());
    // An id that comes twice counts once; an unknown one changes nothing.
    let id = &channel["id"];
    let put = admin
        .put(&path, &json!({"channels": [id, id]}))
        .await
        .expect(200);
    assert_eq!(put["channels"], json!([id]));
    assert_eq!(put["token"], token);
    let unknown = admin.put(&path, &json!({"channels": [4711]})).await;
    assert!(
        matches!(unknown.status.as_u16(), 400 | 404),
        "{:?}",
        unknown.status
    );
    assert_vxg_error(&unknown, unknown.status.as_u16());
    let shown = admin.get(&path).await.expect(200);
    assert_eq!(shown["channels"], json!([id]));
    assert_eq!(shown["token"], token);
    for answer in [&put, &shown] {
        assert!(answer.get("status").is_none(), "{answer}");
        assert!(answer["channels_access"].is_string(), "{answer}");
    }
    let listed = admin.get("/api/v3/channel_groups").await.expect(200);
    assert_eq!(listed["meta"]["total_count"], 1);
    assert_eq!(objects(&listed)[0]["id"], group["id"]);
    assert_eq!(admin.delete(&path).await.status.as_u16(), 204);
    assert_vxg_error(
        &server
            .api(&format!("SI {token}"))
            .get("/api/v5/channels/")
            .await,
        401,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn line_8_what_a_client_notes_in_a_group_comes_back_as_it_was() {
    let server = Server::start().await;
    let admin = server.admin();
    let body = json!({"name": "ai", "ai_targeted": true, "channels_access": "all",
        "meta": {"ai_engine": "aws", "ai_period": 180, "ai_params": "{\"det\": 0.5}"}});
    let group = admin.post("/api/v3/channel_groups/", &body).await;
    let group = group.expect(201);
    let path = format!("/api/v3/channel_groups/{}/?include_meta=true", group["id"]);
    let shown = admin.get(&path).await.expect(200);
    for member in ["name", "ai_targeted", "channels_access", "meta"] {
        assert_eq!(shown[member], body[member], "{member}");
    }
    let other = json!({"name": "people"});
    admin
        .post("/api/v3/channel_groups/", &other)
        .await
        .expect(201);
    let targeted = admin.get("/api/v3/channel_groups/?ai_targeted=true").await;
    let targeted = targeted.expect(200);
    assert_eq!(targeted["meta"]["total_count"], 1, "{targeted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_9_and_10_an_engine_finds_its_channels_with_the_group_token() {
    let server = Server::start().await;
    let admin = server.admin();
    let channel = create_bare_channel(&server).await;
    let new = admin
        .post("/api/v3/channel_groups/", &json!({"name": "g"}))
        .await;
    let group = new.expect(201);
    let path = format!("/api/v3/channel_groups/{}/", group["id"]);
    let token = text(&group["token"]);
    let engine = server.api(&format!("SI {token}"));
    let count = async || {
        let list = engine.get("/api/v5/channels/").await.expect(200);
        list["meta"]["total_count"].clone()
    };
    // 9, an empty group first
    assert_eq!(count().await, 0);
    let id = &channel["id"];
    let put = admin.put(&path, &json!({"channels": [id]})).await;
    put.expect(200);
    let list = engine.get("/api/v5/channels").await.expect(200);
    let object = &list["objects"][0];
    for key in ["id", "name", "recording", "status", "token"] {
        assert!(!object[key].is_null(), "{key} is missing in {object}");
    }
    assert!(object["recording"].is_boolean() && object["status"].is_string());
    // 10: the URLs are there although no camera is, since they start on demand.
    let acc = server.api(&format!("Acc {}", text(&object["token"])));
    let urls = acc.get("/api/v4/live/watch/").await.expect(200);
    for (key, scheme) in [("rtmp", "rtmp://"), ("rtsp", "rtsp://"), ("hls", "http://")] {
        let url = text(&urls[key]);
        assert!(url.starts_with(scheme) && url.contains("ticket="), "{url}");
    }
    assert!(urls["expire"].is_string() && urls["expire_hls"].is_string());
    // Players prefer `rtc` where present.
    assert!(urls.get("rtc").is_none(), "{urls}");
    // Removing the channel from the group closes it for the engine at once.
    admin.put(&path, &json!({"channels": []})).await.expect(200);
    assert_eq!(count().await, 0);
    server
        .api(&format!("Bearer {token}"))
        .get(&format!("/v1/channels/{id}"))
        .await
        .expect(404);
    let gone = admin.delete(&format!("/api/v3/channels/{id}/")).await;
    assert_eq!(gone.status.as_u16(), 204);
    assert_vxg_error(&acc.get("/api/v4/channel/").await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn line_9_the_group_view_shows_only_the_group_and_only_what_was_asked_for() {
    let server = Server::start().await;
    let inside = create_channel_from(&server, "Gate north", &nowhere()).await;
    let second = create_channel_from(&server, "Yard", &nowhere()).await;
    let outside = create_channel_from(&server, "Gate south", &nowhere()).await;
    let tags = format!("/api/v3/channels/{}/meta/", second.id);
    let tag = json!({"tag": "location", "data": "yard"});
    server.admin().post(&tags, &tag).await.expect(201);
    let group = create_group(&server, &[&second, &inside]).await;
    let engine = server.api(&format!("SI {group}"));
    let ids = async |query: &str| -> Vec<i64> {
        let list = engine.get(&format!("/api/v5/channels/{query}")).await;
        let list = list.expect(200);
        let ids = objects(&list).iter().filter_map(|o| o["id"].as_i64());
        let ids: Vec<i64> = ids.collect();
        assert_eq!(list["meta"]["total_count"], ids.len(), "{query}");
        ids
    };
    assert_eq!(ids("").await, [inside.id, second.id], "by id");
    assert_eq!(ids("?name__icontains=gate").await, [inside.id]);
    assert_eq!(ids("?meta=location").await, [second.id]);
    assert_eq!(ids("?meta_not=location").await, [inside.id]);
    let one = format!("/api/v5/channels/{}/", second.id);
    let plain = engine.get(&one).await.expect(200);
    assert!(plain.get("meta").is_none() && plain.get("preview").is_none());
    assert_eq!(decode_token(text(&plain["token"]))["camid"], second.id);
    let full = engine
        .get(&format!("{one}?include_meta=true&preview=true"))
        .await;
    let full = full.expect(200);
    assert_eq!(full["meta"], json!({"location": "yard"}));
    // No picture was ever taken: the member is absent, never null.
    assert!(full.get("preview").is_none(), "{full}");
    let hidden = format!("/api/v5/channels/{}/", outside.id);
    assert_vxg_error(&engine.get(&hidden).await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn line_9_a_group_for_watching_hands_out_tokens_for_watching() {
    let server = Server::start().await;
    let channel = create_channel_from(&server, "a", &nowhere()).await;
    let body = json!({"name": "g", "channels": [channel.id], "channels_access": "watch"});
    let group = server.admin().post("/api/v3/channel_groups/", &body).await;
    let group = group.expect(201);
    let engine = server.api(&format!("SI {}", text(&group["token"])));
    let list = engine.get("/api/v5/channels/").await.expect(200);
    let token = text(&objects(&list)[0]["token"]);
    assert_eq!(decode_token(token)["access"], "watch");
    let acc = server.api(&format!("Acc {token}"));
    acc.get("/api/v4/live/watch/").await.expect(200);
    assert_vxg_error(&acc.post("/api/v4/meta/", &json!([])).await, 403);
    // v4 has no id in its path: with a group token it needs camid.
    assert_vxg_error(&engine.get("/api/v4/live/watch/").await, 403);
    let named = format!("/api/v4/live/watch/?camid={}", channel.id);
    engine.get(&named).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn line_14_a_repacked_token_opens_what_its_secret_opens() {
    let server = Server::start().await;
    let channel = create_bare_channel(&server).await;
    let other = create_bare_channel(&server).await;
    // Members in another order and more of them; the claims of the client count for nothing.
    let watch = decode_token(text(&channel["access_tokens"]["watch"]));
    let repacked =
        json!({"zz": 1, "token": watch["token"], "camid": watch["camid"], "access": "all"});
    let agent = server.api(&format!("Acc {}", encode_token(&repacked)));
    agent.get("/api/v4/channel/").await.expect(200);
    assert_vxg_error(&agent.post("/api/v4/meta/", &json!([])).await, 403);
    let claimed = json!({"token": watch["token"], "camid": other["id"]});
    let liar = server.api(&format!("Acc {}", encode_token(&claimed)));
    let own = liar.get("/api/v4/channel/").await.expect(200);
    assert_eq!(own["id"], channel["id"]);
    let inner = inner_token(text(&channel["access_tokens"]["watch"]));
    for broken in [
        encode_token(&json!({"camid": channel["id"]})),
        encode_token(&json!({"camid": channel["id"], "token": format!("{inner}x")})),
        encode_token(&json!({"camid": channel["id"], "token": inner.replacen("share.", "", 1)})),
        encode_token(&json!("no object")),
        "%%%".to_owned(),
    ] {
        let api = server.api(&format!("Acc {broken}"));
        assert_vxg_error(&api.get("/api/v4/channel/").await, 401);
    }
}
