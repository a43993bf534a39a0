//! Clips are accepted by an independent player, and show exactly the wanted pictures.

use crate::ffmpeg::{self, digests};
use crate::stream::{H264, H264_B, H265, H265_OPEN, RATE, Recipe, Recording, START, Stream};
use framewell_fmp4::{ClipPlan, ClipSource, Holes, Piece, PieceData};
use framewell_model::TimeRange;
use std::ops::Range;
use std::path::PathBuf;

/// A range of the recording in milliseconds.
fn wanted(ms: Range<i64>) -> TimeRange {
    TimeRange::new(
        START.plus_micros(ms.start * 1000),
        START.plus_micros(ms.end * 1000),
    )
    .unwrap()
}

fn bytes_of<'a>(piece: &'a Piece, segments: &'a [Vec<u8>]) -> &'a [u8] {
    match &piece.data {
        PieceData::Memory(bytes) => bytes,
        PieceData::Sizes { .. } => panic!("all samples are listed"),
        PieceData::Segment { segment, range } => {
            &segments[*segment][range.start as usize..range.end as usize]
        }
    }
}

/// Writes a clip as a client gets it: by ranges of `step` bytes.
pub(crate) fn write_clip(
    stream: &Stream,
    plan: &ClipPlan,
    segments: &[Vec<u8>],
    step: usize,
) -> PathBuf {
    let mut file = Vec::new();
    for start in (0..plan.len).step_by(step) {
        for piece in plan.slice(start..(start + step as u64).min(plan.len)) {
            assert_eq!(piece.range.start, file.len() as u64);
            file.extend_from_slice(bytes_of(&piece, segments));
        }
    }
    assert_eq!(file.len() as u64, plan.len);
    let path = stream.path(&format!("clip-{step}.mp4"));
    std::fs::write(&path, file).unwrap();
    path
}

/// Checks that a clip shows the frames numbered `frames`, the first at once, and lasts as long.
fn shows(
    stream: &Stream,
    sources: &[ClipSource],
    segments: &[Vec<u8>],
    ms: Range<i64>,
    frames: Range<usize>,
) {
    let plan = ClipPlan::build(wanted(ms.clone()), sources, Holes::Collapse).unwrap();
    let frame_us = 1_000_000 / RATE;
    let start = START.plus_micros(frames.start as i64 * frame_us);
    let end = START.plus_micros(frames.end as i64 * frame_us);
    assert_eq!(plan.range, TimeRange { start, end });
    let file = write_clip(stream, &plan, segments, 70_001);
    let shown = ffmpeg::frames(&file);
    let reference = digests(&stream.reference[frames.clone()]);
    assert_eq!(digests(&shown), reference, "clip of {ms:?} ms");
    for (n, frame) in shown.iter().enumerate() {
        let at = n as f64 / RATE as f64;
        assert!((frame.at - at).abs() < 1e-4, "frame {n} at {}", frame.at);
    }
    let seconds: f64 = ffmpeg::field(&file, "format=duration").parse().unwrap();
    let wanted_seconds = frames.len() as f64 / RATE as f64;
    assert!(
        (seconds - wanted_seconds).abs() < 2e-3,
        "{seconds} instead of {wanted_seconds}"
    );
    if stream.parameters.audio.is_some() {
        let heard = ffmpeg::audio_seconds(&file);
        assert!(
            (heard - wanted_seconds).abs() < 0.045,
            "{heard} s of audio in {wanted_seconds} s"
        );
    }
}

fn clips_are_exact(recipe: &Recipe) {
    let stream = Stream::encode(recipe);
    let recording = Recording::new(&stream, 1);
    let sources = recording.sources(0);
    let check = |ms, frames| shows(&stream, &sources, &recording.segments, ms, frames);
    // The whole; in mid-GOP over segments; exactly on frames; from the last frame of a GOP on; one frame.
    check(-1000..60_000, 0..125);
    check(1_330..4_190, 33..105);
    check(1_200..2_400, 30..60);
    check(979..1_001, 24..26);
    check(2_650..2_651, 66..67);
}

#[test]
fn of_h264_without_reordering() {
    clips_are_exact(&H264);
}

#[test]
fn of_h264_with_b_frames_and_aac() {
    clips_are_exact(&H264_B);
}

#[test]
fn of_h265_with_mu_law() {
    clips_are_exact(&H265);
}

#[test]
fn of_h265_with_open_gops_and_a_law() {
    clips_are_exact(&H265_OPEN);
}

#[test]
fn every_single_frame_can_be_the_first_and_the_last() {
    let stream = Stream::encode(&Recipe {
        seconds: 3,
        audio: None,
        ..H265_OPEN
    });
    let recording = Recording::new(&stream, 1);
    let sources = recording.sources(0);
    for n in 18..34 {
        let start = n as i64 * 40 + 10;
        shows(
            &stream,
            &sources,
            &recording.segments,
            start..start + 100,
            n..n + 3,
        );
    }
}

#[test]
fn of_two_runs_with_a_hole_and_other_parameters_between_them() {
    let first = Stream::encode(&H264_B);
    let second = Stream::encode(&Recipe {
        size: "160x90",
        seconds: 2,
        ..H264_B
    });
    let recordings = [Recording::new(&first, 1), Recording::new(&second, 2)];
    let mut sources = recordings[0].sources(0);
    // A segment of the first run is lost, and the second run comes an hour later.
    sources.retain(|source| source.segment != 1);
    let mut later = recordings[1].sources(recordings[0].segments.len());
    for source in &mut later {
        source.entry.wall = source.entry.wall.plus_micros(3_600_000_000);
    }
    sources.append(&mut later);
    let segments: Vec<Vec<u8>> = recordings.iter().flat_map(|r| r.segments.clone()).collect();
    let plan = ClipPlan::build(wanted(500..3_601_000), &sources, Holes::Collapse).unwrap();
    let file = write_clip(&first, &plan, &segments, 70_001);
    // Pictures 12 to 59 of the first segment, 120 to 124 of the third, 0 to 24 of the second run.
    let packets = ffmpeg::packets(&file, "v:0");
    assert!(packets.is_sorted_by(|a, b| a.1 < b.1));
    let text = ffmpeg::run(
        "ffprobe",
        &[
            "-select_streams",
            "v:0",
            "-show_entries",
            "frame=width",
            "-of",
            "csv=p=0",
            ffmpeg::arg(&file),
        ],
    );
    let widths: Vec<&str> = text
        .split_whitespace()
        .map(|w| w.trim_end_matches(','))
        .collect();
    let wide = widths.iter().filter(|width| **width == "320").count();
    assert_eq!((wide, widths.len() - wide), (48 + 5, 25));
    let seconds: f64 = ffmpeg::field(&file, "format=duration").parse().unwrap();
    let footage = widths.len() as f64 / RATE as f64;
    assert!(
        seconds >= footage - 1e-3 && seconds < footage + 0.3,
        "{seconds} for {footage}"
    );
}
