//! hls.js in headless Chromium: live at low latency, and a seek in recorded footage.

use crate::browser::Browser;
use crate::cameras;
use crate::server::{Server, wait_for};
use crate::site::{ChannelKeys, acc, create_channel, wait_for_records, wait_for_status};
use axum::Router;
use axum::http::header;
use axum::response::Html;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use framewell_model::WallTime;
use framewell_testkit::stamp::{Stamp, read_stamp_jpeg};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

/// What `cargo xtask test` puts there.
fn hls_js() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let target = target.expect("the build folder");
    target.join("hls.js-1.5.20/hls.min.js")
}

/// A page with hls.js, what it reports, and what it is to do.
struct Player {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

#[derive(Debug, Default)]
struct State {
    report: Option<Value>,
    seek: Option<f64>,
}

impl Player {
    async fn serve(url: &str) -> Self {
        let page = include_str!("hls_js.html").replace("__HLS__", url);
        let script = std::fs::read_to_string(hls_js())
            .expect("hls.js is in the build folder: cargo xtask test puts it there");
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let report = move |body: String| async move {
            let mut state = shared.lock().expect("not poisoned");
            state.report = serde_json::from_str(&body).ok();
            json!({ "seek": state.seek }).to_string()
        };
        let router = Router::new()
            .route("/", get(|| async { Html(page) }))
            .route(
                "/hls.js",
                get(|| async { ([(header::CONTENT_TYPE, "text/javascript")], script) }),
            )
            .route("/report", post(report));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("bound");
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self {
            address,
            state,
            _serving: serving,
        }
    }

    /// The newest report.
    fn report(&self) -> Option<Value> {
        let report = self.state.lock().expect("not poisoned").report.clone()?;
        assert!(report["error"].is_null(), "hls.js gave up: {report:#}");
        Some(report)
    }

    /// The newest report with a picture, its stamp, and when it was seen.
    fn seen(&self) -> Option<(Value, Stamp)> {
        let report = self.report()?;
        let jpeg = STANDARD
            .decode(report["picture"].as_str()?)
            .expect("base64");
        let stamp = read_stamp_jpeg(&jpeg).ok()?;
        Some((report, stamp))
    }

    fn seek(&self, to: f64) {
        self.state.lock().expect("not poisoned").seek = Some(to);
    }
}

async fn camera_and_server() -> (Server, framewell_testkit::camera::Camera, ChannelKeys) {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    (server, camera, channel)
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_js_plays_live_within_three_seconds_of_the_camera() {
    let (server, _camera, channel) = camera_and_server().await;
    let urls = acc(&server, &channel)
        .get("/api/v4/live/watch/")
        .await
        .expect(200);
    let player = Player::serve(urls["hls"].as_str().expect("a URL")).await;
    let _browser = Browser::open(&format!("http://{}/", player.address));
    // A player that starts may be further behind for a moment, until it has found its pace.
    let (report, stamp) = wait_for("hls.js near the live edge", 60, async || {
        let (report, stamp) = player.seen()?;
        let behind_us = cameras::now().micros_since(stamp.capture);
        (behind_us < 3_000_000).then_some((report, stamp))
    })
    .await;
    assert!(
        report["parts"].as_i64() > Some(0),
        "it took parts: {report}"
    );
    // It stays there while picture after picture is shown.
    let mut latest = stamp;
    let until = stamp.frame + 50;
    wait_for("five seconds of pictures", 40, async || {
        let (report, stamp) = player.seen()?;
        let behind_us = cameras::now().micros_since(stamp.capture);
        assert!(behind_us < 3_000_000, "{behind_us} us behind: {report:#}");
        assert!(stamp.frame >= latest.frame, "it went back");
        latest = stamp;
        (stamp.frame > until).then_some(())
    })
    .await;
    let report = player.report().expect("reported");
    let date: WallTime = report["date"]
        .as_str()
        .expect("a date")
        .parse()
        .expect("a time");
    let off_us = date.micros_since(latest.capture);
    assert!(
        off_us.abs() < 1_000_000,
        "PROGRAM-DATE-TIME is {off_us} us off: {report:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_js_seeks_in_recorded_footage_to_the_right_picture_also_behind_a_gap() {
    let (server, camera, channel) = camera_and_server().await;
    wait_for_records(&server, &channel, 2).await;
    camera.control().close();
    let records = wait_for_records(&server, &channel, 6).await;
    let start = crate::main_job::naive_time(&records[0]["start"]);
    let end = crate::main_job::naive_time(&records[5]["end"]);
    let path = format!("/v1/channels/{}/hls?start={start}&end={end}", channel.id);
    let api = acc(&server, &channel);
    let view = wait_for("the range to be past", 40, async || {
        let view = api.get(&path).await.expect(200);
        (view["type"] == "vod").then_some(view)
    })
    .await;
    let player = Player::serve(view["url"].as_str().expect("a URL")).await;
    let _browser = Browser::open(&format!("http://{}/", player.address));
    let starts = wait_for("the playlist", 60, async || {
        let report = player.report()?;
        player.seen()?;
        let starts: Vec<(f64, f64)> = serde_json::from_value(report["starts"].clone()).ok()?;
        (!starts.is_empty()).then_some(starts)
    })
    .await;
    assert!(starts.len() >= 5, "{starts:?}");
    let lost_s = (starts[starts.len() - 1].0 - starts[0].0) / 1e3 - starts[starts.len() - 1].1;
    assert!(lost_s > 0.1, "the camera was away: {starts:?}");
    for segment in [starts.len() - 1, 0, starts.len() / 2] {
        let (date_ms, at) = starts[segment];
        check_seek(&player, at + 0.55, date_ms + 550.0).await;
    }
}

/// Seeks; the picture on screen must be the newest one captured by then. There are ten a second.
async fn check_seek(player: &Player, to: f64, wall_ms: f64) {
    player.seek(to);
    let (report, stamp) = wait_for("the picture there", 40, async || {
        let (report, stamp) = player.seen()?;
        let off = report["time"].as_f64()? - to;
        (report["wish"] == to && off.abs() < 0.001).then_some((report, stamp))
    })
    .await;
    let wall = WallTime::from_micros((wall_ms * 1e3) as i64);
    let age_us = wall.micros_since(stamp.capture);
    assert!(
        (-5_000..105_000).contains(&age_us),
        "{age_us} us at {to}: {report:#}"
    );
}
