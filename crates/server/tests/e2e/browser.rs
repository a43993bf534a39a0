//! Headless Chromium plays live HLS and records from another origin.

use crate::cameras;
use crate::main_job::naive_time;
use crate::server::{Server, wait_for};
use crate::site::{acc, create_channel, wait_for_records, wait_for_status};
use axum::Router;
use axum::response::Html;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use framewell_testkit::stamp::{Stamp, read_stamp_jpeg};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

#[tokio::test(flavor = "multi_thread")]
async fn chromium_plays_live_hls_and_shows_picture_after_picture() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    let urls = acc(&server, &channel)
        .get("/api/v4/live/watch/")
        .await
        .expect(200);
    let hls = urls["hls"].as_str().expect("a URL");
    let page = Page::serve(include_str!("browser.html").replace("__HLS__", hls)).await;
    let _browser = Browser::open(&format!("http://{}/", page.address));

    let first = page.wait_for_stamp(|_| true).await;
    let later = page
        .wait_for_stamp(|stamp| stamp.frame > first.frame + 20)
        .await;
    assert!(later.capture > first.capture);
    let behind_us = cameras::now().micros_since(later.capture);
    assert!(
        behind_us < 15_000_000,
        "the browser is {behind_us} us behind the camera"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_takes_a_record_late_in_a_run_for_a_short_file() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 4).await;
    let record = &records[3];
    let url = record["url"].as_str().expect("a URL");
    let page = Page::serve(format!(
        r#"<!doctype html><video id="video" muted src="{url}"></video><script>
        const report = (state) => fetch("/report", {{ method: "POST", body: JSON.stringify(state) }});
        video.onloadedmetadata = () => report({{ start: video.currentTime, duration: video.duration }});
        video.onerror = () => report({{ error: video.error.message }});
        </script>"#
    ))
    .await;
    let _browser = Browser::open(&format!("http://{}/", page.address));
    let report = wait_for("the length of the record", 40, async || page.report()).await;
    let (start, end) = (naive_time(&record["start"]), naive_time(&record["end"]));
    let length = end.micros_since(start) as f64 / 1e6;
    let duration = report["duration"].as_f64().expect("a number");
    assert!(
        (duration - length).abs() < 0.2,
        "{duration} s instead of {length} s"
    );
    assert_eq!(report["start"], 0);
}

/// The page and what it reports.
pub(crate) struct Page {
    pub(crate) address: SocketAddr,
    reports: Arc<Mutex<Option<Value>>>,
    _serving: tokio::task::JoinSet<()>,
}

impl Page {
    pub(crate) async fn serve(html: String) -> Self {
        let reports: Arc<Mutex<Option<Value>>> = Arc::default();
        let sink = Arc::clone(&reports);
        let router = Router::new()
            .route("/", get(|| async { Html(html) }))
            .route(
                "/report",
                post(move |body: String| async move {
                    *sink.lock().expect("not poisoned") = serde_json::from_str(&body).ok();
                }),
            );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("bound");
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self {
            address,
            reports,
            _serving: serving,
        }
    }

    /// The newest report, if the browser has sent one.
    pub(crate) fn report(&self) -> Option<Value> {
        let report = self.reports.lock().expect("not poisoned").clone()?;
        assert!(
            report["error"].is_null(),
            "the browser says {}",
            report["error"]
        );
        Some(report)
    }

    /// Waits until the browser shows a picture whose stamp is as wanted.
    pub(crate) async fn wait_for_stamp(&self, wanted: impl Fn(&Stamp) -> bool) -> Stamp {
        self.wait_for_report(wanted).await.0
    }

    /// The same, with all that the page reports beside it.
    pub(crate) async fn wait_for_report(&self, wanted: impl Fn(&Stamp) -> bool) -> (Stamp, Value) {
        wait_for("a picture in the browser", 40, async || {
            let report = self.report()?;
            let jpeg = STANDARD
                .decode(report["picture"].as_str()?)
                .expect("base64");
            let stamp = read_stamp_jpeg(&jpeg).ok().filter(&wanted)?;
            Some((stamp, report))
        })
        .await
    }
}

/// A headless Chromium; ended when dropped.
pub(crate) struct Browser {
    child: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(crate) fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().expect("a profile folder");
        let child = Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .args([
                "--disable-dev-shm-usage",
                // WebRTC to a server on this machine.
                "--allow-loopback-in-peer-connection",
                "--autoplay-policy=no-user-gesture-required",
            ])
            // Without this, headless mode draws nothing until something asks for a picture.
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium starts: cargo xtask test installs it");
        Self {
            child,
            _profile: profile,
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
