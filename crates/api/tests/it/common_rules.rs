//! Section 2 of the contract; checklist lines 1 to 6 and 25.

use crate::site::{Site, assert_compat_error, assert_no_zone, inner, text};
use framewell_api::ApiConfig;
use serde_json::{Value, json};

#[tokio::test]
async fn the_scheme_may_be_followed_by_any_run_of_spaces() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let token = channel.all.trim_start_matches("Acc ");
    for header in [
        format!("Acc  {token}"),
        format!("acc {token}"),
        format!("ACC\t{token} "),
        format!("Bearer {token}"),
        format!("Acc {}", inner(token)),
    ] {
        site.get(&header, "/api/v4/channel/").await.expect(200);
    }
    let by_query = format!("/api/v4/channel/?token={}", inner(token));
    site.get("", &by_query).await.expect(200);
}

#[tokio::test]
async fn paths_work_with_and_without_slashes_and_never_redirect() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    for path in [
        "/api/v3/channels",
        "/api/v3/channels/",
        "//api/v3//channels/",
    ] {
        let list = site.get(site.key(), path).await.expect(200);
        assert_eq!(list["meta"]["total_count"], 1, "{path}");
    }
    for path in ["/api/v4/meta", "/api/v4/meta/", "/api//v4/meta//"] {
        site.post(&channel.all, path, &json!([])).await.expect(200);
    }
}

#[tokio::test]
async fn preflight_needs_no_credential_on_any_path() {
    let site = Site::new().await;
    for path in [
        "/api/v4/meta/",
        "/api/v5/channels",
        "/v1/channels",
        "/hls/1/index.m3u8",
        "/nowhere",
    ] {
        let headers = [
            ("origin", "https://engine.example"),
            ("access-control-request-method", "PUT"),
            (
                "access-control-request-headers",
                "authorization,content-type,accept,range",
            ),
        ];
        let answer = site.send("OPTIONS", path, &headers, "").await;
        assert!(answer.status.is_success(), "{path}: {}", answer.status);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://engine.example"
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        for name in ["authorization", "content-type", "accept", "range"] {
            assert!(
                answer.header("access-control-allow-headers").contains(name),
                "{name}"
            );
        }
        assert!(
            answer
                .header("access-control-allow-methods")
                .contains("DELETE")
        );
    }
}

#[tokio::test]
async fn every_answer_echoes_the_origin_errors_included() {
    let site = Site::new().await;
    for (path, status) in [
        ("/api/v2/server/time/", 200),
        ("/api/v3/channels/", 401),
        ("/nowhere", 404),
        ("/media/rec/1/x_1.mp4", 401),
    ] {
        let answer = site.send("GET", path, &[("origin", "null")], "").await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "null",
            "{path}"
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert!(
            answer
                .header("access-control-expose-headers")
                .contains("content-range")
        );
    }
}

#[tokio::test]
async fn every_error_is_json_in_the_words_of_its_face() {
    let site = Site::new().await;
    let key = site.key().to_owned();
    assert_compat_error(&site.get(&key, "/api/v9/nothing/").await, 404, "not_found");
    assert_compat_error(&site.get("", "/").await, 404, "not_found");
    let patch = site
        .send("PATCH", "/api/v3/channels/", &[("authorization", &key)], "")
        .await;
    assert_compat_error(&patch, 405, "method_not_allowed");
    assert_compat_error(
        &site.get("", "/api/v3/channels/").await,
        401,
        "invalid_auth",
    );
    assert_compat_error(
        &site.get("LKey x", "/api/v3/channels/").await,
        401,
        "invalid_auth",
    );
    let broken = site
        .send(
            "POST",
            "/api/v3/channels/",
            &[("authorization", &key)],
            "{\"name\":",
        )
        .await;
    assert_compat_error(&broken, 400, "invalid_param");
    let native = site.get("", "/v1/channels").await;
    assert_eq!(native.expect(401)["error"]["code"], "unauthenticated");
    let id = native.header("x-request-id");
    assert!(!id.is_empty());
    assert_eq!(native.json()["error"]["request_id"], id);
    assert_eq!(
        site.get("", "/v1/nothing").await.expect(404)["error"]["code"],
        "not_found"
    );
    let wrong = site.send("POST", "/v1/channels", &[], "").await;
    assert_eq!(wrong.expect(405)["error"]["code"], "method_not_allowed");
}

