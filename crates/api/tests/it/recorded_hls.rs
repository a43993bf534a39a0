//! URLs of recorded HLS and what they answer.

use crate::site::{Site, VISITOR, assert_compat_error, text};
use framewell_catalog::TokenTarget;
use framewell_model::Access as Level;
use std::time::Duration;

#[tokio::test]
async fn a_recorded_range_has_a_url_that_lasts_as_long_as_it_takes_to_watch() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let id = channel.id;
    let get = async |query: &str| {
        let path = format!("/v1/channels/{id}/hls?{query}");
        site.get(&channel.watch, &path).await
    };
    let vod = get("start=2024-05-01T09:00:00Z&end=2024-05-01T10:00:00Z")
        .await
        .expect(200);
    let base = format!("http://vms.test:8080/hls/{id}/rec");
    let url = text(&vod["url"]);
    let path = "1714554000000000-1714557600000000/vod.m3u8?ticket=media.";
    assert!(url.starts_with(&format!("{base}/{path}")), "{url}");
    assert_eq!(vod["type"], "vod");
    assert_eq!(vod["expire"], "2024-05-01T14:00:00.000000Z");
    for (query, rest) in [
        ("start=-1h", "1714561200000000-/event.m3u8?"),
        (
            "start=-1h&end=now",
            "1714561200000000-1714564800000000/event.m3u8?",
        ),
    ] {
        let event = get(query).await.expect(200);
        let url = text(&event["url"]);
        assert!(url.starts_with(&format!("{base}/{rest}")), "{url}");
        assert_eq!(event["type"], "event");
    }
    let redirect = get("start=-1h&end=-1m&redirect=true").await;
    assert_eq!(redirect.status.as_u16(), 302);
    assert!(redirect.header("location").starts_with(&base));
    for query in [
        "",
        "end=-1h",
        "start=-1h&end=-2h",
        "start=-200h",
        "start=-1h&stop=-1m",
    ] {
        assert_eq!(get(query).await.status.as_u16(), 400, "{query}");
    }
    let other = site.channel("b").await;
    let foreign = format!("/v1/channels/{id}/hls?start=-1h");
    assert_eq!(site.get(&other.all, &foreign).await.status.as_u16(), 404);
}

#[tokio::test]
async fn a_playlist_needs_a_ticket_for_footage_and_footage() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let id = channel.id;
    let view = format!("/v1/channels/{id}/hls?start=2024-05-01T10:00:00Z&end=2024-05-01T10:00:20Z");
    let view = site.get(&channel.watch, &view).await.expect(200);
    let url = text(&view["url"]).trim_start_matches("http://vms.test:8080");
    let nothing = site.get("", url).await;
    assert_compat_error(&nothing, 404, "not_found");
    let (path, ticket) = url.split_once('?').unwrap();
    assert_compat_error(&site.get("", path).await, 401, "invalid_auth");
    let live = format!("/v1/channels/{id}/live");
    let live = site.get(&channel.watch, &live).await.expect(200);
    let (_, live_ticket) = text(&live["hls"]).split_once('?').unwrap();
    let wrong = site.get("", &format!("{path}?{live_ticket}")).await;
    assert_compat_error(&wrong, 401, "invalid_auth");
    let segment = "01900000-0000-7000-8000-000000000001";
    for name in [
        format!("{segment}.mp4"),
        format!("init-{segment}.mp4"),
        "x.ts".into(),
    ] {
        let file = path.replace("vod.m3u8", &name);
        let missing = site.get("", &format!("{file}?{ticket}")).await;
        assert_compat_error(&missing, 404, "not_found");
    }
    site.clock
        .advance(std::time::Duration::from_secs(3_600 + 60));
    assert_compat_error(&site.get("", url).await, 401, "invalid_auth");
}

#[tokio::test]
async fn what_a_ticket_fetches_over_hls_is_one_session_that_can_be_ended() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let id = channel.id;
    let live = format!("/v1/channels/{id}/live");
    let live = site.get(&channel.watch, &live).await.expect(200);
    let recorded = format!("/v1/channels/{id}/hls?start=-1h&end=-1m");
    let recorded = site.get(&channel.watch, &recorded).await.expect(200);
    for (url, activity) in [(&live["hls"], "live"), (&recorded["url"], "recorded")] {
        let url = text(url).trim_start_matches("http://vms.test:8080");
        // There is no video, and they are there.
        for _ in 0..2 {
            site.get("", url).await.expect(404);
        }
        let sessions = site.get(&channel.all, "/v1/sessions?protocol=hls").await;
        let sessions = sessions.expect(200)["sessions"].clone();
        assert_eq!(sessions.as_array().unwrap().len(), 1, "{sessions}");
        assert_eq!(sessions[0]["activity"], activity);
        assert_eq!(sessions[0]["peer"], VISITOR.to_string());
        let session = format!("/v1/sessions/{}", text(&sessions[0]["id"]));
        site.delete(&channel.all, &session).await.expect(204);
        assert_compat_error(&site.get("", url).await, 403, "access_deny");
    }
}

#[tokio::test]
async fn who_shows_a_good_token_or_ticket_is_introduced_and_nobody_else() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let live = format!("/v1/channels/{}/live", channel.id);
    let begun = site.introduced();
    site.get("", "/healthz").await.expect(200);
    site.get("", &live).await.expect(401);
    site.get("Acc bm9uc2Vuc2U=", &live).await.expect(401);
    let by_ticket = format!("/hls/{}/live.m3u8?ticket=", channel.id);
    site.get("", &format!("{by_ticket}x")).await;
    assert_eq!(site.introduced(), begun);
    let live = site.get(&channel.watch, &live).await.expect(200);
    assert_eq!(site.introduced(), begun + 1);
    let url = text(&live["hls"]).trim_start_matches("http://vms.test:8080");
    // There is no video, but the ticket is good.
    site.get("", url).await.expect(404);
    assert_eq!(site.introduced(), begun + 2);
}

#[tokio::test]
async fn hls_of_a_revoked_token_is_refused_within_seconds() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let id = channel.id;
    let live = format!("/v1/channels/{id}/live");
    let live = site.get(&channel.watch, &live).await.expect(200);
    let recorded = format!("/v1/channels/{id}/hls?start=-1h&end=-1m");
    let recorded = site.get(&channel.watch, &recorded).await.expect(200);
    let urls = [&live["hls"], &recorded["url"]]
        .map(|url| text(url).trim_start_matches("http://vms.test:8080"));
    for url in urls {
        // There is no video, and they are let in.
        site.get("", url).await.expect(404);
    }
    let account = site.state.catalog.load_channel(id).await.unwrap().account;
    let target = TokenTarget::Channel(id, Level::Watch);
    site.state.access.revoke(account, target).await.unwrap();
    site.clock.advance(Duration::from_secs(6));
    for url in urls {
        assert_compat_error(&site.get("", url).await, 401, "invalid_auth");
    }
}
