//! Clips: the right pictures, the right bytes.

use crate::recording::{Cuts, Recording, collect, cut, stamps_of};
use crate::support::{encode, spec};
use framewell_media::{AudioCodec, VideoCodec};
use framewell_model::{ErrorKind, HasKind, TimeRange, WallTime};
use framewell_playback::{Clip, ClipError};
use framewell_testkit::encode::ClipSpec;
use framewell_testkit::stamp::Stamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::path::Path;
use tokio::process::Command;

/// Segments of three seconds, fragments of 0.6 s at most.
const CUTS: Cuts = Cuts {
    gops: 3,
    pictures: 15,
};

fn range(start: WallTime, end: WallTime) -> TimeRange {
    TimeRange::new(start, end).unwrap()
}

async fn open(recording: &Recording, wanted: TimeRange) -> Clip {
    recording
        .playback
        .clip(recording.channel, wanted)
        .await
        .unwrap()
}

async fn frames(clip: &Clip) -> Vec<Stamp> {
    let file = collect(clip.stream(0..clip.len)).await;
    assert_eq!(file.len() as u64, clip.len);
    stamps_of(file).await
}

/// The pictures that a clip of `wanted` shows: the one on screen at its start, and all captured
/// before its end.
fn expected(spec: &ClipSpec, wanted: TimeRange) -> Vec<Stamp> {
    let all: Vec<_> = (0..spec.frames).map(|number| spec.stamp(number)).collect();
    let first = all
        .iter()
        .rposition(|stamp| stamp.capture <= wanted.start)
        .unwrap_or(0);
    let shown = all[first..]
        .iter()
        .take_while(|stamp| stamp.capture < wanted.end);
    shown.copied().collect()
}

