//! Who watches what.

use crate::site::{Site, TestChannel};
use framewell_access::Credential;
use framewell_access::sessions::{Activity, EndReason, NewSession, Protocol, Session};
use framewell_model::{Holder, Secret};
use serde_json::json;

async fn open(site: &Site, channel: &TestChannel, protocol: Protocol) -> Session {
    let token = channel.watch.split_whitespace().last().unwrap();
    let credential = Credential::Any(Secret::new(token.to_owned()));
    let grant = site.state.access.authenticate(&credential).await.unwrap();
    let new = NewSession {
        protocol,
        activity: Activity::Live,
        channel: channel.id,
        holder: Holder::from(&grant),
        peer: Some("10.0.0.7:51544".parse().unwrap()),
        expire: None,
        expected_bits_per_s: 0,
    };
    site.state.sessions.open(new).unwrap()
}

#[tokio::test]
async fn sessions_are_listed_to_those_who_may_watch_the_channel_and_ended_by_those_who_configure_it()
 {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let rtsp = open(&site, &a, Protocol::Rtsp).await;
    let other = open(&site, &b, Protocol::WebRtc).await;
    rtsp.add_bytes(1_500);
    rtsp.add_missed(2);
    let listed = site.get(&a.watch, "/v1/sessions").await.expect(200);
    let expected = json!([{
        "id": rtsp.id().to_string(), "protocol": "rtsp", "activity": "live", "channel": a.id.get(), "stream": "main",
        "peer": "10.0.0.7:51544", "started": "2024-05-01T12:00:00.000000Z", "bytes": 1_500, "bitrate_bps": 0,
        "missed_frames": 2,
    }]);
    assert_eq!(listed["sessions"], expected);
    let all = site.get(site.key(), "/v1/sessions").await.expect(200);
    // Others who may watch do not learn from where.
    let (_, group) = site.group(&[&a], "watch").await;
    let of_group = site.get(&group, "/v1/sessions").await.expect(200);
    assert_eq!(of_group["sessions"][0]["bytes"], 1_500);
    assert_eq!(of_group["sessions"][0].get("peer"), None);
    assert_eq!(all["sessions"].as_array().unwrap().len(), 2);
    let one = format!("/v1/sessions?channel={}", b.id);
    let of_b = site.get(site.key(), &one).await.expect(200);
    assert_eq!(of_b["sessions"][0]["id"], json!(other.id().to_string()));
    let none = site.get(site.key(), "/v1/sessions?protocol=hls").await;
    assert_eq!(none.expect(200)["sessions"], json!([]));
    site.get(&a.watch, &one).await.expect(404);
    site.get(site.key(), "/v1/sessions?protocol=telnet")
        .await
        .expect(400);

    let path = format!("/v1/sessions/{}", rtsp.id());
    site.delete(&a.watch, &path).await.expect(403);
    site.delete(&b.all, &path).await.expect(404);
    assert_eq!(rtsp.end_reason(), None);
    site.delete(&a.all, &path).await.expect(204);
    assert_eq!(rtsp.end_reason(), Some(EndReason::Ended));
    drop(rtsp);
    site.delete(&a.all, &path).await.expect(404);
    site.delete(&a.all, "/v1/sessions/x").await.expect(404);
    assert_eq!(other.end_reason(), None);
}
