//! What the vendor's player asks before it plays; checklist line 24 without the browser.

use crate::site::{Site, assert_compat_error, inner};
use bytes::Bytes;
use framewell_media::{AccessUnit, StreamParameters, TrackKind, VideoCodec, VideoParameters};
use framewell_model::{ClockSource, MediaTime, RunId, Timescale, WallTime};
use serde_json::json;
use uuid::Uuid;

#[tokio::test]
async fn the_player_boots_with_nothing_but_the_inner_token() {
    let site = Site::new().await;
    let channel = site.channel("Gate").await;
    let time = site.get("", "/api/v2/server/time/").await.expect(200);
    assert_eq!(time["utc"], "2024-05-01T12:00:00.000000");
    let get = async |path: &str| {
        let id = channel.id;
        let token = inner(&channel.watch);
        site.get(
            "",
            &format!("/api/v2/cameras/{id}/{path}?detail=detail&token={token}"),
        )
        .await
    };
    let camera = get("").await.expect(200);
    assert_eq!(
        (&camera["id"], &camera["name"]),
        (&json!(channel.id), &json!("Gate"))
    );
    assert_eq!(
        (&camera["status"], &camera["access"]),
        (&json!("inactive"), &json!(["watch"]))
    );
    assert_eq!(camera["memorycard_recording"], false);
    let streams = get("media_streams/").await.expect(200);
    assert_eq!(streams["live_ms_id"], streams["rec_ms_id"]);
    assert_eq!(streams["mstreams_supported"][0]["id"], streams["rec_ms_id"]);
    assert_eq!(streams["mstreams_supported"][0]["vs_id"], "vs_main");
    let stream = get("video/streams/vs_main/").await.expect(200);
    assert_eq!(stream["format"], json!(null), "nothing is known yet");
    assert_compat_error(&get("video/streams/vs_other/").await, 404, "not_found");
    assert_compat_error(&get("ptz/").await, 404, "not_found");
    let foreign = format!("/api/v2/cameras/999/?token={}", inner(&channel.watch));
    assert_compat_error(&site.get("", &foreign).await, 404, "not_found");
    assert_compat_error(
        &site
            .get("", &format!("/api/v2/cameras/{}/", channel.id))
            .await,
        401,
        "invalid_auth",
    );
}

/// Puts two seconds of 25 fps video with GOPs of 25 into the ring, from 11:59:50 on.
pub(crate) fn stream(site: &Site, channel: framewell_model::ChannelId) {
    let track = site.state.registry.track(channel);
    site.set_active(channel);
    let video = VideoParameters {
        codec: VideoCodec::H264,
        width: 1280,
        height: 720,
        config: Bytes::new(),
        reorder_depth: 0,
        rfc6381: "avc1.64001f".into(),
    };
    let parameters = StreamParameters { video, audio: None };
    track.begin_run(RunId::from_uuid(Uuid::now_v7()), parameters.into_shared());
    for n in 0..51 {
        let at = MediaTime::new(n * 3_600, Timescale::HZ_90K);
        track.push(AccessUnit {
            track: TrackKind::Video,
            pts: at,
            dts: at,
            wall: WallTime::from_secs(1_714_564_790).plus_micros(n * 40_000),
            clock: ClockSource::CameraRtcp,
            is_key: n % 25 == 0,
            data: Bytes::from(vec![0; 1_000]),
        });
    }
}

#[tokio::test]
async fn a_live_stream_is_described_from_what_it_is() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    stream(&site, channel.id);
    let path = format!("/api/v2/cameras/{}/video/streams/vs_main/", channel.id);
    let described = site.get(&channel.watch, &path).await.expect(200);
    assert_eq!(
        (&described["format"], &described["resolution"]),
        (&json!("H264"), &json!([1280, 720]))
    );
    assert_eq!(
        (&described["fps"], &described["gop"]),
        (&json!(25.0), &json!(25))
    );
    assert_eq!(described["vbr_bitrate"], 200);
    let camera = format!("/api/v2/cameras/{}/?preview=true", channel.id);
    let camera = site.get(&channel.watch, &camera).await.expect(200);
    assert_eq!(
        (&camera["status"], &camera["streaming"]),
        (&json!("active"), &json!(true))
    );
    let preview = &camera["preview"];
    assert_eq!(
        (&preview["width"], &preview["height"]),
        (&json!(1280), &json!(720))
    );
    assert_eq!(preview["time"], "2024-05-01T11:59:52.000000");
    assert!(crate::site::text(&preview["url"]).contains("/live.jpg?ticket=media."));

    let native = site
        .get(&channel.watch, &format!("/v1/channels/{}", channel.id))
        .await
        .expect(200);
    assert_eq!(
        (&native["video"]["fps"], &native["video"]["bitrate_bps"]),
        (&json!(25.0), &json!(200_000))
    );
    assert_eq!(native["video"]["newest"], "2024-05-01T11:59:52.000000Z");
    let metrics = site.get("", "/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let id = channel.id;
    for line in [
        format!("framewell_channel_state{{channel=\"{id}\",state=\"active\"}} 1"),
        format!("framewell_channel_state{{channel=\"{id}\",state=\"offline\"}} 0"),
        format!("framewell_channel_frames_per_second{{channel=\"{id}\"}} 25"),
        format!("framewell_channel_bitrate_bits_per_second{{channel=\"{id}\"}} 200000"),
        format!("framewell_channel_frames_total{{channel=\"{id}\"}} 51"),
        format!("framewell_channel_ring_bytes{{channel=\"{id}\"}} 51000"),
        format!("framewell_channel_newest_picture_age_seconds{{channel=\"{id}\"}} 8"),
        format!("framewell_channel_recording{{channel=\"{id}\"}} 1"),
    ] {
        assert!(
            metrics.lines().any(|l| l == line),
            "{line} is not in\n{metrics}"
        );
    }
}