#[tokio::test]
async fn the_request_id_of_a_client_is_kept_if_it_is_plain() {
    let site = Site::new().await;
    let plain = site
        .send("GET", "/healthz", &[("x-request-id", "job-17_a")], "")
        .await;
    assert_eq!(plain.header("x-request-id"), "job-17_a");
    let odd = site
        .send("GET", "/healthz", &[("x-request-id", "a b\"c")], "")
        .await;
    assert_ne!(odd.header("x-request-id"), "a b\"c");
    assert_eq!(odd.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn bodies_are_json_whatever_their_label_and_bounded() {
    let config = ApiConfig {
        body_limit: 1_000,
        meta_body_limit: 10_000,
        ..ApiConfig::default()
    };
    let site = Site::with(config).await;
    let key = site.key().to_owned();
    for label in [
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "",
    ] {
        let headers = [("authorization", key.as_str()), ("content-type", label)];
        let body = json!({ "name": "x" }).to_string();
        site.send("POST", "/api/v3/channels/", &headers, body)
            .await
            .expect(201);
    }
    let long = json!({ "name": "x".repeat(2_000) });
    let answer = site.post(&key, "/api/v3/channels/", &long).await;
    assert_compat_error(&answer, 413, "invalid_param");
    let announced = [
        ("authorization", key.as_str()),
        ("content-length", "999999"),
    ];
    let answer = site
        .send("POST", "/api/v3/channels/", &announced, "{}")
        .await;
    assert_compat_error(&answer, 413, "invalid_param");
    let channel = site.channel("m").await;
    let document = json!([{ "timestamp": "2024-05-01T10:00:00", "raw_data": "x".repeat(2_000) }]);
    site.post(&channel.all, "/api/v4/meta/", &document)
        .await
        .expect(200);
    let document = json!([{ "timestamp": "2024-05-01T10:00:00", "raw_data": "x".repeat(20_000) }]);
    let answer = site.post(&channel.all, "/api/v4/meta/", &document).await;
    assert_compat_error(&answer, 413, "invalid_param");
    let list = site.post(&key, "/api/v3/channels/", &json!([1])).await;
    assert_compat_error(&list, 400, "invalid_param");
}

#[tokio::test]
async fn a_body_on_delete_is_ignored() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let headers = [
        ("authorization", site.key()),
        ("content-type", "text/plain"),
    ];
    let path = format!("/api/v3/channels/{}/", channel.id);
    let answer = site.send("DELETE", &path, &headers, "{}").await;
    assert_eq!(answer.status.as_u16(), 204);
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn no_time_has_a_zone_and_all_forms_are_read() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    site.record(channel.id, "2024-05-01T10:20:00.04Z", 30).await;
    site.set_active(channel.id);
    for (auth, path) in [
        (
            site.key(),
            "/api/v3/channels/?detail=detail&include_meta=true",
        ),
        (&channel.all, "/api/v4/channel/"),
        (&channel.all, "/api/v4/live/watch/"),
        (&channel.all, "/api/v4/storage/records/"),
        ("", "/api/v2/server/time/"),
    ] {
        assert_no_zone(&site.get(auth, path).await.expect(200));
    }
    let count = async |start: &str| {
        let path = format!("/api/v4/storage/records/?start={start}");
        site.get(&channel.all, &path).await
    };
    for form in [
        "2024-05-01T10:20:30",
        "2024-05-01T10:20:29.123",
        "2024-05-01T10%3A20%3A29.123456",
        "2024-05-01+10%3A20%3A29.123456",
        "2024-05-01T10:20",
        "2024-05-01T10:20:29.5Z",
        "2024-05-01",
        "2024-05-1",
    ] {
        assert_eq!(
            count(form).await.expect(200)["meta"]["total_count"],
            1,
            "{form}"
        );
    }
    for form in ["NaN-aN-aNTaN:aN:aN", "", "yesterday", "2024-13-01"] {
        assert_compat_error(&count(form).await, 400, "invalid_param");
    }
}

#[tokio::test]
async fn next_leads_through_the_whole_list_without_a_header() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    for second in 10..15 {
        site.record(channel.id, &format!("2024-05-01T10:20:{second}Z"), 1)
            .await;
    }
    let token = inner(&channel.watch);
    let mut path = format!("/api/v4/storage/records?limit=2&order_by=-time&token={token}");
    let (mut starts, mut pages) = (Vec::new(), 0);
    loop {
        let page = site.get("", &path).await.expect(200);
        assert_eq!(page["meta"]["total_count"], 5);
        let objects = page["objects"].as_array().unwrap();
        starts.extend(
            objects
                .iter()
                .map(|object| text(&object["start"]).to_owned()),
        );
        pages += 1;
        match &page["meta"]["next"] {
            Value::Null => break,
            next => path = text(next).to_owned(),
        }
        assert!(path.starts_with("/api/v4/storage/records/?"), "{path}");
        assert!(path.contains("order_by=-time") && path.contains(&format!("token={token}")));
    }
    assert_eq!((starts.len(), pages), (5, 3));
    assert!(starts.is_sorted_by(|a, b| a > b), "{starts:?}");
}

#[tokio::test]
async fn a_refusal_that_leaves_a_long_body_unread_ends_the_connection() {
    let site = Site::new().await;
    let send = async |length: &str, authorization: &str| {
        let headers = [("authorization", authorization), ("content-length", length)];
        let answer = site.send("POST", "/api/v3/channels/", &headers, "{}").await;
        (
            answer.status.as_u16(),
            answer.header("connection").to_owned(),
        )
    };
    let close = || "close".to_owned();
    assert_eq!(send("3000000", site.key()).await, (413, close()));
    assert_eq!(send("3000000", "LKey wrong").await, (401, close()));
    assert_eq!(send("2", "LKey wrong").await, (401, String::new()));
}
