//! FFmpeg's command line tools as independent judges.

use framewell_testkit::stamp::{Stamp, VideoInput};
use serde_json::Value;
use std::process::Command;

/// `ffprobe -show_streams -show_format` as JSON; panics with its complaints.
pub(crate) fn ffprobe(input: &str, options: &[&str]) -> Value {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_streams",
            "-show_format",
            "-of",
            "json",
        ])
        .args(options)
        .arg(input)
        .output()
        .expect("ffprobe runs");
    assert!(
        output.status.success(),
        "{input}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Stamps of the first `frames` pictures that ffmpeg shows of a stream or file.
pub(crate) async fn stamps_of(input: &str, options: &[(&str, &str)], frames: usize) -> Vec<Stamp> {
    let mut video = VideoInput::new(input);
    for (name, value) in options {
        video = video.option(*name, *value);
    }
    let video = video.max_frames(frames);
    let input = input.to_owned();
    tokio::task::spawn_blocking(move || {
        video
            .read_stamps()
            .unwrap_or_else(|error| panic!("{input}: {error}"))
    })
    .await
    .expect("joined")
}

/// Panics unless the stamps are frames one after another.
pub(crate) fn assert_consecutive(stamps: &[Stamp]) {
    let frames: Vec<u32> = stamps.iter().map(|stamp| stamp.frame).collect();
    assert!(
        frames.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "pictures are missing or twice: {frames:?}"
    );
}
