//! WebRTC: headless Chromium watches by WHEP and by the vendor's signalling, and the HTTP around it.

use crate::browser::{Browser, Page};
use crate::cameras;
use crate::main_job::naive_time;
use crate::server::{Server, wait_for};
use crate::site::{
    ChannelKeys, acc, create_channel, create_channel_from, wait_for_records, wait_for_status,
};
use crate::tools::ffprobe;
use framewell_model::WallTime;
use framewell_testkit::camera::Camera;
use framewell_testkit::stamp::{Stamp, read_stamp_jpeg};
use serde_json::Value;
use std::collections::VecDeque;

/// What a picture on screen may be behind its capture, in milliseconds.
const MOST_BEHIND_MS: f64 = 500.0;

/// An offer as browsers make it, without candidates; nobody will ever connect.
pub(crate) const OFFER: &str = "v=0\r\n\
    o=- 4611731400430051336 2 IN IP4 127.0.0.1\r\n\
    s=-\r\n\
    t=0 0\r\n\
    a=group:BUNDLE 0 1\r\n\
    a=msid-semantic: WMS\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 103 104\r\n\
    c=IN IP4 0.0.0.0\r\n\
    a=rtcp:9 IN IP4 0.0.0.0\r\n\
    a=ice-ufrag:abcd\r\n\
    a=ice-pwd:abcdefghijklmnopqrstuvwx\r\n\
    a=ice-options:trickle\r\n\
    a=fingerprint:sha-256 D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:B4:84:24:2C:C2:A2:C0:3E:FD:34:8E:5E:EA:6F:AF:52:CE:E6:0F\r\n\
    a=setup:actpass\r\n\
    a=mid:0\r\n\
    a=recvonly\r\n\
    a=rtcp-mux\r\n\
    a=rtpmap:103 H264/90000\r\n\
    a=rtcp-fb:103 nack pli\r\n\
    a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n\
    a=rtpmap:104 rtx/90000\r\n\
    a=fmtp:104 apt=103\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\n\
    c=IN IP4 0.0.0.0\r\n\
    a=rtcp:9 IN IP4 0.0.0.0\r\n\
    a=ice-ufrag:abcd\r\n\
    a=ice-pwd:abcdefghijklmnopqrstuvwx\r\n\
    a=fingerprint:sha-256 D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:B4:84:24:2C:C2:A2:C0:3E:FD:34:8E:5E:EA:6F:AF:52:CE:E6:0F\r\n\
    a=setup:actpass\r\n\
    a=mid:1\r\n\
    a=recvonly\r\n\
    a=rtcp-mux\r\n\
    a=rtpmap:111 opus/48000/2\r\n\
    a=rtpmap:0 PCMU/8000\r\n";

async fn live_channel(server: &Server, camera: &Camera) -> ChannelKeys {
    let channel = create_channel(server, "gate", camera).await;
    wait_for_status(server, &channel, "active").await;
    channel
}

pub(crate) fn page(open: &str, seek: &str) -> String {
    include_str!("webrtc.html")
        .replace("__OPEN__", open)
        .replace("__SEEK__", seek)
}

fn stamp(report: &Value) -> Option<Stamp> {
    use base64::Engine as _;
    let picture = base64::engine::general_purpose::STANDARD.decode(report["picture"].as_str()?);
    read_stamp_jpeg(&picture.expect("base64")).ok()
}

/// Milliseconds between the capture of a picture and the moment when the browser showed it.
fn behind_ms(report: &Value, stamp: &Stamp) -> f64 {
    report["shown_ms"].as_f64().expect("a time") - stamp.capture.micros() as f64 / 1e3
}

/// Pictures in a row of which nine of ten have to be fresh.
const IN_A_ROW: usize = 20;

