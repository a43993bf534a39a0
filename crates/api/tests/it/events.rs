//! Events, their tags, what channels do on them, and files that clients bring; checklist lines 21, 22.

use crate::site::{Site, TestChannel, assert_compat_error, assert_no_zone, inner, text};
use axum::body::Body;
use framewell_api::ApiConfig;
use serde_json::{Value, json};

const EVENTS: &str = "/api/v2/storage/events/";

async fn create(site: &Site, channel: &TestChannel, body: &Value) -> i64 {
    let created = site.post(&channel.all, EVENTS, body).await.expect(201);
    created["id"].as_i64().unwrap()
}

/// Ids and total of a list.
async fn list(site: &Site, authorization: &str, query: &str) -> (Vec<i64>, Value) {
    let page = site
        .get(authorization, &format!("{EVENTS}?{query}"))
        .await
        .expect(200);
    assert_no_zone(&page["objects"]);
    for object in page["objects"].as_array().unwrap() {
        for member in ["thumb", "meta", "filemeta"] {
            assert!(object.get(member).is_none_or(Value::is_object), "{object}");
        }
    }
    let ids = page["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| object["id"].as_i64().unwrap());
    (ids.collect(), page["meta"]["total_count"].clone())
}

/// The smallest file that is a JPEG by its headers.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8, 0xff, 0xc0, 0, 11, 8];
    file.extend(height.to_be_bytes());
    file.extend(width.to_be_bytes());
    file.extend([1, 1, 0x11, 0, 0xff, 0xd9]);
    file
}

async fn attach(
    site: &Site,
    authorization: &str,
    event: i64,
    parts: &[(&str, &[u8])],
) -> crate::site::Answer {
    let mut body = Vec::new();
    for (name, data) in parts {
        let head = format!(
            "--B0\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(data);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--B0--\r\n");
    let headers = [
        ("authorization", authorization),
        ("content-type", "multipart/form-data; boundary=B0"),
    ];
    let uri = format!("/v1/events/{event}/attachments");
    site.send("POST", &uri, &headers, Body::from(body)).await
}

#[tokio::test]
async fn an_event_is_created_shown_and_deleted() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let body = json!({"camid": channel.id, "name": "my_event", "time": "2024-05-01T10:20:05", "meta": {"Person": 2, "seen": true, "none": null}});
    let created = site.post(&channel.all, EVENTS, &body).await.expect(201);
    assert_eq!(created["meta"], json!({"Person": "2", "seen": "true"}));
    assert_eq!(
        (&created["name"], &created["time"], &created["camid"]),
        (
            &json!("my_event"),
            &json!("2024-05-01T10:20:05.000000"),
            &json!(channel.id)
        )
    );
    let path = format!("{EVENTS}{}/", created["id"]);
    let plain = site.get(&channel.watch, &path).await.expect(200);
    for absent in ["meta", "thumb", "filemeta"] {
        assert_eq!(plain.get(absent), None, "{plain}");
    }
    let with_meta =
        format!("{path}?include_meta=true&include_filemeta_download=true&order_by=time");
    assert_eq!(
        site.get(&channel.watch, &with_meta).await.expect(200),
        created
    );
    // Without a time it happened now; a license key names the channel.
    let now = site
        .post(
            site.key(),
            EVENTS,
            &json!({"camid": channel.id.to_string(), "name": "x"}),
        )
        .await
        .expect(201);
    assert_eq!(now["time"], "2024-05-01T12:00:00.000000");
}

