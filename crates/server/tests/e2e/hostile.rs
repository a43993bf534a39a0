//! Damaged recordings, decoders that die, decoders that are busy: the recording knows nothing of it,
//! and whoever asks for a picture gets the right one or a clear error.

use crate::cameras;
use crate::client::{Answer, Api};
use crate::crash::{gaps, play_all};
use crate::main_job::naive_time;
use crate::server::{Server, files_below, wait_for};
use crate::site::{ChannelKeys, create_channel, wait_for_records, wait_for_status};
use crate::tools::assert_consecutive;
use framewell_model::WallTime;
use framewell_testkit::stamp::read_stamp_jpeg;
use rustix::process::{Signal, kill_process};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tokio::task::JoinSet;

/// Pictures that are asked for while things break.
const QUESTIONS: usize = 80;

/// The same numbers in each run.
struct Noise(u32);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % bound
    }
}

/// What lies on disk, and what lay there before it was damaged.
#[derive(Default)]
struct Damage {
    originals: BTreeMap<PathBuf, Vec<u8>>,
}

impl Damage {
    /// Spoils an object that is whole: cuts it, or writes garbage into it.
    fn add(&mut self, server: &Server, noise: &mut Noise) {
        let files = files_below(&server.data_dir().join("objects"));
        let whole: Vec<_> = files
            .into_iter()
            .filter(|file| file.extension().is_some_and(|name| name == "mp4"))
            .filter(|file| !self.originals.contains_key(file))
            .collect();
        if whole.is_empty() {
            return;
        }
        let file = whole[noise.below(whole.len())].clone();
        let original = std::fs::read(&file).expect("an object");
        let mut damaged = original.clone();
        let at = noise.below(original.len() - 600);
        match noise.below(3) {
            0 => damaged.truncate(at),
            1 => damaged[at..at + 600].fill(0xa5),
            _ => {
                for _ in 0..40 {
                    let at = noise.below(damaged.len());
                    damaged[at] ^= 1 << noise.below(8);
                }
            }
        }
        std::fs::write(&file, damaged).expect("written");
        self.originals.insert(file, original);
    }

    fn repair(&self) {
        for (file, original) in &self.originals {
            std::fs::write(file, original).expect("written");
        }
    }
}

/// What became of a question.
#[derive(Debug, Default)]
struct Tally {
    right: usize,
    /// A picture of the right time in which the damage shows: nothing in the bitstream tells it.
    marred: usize,
    refused: usize,
}

impl Tally {
    fn add(&mut self, at: WallTime, answer: &Answer, is_harmed: bool) {
        if answer.status.as_u16() != 200 {
            let error = answer.json();
            assert!(
                matches!(answer.status.as_u16(), 500 | 503 | 504),
                "{at}: {} {error}",
                answer.status
            );
            let message = error["error"]["message"].as_str().unwrap_or_default();
            assert!(!message.is_empty(), "{error}");
            self.refused += 1;
            return;
        }
        let captured = answer.time("framewell-capture-time");
        let late_us = at.micros_since(captured);
        let frame_us = 1_000_000 / cameras::FPS;
        let shown = -cameras::ROUNDING_US..frame_us + cameras::ROUNDING_US;
        assert!(shown.contains(&late_us), "asked for {at}, got {captured}");
        match read_stamp_jpeg(&answer.body) {
            Ok(stamp) => {
                let off_us = stamp.capture.micros_since(captured).abs();
                assert!(off_us <= cameras::ROUNDING_US, "{stamp:?} said {captured}");
                self.right += 1;
            }
            Err(error) => {
                assert!(is_harmed, "{error}: a picture that nobody touched");
                self.marred += 1;
            }
        }
    }
}

