//! Clips of a real server: what players show first of one that begins between two key frames, a download that goes on
//! after a restart, and a hole that takes its time.

use crate::browser::{Browser, Page};
use crate::cameras::{self, ROUNDING_US};
use crate::main_job::naive_time;
use crate::server::{Server, wait_for};
use crate::site::{ChannelKeys, acc, create_channel, wait_for_records};
use crate::tools::{assert_consecutive, ffprobe, stamps_of};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use framewell_model::WallTime;
use framewell_testkit::stamp::{Stamp, VideoInput, read_stamp_jpeg};
use serde_json::Value;
use std::process::Command;

const FRAME_US: i64 = 1_000_000 / cameras::FPS;
/// How long before an instant the picture that is on screen then was captured.
const ON_SCREEN_US: std::ops::Range<i64> = -ROUNDING_US..FRAME_US + ROUNDING_US;
/// Length of the clip that players are shown: it ends between two pictures.
const LENGTH_US: i64 = 3_210_000;
/// Where the browser seeks to, in seconds.
const SEEK_S: f64 = 2.0;

/// A clip that begins between two key frames, which are a second apart.
struct Clip {
    start: WallTime,
    end: WallTime,
    /// With its token.
    url: String,
}

impl Clip {
    async fn of(server: &Server, channel: &ChannelKeys) -> Self {
        let records = wait_for_records(server, channel, 4).await;
        // A record begins with a key frame.
        let start = naive_time(&records[0]["start"]).plus_micros(777_777);
        let end = start.plus_micros(LENGTH_US);
        let token: String =
            url::form_urlencoded::byte_serialize(channel.watch.as_bytes()).collect();
        let path = path(channel, start, end);
        Self {
            start,
            end,
            url: format!("{}{path}&token={token}", server.base()),
        }
    }

    fn assert_first(&self, stamp: &Stamp) {
        let shown_us = self.start.micros_since(stamp.capture);
        assert!(
            ON_SCREEN_US.contains(&shown_us),
            "{} is shown first, {} was asked for",
            stamp.capture,
            self.start
        );
    }
}

fn path(channel: &ChannelKeys, start: WallTime, end: WallTime) -> String {
    let id = channel.id;
    format!("/v1/channels/{id}/clip.mp4?start={start}&end={end}")
}