#[tokio::test]
async fn events_that_are_none_or_of_others_are_refused() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let body = json!({"camid": channel.id, "name": "my_event", "time": "2024-05-01T10:20:05"});
    let path = format!("{EVENTS}{}/", create(&site, &channel, &body).await);
    for bad in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "x".repeat(129)}),
        json!({"name": "x", "time": "NaN-aN-aNTaN:aN:aN"}),
        json!({"name": "x", "meta": [1]}),
        json!({"name": "x", "camid": 0}),
    ] {
        assert_compat_error(
            &site.post(&channel.all, EVENTS, &bad).await,
            400,
            "invalid_param",
        );
    }
    assert_compat_error(
        &site.post(&channel.watch, EVENTS, &body).await,
        403,
        "access_deny",
    );
    let other = site.channel("b").await;
    assert_compat_error(
        &site.post(&other.all, EVENTS, &body).await,
        404,
        "not_found",
    );
    assert_compat_error(&site.get(&other.all, &path).await, 404, "not_found");
    assert_eq!(site.delete(&channel.all, &path).await.status.as_u16(), 204);
    assert_compat_error(&site.get(&channel.all, &path).await, 404, "not_found");
}

fn at(second: i64) -> String {
    format!("2024-05-01T10:00:{second:02}")
}

/// Three events of `a` in the order of their times, and one of `b`.
async fn four_events(site: &Site, a: &TestChannel, b: &TestChannel) -> [i64; 4] {
    let late = create(
        site,
        a,
        &json!({"name": "motion", "time": at(3), "meta": {"t1": "", "Person": "1"}}),
    )
    .await;
    let early = create(
        site,
        a,
        &json!({"name": "motion", "time": at(1), "meta": {"t2": ""}}),
    )
    .await;
    let face = create(site, a, &json!({"name": "facedetection", "time": at(2)})).await;
    let other = create(
        site,
        b,
        &json!({"name": "motion", "time": at(2), "meta": {"PERSON": "1"}}),
    )
    .await;
    [early, face, late, other]
}

#[tokio::test]
async fn lists_are_filtered_and_the_total_respects_all_filters() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let [early, face, late, _] = four_events(&site, &a, &b).await;
    let own = async |query: &str| list(&site, &a.watch, query).await.0;
    assert_eq!(own("").await, [early, face, late]);
    assert_eq!(own("order_by=-time").await, [late, face, early]);
    assert_eq!(own("events=motion,sound").await, [early, late]);
    assert_eq!(own("type=facedetection").await, [face]);
    assert_eq!(own("aliases=motion&events=facedetection").await, [0; 0]);
    assert_eq!(own("meta=t1,t2").await, [early, late]);
    assert_eq!(own("meta_not=t1,t2").await, [face]);
    assert_eq!(
        own(&format!("start={}&end={}", at(1), at(2))).await,
        [early, face]
    );
    let (page, total) = list(&site, &a.watch, "limit=1&offset=1&meta_not=t2").await;
    assert_eq!((page, total), (vec![late], json!(2)));
    assert_eq!(own(&format!("camid={}", a.id)).await.len(), 3);
    assert_compat_error(
        &site
            .get(&a.watch, &format!("{EVENTS}?camid={}", b.id))
            .await,
        404,
        "not_found",
    );
}

#[tokio::test]
async fn a_group_token_lists_events_of_all_its_channels() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let [early, face, late, other] = four_events(&site, &a, &b).await;
    let (_, group) = site.group(&[&a, &b], "watch").await;
    assert_eq!(
        list(&site, &group, "events=motion").await.0,
        [early, other, late]
    );
    assert_eq!(
        list(&site, &group, "meta=person,Person,PERSON").await.0,
        [other, late]
    );
    assert_eq!(
        list(&site, &group, &format!("camid={}", b.id)).await.0,
        [other]
    );
    assert_eq!(list(&site, site.key(), "").await.1, 4);
    let token = format!("token={}", inner(&a.watch));
    assert_eq!(
        list(&site, "", &format!("{token}&type=facedetection"))
            .await
            .0,
        [face]
    );
    for bad in ["order_by=name", "limit=-1", "start=NaN", "camid=x"] {
        let answer = site.get(&a.watch, &format!("{EVENTS}?{bad}")).await;
        assert_compat_error(&answer, 400, "invalid_param");
    }
    let page = site
        .get(&a.watch, &format!("{EVENTS}?limit=1&meta_not=t2"))
        .await
        .expect(200);
    assert_eq!(
        page["meta"]["next"],
        "/api/v2/storage/events/?meta_not=t2&limit=1&offset=1"
    );
}

