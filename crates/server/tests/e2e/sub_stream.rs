//! Main and sub stream of one camera: two encodings of one view, on one clock.

use crate::browser::{Browser, Page};
use crate::cameras;
use crate::client::Api;
use crate::server::{Server, files_below, wait_for};
use crate::site::{ChannelKeys, acc, create_channel, create_group, wait_for_records};
use crate::tools::{assert_consecutive, ffprobe, stamps_of};
use crate::webrtc;
use framewell_model::WallTime;
use framewell_testkit::camera::{Camera, CameraConfig, Source, start_cameras};
use framewell_testkit::encode::ClipSpec;
use framewell_testkit::multipart::parts_of;
use framewell_testkit::stamp::{Stamp, read_stamp_jpeg};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// A picture is on screen for this long.
const FRAME_US: i64 = 1_000_000 / cameras::FPS;
/// How far a clock may be put right wrongly: both streams are measured over the loopback interface of a busy
/// machine.
const CLOCK_US: i64 = 60_000;
/// The sub stream's clock is ahead by so much, in seconds.
const SKEW_S: i64 = 2;

/// A camera with two streams, the second with a clock of its own.
async fn two_streams() -> (Camera, Camera) {
    let stream = |name: &str, width, height| {
        let spec = ClipSpec {
            width,
            height,
            fps: 10,
            gop: 10,
            ..ClipSpec::default()
        };
        CameraConfig::new(Source::Live(spec)).named(name)
    };
    let streams = vec![stream("main", 640, 360), stream("sub", 320, 180)];
    let mut streams = start_cameras(0, streams)
        .await
        .expect("a camera")
        .into_iter();
    let (main, sub) = (streams.next(), streams.next());
    let (main, sub) = (main.expect("two streams"), sub.expect("two streams"));
    sub.control().skew_ntp_time(SKEW_S);
    (main, sub)
}

struct Site {
    server: Server,
    channel: ChannelKeys,
    /// Kept alive.
    main: Camera,
    sub: Camera,
}

impl Site {
    async fn start() -> Self {
        let server = Server::start().await;
        let (main, sub) = two_streams().await;
        let channel = create_channel(&server, "gate", &main).await;
        let site = Self {
            server,
            channel,
            main,
            sub,
        };
        let path = site.path("sub");
        let made = site.api().put(&path, &json!({"url": site.sub.url()})).await;
        let made = made.expect(200);
        assert_eq!(
            (&made["rec_mode"], &made["url"]),
            (&json!("off"), &json!(site.sub.url()))
        );
        site
    }

    fn api(&self) -> Api {
        acc(&self.server, &self.channel)
    }

    fn path(&self, tail: &str) -> String {
        format!("/v1/channels/{}/{tail}", self.channel.id)
    }

    async fn show(&self) -> Value {
        let path = format!("/v1/channels/{}", self.channel.id);
        self.api().get(&path).await.expect(200)
    }

    /// Waits until both streams are live and the offset between them is known by their sender reports.
    async fn wait_for_one_clock(&self) -> Value {
        wait_for("both streams on one clock", 40, async || {
            let shown = self.show().await;
            let sub = &shown["sub"];
            let is_live = shown["status"] == "active" && sub["status"] == "active";
            let is_known = sub["clock"]["basis"] == "both_reports";
            (is_live && is_known && !sub["video"].is_null()).then_some(shown)
        })
        .await
    }

    /// End of the recorded footage of a stream that begins behind `from`.
    async fn wait_for_footage(&self, stream: &str, from: WallTime, to: WallTime) {
        let until = to.plus_micros(60_000_000);
        let path = self.path(&format!(
            "timeline?stream={stream}&start={from}&end={until}"
        ));
        wait_for(&format!("footage of {stream} up to {to}"), 40, async || {
            let timeline = self.api().get(&path).await.expect(200);
            let periods = timeline["periods"].as_array()?;
            let is_whole =
                |period: &Value| time(&period["start"]) <= from && time(&period["end"]) >= to;
            periods.iter().any(is_whole).then_some(())
        })
        .await;
    }

    async fn picture(&self, stream: &str, at: WallTime) -> (Stamp, u32) {
        let answer = self
            .api()
            .get(&self.path(&format!("image?stream={stream}&at={at}")))
            .await;
        answer.expect_ok();
        let width = answer.header("framewell-width").parse().expect("a width");
        (read_stamp_jpeg(&answer.body).expect("a stamp"), width)
    }

    /// The pictures of one instant from both streams show that instant.
    async fn assert_same_instant(&self, at: WallTime) {
        for (stream, wide) in [("main", 640), ("sub", 320)] {
            let (stamp, width) = self.picture(stream, at).await;
            let late_us = at.micros_since(stamp.capture);
            assert!(
                (-CLOCK_US..FRAME_US + CLOCK_US).contains(&late_us),
                "{stream} at {at} shows {}: {late_us} us",
                stamp.capture
            );
            assert_eq!(width, wide, "{stream}");
        }
    }