/// Waits until pictures run on screen and stay as fresh as they have to be; the last report.
async fn wait_for_fresh_pictures(page: &Page) -> Value {
    page.wait_for_stamp(|_| true).await;
    // The first ones are late: the browser has just begun.
    let mut seen: VecDeque<(u32, f64)> = VecDeque::new();
    let fresh = wait_for("fresh pictures", 40, async || {
        let report = page.report()?;
        let stamp = stamp(&report)?;
        if seen.back().is_none_or(|(frame, _)| *frame != stamp.frame) {
            seen.push_back((stamp.frame, behind_ms(&report, &stamp)));
        }
        if seen.len() > IN_A_ROW {
            seen.pop_front();
        }
        let late = seen.iter().filter(|(_, behind)| *behind >= MOST_BEHIND_MS);
        (seen.len() == IN_A_ROW && late.count() * 10 <= IN_A_ROW).then_some(report)
    });
    fresh.await
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_watches_live_by_whep_half_a_second_behind_at_most() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = live_channel(&server, &camera).await;
    let path = format!("/v1/channels/{}/live", channel.id);
    let urls = acc(&server, &channel).get(&path).await.expect(200);
    let whep = urls["whep"].as_str().expect("a URL");
    let page = Page::serve(page(&format!("whep({whep:?})"), "")).await;
    let _browser = Browser::open(&format!("http://{}/", page.address));

    let report = wait_for_fresh_pictures(&page).await;
    assert_eq!(report["connection"], "connected");
    // The header extension tells the capture time that is painted into the picture, to the millisecond.
    let report = wait_for("the time of capture in the browser", 20, async || {
        let report = page.report()?;
        let painted_ms = stamp(&report)?.capture.micros() as f64 / 1e3;
        let off_ms = report["extension_ms"].as_f64()? - painted_ms;
        (off_ms.abs() <= 2.0 && report["messages"][0].is_object()).then_some(report)
    })
    .await;
    let messages = report["messages"].as_array().expect("a list");
    assert_eq!(messages[0]["type"], "playing");
    assert_eq!(messages[0]["live"], true);

    let location = report["location"].as_str().expect("a URL");
    let stranger = server.api("");
    stranger.delete(location).await.expect_ok();
    assert_eq!(stranger.delete(location).await.status.as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_goes_from_live_to_recorded_and_back() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = live_channel(&server, &camera).await;
    let records = wait_for_records(&server, &channel, 2).await;
    // Not a key frame: what lies before it is decoded and not shown.
    let wanted = naive_time(&records[0]["start"]).plus_micros(450_000);
    let url = format!("{}/v1/channels/{}/whep", server.base(), channel.id);
    let open = format!("whep({url:?}, {:?})", format!("Acc {}", channel.watch));
    let page = Page::serve(page(&open, &wanted.to_rfc3339())).await;
    let _browser = Browser::open(&format!("http://{}/", page.address));

    let shown = wait_for("recorded pictures", 40, async || {
        let report = page.report()?;
        let shown = stamp(&report).filter(|_| report["phase"] == "recorded")?;
        let since_us = shown.capture.micros_since(wanted);
        (-1_000..4_000_000).contains(&since_us).then_some(shown)
    })
    .await;
    let report = wait_for("live pictures again", 40, async || {
        let report = page.report()?;
        let now = stamp(&report).filter(|_| report["phase"] == "live again")?;
        (now.frame > shown.frame && behind_ms(&report, &now) < MOST_BEHIND_MS).then_some(report)
    })
    .await;
    let messages = report["messages"].as_array().expect("a list");
    let playing: Vec<&Value> = messages.iter().filter(|m| m["type"] == "playing").collect();
    let live: Vec<bool> = playing.iter().map(|m| m["live"] == true).collect();
    assert_eq!(live, [true, false, true], "{messages:?}");
    let first = playing[1]["time"].as_str().expect("a time").parse();
    let first: WallTime = first.expect("RFC 3339");
    let off_us = first.micros_since(wanted);
    assert!(
        (-cameras::ROUNDING_US..150_000).contains(&off_us),
        "{off_us} us from what was asked for"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_watches_by_the_vendors_signalling() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = live_channel(&server, &camera).await;
    let urls = acc(&server, &channel)
        .get("/api/v4/live/watch/")
        .await
        .expect(200);
    assert_eq!(urls["webrtc"]["version"], "2.0.2");
    let url = urls["webrtc"]["connection_url"].as_str().expect("a URL");
    let page = Page::serve(page(&format!("signalling({url:?})"), "")).await;
    let browser = Browser::open(&format!("http://{}/", page.address));
    let report = wait_for_fresh_pictures(&page).await;
    assert_eq!(report["greeted"], true);
    drop(browser);
    wait_for("the session to end with its browser", 40, async || {
        let metrics = server.api("").get("/metrics").await;
        let text = String::from_utf8_lossy(&metrics.body).into_owned();
        text.contains("framewell_webrtc_sessions 0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_http_of_whep_follows_its_rfc() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = live_channel(&server, &camera).await;
    let (watch, stranger) = (
        server.api(&format!("Acc {}", channel.watch)),
        server.api(""),
    );
    let path = format!("/v1/channels/{}/whep", channel.id);
    let sdp = [("Content-Type", "application/sdp")];
    let plain = [("Content-Type", "text/plain")];
    let offer = || Some(OFFER.to_owned());
    let unknown = stranger.send("POST", &path, &sdp, offer()).await;
    assert_eq!(unknown.status.as_u16(), 401);
    let mistyped = watch.send("POST", &path, &plain, offer()).await;
    assert_eq!(mistyped.status.as_u16(), 415);
    let nonsense = watch.send("POST", &path, &sdp, Some("v=0".into())).await;
    assert!(nonsense.status.is_client_error(), "{}", nonsense.status);

    let created = watch.send("POST", &path, &sdp, offer()).await;
    assert_eq!(created.status.as_u16(), 201);
    assert_eq!(created.header("content-type"), "application/sdp");
    let answer = String::from_utf8(created.body.to_vec()).expect("UTF-8");
    for line in ["a=ice-lite", "a=sendonly", "=42001f", "tcptype passive"] {
        assert!(answer.contains(line), "{line} is not in {answer}");
    }
    let (location, etag) = (created.header("location"), created.header("etag"));
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");

    let fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";
    let patch = async |tag: &str| {
        let kind = ("Content-Type", "application/trickle-ice-sdpfrag");
        let headers = [kind, ("If-Match", tag)];
        let answer = stranger
            .send("PATCH", location, &headers, Some(fragment.into()))
            .await;
        answer.status.as_u16()
    };
    assert_eq!(patch(etag).await, 204);
    assert_eq!(patch("\"another\"").await, 412);
    assert_eq!(patch("*").await, 422, "a restart of ICE");

    stranger.delete(location).await.expect_ok();
    let gone = wait_for("the session to be gone", 10, async || {
        let answer = stranger.delete(location).await;
        (answer.status.as_u16() == 404).then_some(answer)
    });
    assert_eq!(gone.await.json()["errorType"], "not_found");
    assert_eq!(patch(etag).await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_webrtc_cannot_carry_is_refused_with_what_can() {
    let server = Server::start().await;
    let camera = cameras::h265_with_b_frames().await;
    let channel = live_channel(&server, &camera).await;
    let path = format!("/v1/channels/{}/whep", channel.id);
    let sdp = [("Content-Type", "application/sdp")];
    let refused = acc(&server, &channel)
        .send("POST", &path, &sdp, Some(OFFER.to_owned()))
        .await;
    let error = &refused.expect(406)["error"];
    assert_eq!(
        error["protocols"],
        serde_json::json!(["hls", "rtsp"]),
        "{error}"
    );
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("B-frames")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_chromium_publishes_by_whip_is_recorded_and_watched() {
    let server = Server::start().await;
    let source = serde_json::json!({});
    let channel = create_channel_from(&server, "pushed", &source).await;
    let publishing = format!("/v1/channels/{}/whip", channel.id);
    let sdp = [("Content-Type", "application/sdp")];
    let watcher = server.api(&format!("Acc {}", channel.watch));
    let denied = watcher
        .send("POST", &publishing, &sdp, Some(OFFER.to_owned()))
        .await;
    assert_eq!(denied.status.as_u16(), 403);

    let open = format!(
        "whip({:?}, {:?})",
        format!("{}{publishing}", server.base()),
        format!("Acc {}", channel.all)
    );
    let sender = Page::serve(page(&open, "")).await;
    let browser = Browser::open(&format!("http://{}/", sender.address));
    wait_for_status(&server, &channel, "active").await;

    let open = format!(
        "whep({:?}, {:?})",
        format!("{}/v1/channels/{}/whep", server.base(), channel.id),
        format!("Acc {}", channel.watch)
    );
    let watching = Page::serve(page(&open, "")).await;
    let _watcher = Browser::open(&format!("http://{}/", watching.address));
    let report = wait_for("what is published on another screen", 40, async || {
        let report = watching.report()?;
        report["picture"].is_string().then_some(report)
    });
    let tracks = &report.await["tracks"];
    assert_eq!(*tracks, serde_json::json!(["audio", "video"]));

    let records = wait_for_records(&server, &channel, 3).await;
    let url = records[1]["url"].as_str().expect("a URL");
    let options = [
        "-show_entries",
        "stream=codec_name,nb_read_frames",
        "-count_frames",
    ];
    let streams = ffprobe(url, &options)["streams"].clone();
    let frames = |name: &str| -> u64 {
        let streams = streams.as_array().expect("a list").iter();
        let found = streams
            .filter(|stream| stream["codec_name"] == name)
            .find_map(|stream| stream["nb_read_frames"].as_str()?.parse().ok());
        found.unwrap_or_else(|| panic!("no {name}: {streams:?}", streams = records))
    };
    assert!(frames("h264") > 10 && frames("opus") > 50, "{streams}");
    drop(browser);
    wait_for_status(&server, &channel, "offline").await;
}
