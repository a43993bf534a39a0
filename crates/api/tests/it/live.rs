//! Live URLs and pictures; checklist line 10.

use crate::site::{Site, assert_compat_error, text};
use framewell_access::MediaScope;
use framewell_api::{ApiConfig, PublicEndpoint};
use serde_json::json;

#[tokio::test]
async fn live_urls_exist_whether_or_not_the_camera_streams() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let urls = site
        .get(&channel.watch, "/api/v4/live/watch/?stream_id=main")
        .await
        .expect(200);
    let id = channel.id;
    assert!(
        text(&urls["rtmp"])
            .starts_with(&format!("rtmp://vms.test:1935/app/{id}_main?ticket=media."))
    );
    assert!(
        text(&urls["rtsp"]).starts_with(&format!("rtsp://vms.test:8554/live/{id}?ticket=media."))
    );
    let hls = text(&urls["hls"]);
    assert!(hls.starts_with(&format!(
        "http://vms.test:8080/hls/{id}/index.m3u8?ticket=media."
    )));
    assert_eq!(urls["expire"], "2024-05-01T13:00:00.000000");
    assert_eq!(urls["expire_hls"], urls["expire"]);
    for absent in ["rtc", "webrtc", "dash"] {
        assert!(
            urls.get(absent).is_none(),
            "players prefer {absent} where it is present"
        );
    }
    let ticket = hls.split("ticket=").nth(1).unwrap();
    site.state
        .access
        .check_ticket(ticket, &MediaScope::Live(id))
        .unwrap();
}

#[tokio::test]
async fn media_urls_do_not_outlive_the_group_they_were_given_to() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let (id, token) = site.group(&[&channel], "watch").await;
    let path = format!("/api/v3/channel_groups/{id}/");
    let soon = json!({ "expire": "2024-05-01T12:01:00" });
    site.put(site.key(), &path, &soon).await.expect(200);
    let camera = channel.id;
    for path in [
        format!("/api/v4/live/watch/?camid={camera}"),
        format!("/api/v4/storage/records/?camid={camera}"),
    ] {
        let answer = site.get(&token, &path).await.expect(200);
        let expire = answer.get("expire").unwrap_or(&answer["meta"]["expire"]);
        assert_eq!(expire, "2024-05-01T12:01:00.000000", "{path}");
    }
    let live = format!("/v1/channels/{camera}/live");
    let urls = site.get(&token, &live).await.expect(200);
    assert_eq!(urls["expire"], "2024-05-01T12:01:00.000000Z");
    let hls = text(&urls["hls"]).trim_start_matches("http://vms.test:8080");
    site.clock.advance(std::time::Duration::from_secs(61));
    assert_compat_error(&site.get("", hls).await, 401, "invalid_auth");
}

#[tokio::test]
async fn hls_of_a_silent_camera_is_404_so_that_players_ask_again() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let urls = site.get(&a.watch, "/api/v4/live/watch/").await.expect(200);
    let hls = text(&urls["hls"])
        .trim_start_matches("http://vms.test:8080")
        .to_owned();
    assert_compat_error(&site.get("", &hls).await, 404, "not_found");
    let other = hls.replace(&format!("/hls/{}/", a.id), &format!("/hls/{}/", b.id));
    assert_compat_error(&site.get("", &other).await, 401, "invalid_auth");
    let odd = hls.replace("index.m3u8", "passwd");
    assert_compat_error(&site.get("", &odd).await, 404, "not_found");
}

#[tokio::test]
async fn a_picture_that_cannot_be_had_is_an_error() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    assert_compat_error(
        &site.get(&channel.watch, "/api/v4/live/image/").await,
        404,
        "not_found",
    );
    let native = site
        .get(
            &channel.watch,
            &format!("/v1/channels/{}/image", channel.id),
        )
        .await;
    assert_eq!(native.expect(503)["error"]["code"], "unavailable");
    assert_eq!(native.header("retry-after"), "2");
}

