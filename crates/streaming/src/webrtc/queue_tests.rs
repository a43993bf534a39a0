//! What waits, what is shown, what is left out.

use super::*;
use bytes::Bytes;
use framewell_media::{VideoCodec, VideoParameters};
use framewell_model::{ClockSource, MediaTime, Timescale};

fn parameters() -> Arc<StreamParameters> {
    let video = VideoParameters {
        codec: VideoCodec::H264,
        width: 640,
        height: 360,
        config: Bytes::new(),
        reorder_depth: 0,
        rfc6381: String::new(),
    };
    StreamParameters { video, audio: None }.into_shared()
}

fn unit(track: TrackKind, at_us: i64, bytes: usize) -> AccessUnit {
    let time = MediaTime::new(Timescale::HZ_90K.from_micros(at_us), Timescale::HZ_90K);
    AccessUnit {
        track,
        pts: time,
        dts: time,
        wall: WallTime::from_micros(at_us),
        clock: ClockSource::CameraRtcp,
        is_key: false,
        data: vec![0; bytes].into(),
    }
}

fn batch(units: Vec<AccessUnit>, starts_gop: bool) -> Batch {
    Batch {
        gop: 1,
        run: "00000000-0000-7000-8000-000000000001".parse().unwrap(),
        parameters: parameters(),
        units,
        starts_gop,
        is_closed: false,
        missed_gops: 0,
        run_end: None,
    }
}

fn pictures(from_us: i64, count: i64) -> Vec<AccessUnit> {
    (0..count)
        .map(|n| unit(TrackKind::Video, from_us + n * 40_000, 100))
        .collect()
}

#[test]
fn who_begins_in_the_middle_of_a_gop_is_shown_the_newest_picture() {
    let now = Instant::now();
    let (mut queue, mut clock) = (Queue::new(now), PlayClock::new());
    let mut units = pictures(0, 5);
    units.insert(2, unit(TrackKind::Audio, 50_000, 10));
    assert_eq!(
        queue.push_live(&batch(units, true), &mut clock, 1_000_000),
        0
    );
    let sent: Vec<Queued> = std::iter::from_fn(|| queue.pop(now)).collect();
    let squeezed: Vec<usize> = sent.iter().map(|queued| queued.squeezed_by).collect();
    assert_eq!(
        squeezed,
        [4, 3, 2, 1, 0],
        "the sound of the past is left out"
    );
    assert!(sent.iter().all(|queued| queued.play_us == 1_000_000));
    // What follows goes on from the newest picture.
    queue.push_live(&batch(pictures(200_000, 1), false), &mut clock, 1_030_000);
    assert_eq!(queue.pop(now).map(|queued| queued.play_us), Some(1_040_000));
}

#[test]
fn a_burst_leaves_at_the_rate_of_a_network() {
    let now = Instant::now();
    let (mut queue, mut clock) = (Queue::new(now), PlayClock::new());
    let units: Vec<AccessUnit> = (0..3)
        .map(|n| unit(TrackKind::Video, n * 40_000, 200_000))
        .collect();
    queue.push_live(&batch(units, true), &mut clock, 0);
    assert!(queue.pop(now).is_some() && queue.pop(now).is_some());
    assert!(queue.pop(now).is_none());
    let due = queue.due().expect("one waits");
    assert!(due > now + Duration::from_millis(20) && due < now + Duration::from_millis(40));
    assert!(queue.pop(due).is_some());
    assert_eq!(queue.due(), None);
}

#[test]
fn what_is_late_is_left_out_and_counted_when_a_gop_begins() {
    let now = Instant::now();
    let (mut queue, mut clock) = (Queue::new(now), PlayClock::new());
    queue.push_live(&batch(pictures(0, 2), true), &mut clock, 0);
    queue.push_live(&batch(pictures(80_000, 2), false), &mut clock, 0);
    assert_eq!(
        queue.push_live(&batch(pictures(1_000_000, 1), true), &mut clock, 0),
        4
    );
    assert!(queue.pop(now).is_some());
    assert!(queue.is_empty());
}
