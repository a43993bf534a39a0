//! `/api/v3/channels/` and its tags; checklist lines 7 and 23.

use crate::site::{Site, assert_compat_error, decode, text};
use serde_json::{Value, json};

#[tokio::test]
async fn a_name_alone_creates_a_channel_with_working_tokens() {
    let site = Site::new().await;
    let object = site
        .post(site.key(), "/api/v3/channels/", &json!({"name": "x"}))
        .await
        .expect(201);
    assert!(object["id"].as_i64().unwrap() >= 1);
    assert!(
        object.get("status").is_none(),
        "old clients take it for an error"
    );
    assert_eq!(object["timezone"], "UTC");
    assert_eq!(object["rec_mode"], "on");
    for level in ["all", "watch"] {
        let token = decode(text(&object["access_tokens"][level]));
        assert_eq!(token["camid"], object["id"]);
        assert_eq!(token["access"], level);
        assert_eq!(
            (&token["api"], &token["api_p"]),
            (&json!("vms.test"), &json!(8080))
        );
        assert!(text(&token["token"]).starts_with("share."));
    }
}

#[tokio::test]
async fn the_password_is_taken_out_of_the_url_and_shown_on_demand_only() {
    let site = Site::new().await;
    let source = json!({"url": "rtsp://viewer:s3cret@10.0.0.5/main"});
    let body = json!({"name": "x", "source": source, "meta": {"site": "berlin"}});
    let created = site
        .post(site.key(), "/api/v3/channels/", &body)
        .await
        .expect(201);
    assert_eq!(created["source"]["url"], "rtsp://10.0.0.5/main");
    assert_eq!(created["source"]["login"], "viewer");
    assert_eq!(created["meta"]["site"], "berlin");
    let path = format!("/api/v3/channels/{}/", created["id"]);
    let plain = site.get(site.key(), &path).await;
    assert!(!String::from_utf8_lossy(&plain.body).contains("s3cret"));
    assert!(plain.json().get("meta").is_none());
    let detail = site
        .get(
            site.key(),
            &format!("{path}?detail=detail&include_meta=true"),
        )
        .await;
    assert_eq!(detail.json()["source"]["password"], "s3cret");
    assert_eq!(detail.json()["meta"]["site"], "berlin");
    // Nobody else ever sees it.
    let acc = format!("Acc {}", text(&created["access_tokens"]["all"]));
    for path in [
        "/api/v4/live/source/?detail=detail".to_owned(),
        format!("/api/v2/cameras/{}/?detail=detail", created["id"]),
    ] {
        let answer = site.get(&acc, &path).await;
        assert_eq!(answer.expect(200)["url"], "rtsp://10.0.0.5/main");
        assert!(
            !String::from_utf8_lossy(&answer.body).contains("s3cret"),
            "{path}"
        );
    }
    let watch = format!("Acc {}", text(&created["access_tokens"]["watch"]));
    let camera = site
        .get(&watch, &format!("/api/v2/cameras/{}/", created["id"]))
        .await;
    assert_eq!(
        camera.expect(200)["url"],
        "",
        "a viewer does not learn the camera's address"
    );
}

#[tokio::test]
async fn bad_members_are_refused_by_name_and_nothing_is_created() {
    let site = Site::new().await;
    for (body, word) in [
        (json!({"name": 5}), "name"),
        (json!({"name": "x".repeat(300)}), "name"),
        (json!({"rec_mode": "always"}), "rec_mode"),
        (json!({"timezone": "no zone!"}), "timezone"),
        (json!({"source": {"url": "http://10.0.0.5/"}}), "source.url"),
        (json!({"source": "rtsp://10.0.0.5/"}), "source"),
        (json!({"meta": ["a"]}), "meta"),
    ] {
        let answer = site.post(site.key(), "/api/v3/channels/", &body).await;
        assert_compat_error(&answer, 400, "invalid_param");
        assert!(text(&answer.json()["errorDetail"]).contains(word), "{body}");
    }
    let list = site.get(site.key(), "/api/v3/channels/").await.expect(200);
    assert_eq!(list["meta"]["total_count"], 0);
}

#[tokio::test]
async fn updates_change_what_they_name_and_wake_the_reconciler() {
    let site = Site::new().await;
    let body =
        json!({"name": "x", "source": {"url": "rtsp://u:p@10.0.0.5/main"}, "meta": {"a": "1"}});
    let created = site
        .post(site.key(), "/api/v3/channels/", &body)
        .await
        .expect(201);
    let path = format!("/api/v3/channels/{}/", created["id"]);
    let mut changes = site.state.catalog.channel_changes();
    changes.mark_unchanged();
    let change = json!({"name": "y", "rec_mode": "off", "source": {"url": "rtsp://10.0.0.5/sub"}});
    let updated = site.put(site.key(), &path, &change).await.expect(200);
    assert_eq!(
        (&updated["name"], &updated["rec_mode"]),
        (&json!("y"), &json!("off"))
    );
    assert_eq!(updated["meta"], json!({"a": "1"}));
    assert!(updated.get("status").is_none());
    assert!(changes.has_changed().unwrap());
    let detail = site
        .get(site.key(), &format!("{path}?detail=detail"))
        .await
        .expect(200);
    assert_eq!(
        detail["source"]["password"], "p",
        "kept for the same camera"
    );
    let cleared = site
        .put(site.key(), &path, &json!({"meta": null, "source": null}))
        .await
        .expect(200);
    assert_eq!(
        (&cleared["meta"], &cleared["source"]["url"]),
        (&json!({}), &json!(""))
    );
}