#[tokio::test]
async fn an_event_of_the_future_is_refused() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let body = json!({"name": "motion", "time": "9999-01-01T00:00:00"});
    let refused = site.post(&channel.all, EVENTS, &body).await;
    assert_compat_error(&refused, 400, "invalid_param");
    assert_eq!(list(&site, &channel.watch, "").await, (vec![], json!(0)));
}

#[tokio::test]
async fn the_tags_of_an_event_are_bounded() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let large = "x".repeat(40 << 10);
    let meta = json!({"a": large, "b": large});
    let body = json!({"name": "motion", "meta": meta});
    let refused = site.post(&channel.all, EVENTS, &body).await;
    assert_compat_error(&refused, 400, "invalid_param");
    let event = create(&site, &channel, &json!({"name": "motion"})).await;
    let tags = format!("{EVENTS}{event}/meta/");
    let tag = |name: &str| json!({"tag": name, "data": large});
    site.post(&channel.all, &tags, &tag("a")).await.expect(201);
    let refused = site.post(&channel.all, &tags, &tag("b")).await;
    assert_compat_error(&refused, 400, "invalid_param");
}

/// What FACE does with an event, request by request.
#[tokio::test]
async fn an_engine_marks_events_by_their_tags() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let event = create(
        &site,
        &channel,
        &json!({"name": "facedetection", "time": "2024-05-01T10:00:00"}),
    )
    .await;
    let token = format!("token={}", inner(&channel.all));
    let tags = format!("{EVENTS}{event}/meta/");
    let query = format!("type=facedetection&meta_not=a_processing,a_processed&limit=20&{token}");
    assert_eq!(list(&site, "", &query).await.0, [event]);
    let tag = json!({"tag": "a_processing", "data": ""});
    let made = site
        .post("", &format!("{tags}?{token}"), &tag)
        .await
        .expect(201);
    assert_eq!(made, tag);
    assert_eq!(list(&site, "", &query).await, (vec![], json!(0)));
    // Again: nothing breaks.
    site.post("", &format!("{tags}?{token}"), &tag)
        .await
        .expect(201);
    let face = "rek_face_search_faceid_01234567-89ab-cdef-0123-456789abcdef";
    let data = r#"{"BoundingBox":{"Left":0.1}}"#;
    site.post(
        "",
        &format!("{tags}?{token}"),
        &json!({"tag": face, "data": data}),
    )
    .await
    .expect(201);
    site.put("", &format!("{tags}{face}?{token}"), &json!({"data": 5}))
        .await
        .expect(200);
    assert_eq!(
        site.delete("", &format!("{tags}a_processing?{token}"))
            .await
            .status
            .as_u16(),
        204
    );
    assert_compat_error(
        &site
            .delete("", &format!("{tags}a_processing/?{token}"))
            .await,
        404,
        "not_found",
    );
    let detail = format!("{EVENTS}{event}/?include_meta=true&{token}");
    assert_eq!(
        site.get("", &detail).await.expect(200)["meta"],
        json!({face: "5"})
    );
    let listed = site.get(&channel.watch, &tags).await.expect(200);
    assert_eq!(listed["objects"], json!([{"tag": face, "data": "5"}]));
}

#[tokio::test]
async fn tags_that_are_none_or_of_others_are_refused() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let event = create(&site, &channel, &json!({"name": "motion"})).await;
    let tags = format!("{EVENTS}{event}/meta/");
    let tag = json!({"tag": "a", "data": ""});
    for bad in [
        json!({}),
        json!({"tag": ""}),
        json!({"tag": "x".repeat(129)}),
        json!({"tag": "x", "data": []}),
    ] {
        assert_compat_error(
            &site.post(&channel.all, &tags, &bad).await,
            400,
            "invalid_param",
        );
    }
    assert_compat_error(
        &site.post(&channel.watch, &tags, &tag).await,
        403,
        "access_deny",
    );
    assert_compat_error(
        &site
            .post(&channel.all, "/api/v2/storage/events/999/meta/", &tag)
            .await,
        404,
        "not_found",
    );
}