    /// Clips of the same range from both streams begin and end with the same moments.
    async fn assert_same_clip(&self, start: WallTime, end: WallTime) {
        for (stream, wide) in [("main", 640), ("sub", 320)] {
            let path = self.path(&format!("clip.mp4?stream={stream}&start={start}&end={end}"));
            let answer = self.api().get(&path).await;
            answer.expect_ok();
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), &answer.body).expect("written");
            assert_shows(file.path(), wide, start, end).await;
        }
    }
}

/// A file has pictures of this width, from one instant to another.
async fn assert_shows(file: &Path, wide: u32, start: WallTime, end: WallTime) {
    let name = file.to_str().expect("UTF-8");
    let probed = ffprobe(name, &[]);
    assert_eq!(probed["streams"][0]["width"], wide, "{name}");
    let stamps = stamps_of(name, &[], 1_000).await;
    assert_consecutive(&stamps);
    for (stamp, wanted) in [(stamps.first(), start), (stamps.last(), end)] {
        let shown = stamp.expect("pictures").capture;
        let off_us = wanted.micros_since(shown).abs();
        assert!(
            off_us <= FRAME_US + CLOCK_US,
            "{shown} for {wanted}, {wide} wide"
        );
    }
}

fn time(value: &Value) -> WallTime {
    value.as_str().expect("a time").parse().expect("RFC 3339")
}

#[tokio::test(flavor = "multi_thread")]
async fn both_streams_are_recorded_on_one_clock_and_survive_kill_9_and_a_lost_database() {
    let mut site = Site::start().await;
    let shown = site.wait_for_one_clock().await;
    let offset_s = shown["sub"]["clock"]["offset_s"]
        .as_f64()
        .expect("an offset");
    assert!((offset_s - SKEW_S as f64).abs() < 0.06, "{shown}");
    assert_eq!(shown["sub"]["recording"], false, "unless asked");
    let on = json!({"rec_mode": "on"});
    let settings = site
        .api()
        .put(&site.path("recording?stream=sub"), &on)
        .await;
    assert_eq!(settings.expect(200)["rec_mode"], "on");

    let start = cameras::now().plus_micros(1_500_000);
    let end = start.plus_micros(2_000_000);
    for stream in ["main", "sub"] {
        site.wait_for_footage(stream, start, end).await;
    }
    site.assert_same_instant(start.plus_micros(730_000)).await;
    site.server.kill_9();
    site.server.restart().await;

    site.wait_for_one_clock().await;
    let again = cameras::now().plus_micros(1_500_000);
    for stream in ["main", "sub"] {
        site.wait_for_footage(stream, again, again.plus_micros(1_500_000))
            .await;
    }
    for at in [start.plus_micros(730_000), again.plus_micros(510_000)] {
        site.assert_same_instant(at).await;
    }
    site.assert_same_clip(start, end).await;
    rebuilt(&mut site, start).await;
}

