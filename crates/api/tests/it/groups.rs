//! Groups, their tokens and what a group token sees; checklist lines 8, 9, 10, 14.

use crate::site::{Site, assert_compat_error, decode, encode, inner, text};
use serde_json::json;

const GROUPS: &str = "/api/v3/channel_groups/";

#[tokio::test]
async fn a_group_has_a_token_and_never_a_status() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let group = site
        .post(site.key(), GROUPS, &json!({"name": "g"}))
        .await
        .expect(201);
    assert!(group.get("status").is_none());
    assert_eq!(group["name"], "g");
    let path = format!("{GROUPS}{}/", group["id"]);
    let shown = site.get(site.key(), &path).await.expect(200);
    assert_eq!(
        (&shown["channels"], shown.get("status")),
        (&json!([]), None)
    );
    let token = decode(text(&group["token"]));
    assert!(
        token.get("camid").is_none(),
        "its absence tells clients that this is a group token"
    );
    assert!(text(&token["token"]).starts_with("share."));
    let update = json!({"channels": [channel.id, channel.id]});
    let updated = site.put(site.key(), &path, &update).await.expect(200);
    assert_eq!(
        updated["channels"],
        json!([channel.id]),
        "duplicates collapse"
    );
    assert_eq!(updated["token"], group["token"], "the token stays");
    assert_eq!(site.delete(site.key(), &path).await.status.as_u16(), 204);
    assert_compat_error(&site.get(site.key(), &path).await, 404, "not_found");
    let engine = format!("SI {}", text(&group["token"]));
    assert_compat_error(
        &site.get(&engine, "/api/v5/channels/").await,
        401,
        "invalid_auth",
    );
}

#[tokio::test]
async fn group_settings_survive_the_round_trip() {
    let site = Site::new().await;
    let body = json!({
        "name": "ai", "channels_access": "watch", "ai_targeted": true, "max_channels_amount": 5,
        "expire": "2030-01-02T03:04:05", "include_all_channels": false,
        "meta": {"ai_period": 180, "ai_type": "objects", "ai_params": "{\"a\": 1}", "flags": [true]},
    });
    let group = site.post(site.key(), GROUPS, &body).await.expect(201);
    assert_eq!(group["expire"], "2030-01-02T03:04:05.000000");
    for name in [
        "channels_access",
        "ai_targeted",
        "max_channels_amount",
        "meta",
    ] {
        assert_eq!(group[name], body[name], "{name}");
    }
    let list = site
        .get(site.key(), &format!("{GROUPS}?ai_targeted=true"))
        .await
        .expect(200);
    assert_eq!(list["meta"]["total_count"], 1);
    let list = site
        .get(site.key(), &format!("{GROUPS}?ai_targeted=false"))
        .await
        .expect(200);
    assert_eq!(list["meta"]["total_count"], 0);
    let engine = format!("SI {}", text(&group["token"]));
    let tags = site.get(&engine, "/api/v5/meta/").await.expect(200);
    assert_eq!(tags["meta"]["total_count"], 4);
    assert!(
        tags["objects"]
            .as_array()
            .unwrap()
            .contains(&json!({"tag": "ai_type", "data": "objects"}))
    );
    assert!(
        tags["objects"]
            .as_array()
            .unwrap()
            .contains(&json!({"tag": "ai_period", "data": "180"}))
    );
    for bad in [
        json!({"channels": ["x"]}),
        json!({"channels_access": "some"}),
        json!({"expire": "soon"}),
    ] {
        assert_compat_error(
            &site.post(site.key(), GROUPS, &bad).await,
            400,
            "invalid_param",
        );
    }
}

#[tokio::test]
async fn an_engine_sees_the_channels_of_its_group_with_tokens() {
    let site = Site::new().await;
    let (a, b) = (site.channel("Gate").await, site.channel("Hall").await);
    let (id, engine) = site.group(&[], "all").await;
    let empty = site.get(&engine, "/api/v5/channels/").await.expect(200);
    assert_eq!(
        (&empty["meta"]["total_count"], &empty["objects"]),
        (&json!(0), &json!([]))
    );
    let path = format!("{GROUPS}{id}/");
    site.put(site.key(), &path, &json!({"channels": [a.id]}))
        .await
        .expect(200);
    site.set_active(a.id);
    let list = site.get(&engine, "/api/v5/channels").await.expect(200);
    assert_eq!(list["meta"]["total_count"], 1);
    let object = &list["objects"][0];
    assert_eq!(
        (&object["id"], &object["name"]),
        (&json!(a.id), &json!("Gate"))
    );
    assert_eq!(
        (&object["status"], &object["recording"]),
        (&json!("active"), &json!(true))
    );
    assert!(object.get("preview").is_none() && object.get("meta").is_none());
    let acc = format!("Acc {}", text(&object["token"]));
    assert_eq!(decode(&acc)["access"], "all");
    assert!(
        text(&site.get(&acc, "/api/v4/live/watch/").await.expect(200)["rtmp"]).contains("ticket=")
    );
    assert_compat_error(
        &site
            .get(&engine, &format!("/api/v5/channels/{}/", b.id))
            .await,
        404,
        "not_found",
    );
    site.get(&engine, &format!("/api/v5/channels/{}/", a.id))
        .await
        .expect(200);
    // Leaving the group closes the door at once.
    site.put(site.key(), &path, &json!({"channels": []}))
        .await
        .expect(200);
    let left = site
        .get(&engine, &format!("/api/v5/channels/{}/", a.id))
        .await;
    assert_compat_error(&left, 404, "not_found");
}

#[tokio::test]
async fn the_level_of_a_group_decides_what_its_tokens_may_do() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let (_, engine) = site.group(&[&channel], "watch").await;
    let list = site.get(&engine, "/api/v5/channels/").await.expect(200);
    let acc = format!("Acc {}", text(&list["objects"][0]["token"]));
    assert_eq!(decode(&acc)["access"], "watch");
    assert_compat_error(
        &site.post(&acc, "/api/v4/meta/", &json!([])).await,
        403,
        "access_deny",
    );
    let search = site
        .post(&engine, "/api/v2/storage/meta/filter/", &json!({}))
        .await;
    assert_compat_error(&search, 403, "access_deny");
}

#[tokio::test]
async fn a_token_packed_anew_still_opens_and_its_claims_count_for_nothing() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let packed =
        json!({"zz": 1, "token": inner(&channel.watch), "camid": channel.id, "access": "all"});
    let agent = format!("Acc {}", encode(&packed));
    site.get(&agent, "/api/v4/channel/").await.expect(200);
    assert_compat_error(
        &site.post(&agent, "/api/v4/meta/", &json!([])).await,
        403,
        "access_deny",
    );
}

#[tokio::test]
async fn a_group_may_not_hold_channels_of_another_account() {
    let site = Site::new().await;
    let channel = site.channel("mine").await;
    let other = site.other_account().await;
    let body = json!({"name": "g", "channels": [channel.id]});
    assert_compat_error(&site.post(&other, GROUPS, &body).await, 404, "not_found");
    let (id, _) = site.group(&[&channel], "all").await;
    let path = format!("{GROUPS}{id}/");
    assert_compat_error(&site.get(&other, &path).await, 404, "not_found");
    assert_compat_error(
        &site.put(&other, &path, &json!({"name": "z"})).await,
        404,
        "not_found",
    );
    assert_compat_error(&site.delete(&other, &path).await, 404, "not_found");
}
