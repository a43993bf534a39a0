//! Clips: the right pictures, the right bytes.

use crate::recording::{Cuts, Recording, collect, cut, stamps_of};
use crate::support::{encode, spec};
use framewell_footage::FootageGap;
use framewell_media::{AudioCodec, VideoCodec};
use framewell_model::{ErrorKind, GapReason, HasKind, TimeRange, WallTime};
use framewell_playback::{Clip, ClipError, ClipOptions, Holes};
use framewell_testkit::encode::ClipSpec;
use framewell_testkit::stamp::Stamp;
use futures::StreamExt;
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

fn unexplained(range: TimeRange) -> FootageGap {
    let reason = None;
    FootageGap { range, reason }
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
    assert_eq!(over.gaps, [unexplained(hole)]);
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
    let lacking = range(hole.start.plus_micros(5_000_000), hole.end);
    assert_eq!(from_within.gaps, [unexplained(lacking)]);
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
async fn an_open_clip_counts_by_the_footage_found() {
    let mut recording = Recording::new().await;
    let spec = spec(100);
    recording.publish(&encode(spec.clone()).await, CUTS).await;
    let day = range(spec.start, spec.start.plus_micros(86_399_000_000));
    let mut clips = Vec::new();
    for _ in 0..9 {
        clips.push(open(&recording, day).await);
    }
}

const STRICT: ClipOptions = ClipOptions {
    holes: Holes::Collapse,
    is_strict: true,
};
const KEEP: ClipOptions = ClipOptions {
    holes: Holes::Keep,
    is_strict: false,
};

/// Twelve seconds in four segments.
async fn four_segments() -> (Recording, ClipSpec) {
    let audio = Some(AudioCodec::Aac);
    let spec = ClipSpec { audio, ..spec(300) };
    let mut recording = Recording::new().await;
    recording.publish(&encode(spec.clone()).await, CUTS).await;
    assert_eq!(recording.records.len(), 4);
    (recording, spec)
}

fn seconds(spec: &ClipSpec, from: i64, to: i64) -> TimeRange {
    range(
        spec.start.plus_micros(from * 1_000_000),
        spec.start.plus_micros(to * 1_000_000),
    )
}

async fn numbers(clip: &Clip) -> Vec<u32> {
    frames(clip).await.iter().map(|stamp| stamp.frame).collect()
}

/// The second segment is left out and told, or is an error that names it.
async fn lacks_the_second(recording: &Recording, spec: &ClipSpec) {
    let wanted = seconds(spec, 1, 11);
    let clip = open(recording, wanted).await;
    let shown: Vec<u32> = (25..75).chain(150..275).collect();
    assert_eq!(numbers(&clip).await, shown);
    let lost = FootageGap {
        range: seconds(spec, 3, 6),
        reason: Some(GapReason::DataLoss),
    };
    assert_eq!(clip.gaps, [lost]);
    assert_eq!(clip.lost.len(), 1);
    let strict = recording
        .playback
        .clip_with(None, recording.channel, wanted, STRICT);
    let error = strict.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    let segment = clip.lost[0].segment.to_string();
    assert!(error.to_string().contains(&segment), "{error}");
    let ClipError::Footage(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.place(), Some(&clip.lost[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_without_its_object_is_left_out_and_told() {
    let (recording, spec) = four_segments().await;
    let before = open(&recording, seconds(&spec, 1, 11)).await;
    recording.lose(1).await;
    lacks_the_second(&recording, &spec).await;
    let after = open(&recording, seconds(&spec, 1, 11)).await;
    assert_ne!(before.etag, after.etag);
    // What was opened before breaks off, and has said nothing wrong by then.
    let mut body = before.stream(0..before.len);
    let mut right = 0;
    let error = loop {
        match body.next().await.expect("an error comes before the end") {
            Ok(bytes) => right += bytes.len() as u64,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert!(right < before.len);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_whose_object_is_cut_off_is_left_out_and_told() {
    let (recording, spec) = four_segments().await;
    let object = std::fs::OpenOptions::new()
        .write(true)
        .open(recording.object(1));
    let object = object.unwrap();
    object
        .set_len(object.metadata().unwrap().len() - 1)
        .unwrap();
    lacks_the_second(&recording, &spec).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_beside_a_lost_segment_keeps_its_own_reason() {
    let (mut recording, spec) = four_segments().await;
    let start = spec.start.plus_micros(20_000_000);
    let later = encode(spec.clone()).await.starting_at(start);
    recording.publish(&later, CUTS).await;
    let end_of_first = spec.start.plus_micros(12_000_000);
    recording.insert_gap(end_of_first, start).await;
    recording.lose(3).await;
    let clip = open(&recording, range(spec.start, start.plus_micros(1_000_000))).await;
    let reasons: Vec<_> = clip
        .gaps
        .iter()
        .map(|gap| (gap.range, gap.reason))
        .collect();
    assert_eq!(
        reasons,
        [
            (seconds(&spec, 9, 12), Some(GapReason::DataLoss)),
            (range(end_of_first, start), Some(GapReason::CameraOffline)),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_takes_its_time_where_that_is_wanted() {
    let (recording, spec) = four_segments().await;
    recording.lose(1).await;
    let wanted = seconds(&spec, 1, 11);
    let clip = recording
        .playback
        .clip_with(None, recording.channel, wanted, KEEP);
    let clip = clip.await.unwrap();
    let path = recording.dir.path().join("kept.mp4");
    std::fs::write(&path, collect(clip.stream(0..clip.len)).await).unwrap();
    for stream in ["v:0", "a:0"] {
        let (start, duration) = probe(&path, stream).await;
        assert!(start.abs() < 0.044, "{stream} starts at {start}");
        assert!((duration - 10.0).abs() < 0.044, "{stream} lasts {duration}");
    }
    let segments = clip.segments();
    let at: Vec<i64> = segments.iter().map(|s| (s.at_us + 500) / 1_000).collect();
    assert_eq!(at, [0, 5_000, 8_000]);
    // The picture on screen during the hole is the last one before it.
    let shown = shown_times(&path).await;
    assert_eq!(shown.len(), 175);
    let pause = (shown[49], shown[50]);
    assert!(
        (pause.0 - 1.96).abs() < 1e-3 && (pause.1 - 5.0).abs() < 1e-3,
        "{pause:?}"
    );
}

/// When each picture is shown, in seconds, by `ffprobe`.
async fn shown_times(path: &Path) -> Vec<f64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0"])
        .args(["-show_entries", "frame=best_effort_timestamp_time"])
        .arg(path)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let times = text.lines().map(|line| line.trim_end_matches(',').trim());
    times
        .filter(|line| !line.is_empty())
        .map(|line| line.parse().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_with_the_same_bytes_after_a_restart() {
    let (recording, spec) = four_segments().await;
    for options in [ClipOptions::default(), KEEP] {
        let wanted = seconds(&spec, 1, 11);
        let first = recording
            .playback
            .clip_with(None, recording.channel, wanted, options);
        let first = first.await.unwrap();
        let whole = collect(first.stream(0..first.len)).await;
        let second = recording
            .restarted()
            .clip_with(None, recording.channel, wanted, options)
            .await;
        let second = second.unwrap();
        assert_eq!((&second.etag, second.len), (&first.etag, first.len));
        let cut = whole.len() as u64 / 3;
        let rest = collect(second.stream(cut..second.len)).await;
        assert_eq!(rest, whole[whole.len() / 3..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_says_which_segment_is_shown_when() {
    let (recording, spec) = four_segments().await;
    let clip = open(&recording, seconds(&spec, 1, 11)).await;
    let segments = clip.segments();
    let ranges: Vec<_> = segments.iter().map(|segment| segment.range).collect();
    let expected = [(1, 3), (3, 6), (6, 9), (9, 11)];
    assert_eq!(ranges, expected.map(|(from, to)| seconds(&spec, from, to)));
    let records: Vec<_> = segments
        .iter()
        .filter_map(|segment| segment.record)
        .collect();
    assert_eq!(records, recording.records);
    for (segment, (from, _)) in segments.iter().zip(expected) {
        assert!((segment.at_us - (from - 1) * 1_000_000).abs() < 50);
        assert!(segment.codecs.starts_with("avc1.") && segment.codecs.contains("mp4a"));
    }
    assert!(
        segments
            .windows(2)
            .all(|pair| pair[0].bytes.end == pair[1].bytes.start)
    );
    assert_eq!(segments[3].bytes.end, clip.len);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_tell_of_no_samples_give_the_same_bytes() {
    let audio = Some(AudioCodec::Aac);
    let spec = ClipSpec {
        audio,
        b_frames: 2,
        ..spec(300)
    };
    let clip = encode(spec.clone()).await;
    let mut files = Vec::new();
    for is_old in [true, false] {
        let mut recording = Recording::new().await;
        recording.is_old = is_old;
        recording.publish(&clip, CUTS).await;
        let clip = open(&recording, seconds(&spec, 1, 11)).await;
        files.push(collect(clip.stream(0..clip.len)).await);
    }
    assert!(files[0] == files[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_overwritten_ends_the_body_and_gives_no_wrong_bytes() {
    let (recording, spec) = four_segments().await;
    let clip = open(&recording, seconds(&spec, 1, 11)).await;
    let whole = collect(clip.stream(0..clip.len)).await;
    let object = recording.object(2);
    let len = std::fs::metadata(&object).unwrap().len();
    std::fs::write(&object, vec![0x55; usize::try_from(len).unwrap()]).unwrap();
    let mut body = clip.stream(0..clip.len);
    let mut right = Vec::new();
    let error = loop {
        match body.next().await.expect("an error comes before the end") {
            Ok(bytes) => right.extend_from_slice(&bytes),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert!(right == whole[..right.len()]);
    // The next who asks is told before.
    let after = recording
        .restarted()
        .clip(recording.channel, seconds(&spec, 1, 11))
        .await;
    let lost = after.unwrap().lost;
    assert_eq!(lost.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn footage_that_tells_of_millions_of_pictures_is_refused_before_they_are_laid_out() {
    let mut recording = Recording::new().await;
    // Each of the segments says in a few bytes that it has six million samples.
    recording.crafted = Some(vec![0x80, 0x9b, 0xee, 0x02, 1]);
    let spec = spec(250);
    recording.publish(&encode(spec.clone()).await, CUTS).await;
    let wanted = range(spec.start, spec.start.plus_micros(10_000_000));
    let opened = recording.playback.clip(recording.channel, wanted).await;
    let error = opened.unwrap_err();
    assert!(
        matches!(error, ClipError::TooManySamples { limit: 10_000_000 }),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}