#[tokio::test]
async fn the_calendar_has_the_days_with_footage() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let days = async |query: &str| {
        let path = format!("/api/v2/storage/activity/?camid={}{query}", channel.id);
        let answer = site.get(&channel.watch, &path).await.expect(200);
        assert_eq!(
            answer["meta"]["total_count"],
            answer["objects"].as_array().unwrap().len()
        );
        answer["objects"].clone()
    };
    assert_eq!(days("").await, json!([]));
    for start in [
        "2024-04-28T10:00:00Z",
        "2024-04-28T10:00:10Z",
        "2024-04-28T21:59:55Z",
        "2024-04-30T23:59:55Z",
    ] {
        site.record(channel.id, start, 10).await;
    }
    let utc = json!(["2024-04-28", "2024-04-30", "2024-05-01"]);
    assert_eq!(days("").await, utc);
    site.record(channel.id, "2023-01-05T10:00:00Z", 10).await;
    assert_eq!(days("").await[0], "2023-01-05");
    assert_eq!(
        days("").await.as_array().unwrap()[1..],
        utc.as_array().unwrap()[..]
    );
    let berlin = json!({ "timezone": "Europe/Berlin" });
    let camera = format!("/api/v2/cameras/{}/", channel.id);
    site.put(&channel.all, &camera, &berlin).await.expect(200);
    let local = json!(["2023-01-05", "2024-04-28", "2024-04-29", "2024-05-01"]);
    assert_eq!(days("&daysincamtz=").await, local);
    let other = site.channel("b").await;
    let path = format!("/api/v2/storage/activity/?camid={}", channel.id);
    let (_, group) = site.group(&[&other], "watch").await;
    assert_compat_error(&site.get(&group, &path).await, 404, "not_found");
}

#[tokio::test]
async fn cameras_are_listed_as_they_are_shown() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    site.channel("c").await;
    let (_, group) = site.group(&[&a, &b], "watch").await;
    let list = async |authorization: &str, query: &str| {
        let path = format!("/api/v2/cameras/?detail=detail{query}");
        site.get(authorization, &path).await.expect(200)
    };
    let of_group = list(&group, "").await;
    assert_eq!(of_group["meta"]["total_count"], 2);
    let shown = format!("/api/v2/cameras/{}/?detail=detail", a.id);
    let shown = site.get(&group, &shown).await.expect(200);
    assert_eq!(of_group["objects"][0], shown);
    let second = list(&group, "&limit=1&offset=1").await;
    assert_eq!(second["objects"][0]["id"], json!(b.id));
    assert_eq!(second["objects"].as_array().unwrap().len(), 1);
    assert_eq!(list(&a.watch, "").await["objects"][0]["id"], json!(a.id));
    assert_eq!(list(site.key(), "").await["meta"]["total_count"], 3);
}

#[tokio::test]
async fn live_urls_of_a_camera_are_those_of_its_own_token() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let own = site.get(&a.watch, "/api/v4/live/watch/").await.expect(200);
    let path = format!("/api/v2/cameras/{}/live_urls/", a.id);
    let named = site.get(site.key(), &path).await.expect(200);
    let names = |object: &serde_json::Value| -> Vec<String> {
        object.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(names(&own), names(&named));
    assert_eq!(own["expire_hls"], named["expire_hls"]);
    assert_compat_error(&site.get(&b.all, &path).await, 404, "not_found");
}
