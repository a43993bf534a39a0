//! The main job: an engine that holds nothing but a group token.

use crate::cameras;
use crate::client::{Api, decode_token};
use crate::server::{Server, wait_for};
use crate::site::{create_channel, create_group, wait_for_records, wait_for_status};
use crate::tools::{assert_consecutive, ffprobe, stamps_of};
use framewell_model::WallTime;
use framewell_testkit::stamp::read_stamp_jpeg;
use serde_json::{Value, json};

/// Pictures of the test cameras are this far apart.
const FRAME_US: i64 = 1_000_000 / cameras::FPS;
/// How long ago the picture on screen was captured.
const SHOWN_US: std::ops::Range<i64> = -cameras::ROUNDING_US..FRAME_US + cameras::ROUNDING_US;

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_with_a_group_token_gets_pictures_clips_and_streams_and_writes_back() {
    let server = Server::start().await;
    engine_job(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_on_postgresql() {
    let database = framewell_testkit::postgres::TestDatabase::create().expect("a database");
    let server = Server::start_with(&format!("database_url = {:?}", database.url())).await;
    engine_job(&server).await;
}

async fn engine_job(server: &Server) {
    let (plain, reordered) = (cameras::h264().await, cameras::h265_with_b_frames().await);
    let channels = [
        create_channel(server, "gate", &plain).await,
        create_channel(server, "yard", &reordered).await,
    ];
    let group_token = create_group(server, &[&channels[0], &channels[1]]).await;
    for channel in &channels {
        wait_for_status(server, channel, "active").await;
        wait_for_records(server, channel, 3).await;
    }

    // From here on the engine knows the group token and the address only.
    assert!(decode_token(&group_token).get("camid").is_none());
    let engine = server.api(&format!("SI {group_token}"));
    let list = engine.get("/api/v5/channels/").await.expect(200);
    assert_eq!(list["meta"]["total_count"], 2);
    for object in list["objects"].as_array().expect("a list") {
        assert_eq!(
            (&object["status"], &object["recording"]),
            (&json!("active"), &json!(true))
        );
        let camera = Engine {
            acc: server.api(&format!(
                "Acc {}",
                object["token"].as_str().expect("a token")
            )),
            bearer: server.api(&format!("Bearer {group_token}")),
            open: server.api(""),
            id: object["id"].as_i64().expect("an id"),
        };
        camera.looks_now().await;
        camera.looks_back().await;
        camera.takes_a_clip().await;
        camera.watches_live().await;
        camera.writes_what_it_saw().await;
    }
}

/// What an engine does with one camera.
struct Engine {
    acc: Api,
    bearer: Api,
    /// Without any credential: media URLs carry their own.
    open: Api,
    id: i64,
}

impl Engine {
    async fn looks_now(&self) {
        let before = cameras::now();
        let answer = self
            .bearer
            .get(&format!("/v1/channels/{}/image", self.id))
            .await;
        answer.expect_ok();
        let stamp = read_stamp_jpeg(&answer.body).expect("a stamp");
        assert_close(answer.time("framewell-capture-time"), stamp.capture);
        assert_eq!(answer.header("framewell-clock-source"), "camera_rtcp");
        let age_us = before.micros_since(stamp.capture);
        assert!(age_us < 2_000_000, "a live picture is {age_us} us old");

        let image = self.acc.get("/api/v4/live/image/").await.expect(200);
        let jpeg = self.open.get(image["url"].as_str().expect("a URL")).await;
        assert_eq!(jpeg.header("content-type"), "image/jpeg");
        let stamp = read_stamp_jpeg(&jpeg.body).expect("a stamp");
        assert_close(naive_time(&image["time"]), stamp.capture);
    }

    /// Pictures of recorded instants: the one on screen, exactly.
    async fn looks_back(&self) {
        let records = self
            .acc
            .get("/api/v4/storage/records/?order_by=time")
            .await
            .expect(200);
        let start = naive_time(&records["objects"][0]["start"]);
        for offset_us in [0, 1, 333_333, 999_999, 1_500_000, 2_345_678, 3_999_999] {
            let at = start.plus_micros(offset_us);
            let answer = self
                .bearer
                .get(&format!("/v1/channels/{}/image?at={at}", self.id))
                .await;
            answer.expect_ok();
            let stamp = read_stamp_jpeg(&answer.body).expect("a stamp");
            let early_us = at.micros_since(stamp.capture);
            assert!(
                SHOWN_US.contains(&early_us),
                "asked for {at}, got {} ({early_us} us)",
                stamp.capture
            );
            assert_close(answer.time("framewell-capture-time"), stamp.capture);
            let again = self
                .bearer
                .get(&format!("/v1/channels/{}/image?at={at}", self.id))
                .await;
            assert_eq!(
                again.body, answer.body,
                "the same question gives the same bytes"
            );
        }
    }

    async fn takes_a_clip(&self) {
        let records = self
            .acc
            .get("/api/v4/storage/records/?order_by=time")
            .await
            .expect(200);
        let start = naive_time(&records["objects"][0]["start"]).plus_micros(777_777);
        let end = start.plus_micros(3_210_000);
        let path = format!("/v1/channels/{}/clip.mp4?start={start}&end={end}", self.id);
        let clip = self.bearer.get(&path).await;
        clip.expect_ok();
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &clip.body).expect("written");
        let name = file.path().to_str().expect("UTF-8");
        ffprobe(name, &[]);
        let stamps = stamps_of(name, &[], 10_000).await;
        assert_consecutive(&stamps);
        let (first, last) = (stamps[0].capture, stamps[stamps.len() - 1].capture);
        assert!(
            SHOWN_US.contains(&start.micros_since(first)),
            "starts at {first}, not {start}"
        );
        assert!(
            SHOWN_US.contains(&end.micros_since(last)),
            "ends at {last}, not {end}"
        );

        let part = self
            .bearer
            .send("GET", &path, &[("Range", "bytes=1000-1999")], None)
            .await;
        assert_eq!(
            (part.status.as_u16(), part.body.as_ref()),
            (206, &clip.body[1000..2000])
        );
    }

    async fn watches_live(&self) {
        let urls = self.acc.get("/api/v4/live/watch/").await.expect(200);
        assert!(
            urls["rtmp"].is_string(),
            "ai_integration reads it unguarded"
        );
        let rtsp = urls["rtsp"].as_str().expect("an RTSP URL");
        let stamps = stamps_of(rtsp, &[("-rtsp_transport", "tcp")], 20).await;
        assert_consecutive(&stamps);
        let hls = urls["hls"].as_str().expect("an HLS URL");
        let stamps = stamps_of(hls, &[], 20).await;
        assert_consecutive(&stamps);
    }

    async fn writes_what_it_saw(&self) {
        let timestamp = cameras::now().to_naive_text();
        let document =
            json!([{"timestamp": timestamp, "long": {"people": 3}, "string": {"type": "count"}}]);
        let written = self.acc.post("/api/v4/meta/", &document).await.expect(200);
        assert_eq!(written["objects"][0]["status"], 201);
        let filter = json!({"filter": {"and": [
            {"field": "long.people", "gte": 3}, {"field": "timestamp", "gte": timestamp}]}});
        let found = wait_for("the document", 5, async || {
            let found = self
                .acc
                .post("/api/v4/meta/filter/", &filter)
                .await
                .expect(200);
            (found["meta"]["total_count"] == 1).then_some(found)
        })
        .await;
        assert_eq!(found["objects"][0]["id"], written["objects"][0]["id"]);
        assert_eq!(found["objects"][0]["camid"], self.id);
    }
}

/// The stated time is the true one.
fn assert_close(stated: WallTime, stamped: WallTime) {
    let off_us = stated.micros_since(stamped);
    assert!(
        off_us.abs() <= cameras::ROUNDING_US,
        "stated {stated}, stamped {stamped}: {off_us} us"
    );
}

/// A time of the compatible face.
pub(crate) fn naive_time(value: &Value) -> WallTime {
    format!("{}Z", value.as_str().expect("a time"))
        .parse()
        .expect("a time without zone")
}