#[tokio::test]
async fn a_configured_address_wins_over_the_host_header() {
    let public = PublicEndpoint {
        host: "video.example.org".into(),
        http_port: Some(80),
        https_port: Some(8443),
    };
    let site = Site::with(ApiConfig {
        public: Some(public),
        rtsp_port: 554,
        ..ApiConfig::default()
    })
    .await;
    let channel = site.channel("a").await;
    let plain = site
        .get(&channel.watch, "/api/v4/live/watch/")
        .await
        .expect(200);
    assert!(text(&plain["hls"]).starts_with("http://video.example.org/hls/"));
    assert!(text(&plain["rtsp"]).starts_with("rtsp://video.example.org:554/live/"));
    let headers = [
        ("authorization", channel.watch.as_str()),
        ("x-forwarded-proto", "https"),
    ];
    let tls = site
        .send("GET", "/api/v4/live/watch/", &headers, "")
        .await
        .expect(200);
    assert!(text(&tls["hls"]).starts_with("https://video.example.org:8443/hls/"));
    let token = crate::site::decode(&channel.all);
    assert_eq!(
        (&token["api"], &token["api_p"], &token["api_sp"]),
        (&json!("video.example.org"), &json!(80), &json!(8443))
    );
}

#[tokio::test]
async fn behind_a_proxy_urls_are_those_of_the_proxy() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let headers = [
        ("authorization", channel.watch.as_str()),
        ("x-forwarded-host", "vms.example.org"),
        ("x-forwarded-proto", "https"),
    ];
    let urls = site
        .send("GET", "/api/v4/live/watch/", &headers, "")
        .await
        .expect(200);
    assert!(text(&urls["hls"]).starts_with("https://vms.example.org/hls/"));
}

#[tokio::test]
async fn the_source_is_changed_through_v4_and_v2() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let source = "/api/v4/live/source/";
    let body = json!({"url": "rtsp://u:p@10.0.0.5/a"});
    let set = site.post(&channel.all, source, &body).await.expect(200);
    assert_eq!(
        (&set["url"], &set["login"]),
        (&json!("rtsp://10.0.0.5/a"), &json!("u"))
    );
    assert_compat_error(&site.get(&channel.watch, source).await, 403, "access_deny");
    let camera = format!("/api/v2/cameras/{}/", channel.id);
    let body =
        json!({"rec_mode": "by_event", "url": "rtsp://10.0.0.5/b", "token": "share.ignored"});
    let changed = site.put(&channel.all, &camera, &body).await.expect(200);
    assert_eq!(
        (&changed["rec_mode"], &changed["url"]),
        (&json!("by_event"), &json!("rtsp://10.0.0.5/b"))
    );
    assert_eq!(changed["password"], "");
    let named = site
        .put(&channel.all, "/api/v4/channel/", &json!({"name": "n"}))
        .await
        .expect(200);
    assert_eq!(named["name"], "n");
    let periodic = json!({"image_generation_period": 180});
    let on = site
        .put(&channel.all, "/api/v4/channel/", &periodic)
        .await
        .expect(200);
    assert_eq!(on["image_generation_period"], json!(180.0));
    let off = json!({"image_generation_period": null});
    let off = site
        .put(&channel.all, "/api/v4/channel/", &off)
        .await
        .expect(200);
    assert_eq!(off["image_generation_period"], json!(null));
}

#[tokio::test]
async fn publish_urls_are_for_tokens_that_may_publish() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let id = channel.id;
    let path = format!("/v1/channels/{id}/publish");
    for token in [channel.all.as_str(), site.key()] {
        let urls = site.get(token, &path).await.expect(200);
        let rtmp = text(&urls["rtmp"]);
        let key = text(&urls["rtmp_key"]);
        assert_eq!(urls["rtmp_server"], "rtmp://vms.test:1935/publish");
        assert_eq!(rtmp, format!("rtmp://vms.test:1935/publish/{key}"));
        let rtsp = text(&urls["rtsp"]);
        assert!(rtsp.starts_with(&format!("rtsp://vms.test:8554/publish/{id}?ticket=media.")));
        let ticket = key.strip_prefix(&format!("{id}?ticket=")).unwrap();
        let check = |scope| site.state.access.check_ticket(ticket, &scope);
        check(MediaScope::Publish(id)).unwrap();
        check(MediaScope::Live(id)).unwrap_err();
        assert_eq!(urls["expire"], "2024-05-01T13:00:00.000000Z");
    }
    let refused = site.get(&channel.watch, &path).await.expect(403);
    assert!(text(&refused["error"]["message"]).contains("publish video"));
    let compat = format!("/api/v2/cameras/{id}/stream_urls/?proto=rtmp");
    let urls = site.get(&channel.all, &compat).await.expect(200);
    assert!(text(&urls["rtmp"]).contains(&format!("/publish/{id}?ticket=media.")));
    site.get(&channel.watch, &compat).await.expect(403);
    let other = format!("/api/v2/cameras/{id}/stream_urls/?proto=carrier_pigeon");
    assert_compat_error(&site.get(&channel.all, &other).await, 400, "invalid_param");
}
