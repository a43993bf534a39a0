//! Recorded footage comes back unit by unit, as it was.

use crate::recording::{Cuts, Recording};
use crate::support::{encode, later, spec};
use framewell_media::{AccessUnit, AudioCodec, StreamParameters, TrackKind, VideoCodec};
use framewell_model::{ErrorKind, HasKind, TimeRange, WallTime};
use framewell_playback::replay::{Replay, ReplayError, ReplayItem, Selection};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::sync::Arc;

/// Segments of two seconds, fragments of 0.4 s at most.
const CUTS: Cuts = Cuts {
    gops: 2,
    pictures: 10,
};

/// What a replay gave.
#[derive(Debug, Default)]
struct Told {
    /// Units with whether they are shown, in order.
    units: Vec<(AccessUnit, bool)>,
    gaps: Vec<TimeRange>,
    /// Parameters of each beginning, and before which unit it came.
    begins: Vec<(usize, Arc<StreamParameters>)>,
}

impl Told {
    fn video(&self) -> Vec<&AccessUnit> {
        let units = self.units.iter().map(|(unit, _)| unit);
        units.filter(|u| u.track == TrackKind::Video).collect()
    }

    /// Capture times of the pictures that are shown, as offsets from `start` in milliseconds.
    fn shown_ms(&self, start: WallTime) -> Vec<i64> {
        let shown = self.units.iter().filter(|(_, is_shown)| *is_shown);
        let video = shown.filter(|(unit, _)| unit.track == TrackKind::Video);
        let mut ms: Vec<i64> = video
            .map(|(unit, _)| (unit.wall.micros_since(start) + 500).div_euclid(1_000))
            .collect();
        ms.sort_unstable();
        ms
    }
}

async fn tell(replay: &mut Replay) -> Told {
    let mut told = Told::default();
    while let Some(item) = replay.next().await.unwrap() {
        match item {
            ReplayItem::Begin { parameters, .. } => {
                told.begins.push((told.units.len(), parameters));
            }
            ReplayItem::Gap(gap) => told.gaps.push(gap),
            ReplayItem::Unit { unit, is_shown } => told.units.push((unit, is_shown)),
        }
    }
    told
}

async fn replay(recording: &Recording, start: WallTime, end: Option<WallTime>) -> Told {
    let opened = recording.playback.replay(recording.channel, start, end);
    tell(&mut opened.await.unwrap()).await
}

fn at(spec: &ClipSpec, ms: i64) -> WallTime {
    spec.start.plus_micros(ms * 1_000)
}

/// A clip whose first picture is captured `by_ms` after that of `clip`.
fn moved(clip: &EncodedClip, by_ms: i64) -> EncodedClip {
    EncodedClip {
        units: later(&clip.units, by_ms * 1_000),
        ..clip.clone()
    }
}

fn assert_same(found: &AccessUnit, original: &AccessUnit) {
    assert_eq!((found.track, found.pts), (original.track, original.pts));
    assert_eq!(
        (found.is_key, found.clock),
        (original.is_key, original.clock)
    );
    assert_eq!(found.data, original.data);
    assert!(found.wall.micros_since(original.wall).abs() <= 23);
}

