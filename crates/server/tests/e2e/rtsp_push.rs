//! RTSP `ANNOUNCE` and `RECORD`: encoders that push into a channel.

use crate::cameras;
use crate::crash::gaps;
use crate::main_job::naive_time;
use crate::publish::{Footage, OUTAGE, create_open_channel, spec};
use crate::server::{Server, wait_for};
use crate::site::{ChannelKeys, wait_for_records, wait_for_status};
use crate::tools::{assert_consecutive, ffprobe, stamps_of};
use framewell_media::VideoCodec;

const PUSH: [&str; 4] = ["-f", "rtsp", "-rtsp_transport", "tcp"];

/// The RTSP URL of a channel to publish to.
async fn publish_url(server: &Server, channel: &ChannelKeys) -> String {
    let path = format!("/v1/channels/{}/publish", channel.id);
    let api = server.api(&format!("Bearer {}", channel.all));
    let urls = api.get(&path).await.expect(200);
    urls["rtsp"].as_str().expect("a URL").to_owned()
}

/// Where a channel is watched.
async fn live_url(server: &Server, channel: &ChannelKeys) -> String {
    let api = server.api(&format!("Acc {}", channel.watch));
    let urls = api.get("/api/v4/live/watch/").await.expect(200);
    urls["rtsp"].as_str().expect("a URL").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_encoder_pushes_over_rtsp_is_watched_and_recorded_and_its_loss_is_a_gap() {
    let server = Server::start().await;
    let mut outages = Vec::new();
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let channel = create_open_channel(&server, "pusher").await;
        let footage = Footage::new(spec(codec)).await;
        let url = publish_url(&server, &channel).await;
        let output = [&PUSH[..], &[&url]].concat();
        let mut encoder = footage.send(&output);
        wait_for_status(&server, &channel, "active").await;
        let live = live_url(&server, &channel).await;
        let stamps = stamps_of(&live, &[("-rtsp_transport", "tcp")], 20).await;
        assert_consecutive(&stamps);

        let records = wait_for_records(&server, &channel, 2).await;
        let mut recorded = Vec::new();
        for record in &records[..2] {
            let url = record["url"].as_str().expect("a URL");
            recorded.extend(stamps_of(url, &[], 1_000).await);
            let streams = ffprobe(url, &[])["streams"]
                .as_array()
                .expect("a list")
                .len();
            assert_eq!(streams, 2, "video and sound");
        }
        assert_consecutive(&recorded);
        assert!(recorded.len() >= 20, "{} pictures", recorded.len());
        // ffmpeg's sender reports say what its clock, which is ours, says.
        let begun = naive_time(&records[0]["start"]);
        let age_us = cameras::now().micros_since(begun);
        assert!((0..60_000_000).contains(&age_us), "{age_us} us");

        let cut = cameras::now();
        encoder.kill();
        wait_for_status(&server, &channel, "offline").await;
        tokio::time::sleep(OUTAGE).await;
        let again = footage.send(&output);
        wait_for_status(&server, &channel, "active").await;
        outages.push((channel, cut, again));
    }
    for (channel, cut, _encoder) in &outages {
        let until = cut.plus_micros(60_000_000);
        let gap = wait_for("the gap of the outage", 30, async || {
            let gaps = gaps(&server, channel, cut.plus_micros(-5_000_000), until).await;
            gaps.into_iter().find(|gap| gap["end"].is_string())
        });
        assert_eq!(gap.await["reason"], "camera_offline");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_push_over_rtsp_is_refused() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let pulled = crate::site::create_channel(&server, "pulled", &camera).await;
    let open = create_open_channel(&server, "open").await;
    let footage = Footage::new(spec(VideoCodec::H264)).await;
    let refused = async |url: String, why: &str| {
        let (status, log) = footage.send(&[&PUSH[..], &[&url]].concat()).failed().await;
        assert!(!status.success() && log.contains(why), "{url}: {log}");
    };
    let own = publish_url(&server, &open).await;
    refused(format!("{own}x"), "401").await;
    let watching = format!(
        "rtsp://{}/publish/{}?token={}",
        server.rtsp(),
        open.id,
        open.watch
    );
    refused(watching, "403").await;
    let live = live_url(&server, &open)
        .await
        .replace("/live/", "/publish/");
    refused(live, "401").await;
    refused(publish_url(&server, &pulled).await, "has a camera source").await;

    let mut first = footage.send(&[&PUSH[..], &[&own]].concat());
    wait_for_status(&server, &open, "active").await;
    refused(own, "is being published to over rtsp since").await;

    let api = server.api(&format!("Bearer {}", open.all));
    let path = format!("/v1/sessions?channel={}&protocol=rtsp", open.id);
    let listed = api.get(&path).await.expect(200)["sessions"].clone();
    assert_eq!(listed[0]["activity"], "publish", "{listed}");
    let id = listed[0]["id"].as_str().expect("an id");
    api.delete(&format!("/v1/sessions/{id}")).await.expect(204);
    first.failed().await;
}
