//! Events and their tags; checklist lines 21, 22.

use crate::site::{Site, TestChannel, assert_compat_error, assert_no_zone, inner};
use serde_json::{Value, json};

pub(crate) const EVENTS: &str = "/api/v2/storage/events/";

/// Creates an event; its id.
pub(crate) async fn create(site: &Site, channel: &TestChannel, body: &Value) -> i64 {
    let created = site.post(&channel.all, EVENTS, body).await.expect(201);
    created["id"].as_i64().unwrap()
}

/// Ids and total of a list.
pub(crate) async fn list(site: &Site, authorization: &str, query: &str) -> (Vec<i64>, Value) {
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
