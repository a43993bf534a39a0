//! The ring as its writers and readers see it.

use bytes::Bytes;
use framewell_live::{EndReason, RingConfig, Start, Track, Wake};
use framewell_media::{AccessUnit, StreamParameters, TrackKind, VideoCodec, VideoParameters};
use framewell_model::{ClockSource, MediaTime, RunId, Timescale, WallTime};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const FRAME_US: i64 = 40_000;

fn parameters(width: u32) -> Arc<StreamParameters> {
    StreamParameters {
        video: VideoParameters {
            codec: VideoCodec::H264,
            width,
            height: 360,
            config: Bytes::from_static(b"avcC"),
            reorder_depth: 0,
            rfc6381: "avc1.42c01e".into(),
        },
        audio: None,
    }
    .into_shared()
}

fn run(n: u128) -> RunId {
    RunId::from_uuid(uuid::Uuid::from_u128(n))
}

/// Frame `n` of a 25 fps camera, `size` bytes.
fn unit(n: i64, is_key: bool, size: usize) -> AccessUnit {
    let time = MediaTime::new(n * 3_600, Timescale::HZ_90K);
    AccessUnit {
        track: TrackKind::Video,
        pts: time,
        dts: time,
        wall: WallTime::from_secs(1_000).plus_micros(n * FRAME_US),
        clock: ClockSource::CameraRtcp,
        is_key,
        data: Bytes::from(vec![0; size]),
    }
}

fn track(max_bytes: usize) -> Track {
    let config = RingConfig {
        max_bytes,
        ..RingConfig::default()
    };
    Track::new(config, WallTime::from_secs(0))
}

/// Pushes frames `from..to` with a key frame at every multiple of `gop`.
fn feed(track: &Track, from: i64, to: i64, gop: i64, size: usize) {
    for n in from..to {
        track.push(unit(n, n % gop == 0, size));
    }
}

fn ticks(units: &[AccessUnit]) -> Vec<i64> {
    units.iter().map(|unit| unit.pts.ticks / 3_600).collect()
}

#[test]
fn units_before_the_first_key_frame_are_dropped() {
    let track = track(1 << 20);
    track.begin_run(run(1), parameters(640));
    assert!(!track.push(unit(0, false, 10)));
    assert!(track.push(unit(1, true, 10)));
    assert_eq!(
        track.newest_gop().map(|gop| ticks(&gop.units)),
        Some(vec![1])
    );
    assert_eq!(track.stats().frames, 2);
}

#[test]
fn a_gop_of_endless_tiny_units_is_dropped() {
    let track = track(1 << 20);
    track.begin_run(run(1), parameters(640));
    let is_dropped = |n| !track.push(unit(n, n == 0, 1));
    assert!((0..200_000).any(is_dropped));
    assert!(track.newest_gop().is_none());
    assert!(
        track.push(unit(200_000, true, 1)),
        "a key frame starts anew"
    );
}

#[test]
fn a_viewer_starts_at_the_newest_key_frame_and_gets_every_unit_once() {
    let track = track(1 << 20);
    track.begin_run(run(1), parameters(640));
    feed(&track, 0, 13, 5, 100);
    let mut reader = track.subscribe(Start::NewestKey);
    let first = reader.try_next().expect("the open GOP is readable");
    assert!(first.starts_gop && !first.is_closed);
    assert_eq!(ticks(&first.units), [10, 11, 12]);
    feed(&track, 13, 16, 5, 100);
    let rest = reader.try_next().expect("two more units");
    assert_eq!((ticks(&rest.units), rest.is_closed), (vec![13, 14], true));
    assert_eq!(ticks(&reader.try_next().expect("the next GOP").units), [15]);
    assert!(reader.try_next().is_none());
}

#[test]
fn a_reader_that_lags_is_told_and_resumes_at_a_key_frame() {
    let track = track(1_000);
    track.begin_run(run(1), parameters(640));
    feed(&track, 0, 5, 5, 100);
    let mut reader = track.subscribe(Start::Oldest);
    assert_eq!(
        ticks(&reader.try_next().expect("the first GOP").units),
        [0, 1, 2, 3, 4]
    );
    feed(&track, 5, 100, 5, 100);
    let batch = reader.try_next().expect("what the ring still has");
    assert!(batch.starts_gop && batch.units[0].is_key);
    let next = batch.units[0].pts.ticks / 3_600;
    assert_eq!(batch.missed_gops, u64::try_from(next / 5).expect("small"));
}

#[test]
fn the_end_of_a_run_reaches_a_reader_that_has_read_everything() {
    let track = track(1 << 20);
    track.begin_run(run(1), parameters(640));
    feed(&track, 0, 3, 5, 100);
    let mut reader = track.subscribe(Start::Oldest);
    assert_eq!(ticks(&reader.try_next().expect("units").units), [0, 1, 2]);
    track.end_run(EndReason::CameraLost);
    let end = reader.try_next().expect("the end");
    assert!(end.units.is_empty() && end.is_closed);
    assert_eq!(end.run_end, Some(EndReason::CameraLost));
    assert!(reader.try_next().is_none());
}