/// The segments alone say which stream they are of.
async fn rebuilt(site: &mut Site, start: WallTime) {
    let at = start.plus_micros(730_000);
    let before = [
        site.picture("main", at).await,
        site.picture("sub", at).await,
    ];
    assert!(site.server.stop().await.success(), "{}", site.server.log());
    for file in files_below(&site.server.data_dir()) {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with("framewell.db") {
            std::fs::remove_file(file).expect("removed");
        }
    }
    let (code, text) = site
        .server
        .framewell(&["check", "--rebuild", "--account", "rescued"]);
    assert_eq!(code, Some(0), "{text}");
    let named = format!("channel {}-sub (made in account", site.channel.id);
    assert!(text.contains(&named), "{text}");
    site.server.restart().await;
    let license = site.server.account(&["new-key", "rescued"]);
    let api = site.server.api(&format!("LKey {license}"));
    for (stream, (stamp, width)) in ["main", "sub"].into_iter().zip(before) {
        let path = site.path(&format!("image?stream={stream}&at={at}"));
        let answer = api.get(&path).await;
        answer.expect_ok();
        assert_eq!(answer.header("framewell-width"), width.to_string());
        assert_eq!(read_stamp_jpeg(&answer.body).expect("a stamp"), stamp);
    }
    let sub = format!("{}-sub", site.channel.id);
    let (code, text) = site.server.framewell(&["verify", "--channel", &sub]);
    assert_eq!(code, Some(0), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_clips_exports_manifests_and_pictures_of_a_group_show_the_sub_stream_by_choice() {
    let site = Site::start().await;
    site.wait_for_one_clock().await;
    let on = json!({"rec_mode": "on"});
    let path = site.path("recording?stream=sub");
    site.api().put(&path, &on).await.expect(200);
    let start = cameras::now().plus_micros(1_500_000);
    let end = start.plus_micros(2_000_000);
    for stream in ["main", "sub"] {
        site.wait_for_footage(stream, start, end).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    a_stored_clip(&site, folder.path(), start, end).await;
    an_export(&site, folder.path(), start, end).await;
    pictures_of_a_group(&site, start.plus_micros(730_000)).await;
    a_signed_manifest(&site, folder.path(), start, end).await;
}

async fn a_stored_clip(site: &Site, folder: &Path, start: WallTime, end: WallTime) {
    let (first, last) = (start.to_rfc3339(), end.to_rfc3339());
    let times = json!({"start": first, "end": last, "stream": "sub"});
    let new = site.api().post("/v1/clips", &times).await.expect(201);
    let path = format!("/v1/clips/{}", new["id"]);
    let clip = wait_for("a stored clip", 60, async || {
        let clip = site.api().get(&path).await.expect(200);
        (clip["state"] != "pending").then_some(clip)
    })
    .await;
    assert_eq!(
        (&clip["state"], &clip["channel"], &clip["stream"]),
        (&json!("done"), &json!(site.channel.id), &json!("sub")),
        "{clip}"
    );
    let open = site.server.api("");
    let url = |name: &str| clip["file"][name].as_str().expect("a URL").to_owned();
    let file = folder.join("stored.mp4");
    std::fs::write(&file, &open.get(&url("url")).await.body).expect("written");
    assert_shows(&file, 320, start, end).await;
    let thumb = open.get(&url("thumb_url")).await;
    let shown = read_stamp_jpeg(&thumb.body).expect("a stamp").capture;
    assert!(
        start.micros_since(shown).abs() <= FRAME_US + CLOCK_US,
        "{shown}"
    );
    let list = site.api().get("/api/v4/clips/").await.expect(200);
    assert_eq!(list["objects"][0]["camid"], site.channel.id, "{list}");
}

async fn an_export(site: &Site, folder: &Path, start: WallTime, end: WallTime) {
    let path = format!("/v1/export.tar?stream=sub&start={start}&end={end}");
    let archive = site.api().get(&path).await;
    archive.expect_ok();
    let tar = folder.join("export.tar");
    std::fs::write(&tar, &archive.body).expect("written");
    let unpacked = Command::new("tar")
        .arg("-xf")
        .arg(&tar)
        .arg("-C")
        .arg(folder)
        .status();
    assert!(unpacked.expect("tar runs").success());
    let text = std::fs::read(folder.join("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&text).expect("JSON");
    let camera = &manifest["cameras"][0];
    assert_eq!(
        (&camera["channel"], &camera["stream"]),
        (&json!(site.channel.id), &json!("sub"))
    );
    let name = camera["file"]["name"].as_str().expect("a file");
    assert_shows(&folder.join(name), 320, start, end).await;
}

async fn pictures_of_a_group(site: &Site, at: WallTime) {
    let group = create_group(&site.server, &[&site.channel]).await;
    let engine = site.server.api(&format!("SI {group}"));
    for (stream, wide) in [("main", "640"), ("sub", "320")] {
        let set = engine
            .get(&format!("/v1/images?stream={stream}&at={at}"))
            .await;
        set.expect_ok();
        let parts = parts_of(set.header("content-type"), &set.body).expect("parts");
        assert_eq!(
            parts[0].header("framewell-channel"),
            site.channel.id.to_string()
        );
        assert_eq!(parts[0].header("framewell-width"), wide, "{stream}");
        let shown = read_stamp_jpeg(&parts[0].body).expect("a stamp").capture;
        let late_us = at.micros_since(shown);
        assert!(
            (-CLOCK_US..FRAME_US + CLOCK_US).contains(&late_us),
            "{late_us} us"
        );

        let lines = format!("/v1/images?stream={stream}&at={at}&as=ndjson");
        let lines = engine.get(&lines).await;
        let line = lines
            .body
            .split(|byte| *byte == b'\n')
            .next()
            .expect("a line");
        let picture: Value = serde_json::from_slice(line).expect("JSON");
        assert_eq!(picture["channel"], site.channel.id, "{picture}");
        let url = picture["url"].as_str().expect("a URL");
        let linked = site.server.api("").get(url).await;
        linked.expect_ok();
        assert_eq!(
            read_stamp_jpeg(&linked.body).expect("a stamp").capture,
            shown
        );
    }
}

async fn a_signed_manifest(site: &Site, folder: &Path, start: WallTime, end: WallTime) {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut files = Vec::new();
    for stream in ["main", "sub"] {
        let query = format!("stream={stream}&start={start}&end={end}");
        let (file, manifest) = (
            folder.join(format!("{stream}.mp4")),
            folder.join(format!("{stream}.json")),
        );
        let clip = site
            .api()
            .get(&site.path(&format!("clip.mp4?{query}")))
            .await;
        clip.expect_ok();
        let path = site.path(&format!("clip.manifest.json?{query}"));
        let signed = site.api().get(&path).await.expect(200);
        assert_eq!(signed["manifest"]["channel"], site.channel.id);
        std::fs::write(&file, &clip.body).expect("written");
        std::fs::write(&manifest, signed.to_string()).expect("written");
        files.push((text(&file), text(&manifest)));
    }
    let key = site.server.framewell(&["signing-key"]).1.trim().to_owned();
    let verify = |file: &str, manifest: &str| {
        let arguments = [
            "verify",
            "--manifest",
            manifest,
            "--file",
            file,
            "--key",
            &key,
        ];
        site.server.framewell(&arguments)
    };
    let [(main_file, main), (sub_file, sub)] = &files[..] else {
        panic!("two streams");
    };
    let (code, said) = verify(sub_file, sub);
    assert_eq!(code, Some(0), "{said}");
    let named = format!("VERIFIED: channel {} (sub stream)", site.channel.id);
    assert!(said.contains(&named), "{said}");
    let (code, said) = verify(main_file, main);
    assert!(code == Some(0) && !said.contains("stream)"), "{said}");
    let (code, said) = verify(main_file, sub);
    assert!(code != Some(0) && !said.contains("VERIFIED"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sub_stream_is_served_where_it_is_asked_for_and_leaves_the_main_stream_alone() {
    let site = Site::start().await;
    site.wait_for_one_clock().await;
    let live = site
        .api()
        .get(&site.path("live?stream=sub"))
        .await
        .expect(200);
    for (protocol, options) in [
        ("rtsp", vec![("-rtsp_transport", "tcp")]),
        ("rtmp", vec![]),
        ("hls", vec![]),
        ("mp4", vec![]),
    ] {
        let url = live[protocol].as_str().expect("a URL");
        let stamps = stamps_of(url, &options, 12).await;
        assert_consecutive(&stamps);
        let age_us = cameras::now().micros_since(stamps[0].capture);
        assert!(age_us < 30_000_000, "{protocol}: {age_us} us old");
        let probed = ffprobe(url, &["-select_streams", "v"]);
        assert_eq!(probed["streams"][0]["width"], 320, "{protocol}: {probed}");
    }
    let whep = live["whep"].as_str().expect("a URL");
    let page = Page::serve(webrtc::page(&format!("whep({whep:?})"), "")).await;
    let browser = Browser::open(&format!("http://{}/", page.address));
    let (_, report) = page.wait_for_report(|_| true).await;
    assert_eq!(report["width"], 320, "{report}");
    drop(browser);
    let now = site.api().get(&site.path("image?stream=sub")).await;
    now.expect_ok();
    assert_eq!(now.header("framewell-width"), "320");

    refused_elsewhere(&site).await;
    a_failure_is_its_own(&site).await;

    let gone = site.server.admin().delete(&site.path("sub")).await;
    assert_eq!(gone.status.as_u16(), 204);
    assert_eq!(
        site.api()
            .get(&site.path("image?stream=sub"))
            .await
            .status
            .as_u16(),
        404
    );
    assert_eq!(site.show().await["status"], "active");
}

/// Where there is no choice of streams, none is made.
async fn refused_elsewhere(site: &Site) {
    let refused = async |tail: &str| site.api().get(&site.path(tail)).await.status.as_u16();
    assert_eq!(
        refused("publish?stream=sub").await,
        400,
        "not silently the main stream"
    );
    assert_eq!(refused("image?stream=third").await, 400);
    let negative = format!("/v1/channels/-{}/image", site.channel.id);
    assert_eq!(site.api().get(&negative).await.status.as_u16(), 404);
    let streams = format!("/api/v2/cameras/{}/media_streams/", site.channel.id);
    let streams = site.api().get(&streams).await.expect(200);
    assert_eq!(streams["mstreams_supported"][1]["vs_id"], "vs_sub");
}

/// The main stream goes on while the sub stream is away.
async fn a_failure_is_its_own(site: &Site) {
    let records = wait_for_records(&site.server, &site.channel, 1).await.len();
    let since = site.show().await["status_since"].clone();
    site.sub.control().set_unplugged(true);
    site.sub.control().reset();
    let failed = wait_for("a sub stream that is away", 20, async || {
        let shown = site.show().await;
        (shown["sub"]["status"] == "offline").then_some(shown)
    })
    .await;
    assert_eq!(
        (&failed["status"], &failed["status_since"]),
        (&json!("active"), &since)
    );
    wait_for_records(&site.server, &site.channel, records + 2).await;
    assert_eq!(site.show().await["status_since"], since);
    assert_eq!(
        site.main.control().plays(),
        1,
        "the main stream was not asked for again"
    );
}
