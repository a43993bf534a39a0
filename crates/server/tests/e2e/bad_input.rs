//! Wrong cameras, wrong requests, other people's ids: a clear error, and nothing is lost.

use crate::cameras;
use crate::server::{Server, wait_for};
use crate::site::{acc, create_channel, create_channel_from, wait_for_records, wait_for_status};
use crate::text::first;
use serde_json::json;

/// Of a camera; a text that is nowhere else in the log.
const PASSWORD: &str = "the-password-42";

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_refuses_the_password_makes_the_channel_unauthorized_until_it_is_right() {
    let server = Server::start().await;
    let camera = cameras::h264_with_password("viewer", PASSWORD).await;
    let wrong = json!({"url": camera.url(), "login": "viewer", "password": "not-the-password-7"});
    let channel = create_channel_from(&server, "gate", &wrong).await;
    wait_for_status(&server, &channel, "unauthorized").await;
    let right = json!({"source": {"url": camera.url(), "login": "viewer", "password": PASSWORD}});
    server
        .admin()
        .put(&format!("/api/v3/channels/{}/", channel.id), &right)
        .await
        .expect(200);
    wait_for_status(&server, &channel, "active").await;
    for password in [PASSWORD, "not-the-password-7"] {
        assert!(!server.log().contains(password), "a password in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_is_no_camera_is_offline_and_live_requests_say_so() {
    let server = Server::start().await;
    let web = server.base().replace("http://", "rtsp://");
    let channel = create_channel_from(&server, "no camera", &json!({"url": web})).await;
    wait_for_status(&server, &channel, "offline").await;
    let native = server.api(&format!("Bearer {}", channel.all));
    let answer = native
        .get(&format!("/v1/channels/{}/image", channel.id))
        .await;
    let error = answer.expect(503);
    assert_eq!(error["error"]["code"], "unavailable");
    assert!(error["error"]["request_id"].is_string());
    let detail = native
        .get(&format!("/v1/channels/{}", channel.id))
        .await
        .expect(200);
    assert!(detail["status_detail"].is_string(), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_with_an_unknown_codec_is_offline_and_the_codec_is_named() {
    let server = Server::start().await;
    let camera = cameras::unknown_codec().await;
    let channel = create_channel(&server, "strange", &camera).await;
    wait_for_status(&server, &channel, "offline").await;
    let native = server.api(&format!("Bearer {}", channel.all));
    wait_for("the codec in the status detail", 10, async || {
        let detail = native
            .get(&format!("/v1/channels/{}", channel.id))
            .await
            .expect(200);
        let text = detail["status_detail"]
            .as_str()
            .unwrap_or_default()
            .to_lowercase();
        (text.contains("codec") || text.contains("support")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_footage_covers_is_an_error_that_says_what_is_nearest() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 1).await;
    let native = server.api(&format!("Bearer {}", channel.all));
    let path = format!("/v1/channels/{}", channel.id);
    let past = native
        .get(&format!("{path}/image?at=2001-01-01T00:00:00Z"))
        .await
        .expect(404);
    let start = records[0]["start"].as_str().expect("a time");
    assert!(
        past.to_string().contains(first(start, 19)),
        "names the nearest footage {start}: {past}"
    );
    native
        .get(&format!("{path}/image?at=2099-01-01T00:00:00Z"))
        .await
        .expect(400);
    native
        .get(&format!("{path}/image?at=yesterday"))
        .await
        .expect(400);
    native
        .get(&format!(
            "{path}/clip.mp4?start=2001-01-01T00:00:00Z&end=2001-01-01T00:01:00Z"
        ))
        .await
        .expect(404);
    native
        .get(&format!(
            "{path}/clip.mp4?start=2001-01-02T00:00:00Z&end=2001-01-01T00:00:00Z"
        ))
        .await
        .expect(400);
    let api = acc(&server, &channel);
    let empty = api
        .get("/api/v4/storage/records/?start=2001-01-01T00:00:00&end=2001-01-01T01:00:00")
        .await
        .expect(200);
    assert_eq!(empty["objects"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_and_tokens_of_another_account_open_nothing() {
    let server = Server::start().await;
    let channel =
        create_channel_from(&server, "mine", &json!({"url": "rtsp://127.0.0.1:9/none"})).await;
    let other_key = server.create_account("others");
    let other = server.api(&format!("LKey {other_key}"));
    let theirs = other
        .post("/api/v3/channels/", &json!({"name": "theirs"}))
        .await
        .expect(201);
    other
        .get(&format!("/api/v3/channels/{}/", channel.id))
        .await
        .expect(404);
    other
        .put(
            &format!("/api/v3/channels/{}/", channel.id),
            &json!({"name": "stolen"}),
        )
        .await
        .expect(404);
    other
        .delete(&format!("/api/v3/channels/{}/", channel.id))
        .await
        .expect(404);
    let group = other
        .post("/api/v3/channel_groups/", &json!({"name": "g"}))
        .await
        .expect(201);
    let put = other
        .put(
            &format!("/api/v3/channel_groups/{}/", group["id"]),
            &json!({"channels": [channel.id]}),
        )
        .await;
    assert!(matches!(put.status.as_u16(), 400 | 404), "{put:?}");
    let mine = server.api(&format!("Bearer {}", channel.all));
    mine.get(&format!("/v1/channels/{}/image", theirs["id"]))
        .await
        .expect(404);
    let kept = server
        .admin()
        .get(&format!("/api/v3/channels/{}/", channel.id))
        .await
        .expect(200);
    assert_eq!(kept["name"], "mine");
}