/// Clips with random ends over four segments, exact to the frame.
async fn random_clips(spec: ClipSpec, seed: u64) {
    let mut recording = Recording::new().await;
    recording.publish(&encode(spec.clone()).await, CUTS).await;
    let mut random = StdRng::seed_from_u64(seed);
    let total_us = i64::from(spec.frames) * 1_000_000 / i64::from(spec.fps);
    for round in 0..8 {
        let start_us = random.random_range(0..total_us - 100_000);
        let end_us = random.random_range(start_us + 1..total_us);
        let wanted = range(
            spec.start.plus_micros(start_us),
            spec.start.plus_micros(end_us),
        );
        let clip = open(&recording, wanted).await;
        let shown = expected(&spec, wanted);
        assert_eq!(frames(&clip).await, shown, "round {round} of {wanted:?}");
        assert_eq!(clip.range.start, shown[0].capture);
        assert_eq!(clip.gaps, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clips_of_h264_start_and_end_at_the_exact_picture() {
    random_clips(spec(250), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clips_with_b_frames_start_and_end_at_the_exact_picture() {
    random_clips(
        ClipSpec {
            b_frames: 2,
            ..spec(250)
        },
        2,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clips_of_h265_with_long_gops_start_and_end_at_the_exact_picture() {
    let codec = VideoCodec::H265;
    random_clips(
        ClipSpec {
            codec,
            gop: 60,
            b_frames: 2,
            ..spec(250)
        },
        3,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_byte_range_is_a_part_of_the_whole_and_the_tag_is_stable() {
    let audio = Some(AudioCodec::Aac);
    let spec = ClipSpec { audio, ..spec(250) };
    let mut recording = Recording::new().await;
    recording.publish(&encode(spec.clone()).await, CUTS).await;
    let wanted = range(
        spec.start.plus_micros(1_230_000),
        spec.start.plus_micros(7_770_000),
    );
    let clip = open(&recording, wanted).await;
    let whole = collect(clip.stream(0..clip.len)).await;
    let mut random = StdRng::seed_from_u64(4);
    for _ in 0..30 {
        let start = random.random_range(0..clip.len);
        let part = start..random.random_range(start..=clip.len);
        assert_eq!(collect(clip.stream(part.clone())).await, cut(&whole, &part));
    }
    assert_eq!(
        collect(clip.stream(clip.len - 1..clip.len + 5)).await.len(),
        1
    );
    assert_eq!(
        collect(clip.stream(clip.len + 5..clip.len + 9)).await.len(),
        0
    );

    let again = open(&recording, wanted).await;
    assert_eq!((again.len, &again.etag), (clip.len, &clip.etag));
    assert_eq!(collect(again.stream(0..again.len)).await, whole);
    let other = open(
        &recording,
        range(wanted.start, wanted.end.plus_micros(40_000)),
    )
    .await;
    assert_ne!(other.etag, clip.etag);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_is_skipped_and_listed() {
    let (spec, away_us) = (spec(100), 60_000_000);
    let first = encode(spec.clone()).await;
    let second_start = spec.start.plus_micros(4_000_000 + away_us);
    let mut recording = Recording::new().await;
    recording.publish(&first, CUTS).await;
    recording
        .publish(&first.starting_at(second_start), CUTS)
        .await;
    let hole = range(spec.start.plus_micros(4_000_000), second_start);

    let over = open(
        &recording,
        range(
            spec.start.plus_micros(3_000_000),
            second_start.plus_micros(1_000_000),
        ),
    )
    .await;
    assert_eq!(over.gaps, [hole]);
    let numbers: Vec<_> = frames(&over)
        .await
        .iter()
        .map(|stamp| stamp.frame)
        .collect();
    assert_eq!(numbers, (75..100).chain(0..25).collect::<Vec<_>>());

    let from_within = open(
        &recording,
        range(
            hole.start.plus_micros(5_000_000),
            second_start.plus_micros(400_000),
        ),
    )
    .await;
    assert_eq!(from_within.range.start, second_start);
    assert_eq!(from_within.gaps, []);
    let numbers: Vec<_> = frames(&from_within)
        .await
        .iter()
        .map(|stamp| stamp.frame)
        .collect();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());

    let within = range(
        hole.start.plus_micros(1_000_000),
        hole.end.plus_micros(-1_000_000),
    );
    let error = recording
        .playback
        .clip(recording.channel, within)
        .await
        .unwrap_err();
    assert!(matches!(error, ClipError::Empty { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_goes_over_new_parameters_and_into_the_spool() {
    let (small, large) = (
        spec(100),
        ClipSpec {
            width: 640,
            height: 480,
            ..spec(100)
        },
    );
    let mut recording = Recording::new().await;
    recording.publish(&encode(small.clone()).await, CUTS).await;
    let moved = encode(large.clone())
        .await
        .starting_at(small.start.plus_micros(4_000_000));
    recording.spool(&moved, CUTS);
    let wanted = range(
        small.start.plus_micros(3_500_000),
        small.start.plus_micros(5_000_000),
    );
    let clip = open(&recording, wanted).await;
    let numbers: Vec<_> = frames(&clip)
        .await
        .iter()
        .map(|stamp| stamp.frame)
        .collect();
    assert_eq!(numbers, (87..100).chain(0..25).collect::<Vec<_>>());
}

/// `start_time` and `duration` in seconds, by `ffprobe`.
async fn probe(path: &Path, stream: &str) -> (f64, f64) {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", stream, "-of", "csv=p=0"])
        .args(["-show_entries", "stream=start_time,duration"])
        .arg(path)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (start, duration) = text.trim().trim_end_matches(',').split_once(',').unwrap();
    (start.parse().unwrap(), duration.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_begins_and_ends_with_the_pictures() {
    let audio = Some(AudioCodec::Aac);
    let spec = ClipSpec {
        audio,
        b_frames: 2,
        ..spec(250)
    };
    let mut recording = Recording::new().await;
    recording.publish(&encode(spec.clone()).await, CUTS).await;
    let wanted = range(
        spec.start.plus_micros(2_200_000),
        spec.start.plus_micros(7_200_000),
    );
    let clip = open(&recording, wanted).await;
    let path = recording.dir.path().join("clip.mp4");
    std::fs::write(&path, collect(clip.stream(0..clip.len)).await).unwrap();
    for (stream, tolerance) in [("v:0", 0.041), ("a:0", 0.044)] {
        let (start, duration) = probe(&path, stream).await;
        assert!(start.abs() <= tolerance, "{stream} starts at {start}");
        assert!(
            (duration - 5.0).abs() <= tolerance,
            "{stream} lasts {duration}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_of_more_than_a_day_is_refused() {
    let recording = Recording::new().await;
    let day = range(WallTime::from_secs(0), WallTime::from_secs(86_400));
    let empty = recording
        .playback
        .clip(recording.channel, day)
        .await
        .unwrap_err();
    assert!(matches!(empty, ClipError::Empty { .. }), "{empty}");
    let longer = range(day.start, day.end.plus_micros(1));
    let error = recording
        .playback
        .clip(recording.channel, longer)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(
        error.to_string(),
        "a clip of 86401 s is longer than the limit of 86400 s"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_object_is_data_loss_and_not_a_shorter_clip() {
    let spec = spec(100);
    let mut recording = Recording::new().await;
    recording.publish(&encode(spec.clone()).await, CUTS).await;
    std::fs::remove_dir_all(recording.dir.path().join("objects")).unwrap();
    let wanted = range(spec.start, spec.start.plus_micros(2_000_000));
    let error = recording
        .playback
        .clip(recording.channel, wanted)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_clips_are_open_than_fit_in_memory() {
    let mut recording = Recording::new().await;
    let spec = spec(100);
    recording.publish(&encode(spec.clone()).await, CUTS).await;
    let day = range(spec.start, spec.start.plus_micros(86_399_000_000));
    let mut clips = Vec::new();
    for _ in 0..8 {
        clips.push(open(&recording, day).await);
    }
    let playback = &recording.playback;
    let error = playback.clip(recording.channel, day).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    let stream = clips.remove(0).stream(0..100);
    assert!(playback.clip(recording.channel, day).await.is_err());
    drop(stream);
    open(&recording, day).await;
}
