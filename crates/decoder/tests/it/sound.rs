//! Sound that becomes Opus: heard by FFmpeg, in step with its times.

use crate::common::{program, until, within};
use bytes::Bytes;
use framewell_decode::{Error, SandboxMode, SoundFrame, Transcoded, Transcoder, WorkerOptions};
use framewell_media::{AudioCodec, AudioParameters};
use framewell_testkit::encode::{ogg_opus, split_adts};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::io::Write;
use std::process::{Command, Stdio};

/// Where the time of these tests begins: that of a day in 2026.
const BEGAN_US: i64 = 1_795_450_000_000_000;
/// When the beep begins, and how long it lasts.
const BEEP_US: i64 = 1_003_000;
const BEEP_LASTS_US: i64 = 200_000;
/// How far sound may be out of step: people notice 45 ms (ITU-R BT.1359).
const OUT_OF_STEP_US: i64 = 5_000;

/// Two seconds with a beep, 16 bits, interleaved.
fn beep(rate: u32, channels: usize) -> Vec<u8> {
    let samples = (0..i64::from(rate) * 2).flat_map(|index| {
        let us = index * 1_000_000 / i64::from(rate);
        let sounds = (BEEP_US..BEEP_US + BEEP_LASTS_US).contains(&us);
        let phase = index as f64 / f64::from(rate) * 1_000.0 * std::f64::consts::TAU;
        let level = if sounds {
            (phase.cos() * 12_000.0) as i16
        } else {
            0
        };
        std::iter::repeat_n(level, channels)
    });
    samples.flat_map(i16::to_le_bytes).collect()
}

fn ffmpeg(input: &[&str], output: &[&str], data: Vec<u8>) -> Vec<u8> {
    let mut child = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error"])
        .args(input)
        .args(["-i", "-"])
        .args(output)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(&data));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn frame(at_us: i64, data: Bytes) -> SoundFrame {
    let at_us = BEGAN_US + at_us;
    SoundFrame { at_us, data }
}

/// The beep as FFmpeg's AAC, which begins with 1,024 samples before the first one.
fn aac(rate: u32, channels: u16) -> (AudioParameters, Vec<SoundFrame>) {
    let (hz, count) = (rate.to_string(), channels.to_string());
    let input = ["-f", "s16le", "-ar", &hz, "-ac", &count];
    let data = beep(rate, channels.into());
    let adts = ffmpeg(&input, &["-c:a", "aac", "-b:a", "96k", "-f", "adts"], data);
    let (parameters, frames) = split_adts(&adts).unwrap();
    assert_eq!(
        (parameters.sample_rate, parameters.channels),
        (rate, channels)
    );
    let times = (-1..).map(|index: i64| index * 1_024 * 1_000_000 / i64::from(rate));
    let frames = times.zip(frames).map(|(at, data)| frame(at, data));
    (parameters, frames.skip(1).collect())
}

/// The beep as G.711 in packets of 20 ms.
fn g711(codec: AudioCodec) -> (AudioParameters, Vec<SoundFrame>) {
    let (name, format) = match codec {
        AudioCodec::Pcma => ("pcm_alaw", "alaw"),
        _ => ("pcm_mulaw", "mulaw"),
    };
    let input = ["-f", "s16le", "-ar", "8000", "-ac", "1"];
    let coded = ffmpeg(&input, &["-c:a", name, "-f", format], beep(8_000, 1));
    let packets = coded.chunks(160).map(Bytes::copy_from_slice);
    let frames = (0..)
        .zip(packets)
        .map(|(index, data)| frame(index * 20_000, data));
    let parameters = AudioParameters {
        codec,
        sample_rate: 8_000,
        channels: 1,
        config: Bytes::new(),
    };
    (parameters, frames.collect())
}

async fn start() -> Transcoder {
    let options = WorkerOptions {
        sandbox: SandboxMode::Require,
        ..WorkerOptions::default()
    };
    within(Transcoder::start(&program(), &options))
        .await
        .unwrap()
}

/// Transcodes as a live channel is: a few frames at a time.
async fn opus(
    transcoder: &mut Transcoder,
    parameters: &AudioParameters,
    frames: &[SoundFrame],
) -> Vec<SoundFrame> {
    let mut packets = Vec::new();
    for some in frames.chunks(3) {
        let made = within(transcoder.transcode(parameters, some))
            .await
            .unwrap();
        assert_eq!(made.damaged, 0);
        packets.extend(made.packets);
    }
    packets
}

