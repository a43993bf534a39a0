//! The native face.

use crate::site::{Site, inner, text};
use framewell_catalog::NewGap;
use framewell_model::GapReason;
use serde_json::{Value, json};

#[tokio::test]
async fn any_token_is_a_bearer_token() {
    let site = Site::new().await;
    let channel = site.channel("Gate").await;
    site.channel("Hall").await;
    let (_, engine) = site.group(&[&channel], "watch").await;
    let count = async |credential: &str| {
        let token = credential.rsplit(' ').next().unwrap();
        let list = site
            .get(&format!("Bearer {token}"), "/v1/channels")
            .await
            .expect(200);
        list["channels"].as_array().unwrap().len()
    };
    assert_eq!(count(site.key()).await, 2);
    assert_eq!(count(&channel.watch).await, 1);
    assert_eq!(count(&engine).await, 1);
    assert_eq!(count(&inner(&engine)).await, 1);
    let path = format!(
        "/v1/channels/{}?token={}",
        channel.id,
        inner(&channel.watch)
    );
    assert_eq!(site.get("", &path).await.expect(200)["name"], "Gate");
}

#[tokio::test]
async fn channels_come_in_pages_by_cursor() {
    let site = Site::new().await;
    for n in 0..5 {
        site.channel(&format!("c{n}")).await;
    }
    let mut names: Vec<String> = Vec::new();
    let mut path = "/v1/channels?limit=2".to_owned();
    loop {
        let page = site.get(site.key(), &path).await.expect(200);
        let channels = page["channels"].as_array().unwrap();
        assert!(channels.len() <= 2);
        names.extend(
            channels
                .iter()
                .map(|channel| text(&channel["name"]).to_owned()),
        );
        match &page["meta"]["next"] {
            Value::Null => break,
            next => path = format!("/v1/channels?limit=2&cursor={}", text(next)),
        }
    }
    assert_eq!(names, ["c0", "c1", "c2", "c3", "c4"]);
    site.get(site.key(), "/v1/channels?cursor=x")
        .await
        .expect(400);
}

#[tokio::test]
async fn a_channel_says_what_it_is_doing() {
    let site = Site::new().await;
    let channel = site.channel("Gate").await;
    let path = format!("/v1/channels/{}", channel.id);
    let idle = site.get(&channel.all, &path).await.expect(200);
    assert_eq!(
        (&idle["status"], &idle["recording"], &idle["video"]),
        (&json!("inactive"), &json!(false), &json!(null))
    );
    assert_eq!(idle["created"], "2024-05-01T12:00:00.000000Z");
    site.state
        .registry
        .track(channel.id)
        .set_source_state(framewell_live::SourceState {
            status: framewell_model::ChannelStatus::Offline,
            since: crate::site::start_of_test(),
            detail: Some("connection refused".into()),
            run: None,
        });
    let offline = site.get(&channel.all, &path).await.expect(200);
    assert_eq!(
        (&offline["status"], &offline["status_detail"]),
        (&json!("offline"), &json!("connection refused"))
    );
    let unknown = site.get(&channel.all, "/v1/channels/999").await.expect(404);
    assert_eq!(unknown["error"]["code"], "not_found");
    site.get(&channel.all, "/v1/channels/x").await.expect(404);
}

#[tokio::test]
async fn a_timeline_shows_periods_and_the_reasons_of_gaps() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    site.record(channel.id, "2024-05-01T11:00:00Z", 10).await;
    site.record(channel.id, "2024-05-01T11:00:20Z", 10).await;
    let at = |text: &str| text.parse().unwrap();
    let gap = NewGap {
        channel: channel.id,
        start: at("2024-05-01T11:00:10Z"),
        end: Some(at("2024-05-01T11:00:20Z")),
        reason: GapReason::CameraOffline,
    };
    site.state.catalog.insert_gap(gap).await.unwrap();
    let path = format!("/v1/channels/{}/timeline", channel.id);
    let timeline = site
        .get(&channel.watch, &format!("{path}?start=-1h"))
        .await
        .expect(200);
    assert_eq!(
        timeline["periods"],
        json!([
            {"start": "2024-05-01T11:00:00.000000Z", "end": "2024-05-01T11:00:10.000000Z"},
            {"start": "2024-05-01T11:00:20.000000Z", "end": "2024-05-01T11:00:30.000000Z"},
        ])
    );
    assert_eq!(timeline["gaps"][0]["reason"], "camera_offline");
    assert_eq!(timeline["end"], "2024-05-01T12:00:00.000000Z");
    let merged = site
        .get(&channel.watch, &format!("{path}?start=-1h&merge_ms=10000"))
        .await
        .expect(200);
    assert_eq!(merged["periods"].as_array().unwrap().len(), 1);
    for query in [
        "",
        "?start=x",
        "?start=-1h&end=-2h",
        "?start=2001-01-01T00:00:00Z",
    ] {
        let error = site
            .get(&channel.watch, &format!("{path}{query}"))
            .await
            .expect(400);
        assert_eq!(error["error"]["code"], "invalid_argument");
    }
}

#[tokio::test]
async fn what_no_footage_covers_is_an_error_that_says_what_is_nearest() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    site.record(channel.id, "2024-05-01T11:00:00Z", 10).await;
    let image = async |query: &str| {
        site.get(
            &channel.watch,
            &format!("/v1/channels/{}/image?{query}", channel.id),
        )
        .await
    };
    let before = image("at=2024-05-01T10:00:00Z").await.expect(404);
    assert_eq!(before["error"]["code"], "not_found");
    assert_eq!(
        before["error"]["nearest_after"],
        "2024-05-01T11:00:00.000000Z"
    );
    assert!(before["error"].get("nearest_before").is_none());
    let after = image("at=-30m").await.expect(404);
    assert_eq!(
        after["error"]["nearest_before"],
        "2024-05-01T11:00:10.000000Z"
    );
    for query in [
        "at=2099-01-01T00:00:00Z",
        "at=yesterday",
        "width=0",
        "width=9000",
        "quality=0",
        "quality=101",
        "height=x",
    ] {
        assert_eq!(
            image(query).await.expect(400)["error"]["code"],
            "invalid_argument",
            "{query}"
        );
    }
    let clip = async |query: &str| {
        site.get(
            &channel.watch,
            &format!("/v1/channels/{}/clip.mp4?{query}", channel.id),
        )
        .await
    };
    clip("start=2001-01-01T00:00:00Z&end=2001-01-01T00:01:00Z")
        .await
        .expect(404);
    clip("start=2001-01-02T00:00:00Z&end=2001-01-01T00:00:00Z")
        .await
        .expect(400);
    clip("end=2001-01-01T00:00:00Z").await.expect(400);
}

#[tokio::test]
async fn live_urls_are_ticketed() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let live = site
        .get(&channel.watch, &format!("/v1/channels/{}/live", channel.id))
        .await
        .expect(200);
    for (name, start) in [
        ("hls", "http://vms.test:8080/hls/"),
        ("rtsp", "rtsp://vms.test:8554/live/"),
        ("image", "http://vms.test:8080/media/img/"),
    ] {
        let url = text(&live[name]);
        assert!(
            url.starts_with(start) && url.contains("ticket=media."),
            "{url}"
        );
    }
    assert_eq!(live["expire"], "2024-05-01T13:00:00.000000Z");
}