async fn all_units_come_back(spec: ClipSpec) {
    let clip = encode(spec.clone()).await;
    let mut recording = Recording::new().await;
    recording.publish(&clip, CUTS).await;
    let told = replay(&recording, spec.start, None).await;
    assert_eq!(told.gaps, []);
    assert_eq!(told.begins.len(), 1);
    assert_eq!(*told.begins[0].1, clip.parameters);
    assert_eq!(told.units.len(), clip.units.len());
    for track in [TrackKind::Video, TrackKind::Audio] {
        let is_of = |unit: &&AccessUnit| unit.track == track;
        let found = told.units.iter().map(|(unit, _)| unit).filter(is_of);
        for (found, original) in found.zip(clip.units.iter().filter(is_of)) {
            assert_same(found, original);
            assert_eq!(found.dts, original.dts);
        }
    }
    assert!(told.units.iter().all(|(_, is_shown)| *is_shown));
    // No track runs ahead of the other by more than a fragment's edge.
    let mut newest_us = i64::MIN;
    for (unit, _) in &told.units {
        assert!(newest_us - unit.dts.micros() < 100_000);
        newest_us = newest_us.max(unit.dts.micros());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_units_come_back_as_they_were_with_audio_between() {
    let audio = Some(AudioCodec::Aac);
    all_units_come_back(ClipSpec { audio, ..spec(150) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_units_with_b_frames_come_back_in_decoding_order() {
    let codec = VideoCodec::H265;
    all_units_come_back(ClipSpec {
        codec,
        b_frames: 2,
        ..spec(100)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_within_a_gop_gives_what_it_needs_as_not_shown() {
    for b_frames in [0, 2] {
        let spec = ClipSpec {
            b_frames,
            ..spec(150)
        };
        let clip = encode(spec.clone()).await;
        let mut recording = Recording::new().await;
        recording.publish(&clip, CUTS).await;
        let (start, end) = (at(&spec, 2_600), at(&spec, 4_320));
        let told = replay(&recording, start, Some(end)).await;
        let first = &told.units[0];
        assert!(first.0.is_key && !first.1);
        assert!((first.0.wall.micros_since(at(&spec, 2_000))).abs() <= 12);
        let expected: Vec<i64> = (65..108).map(|n| n * 40).collect();
        assert_eq!(told.shown_ms(spec.start), expected, "{b_frames} B-frames");
        assert_eq!(told.gaps, []);
        // Nothing is missing in between, and behind the end there is only what a B-frame needs.
        let video = told.video();
        let dts: Vec<i64> = video.iter().map(|unit| unit.dts.ticks).collect();
        assert!(dts.windows(2).all(|pair| pair[1] - pair[0] == 3_600));
        assert!(video.len() <= 58 + usize::try_from(b_frames).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_are_told_and_units_begin_anew_behind_them() {
    let spec = spec(100);
    let clip = encode(spec.clone()).await;
    let mut recording = Recording::new().await;
    recording.publish(&clip, CUTS).await;
    recording.publish(&moved(&clip, 20_000), CUTS).await;
    let (start, end) = (at(&spec, -5_000), at(&spec, 30_000));
    let told = replay(&recording, start, Some(end)).await;
    let hole = |from, to| TimeRange::new(at(&spec, from), at(&spec, to)).unwrap();
    assert_eq!(
        told.gaps,
        [hole(-5_000, 0), hole(4_000, 20_000), hole(24_000, 30_000)]
    );
    let begins: Vec<usize> = told.begins.iter().map(|(before, _)| *before).collect();
    assert_eq!(begins, [0, 100]);
    assert_eq!(told.units.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_parameters_begins_anew() {
    let small = spec(50);
    let large = ClipSpec {
        width: 640,
        height: 480,
        ..spec(50)
    };
    let (first, second) = (encode(small.clone()).await, encode(large).await);
    let mut recording = Recording::new().await;
    recording.publish(&first, CUTS).await;
    recording.publish(&moved(&second, 2_000), CUTS).await;
    let told = replay(&recording, small.start, None).await;
    assert_eq!(told.gaps, []);
    let widths: Vec<_> = told
        .begins
        .iter()
        .map(|(before, parameters)| (*before, parameters.video.width))
        .collect();
    assert_eq!(widths, [(0, 320), (50, 640)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_object_is_a_hole_and_not_the_end() {
    let spec = spec(150);
    let clip = encode(spec.clone()).await;
    let mut recording = Recording::new().await;
    recording.publish(&clip, CUTS).await;
    recording.lose(1).await;
    let told = replay(&recording, spec.start, None).await;
    let lost = TimeRange::new(at(&spec, 2_000), at(&spec, 4_000)).unwrap();
    assert_eq!(told.gaps, [lost]);
    let expected: Vec<i64> = (0..50).chain(100..150).map(|n| n * 40).collect();
    assert_eq!(told.shown_ms(spec.start), expected);
    assert_eq!(told.begins.len(), 2);
    assert_eq!(told.begins[1].0, 50);
    // Where the wanted footage begins is lost: it begins behind it.
    let late = replay(&recording, at(&spec, 3_000), None).await;
    assert_eq!(late.gaps[0].end, at(&spec, 4_000));
    assert_eq!(late.shown_ms(spec.start)[0], 4_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn footage_that_comes_while_it_is_replayed_is_given_too() {
    let spec = spec(50);
    let clip = encode(spec.clone()).await;
    let mut recording = Recording::new().await;
    recording.publish(&clip, CUTS).await;
    let opened = recording
        .playback
        .replay(recording.channel, spec.start, None);
    let mut replay = opened.await.unwrap();
    let begin = replay.next().await.unwrap();
    assert!(matches!(begin, Some(ReplayItem::Begin { .. })));
    recording.spool(&moved(&clip, 2_000), CUTS);
    let told = tell(&mut replay).await;
    assert_eq!(told.units.len(), 100);
    assert_eq!(told.gaps, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_recorded_the_nearest_footage_is_named() {
    let spec = spec(50);
    let mut recording = Recording::new().await;
    recording.publish(&encode(spec.clone()).await, CUTS).await;
    for (start, end) in [
        (at(&spec, 9_000), None),
        (at(&spec, -9_000), Some(at(&spec, -8_000))),
    ] {
        let opened = recording.playback.replay(recording.channel, start, end);
        let error = opened.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let ReplayError::Empty { before, after, .. } = error else {
            panic!("{error}");
        };
        let is_late = start > spec.start;
        assert_eq!(before, is_late.then_some(at(&spec, 2_000)));
        assert_eq!(after, (!is_late).then_some(spec.start));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_frames_come_alone_when_only_they_are_wanted() {
    let audio = Some(AudioCodec::Pcma);
    let spec = ClipSpec { audio, ..spec(150) };
    let clip = encode(spec.clone()).await;
    let mut recording = Recording::new().await;
    recording.publish(&clip, CUTS).await;
    let (start, end) = (at(&spec, 1_500), Some(at(&spec, 5_000)));
    let opened = recording
        .playback
        .find_footage(recording.channel, start, end, Selection::Keys);
    let told = tell(&mut opened.await.unwrap().replay()).await;
    assert_eq!(told.shown_ms(spec.start), [2_000, 3_000, 4_000]);
    let keys: Vec<&AccessUnit> = clip.video().filter(|unit| unit.is_key).collect();
    assert_eq!(told.units.len(), 4);
    for ((found, _), original) in told.units.iter().zip(&keys[1..]) {
        assert_same(found, original);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_reads_no_further_than_one_read_ahead() {
    let spec = spec(250);
    let mut recording = Recording::new().await;
    recording.publish(&encode(spec.clone()).await, CUTS).await;
    let opened = recording
        .playback
        .replay(recording.channel, spec.start, None);
    let mut replay = opened.await.unwrap();
    replay.next().await.unwrap();
    // What was not read yet is gone when the reader gets there.
    for number in 1..5 {
        recording.lose(number).await;
    }
    let told = tell(&mut replay).await;
    assert!(
        told.units.len() <= 150,
        "{} units were read ahead",
        told.units.len()
    );
    assert_eq!(told.gaps.len(), 1);
}