/// It begins with a whole picture and ends where it was asked to end.
fn assert_length(duration_s: f64) {
    let more_us = duration_s * 1e6 - LENGTH_US as f64;
    let most_us = (FRAME_US + ROUNDING_US) as f64;
    assert!(
        (-(ROUNDING_US as f64)..most_us).contains(&more_us),
        "{duration_s} s"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_shows_the_picture_of_the_asked_instant_first_and_seeks() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let clip = Clip::of(&server, &channel).await;
    let page = include_str!("clips.html")
        .replace("__URL__", &clip.url)
        .replace("__SEEK__", &SEEK_S.to_string());
    let page = Page::serve(page).await;
    let _browser = Browser::open(&format!("http://{}/", page.address));
    let report = wait_for("two pictures in the browser", 60, async || page.report()).await;
    assert!(report["error"].is_null(), "{report}");
    let shown = |index: usize| {
        let jpeg = STANDARD.decode(report["shown"][index].as_str().expect("a picture"));
        read_stamp_jpeg(&jpeg.expect("base64")).expect("a stamp")
    };
    let (first, later) = (shown(0), shown(1));
    clip.assert_first(&first);
    assert_length(report["duration"].as_f64().expect("seconds"));
    let sought = clip.start.plus_micros((SEEK_S * 1e6) as i64);
    let shown_us = sought.micros_since(later.capture);
    assert!(
        ON_SCREEN_US.contains(&shown_us),
        "{shown_us} us before {sought}, which was sought"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mpv_shows_every_picture_of_a_clip_from_zero_on_and_ffprobe_reads_its_length() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let clip = Clip::of(&server, &channel).await;
    let url = clip.url.clone();
    let (probed, stamps) = tokio::task::spawn_blocking(move || (ffprobe(&url, &[]), mpv(&url)))
        .await
        .expect("joined");
    assert_consecutive(&stamps);
    clip.assert_first(&stamps[0]);
    let left_us = clip.end.micros_since(stamps[stamps.len() - 1].capture);
    assert!(ON_SCREEN_US.contains(&left_us), "ends {left_us} us early");
    let seconds = |value: &Value| -> f64 {
        let text = value.as_str().expect("a number");
        text.parse().expect("a number")
    };
    assert_length(seconds(&probed["format"]["duration"]));
    assert_length(seconds(&probed["streams"][0]["duration"]));
}

/// Stamps of all pictures that mpv shows from the beginning of a file.
///
/// It plays what an edit list hides, at times below zero, unless it is told to begin at zero exactly.
fn mpv(url: &str) -> Vec<Stamp> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new("mpv")
        .args(["--no-config", "--load-scripts=no", "--ytdl=no"])
        .args(["--no-audio", "--untimed", "--framedrop=no"])
        .args(["--start=0", "--hr-seek=yes"])
        .args([
            "--msg-level=all=error",
            "--vo=image",
            "--vo-image-format=jpg",
        ])
        .arg(format!("--vo-image-outdir={}", folder.path().display()))
        .arg(url)
        .output()
        .expect("mpv runs: cargo xtask test installs it");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let stamps = VideoInput::new(folder.path().join("%08d.jpg")).read_stamps();
    stamps.unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_after_a_kill_of_the_server() {
    let mut server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 3).await;
    let start = naive_time(&records[0]["start"]).plus_micros(500_000);
    let end = naive_time(&records[2]["start"]);
    let path = path(&channel, start, end);
    let whole = acc(&server, &channel).get(&path).await;
    whole.expect_ok();
    let etag = whole.header("etag").to_owned();
    server.kill_9();
    server.restart().await;

    let half = whole.body.len() / 2;
    let rest = format!("bytes={half}-");
    let headers = [("Range", rest.as_str()), ("If-Range", etag.as_str())];
    let api = acc(&server, &channel);
    let resumed = api.send("GET", &path, &headers, None).await;
    assert_eq!(
        resumed.status, 206,
        "the file is the same after the restart"
    );
    assert!(resumed.body[..] == whole.body[half..]);
    // Of another file nothing is a rest.
    let headers = [("Range", rest.as_str()), ("If-Range", "\"another\"")];
    let again = api.send("GET", &path, &headers, None).await;
    again.expect_ok();
    assert!(again.body == whole.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_after_a_kill_is_told_and_takes_its_time_where_that_is_asked_for() {
    let mut server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 2).await;
    let start = naive_time(&records[0]["start"]).plus_micros(500_000);
    server.kill_9();
    let killed = cameras::now();
    server.restart().await;
    let end = wait_for("a record from after the restart", 60, async || {
        let records = wait_for_records(&server, &channel, 2).await;
        let newest = records.last().expect("records");
        (naive_time(&newest["start"]) > killed).then(|| naive_time(&newest["end"]))
    })
    .await;

    let path = format!("{}&gaps=keep", path(&channel, start, end));
    let clip = acc(&server, &channel).get(&path).await;
    clip.expect_ok();
    let gaps = clip.header("framewell-gaps");
    let gap = gaps.split(',').find(|gap| gap.ends_with(";server_down"));
    let gap = gap.unwrap_or_else(|| panic!("no gap of the kill in {gaps:?}"));
    let range = gap.trim().trim_end_matches(";server_down");
    let (from, to) = range.split_once('/').expect("two times");
    let (from, to): (WallTime, WallTime) =
        (from.parse().expect("a time"), to.parse().expect("a time"));
    assert!(from < killed && killed < to, "{gaps}");

    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &clip.body).expect("written");
    let name = file.path().to_str().expect("UTF-8");
    let probed = ffprobe(name, &[]);
    let duration = probed["format"]["duration"].as_str().expect("a number");
    let duration_s: f64 = duration.parse().expect("a number");
    let length_s = end.micros_since(start) as f64 / 1e6;
    assert!(
        (duration_s - length_s).abs() < 0.15,
        "{duration_s} s of {length_s} s"
    );
    let stamps = stamps_of(name, &[], 100_000).await;
    let (before, after): (Vec<Stamp>, Vec<Stamp>) =
        stamps.iter().partition(|stamp| stamp.capture < from);
    assert_consecutive(&before);
    assert_consecutive(&after);
    assert!(ON_SCREEN_US.contains(&start.micros_since(before[0].capture)));
    let off_us = after[0].capture.micros_since(to);
    assert!(off_us.abs() <= ROUNDING_US, "{off_us} us after {gaps}");
}
