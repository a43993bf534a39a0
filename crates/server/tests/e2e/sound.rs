//! Sound that browsers do not take over WebRTC: transcoded when asked for, in a process that may die.

use crate::browser::{Browser, Page};
use crate::cameras;
use crate::main_job::naive_time;
use crate::server::{Server, wait_for};
use crate::site::{ChannelKeys, acc, create_channel, wait_for_records, wait_for_status};
use crate::webrtc::{OFFER, page};
use framewell_media::AudioCodec;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Energy of the camera's tone that nobody takes for noise: a quarter of a second of it.
const HEARD: f64 = 0.002;
/// Processes that transcode sound now.
fn transcoders(server: &Server) -> Vec<Pid> {
    let mut decoders = server.decoders();
    decoders.retain(|pid| {
        let command = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
        let command = command.unwrap_or_default();
        command
            .split(|byte| *byte == 0)
            .any(|word| word == b"--sound")
    });
    decoders
}

fn energy(report: &Value) -> f64 {
    let energy = report["audio_stats"]["totalAudioEnergy"].as_f64();
    energy.unwrap_or_default()
}

fn pictures(report: &Value) -> u64 {
    let decoded = report["video_stats"]["framesDecoded"].as_u64();
    decoded.unwrap_or_default()
}

/// Waits until the browser has heard so much more since `before`.
async fn wait_for_sound(page: &Page, before: f64) -> Value {
    wait_for("sound in the browser", 40, async || {
        let report = page.report()?;
        (energy(&report) > before + HEARD && pictures(&report) > 0).then_some(report)
    })
    .await
}

fn whep(server: &Server, channel: &ChannelKeys) -> String {
    let url = format!(
        "{}/v1/channels/{}/whep?audio=opus",
        server.base(),
        channel.id
    );
    format!("whep({url:?}, {:?})", format!("Acc {}", channel.watch))
}

async fn watch(server: &Server, channel: &ChannelKeys, seek: &str) -> (Page, Browser) {
    // A browser that plays nothing loud counts no energy.
    let html = page(&whep(server, channel), seek).replace("muted autoplay", "autoplay");
    let page = Page::serve(html).await;
    let browser = Browser::open(&format!("http://{}/", page.address));
    (page, browser)
}

async fn wait_for_no_transcoder(server: &Server) {
    wait_for("the transcoder to end", 40, async || {
        let metrics = server.api("").get("/metrics").await;
        let text = String::from_utf8_lossy(&metrics.body).into_owned();
        let is_over = text.contains("framewell_sound_transcoders 0");
        (is_over && transcoders(server).is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_hears_aac_when_it_asks_and_the_process_may_die() {
    let server = Server::start().await;
    let camera = cameras::h264_with_sound(AudioCodec::Aac).await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    what_is_not_asked_for_is_left_out_with_a_warning(&server, &channel).await;
    assert_eq!(transcoders(&server), []);

    let (page, browser) = watch(&server, &channel, "").await;
    wait_for_sound(&page, 0.0).await;

    // A second viewer shares the process; it dies, and another one goes on where it was.
    let (second, second_browser) = watch(&server, &channel, "").await;
    wait_for_sound(&second, 0.0).await;
    let running = transcoders(&server);
    assert_eq!(running.len(), 1);
    let before = page.report().expect("a report");
    kill_process(running[0], Signal::KILL).expect("killed");
    let successor = wait_for("another process", 20, async || {
        let now = transcoders(&server);
        (now.len() == 1 && now != running).then_some(now)
    });
    successor.await;
    let then = page.report().expect("a report");
    let after = wait_for_sound(&page, energy(&then)).await;
    assert!(pictures(&after) > pictures(&before), "pictures go on");
    assert_eq!(
        after["video_stats"]["freezeCount"],
        before["video_stats"]["freezeCount"]
    );
    drop((browser, second_browser));
    wait_for_no_transcoder(&server).await;
}

async fn what_is_not_asked_for_is_left_out_with_a_warning(server: &Server, channel: &ChannelKeys) {
    let api = acc(server, channel);
    let path = format!("/v1/channels/{}/whep", channel.id);
    let sdp = [("Content-Type", "application/sdp")];
    let post = async |query: &str, offer: String| {
        let path = format!("{path}{query}");
        api.send("POST", &path, &sdp, Some(offer)).await
    };
    let plain = post("", OFFER.to_owned()).await;
    assert_eq!(plain.status.as_u16(), 201);
    let warning = plain.header("warning").to_owned();
    assert!(
        warning.contains("it is AAC") && warning.contains("audio=opus"),
        "{warning}"
    );

    let without = OFFER.replace("opus/48000/2", "G722/8000");
    let without = post("?audio=opus", without).await;
    let warning = without.header("warning").to_owned();
    assert!(
        warning.contains("the offer does not take Opus"),
        "{warning}"
    );

    assert_eq!(
        post("?audio=mp3", OFFER.to_owned()).await.status.as_u16(),
        400
    );

    let asked = post("?audio=opus", OFFER.to_owned()).await;
    assert_eq!((asked.status.as_u16(), asked.header("warning")), (201, ""));
    let answer = String::from_utf8_lossy(&asked.body).into_owned();
    assert!(answer.contains("a=rtpmap:111 opus/48000/2"), "{answer}");
    for session in [plain, without, asked] {
        api.delete(session.header("location")).await.expect_ok();
    }
    wait_for_no_transcoder(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_hears_g711_as_opus_live_and_recorded() {
    let server = Server::start().await;
    let camera = cameras::h264_with_sound(AudioCodec::Pcma).await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 3).await;
    let wanted = naive_time(&records[0]["start"]).to_rfc3339();
    let (page, _browser) = watch(&server, &channel, &wanted).await;
    let began = wait_for("recorded pictures", 40, async || {
        page.report().filter(|report| report["phase"] == "recorded")
    });
    let began = began.await;
    assert_eq!(
        began["audio_stats"]["mimeType"]
            .as_str()
            .unwrap_or("audio/opus"),
        "audio/opus"
    );
    let recorded = wait_for("recorded sound", 40, async || {
        let report = page.report()?;
        (energy(&report) > energy(&began) + HEARD).then_some(report)
    });
    let recorded = recorded.await;
    let live = wait_for("live video again", 40, async || {
        page.report()
            .filter(|report| report["phase"] == "live again")
    });
    wait_for_sound(&page, energy(&live.await).max(energy(&recorded))).await;
}