#[test]
fn new_parameters_and_runs_begin_with_a_gop() {
    let track = track(1 << 20);
    track.begin_run(run(1), parameters(640));
    feed(&track, 0, 3, 5, 100);
    track.set_parameters(parameters(1280));
    feed(&track, 3, 6, 5, 100);
    track.begin_run(run(2), parameters(1280));
    assert!(
        !track.push(unit(6, false, 100)),
        "a new run starts with a key frame"
    );
    track.push(unit(7, true, 100));
    let seen: Vec<_> = track
        .gops()
        .iter()
        .map(|gop| (gop.run, gop.parameters.video.width, gop.units.len()))
        .collect();
    assert_eq!(
        seen,
        [(run(1), 640, 5), (run(1), 1280, 1), (run(2), 1280, 1)]
    );
}

#[test]
fn an_endless_gop_does_not_eat_the_memory() {
    let config = RingConfig {
        max_gop_bytes: 1_000,
        ..RingConfig::default()
    };
    let track = Track::new(config, WallTime::from_secs(0));
    track.begin_run(run(1), parameters(640));
    track.push(unit(0, true, 100));
    for n in 1..100 {
        track.push(unit(n, false, 100));
        assert!(track.ring_bytes() <= 1_000);
    }
    assert!(
        track.push(unit(100, true, 100)),
        "the next key frame is taken"
    );
    assert_eq!(track.ring_bytes(), 100);
}

#[test]
fn a_quiet_camera_keeps_no_more_than_the_age_limit() {
    let config = RingConfig {
        max_age_us: 10 * FRAME_US,
        ..RingConfig::default()
    };
    let track = Track::new(config, WallTime::from_secs(0));
    track.begin_run(run(1), parameters(640));
    feed(&track, 0, 101, 5, 1);
    let oldest = track.gops()[0].units[0].pts.ticks / 3_600;
    assert_eq!(oldest, 90, "ten frames and the GOP that they end in");
}

#[test]
fn key_frames_of_one_byte_do_not_pile_up() {
    let config = RingConfig {
        max_bytes: 1 << 20,
        max_age_us: i64::MAX,
        ..RingConfig::default()
    };
    let track = Track::new(config, WallTime::from_secs(0));
    track.begin_run(run(1), parameters(640));
    feed(&track, 0, 10_000, 1, 1);
    let kept = track.gop_spans().len();
    assert!((1_000..=2_100).contains(&kept), "{kept}");
    assert_eq!(track.ring_bytes(), kept, "what is told is payload");
}

#[test]
fn the_gop_at_an_instant_is_the_one_on_screen() {
    let track = track(1 << 20);
    let at = |n: i64| WallTime::from_secs(1_000).plus_micros(n * FRAME_US);
    track.begin_run(run(1), parameters(640));
    feed(&track, 0, 10, 5, 100);
    let first = |wall| track.gop_at(wall).map(|gop| gop.units[0].pts.ticks / 3_600);
    assert_eq!(first(at(0).plus_micros(-1)), None);
    assert_eq!(first(at(4).plus_micros(FRAME_US - 1)), Some(0));
    assert_eq!(first(at(5)), Some(5));
    assert_eq!(first(at(9)), Some(5));
    assert_eq!(
        first(at(9).plus_micros(1)),
        None,
        "nobody knows yet what comes after the newest picture"
    );
}

#[tokio::test]
async fn a_batch_reader_sleeps_until_a_gop_closes() {
    let track = track(1 << 20);
    track.begin_run(run(1), parameters(640));
    track.push(unit(0, true, 10));
    let mut reader = track.subscribe(Start::Oldest);
    assert_eq!(ticks(&reader.next(Wake::Flush).await.units), [0]);
    feed(&track, 1, 5, 5, 10);
    let early = tokio::time::timeout(Duration::ZERO, reader.next(Wake::EveryUnit)).await;
    assert_eq!(
        early.map(|batch| ticks(&batch.units)).ok(),
        Some(vec![1, 2, 3, 4])
    );
    let feeder = track.clone();
    let (batch, ()) = tokio::join!(reader.next(Wake::Flush), async move {
        feed(&feeder, 5, 7, 5, 10)
    });
    assert!(batch.is_closed);
}

proptest! {
    /// Whatever the writer does, a reader sees whole GOPs in order, each from its key frame, nothing
    /// twice, and what it did not see is counted.
    #[test]
    fn readers_see_whole_gops_in_order(
        gop in 1i64..12,
        max_bytes in 100usize..4_000,
        steps in prop::collection::vec((1i64..40, any::<bool>()), 1..30),
    ) {
        let track = track(max_bytes);
        track.begin_run(run(1), parameters(640));
        let mut reader = track.subscribe(Start::Oldest);
        let mut pushed = 0;
        let mut expected_next = 0;
        for (count, read) in steps {
            feed(&track, pushed, pushed + count, gop, 50);
            pushed += count;
            while let Some(batch) = read.then(|| reader.try_next()).flatten() {
                if batch.starts_gop && !batch.units.is_empty() {
                    let start = batch.units[0].pts.ticks / 3_600;
                    prop_assert_eq!(start % gop, 0);
                    let missed = i64::try_from(batch.missed_gops).expect("small");
                    if missed == 0 {
                        prop_assert_eq!(start, expected_next);
                    } else {
                        prop_assert!(start > expected_next - gop);
                    }
                    expected_next = start;
                }
                for n in ticks(&batch.units) {
                    prop_assert_eq!(n, expected_next);
                    expected_next += 1;
                }
            }
        }
        prop_assert!(track.ring_bytes() <= max_bytes + 3 * 50 * usize::try_from(gop).expect("small"));
    }
}