fn processing_of(channel: &TestChannel) -> String {
    let id = channel.id;
    format!("/api/v2/cameras/{id}/event_processing/events/")
}

#[tokio::test]
async fn processing_is_set_for_each_name() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let path = format!("/api/v2/cameras/{}/event_processing/events/", channel.id);
    let token = format!("?token={}", inner(&channel.all));
    let names = async || {
        let listed = site.get(&channel.watch, &path).await.expect(200);
        let names = listed["objects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|o| text(&o["name"]).to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        names().await,
        ["motion", "network", "recording_gap", "storage"]
    );
    let put = json!({"record": true, "snapshot": true});
    let motion = site
        .put("", &format!("{path}motion/{token}"), &put)
        .await
        .expect(200);
    assert_eq!(
        motion,
        json!({"name": "motion", "notify": true, "receive": true, "record": true, "snapshot": true, "period": null, "generate_images": false,
               "custom": false, "caps": {"can_be_triggered": false, "can_record": true, "can_snapshot": true, "is_periodic": false}})
    );
    assert_eq!(
        site.get(&channel.watch, &format!("{path}motion"))
            .await
            .expect(200),
        motion
    );
    assert_eq!(
        site.delete(&channel.all, &format!("{path}motion/"))
            .await
            .status
            .as_u16(),
        204
    );
    assert_eq!(
        site.get(&channel.watch, &format!("{path}motion"))
            .await
            .expect(200)["snapshot"],
        false
    );
}

#[tokio::test]
async fn custom_events_are_registered_and_triggered() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let path = processing_of(&channel);
    let custom = site
        .post(
            &channel.all,
            &path,
            &json!({"name": "door", "notify": false}),
        )
        .await
        .expect(201);
    assert!(
        custom.is_object() && custom["custom"] == true && custom["notify"] == false,
        "{custom}"
    );
    let listed = site.get(&channel.watch, &path).await.expect(200);
    assert_eq!(listed["meta"]["total_count"], 5);
    let fired = json!({"time": "2024-05-01T10:20:05", "meta": {"who": "me"}});
    let event = site
        .post(&channel.all, &format!("{path}door/trigger/"), &fired)
        .await
        .expect(201);
    assert_eq!(
        (&event["name"], &event["meta"]),
        (&json!("door"), &json!({"who": "me"}))
    );
    assert_eq!(list(&site, &channel.watch, "events=door").await.1, 1);
    assert_compat_error(
        &site
            .post(&channel.all, &format!("{path}motion/trigger/"), &fired)
            .await,
        400,
        "invalid_param",
    );
    assert_eq!(
        site.delete(&channel.all, &format!("{path}door/"))
            .await
            .status
            .as_u16(),
        204
    );
}

#[tokio::test]
async fn processing_that_is_none_is_refused() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let path = processing_of(&channel);
    let put = json!({"snapshot": true});
    for (method, uri) in [
        ("POST", "nothing/trigger/"),
        ("GET", "nothing/"),
        ("PUT", "nothing/"),
        ("DELETE", "nothing/"),
    ] {
        let headers = [("authorization", channel.all.as_str())];
        let answer = site
            .send(method, &format!("{path}{uri}"), &headers, "{}")
            .await;
        assert_compat_error(&answer, 404, "not_found");
    }
    for bad in [
        json!({"record": "perhaps"}),
        json!({"period": 0}),
        json!({"period": "often"}),
    ] {
        assert_compat_error(
            &site
                .put(&channel.all, &format!("{path}motion/"), &bad)
                .await,
            400,
            "invalid_param",
        );
    }
    assert_compat_error(
        &site
            .put(&channel.watch, &format!("{path}motion/"), &put)
            .await,
        403,
        "access_deny",
    );
}