#[tokio::test]
async fn a_deleted_channel_is_gone_with_its_tokens() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let path = format!("/api/v3/channels/{}/", channel.id);
    assert_eq!(site.delete(site.key(), &path).await.status.as_u16(), 204);
    assert_compat_error(&site.get(site.key(), &path).await, 404, "not_found");
    assert_compat_error(&site.delete(site.key(), &path).await, 404, "not_found");
    let gone = site.get(&channel.all, "/api/v4/channel/").await;
    assert_compat_error(&gone, 401, "invalid_auth");
}

#[tokio::test]
async fn lists_filter_by_name_and_tag_and_page() {
    let site = Site::new().await;
    for (name, meta) in [
        ("Gate north", json!({"yard": "1"})),
        ("Gate south", json!({})),
        ("Hall", json!({"hall": ""})),
    ] {
        let body = json!({"name": name, "meta": meta});
        site.post(site.key(), "/api/v3/channels/", &body)
            .await
            .expect(201);
    }
    let names = async |query: &str| -> Vec<String> {
        let list = site
            .get(site.key(), &format!("/api/v3/channels/?{query}"))
            .await
            .expect(200);
        let objects = list["objects"].as_array().unwrap();
        assert_eq!(list["meta"]["total_count"], objects.len(), "{query}");
        objects
            .iter()
            .map(|object| text(&object["name"]).to_owned())
            .collect()
    };
    assert_eq!(
        names("name__icontains=gate").await,
        ["Gate north", "Gate south"]
    );
    assert_eq!(names("meta=yard,hall").await, ["Gate north", "Hall"]);
    assert_eq!(names("meta_not=yard").await, ["Gate south", "Hall"]);
    assert_eq!(names("_=1714558830123&cache=&unknown=x").await.len(), 3);
    let first = site
        .get(site.key(), "/api/v3/channels/?limit=2")
        .await
        .expect(200);
    assert_eq!(first["meta"]["next"], "/api/v3/channels/?limit=2&offset=2");
    assert_eq!(first["objects"][0]["status"], "inactive");
    assert_eq!(first["objects"][0]["recording"], false);
}

#[tokio::test]
async fn tags_are_created_once_changed_and_removed() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let path = format!("/api/v3/channels/{}/meta/", channel.id);
    let tag = json!({"tag": "site", "data": "berlin"});
    assert_eq!(site.post(site.key(), &path, &tag).await.expect(201), tag);
    assert_compat_error(
        &site.post(site.key(), &path, &tag).await,
        400,
        "invalid_param",
    );
    let one = format!("{path}site/");
    site.put(site.key(), &one, &json!({"data": "paris"}))
        .await
        .expect(200);
    assert_eq!(
        site.get(site.key(), &one).await.expect(200)["data"],
        "paris"
    );
    let list = site.get(site.key(), &path).await.expect(200);
    assert_eq!(list["objects"], json!([{"tag": "site", "data": "paris"}]));
    assert_eq!(list["meta"]["total_count"], 1);
    assert_eq!(site.delete(site.key(), &one).await.expect(204), Value::Null);
    assert_compat_error(&site.delete(site.key(), &one).await, 404, "not_found");
    assert_compat_error(&site.get(site.key(), &one).await, 404, "not_found");
    assert_compat_error(
        &site.post(site.key(), &path, &json!({})).await,
        400,
        "invalid_param",
    );
}

#[tokio::test]
async fn channels_of_another_account_do_not_exist() {
    let site = Site::new().await;
    let channel = site.channel("mine").await;
    let other = site.other_account().await;
    let path = format!("/api/v3/channels/{}/", channel.id);
    assert_compat_error(&site.get(&other, &path).await, 404, "not_found");
    assert_compat_error(
        &site.put(&other, &path, &json!({"name": "z"})).await,
        404,
        "not_found",
    );
    assert_compat_error(&site.delete(&other, &path).await, 404, "not_found");
    let list = site.get(&other, "/api/v3/channels/").await.expect(200);
    assert_eq!(list["meta"]["total_count"], 0);
    assert_eq!(
        site.get(site.key(), &path).await.expect(200)["name"],
        "mine"
    );
}

#[tokio::test]
async fn where_a_sub_stream_comes_from_is_for_those_who_may_change_it() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let path = format!("/v1/channels/{}/sub", channel.id);
    // Cameras are known that want it like this.
    let url = "rtsp://10.0.0.5/user=admin&password=secret&stream=1.sdp";
    let source = json!({ "url": url });
    let set = site.put(&channel.all, &path, &source).await.expect(200);
    assert_eq!(set["url"], url);
    for path in [path, format!("/v1/channels/{}", channel.id)] {
        let watched = site.get(&channel.watch, &path).await;
        let text = String::from_utf8_lossy(&watched.body).into_owned();
        assert!(
            watched.expect(200).is_object() && !text.contains("secret"),
            "{text}"
        );
        let own = site.get(&channel.all, &path).await;
        assert!(String::from_utf8_lossy(&own.body).contains("secret"));
    }
}