async fn image(api: &Api, channel: &ChannelKeys, at: WallTime) -> Answer {
    api.get(&format!("/v1/channels/{}/image?at={at}", channel.id))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_recordings_and_dying_decoders_disturb_no_recording() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let api = server.api(&format!("Bearer {}", channel.all));
    let records = wait_for_records(&server, &channel, 3).await;
    let start = naive_time(&records[0]["start"]);
    let (mut noise, mut damage, mut tally) = (Noise(7), Damage::default(), Tally::default());
    for question in 0..QUESTIONS {
        if question % 4 == 0 {
            let decoders = server.decoders();
            if !decoders.is_empty() {
                // It may be gone already.
                let _gone = kill_process(decoders[noise.below(decoders.len())], Signal::KILL);
            }
        }
        if question % 16 == 8 {
            damage.add(&server, &mut noise);
        }
        let recorded_us = cameras::now().micros_since(start) - 4_000_000;
        let recorded_us = usize::try_from(recorded_us).expect("recorded for a while");
        let back_us = i64::try_from(noise.below(recorded_us)).expect("small");
        let at = start.plus_micros(back_us);
        tally.add(at, &image(&api, &channel, at).await, true);
    }
    assert!(
        tally.right > QUESTIONS / 4 && damage.originals.len() >= 2,
        "{tally:?}, {} damaged objects",
        damage.originals.len()
    );

    wait_for("all decoders back", 20, async || {
        (server.decoders().len() == 2).then_some(())
    })
    .await;
    damage.repair();
    wait_for_status(&server, &channel, "active").await;
    let count = records_now(&server, &channel).await + 1;
    wait_for_records(&server, &channel, count).await;
    let now = api.get(&format!("/v1/channels/{}/image", channel.id)).await;
    now.expect_ok();
    assert!(read_stamp_jpeg(&now.body).is_ok());
    let stamps = play_all(&server, &channel).await;
    assert_consecutive(&stamps);
    let end = stamps.last().expect("stamps").capture;
    let inside: Vec<_> = gaps(&server, &channel, start.plus_micros(1_000_000), end)
        .await
        .into_iter()
        .filter(|gap| gap["start"].as_str() < Some(end.to_rfc3339().as_str()))
        .collect();
    assert!(inside.is_empty(), "{inside:#?}");
}

async fn records_now(server: &Server, channel: &ChannelKeys) -> usize {
    crate::crash::records(server, channel).await.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_decoder_queue_answers_503_and_when_to_ask_again() {
    let server = Server::start_with_environment(&[
        ("FRAMEWELL_DECODER__WORKERS", "1"),
        ("FRAMEWELL_DECODER__QUEUE", "1"),
        // Pictures that share a decode wait in a list of their own.
        ("FRAMEWELL_PICTURES__MAX_WAITING", "1"),
        ("FRAMEWELL_DECODER__DEADLINE_S", "60"),
    ])
    .await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let api = server.api(&format!("Bearer {}", channel.all));
    let records = wait_for_records(&server, &channel, 3).await;
    let start = naive_time(&records[0]["start"]);
    let decoder = server.decoders()[0];
    kill_process(decoder, Signal::STOP).expect("stopped");
    let mut callers = JoinSet::new();
    for gop in 0..5 {
        let (api, channel) = (api.clone(), channel.clone());
        let at = start.plus_micros(gop * 1_000_000 + 500_000);
        callers.spawn(async move { (at, image(&api, &channel, at).await) });
    }
    for _ in 0..3 {
        let (at, answer) = callers
            .join_next()
            .await
            .expect("a caller")
            .expect("joined");
        let error = answer.expect(503);
        assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
        let message = error["error"]["message"].as_str().expect("a message");
        assert!(message.contains("queue is full"), "{at}: {error}");
    }
    kill_process(decoder, Signal::CONT).expect("continued");
    let mut tally = Tally::default();
    while let Some(ended) = callers.join_next().await {
        let (at, answer) = ended.expect("joined");
        answer.expect_ok();
        tally.add(at, &answer, false);
    }
    assert_eq!(tally.right, 2);
}
