//! Lines 1 to 5: what all endpoints have in common.

use super::{assert_vxg_error, inner_token, nowhere, objects};
use crate::client::Answer;
use crate::server::Server;
use crate::site::{acc, create_channel_from, create_group};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn line_1_schemes_take_any_case_and_any_run_of_white_space() {
    let server = Server::start().await;
    let channel = create_channel_from(&server, "a", &nowhere()).await;
    for scheme in ["Acc  ", "acc ", "ACC   ", "Acc\t"] {
        server
            .api(&format!("{scheme}{}", channel.all))
            .get("/api/v4/channel/")
            .await
            .expect(200);
    }
    let group = create_group(&server, &[&channel]).await;
    for scheme in ["SI  ", "si "] {
        server
            .api(&format!("{scheme}{group}"))
            .get("/api/v5/channels/")
            .await
            .expect(200);
    }
    let inner = inner_token(&channel.all);
    let query = format!("/api/v4/channel/?token={inner}");
    server.api("").get(&query).await.expect(200);
    // The header wins over the query, and a scheme says what its credential is.
    assert_vxg_error(&server.api("Acc wrong").get(&query).await, 401);
    for header in [
        format!("SI {}", channel.all),
        format!("Acc {group}"),
        format!("LKey {}", channel.all),
        format!("Basic {}", channel.all),
        "Acc".to_owned(),
    ] {
        let answer = server.api(&header).get("/api/v4/channel/").await;
        assert_vxg_error(&answer, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn line_2_paths_work_with_and_without_slashes_and_never_redirect() {
    let server = Server::start().await;
    let channel = create_channel_from(&server, "a", &nowhere()).await;
    let admin = server.admin();
    for path in [
        "/api/v3/channels",
        "/api/v3/channels/",
        "//api/v3//channels/",
    ] {
        let list = admin.get(path).await.expect(200);
        assert_eq!(list["meta"]["total_count"], 1, "{path}");
    }
    let id = channel.id;
    let api = acc(&server, &channel);
    for path in [
        format!("/api/v2/cameras/{id}"),
        format!("/api/v2/cameras/{id}/media_streams"),
        format!("/api/v2/cameras/{id}/video/streams/vs_main"),
        format!("/api/v2/storage/timeline/{id}"),
        "/api/v2/server/time".to_owned(),
        "/api/v2/storage/data".to_owned(),
        "/api/v4/channel".to_owned(),
        "/api/v4/live/watch".to_owned(),
        "/api/v4/live/source".to_owned(),
        "/api/v4/storage/records".to_owned(),
    ] {
        api.get(&path).await.expect(200);
        api.get(&format!("{path}/")).await.expect(200);
        api.get(&format!("/{path}/")).await.expect(200);
    }
    for path in ["/api/v4/meta", "/api/v4/meta/"] {
        let created = api
            .post(path, &json!([{"timestamp": "2024-05-01"}]))
            .await
            .expect(200);
        assert_eq!(created["objects"][0]["status"], 201);
    }
    for path in ["/api/v4/meta/filter", "/api/v4/meta/filter/"] {
        let found = api.post(path, &json!({})).await.expect(200);
        assert_eq!(found["meta"]["total_count"], 2);
    }
    for end in ["", "/"] {
        let new = admin
            .post(&format!("/api/v3/channels{end}"), &json!({"name": "n"}))
            .await;
        let one = format!("/api/v3/channels/{}{end}", new.expect(201)["id"]);
        let put = admin.put(&one, &json!({"name": "m"})).await.expect(200);
        assert_eq!(put["name"], "m");
        assert_eq!(admin.delete(&one).await.expect(204), Value::Null);
    }
}

/// A browser's question before a request with credentials.
async fn preflight(server: &Server, path: &str, origin: &str) -> Answer {
    let headers = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "POST"),
        (
            "Access-Control-Request-Headers",
            "authorization,content-type",
        ),
    ];
    server.api("").send("OPTIONS", path, &headers, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn line_3_preflights_need_no_credential() {
    let server = Server::start().await;
    for path in [
        "/api/v4/meta/",
        "/api/v5/channels",
        "/v1/channels",
        "/api/v2/storage/data/",
        "/api/v3/channels/1/",
        "/media/rec/1/x.mp4",
    ] {
        let answer = preflight(&server, path, "https://engine.example").await;
        assert!(answer.status.is_success(), "{path}: {}", answer.status);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://engine.example"
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        let allowed = answer.header("access-control-allow-headers").to_lowercase();
        assert!(
            ["authorization", "content-type", "accept", "range"]
                .iter()
                .all(|h| allowed.contains(h)),
            "{allowed}"
        );
        let methods = answer.header("access-control-allow-methods");
        assert!(
            ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
                .iter()
                .all(|method| methods.contains(method)),
            "{methods}"
        );
    }
    let from_disk = preflight(&server, "/api/v4/meta/", "null").await;
    assert_eq!(from_disk.header("access-control-allow-origin"), "null");
}

#[tokio::test(flavor = "multi_thread")]
async fn line_3_answers_and_errors_can_be_read_by_pages_of_any_origin() {
    let server = Server::start().await;
    let from_disk = server
        .api("")
        .send("GET", "/api/v2/server/time/", &[("Origin", "null")], None)
        .await;
    assert_eq!(from_disk.header("access-control-allow-origin"), "null");
    let exposed = from_disk
        .header("access-control-expose-headers")
        .to_lowercase();
    assert!(
        exposed.contains("content-length") && exposed.contains("content-range"),
        "{exposed}"
    );
    for path in ["/api/v3/channels/", "/api/v9/nothing/", "/media/rec/1/x"] {
        let headers = [("Origin", "https://engine.example")];
        let refused = server.api("").send("GET", path, &headers, None).await;
        assert!(refused.status.is_client_error(), "{path}");
        assert_eq!(
            refused.header("access-control-allow-origin"),
            "https://engine.example",
            "{path}"
        );
        assert_eq!(refused.header("access-control-allow-credentials"), "true");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn line_4_every_error_is_json() {
    let server = Server::start().await;
    let channel = create_channel_from(&server, "a", &nowhere()).await;
    let admin = server.admin();
    let channels = "/api/v3/channels/";
    let send = async |method: &str, body: &str| {
        let body = Some(body.to_owned());
        admin.send(method, channels, &[], body).await
    };
    assert_vxg_error(&admin.get("/api/v9/nothing/").await, 404);
    assert_vxg_error(&admin.get("/api/").await, 404);
    assert_vxg_error(&admin.get("/api/v3/channels/4711/").await, 404);
    assert_vxg_error(&admin.send("PATCH", channels, &[], None).await, 405);
    assert_vxg_error(&admin.delete(channels).await, 405);
    assert_vxg_error(&server.api("").get(channels).await, 401);
    assert_vxg_error(&server.api("LKey wrong").get(channels).await, 401);
    assert_vxg_error(&acc(&server, &channel).get(channels).await, 403);
    assert_vxg_error(&send("POST", "{\"name\":").await, 400);
    assert_vxg_error(&send("POST", "[]").await, 400);
    assert_vxg_error(&send("POST", "{\"name\": 5}").await, 400);
    assert_vxg_error(&admin.get("/api/v3/channels/?limit=many").await, 400);
    assert_vxg_error(&admin.get("/api/v3/channels/?offset=-1").await, 400);
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(3 << 20));
    assert_vxg_error(&send("POST", &huge).await, 413);
    // Ids that are none, one of them not even UTF-8.
    for id in ["abc", "-1", "0", "99999999999999999999", "%ff"] {
        let answer = admin.get(&format!("/api/v3/channels/{id}/")).await;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{answer:?}");
        assert_vxg_error(&answer, answer.status.as_u16());
    }
    // Media URLs answer their errors in the same words.
    let media = server.api("").get("/media/rec/1/none_1.mp4").await;
    assert!(matches!(media.status.as_u16(), 401 | 403), "{media:?}");
    assert_vxg_error(&media, media.status.as_u16());
}

#[tokio::test(flavor = "multi_thread")]
async fn line_5_the_body_counts_not_its_label() {
    let server = Server::start().await;
    let admin = server.admin();
    let labels: [&[(&str, &str)]; 3] = [
        &[("Content-Type", "text/plain;charset=UTF-8")],
        &[("Content-Type", "application/x-www-form-urlencoded")],
        &[],
    ];
    for label in labels {
        let body = Some(json!({"name": "b"}).to_string());
        let new = admin.send("POST", "/api/v3/channels/", label, body).await;
        let channel = new.expect(201);
        let path = format!("/api/v3/channels/{}/", channel["id"]);
        let body = Some(json!({"name": "c"}).to_string());
        let put = admin.send("PUT", &path, label, body).await.expect(200);
        assert_eq!((&put["name"], &put["id"]), (&json!("c"), &channel["id"]));
        // A client library sends `{}` with every DELETE; the success is 204 without a body.
        let gone = admin.send("DELETE", &path, label, Some("{}".into())).await;
        assert_eq!((gone.status.as_u16(), gone.body.len()), (204, 0));
    }
    let left = admin.get("/api/v3/channels/").await.expect(200);
    assert!(objects(&left).is_empty(), "{left}");
}