/// When FFmpeg hears the first loud sample of these packets, and for how long there are some.
fn heard(packets: &[SoundFrame]) -> (i64, i64) {
    let apart = |pair: &[SoundFrame]| pair[1].at_us - pair[0].at_us;
    assert!(
        packets.windows(2).all(|pair| apart(pair) == 20_000),
        "{packets:?}"
    );
    let data: Vec<Bytes> = packets.iter().map(|packet| packet.data.clone()).collect();
    let ogg = ogg_opus(2, &data);
    let samples = ffmpeg(
        &["-f", "ogg"],
        &["-f", "s16le", "-ar", "48000", "-ac", "1"],
        ogg,
    );
    let levels = samples
        .chunks_exact(2)
        .map(|s| i16::from_le_bytes([s[0], s[1]]));
    let loud: Vec<i64> = (0..)
        .zip(levels)
        .filter(|(_, level)| level.unsigned_abs() > 3_000)
        .map(|(index, _): (i64, i16)| packets[0].at_us + index * 1_000_000 / 48_000)
        .collect();
    let (first, last) = (loud.first().expect("a beep"), loud.last().expect("a beep"));
    (first - BEGAN_US, last - first)
}

#[tokio::test]
async fn a_beep_is_heard_at_its_time_in_every_coding() {
    let mut transcoder = start().await;
    for (parameters, frames) in [
        g711(AudioCodec::Pcmu),
        g711(AudioCodec::Pcma),
        aac(48_000, 1),
        aac(44_100, 2),
        aac(16_000, 1),
    ] {
        transcoder.begin_anew();
        let packets = opus(&mut transcoder, &parameters, &frames).await;
        let (began_us, lasted_us) = heard(&packets);
        let what = format!("{:?} at {} Hz", parameters.codec, parameters.sample_rate);
        let off_us = began_us - BEEP_US;
        assert!(
            off_us.abs() < OUT_OF_STEP_US,
            "{what}: {off_us} us out of step"
        );
        assert!(
            (lasted_us - BEEP_LASTS_US).abs() < 10_000,
            "{what}: {lasted_us} us"
        );
        // Nothing is held back but what makes no packet yet, and the frames that the coding overlaps.
        let ends = |frames: &[SoundFrame]| frames.last().map(|frame| frame.at_us);
        let held_us = ends(&frames).unwrap() - ends(&packets).unwrap();
        assert!(
            (-40_000..160_000).contains(&held_us),
            "{what}: {held_us} us"
        );
    }
}

#[tokio::test]
async fn sound_behind_lost_and_broken_frames_is_in_step() {
    let mut transcoder = start().await;
    for (parameters, mut frames) in [g711(AudioCodec::Pcmu), aac(48_000, 1)] {
        transcoder.begin_anew();
        frames.drain(10..17);
        let packets = opus(&mut transcoder, &parameters, &frames).await;
        let off_us = heard(&packets).0 - BEEP_US;
        assert!(off_us.abs() < OUT_OF_STEP_US, "{off_us} us out of step");
    }
    let (parameters, mut frames) = aac(48_000, 1);
    transcoder.begin_anew();
    for broken in &mut frames[10..13] {
        broken.data = Bytes::from_static(&[0xff; 40]);
    }
    let mut made = Transcoded::default();
    for some in frames.chunks(2) {
        let next = within(transcoder.transcode(&parameters, some))
            .await
            .unwrap();
        made.packets.extend(next.packets);
        made.damaged += next.damaged;
    }
    assert!((1..=3).contains(&made.damaged), "{}", made.damaged);
    let off_us = heard(&made.packets).0 - BEEP_US;
    assert!(off_us.abs() < OUT_OF_STEP_US, "{off_us} us out of step");
}

#[tokio::test]
async fn what_cannot_be_transcoded_is_an_error_and_the_next_track_is_not_affected() {
    let mut transcoder = start().await;
    let (good, frames) = g711(AudioCodec::Pcma);
    let unknown = AudioParameters {
        codec: AudioCodec::Aac,
        config: Bytes::from_static(&[0xff; 5]),
        ..good.clone()
    };
    let refused = within(transcoder.transcode(&unknown, &frames[..1])).await;
    assert!(matches!(refused, Err(Error::Bitstream(_))), "{refused:?}");
    let opus_already = AudioParameters::opus(1);
    let refused = within(transcoder.transcode(&opus_already, &frames[..1])).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    let endless = vec![frames[0].clone(); 1_001];
    let refused = within(transcoder.transcode(&good, &endless)).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    let packets = opus(&mut transcoder, &good, &frames[..10]).await;
    assert!(packets.len() >= 9, "{}", packets.len());
}

#[tokio::test]
async fn a_process_that_dies_is_an_error_and_one_that_is_dropped_ends() {
    let mut transcoder = start().await;
    let (parameters, frames) = g711(AudioCodec::Pcmu);
    opus(&mut transcoder, &parameters, &frames[..3]).await;
    let pid = |transcoder: &Transcoder| {
        Pid::from_raw(transcoder.pid().unwrap().try_into().unwrap()).unwrap()
    };
    kill_process(pid(&transcoder), Signal::KILL).unwrap();
    let died = within(transcoder.transcode(&parameters, &frames[3..6])).await;
    assert!(matches!(died, Err(Error::Died(_))), "{died:?}");
    let other = start().await;
    let other_pid = pid(&other);
    drop(other);
    until(|| test_kill_process(other_pid).is_err()).await;
}