#[tokio::test]
async fn a_client_brings_the_picture_and_the_file_of_an_event() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let event = create(
        &site,
        &channel,
        &json!({"name": "object_and_scene_detection", "time": "2024-05-01T10:00:00"}),
    )
    .await;
    let labels = r#"{"Labels":[{"Name":"Person"}]}"#;
    let small = jpeg(320, 180);
    let parts: [(&str, &[u8]); 2] = [("picture", &small), ("file", labels.as_bytes())];
    let attached = attach(&site, &channel.all, event, &parts).await.expect(200);
    let shown = site
        .get(
            &channel.watch,
            &format!("{EVENTS}?include_filemeta_download=true"),
        )
        .await
        .expect(200);
    let object = &shown["objects"][0];
    assert_eq!(
        (&object["thumb"]["width"], &object["thumb"]["height"]),
        (&json!(320), &json!(180))
    );
    assert_eq!(object["thumb"]["time"], "2024-05-01T10:00:00.000000");
    assert_eq!(object["thumb"]["size"], small.len());
    assert_eq!(object["thumb"]["url"], attached["picture"]);
    assert_eq!(object["filemeta"]["download"]["url"], attached["file"]);
    let fetch = async |url: &Value| {
        let path = text(url)
            .strip_prefix("http://vms.test:8080")
            .unwrap()
            .to_owned();
        site.get("", &path).await
    };
    let picture = fetch(&attached["picture"]).await;
    assert_eq!(
        (picture.status.as_u16(), picture.body.as_ref()),
        (200, small.as_slice())
    );
    let file = fetch(&attached["file"]).await;
    assert_eq!(
        (file.expect(200), file.header("content-type")),
        (serde_json::from_str(labels).unwrap(), "application/json")
    );
    let bare = text(&attached["file"])
        .split('?')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(fetch(&json!(bare)).await.status.as_u16(), 401);
    // Brought again, each takes the place of the one before.
    let large = jpeg(640, 360);
    let again = attach(&site, &channel.all, event, &[("picture", &large)])
        .await
        .expect(200);
    assert_ne!(again["picture"], attached["picture"]);
    let shown = site.get(&channel.watch, EVENTS).await.expect(200);
    assert_eq!(shown["objects"][0]["thumb"]["width"], 640);
    assert_eq!(fetch(&attached["picture"]).await.status.as_u16(), 404);
}

#[tokio::test]
async fn forms_that_are_not_right_are_refused_and_leave_nothing() {
    let site = Site::with(ApiConfig::default()).await;
    let channel = site.channel("a").await;
    let event = create(
        &site,
        &channel,
        &json!({"name": "x", "time": "2024-05-01T10:00:00"}),
    )
    .await;
    let good = jpeg(8, 8);
    let long = vec![b' '; (1 << 20) + 1];
    let forms: [&[(&str, &[u8])]; 6] = [
        &[],
        &[("other", b"{}")],
        &[("picture", b"no picture")],
        &[("picture", &good), ("file", b"{no json}")],
        &[("picture", &good), ("file", b"\"\xff\"")],
        &[("file", &long)],
    ];
    for parts in forms {
        let answer = attach(&site, &channel.all, event, parts).await;
        assert_eq!(answer.status.as_u16(), 400, "{:?}", answer.body);
        assert!(answer.json()["error"]["message"].is_string());
    }
    let huge = vec![0; (10 << 20) + 1];
    let answer = attach(&site, &channel.all, event, &[("picture", &huge)]).await;
    assert_eq!(answer.status.as_u16(), 413);
    let shown = site
        .get(
            &channel.watch,
            &format!("{EVENTS}?include_filemeta_download=true"),
        )
        .await
        .expect(200);
    assert_eq!(
        (
            shown["objects"][0].get("thumb"),
            shown["objects"][0].get("filemeta")
        ),
        (None, None)
    );
    assert_eq!(
        attach(&site, &channel.watch, event, &[("picture", &good)])
            .await
            .status
            .as_u16(),
        403
    );
    let other = site.channel("b").await;
    assert_eq!(
        attach(&site, &other.all, event, &[("picture", &good)])
            .await
            .status
            .as_u16(),
        404
    );
}
