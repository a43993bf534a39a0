//! The shared fragments of a live channel.

use super::fanout::Step;
use super::*;
use framewell_live::{RingConfig, Track};
use framewell_media::AccessUnit;
use framewell_model::WallTime;
use framewell_testkit::clock::MovableClock;
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::sync::Arc;

fn channel() -> ChannelId {
    ChannelId::new(7).unwrap()
}

fn live() -> (Live, Track) {
    let clock = MovableClock::new(WallTime::from_secs(1_767_225_600));
    let registry = Registry::new(RingConfig::default(), Arc::new(clock));
    let track = registry.track(channel());
    (Live::new(registry), track)
}

fn clip() -> EncodedClip {
    let spec = ClipSpec {
        width: 320,
        height: 240,
        ..ClipSpec::default()
    };
    spec.encode().unwrap()
}

fn begin(track: &Track, clip: &EncodedClip) {
    let run = "00000000-0000-7000-8000-000000000001".parse().unwrap();
    track.begin_run(run, Arc::new(clip.parameters.clone()));
}

fn push(track: &Track, units: &[AccessUnit]) {
    for unit in units {
        track.push(unit.clone());
    }
}

async fn take(reader: &mut LiveReader, count: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..count {
        let next = tokio::time::timeout(Duration::from_secs(10), reader.next());
        steps.push(next.await.unwrap());
    }
    steps
}

#[tokio::test]
async fn all_readers_are_sent_the_same_bytes_and_begin_with_a_picture() {
    let (live, track) = live();
    let clip = clip();
    begin(&track, &clip);
    push(&track, &clip.units[..30]);
    let mut first = live.ready(channel(), Tracks::Both).await.unwrap();
    let mut second = live.ready(channel(), Tracks::Both).await.unwrap();
    push(&track, &clip.units[30..40]);
    let (a, b) = (take(&mut first, 15).await, take(&mut second, 15).await);
    assert!(a[0].piece.is_key);
    assert_eq!(a[0].piece.wall, clip.units[25].wall);
    for (a, b) in a.iter().zip(&b) {
        assert!(Arc::ptr_eq(&a.piece, &b.piece));
        assert_eq!((a.missed, b.missed), (0, 0));
    }
    // Exactly behind a fragment, also for who was somewhere else before.
    let mut joined = live
        .join(channel(), Tracks::Both, &a[4].piece.cursor)
        .unwrap();
    let c = take(&mut joined, 10).await;
    assert!(Arc::ptr_eq(&c[0].piece, &a[5].piece));
    assert_eq!(c[0].missed, 0);
}

#[tokio::test]
async fn a_slow_reader_goes_on_at_a_key_frame_and_is_told_what_it_missed() {
    let (live, track) = live();
    let mut clip = clip();
    begin(&track, &clip);
    // Pictures so large that a few GOPs are more than a window holds.
    for unit in &mut clip.units {
        unit.data = bytes::Bytes::from(vec![0; 200 << 10]);
    }
    push(&track, &clip.units[..5]);
    let mut slow = live.ready(channel(), Tracks::Both).await.unwrap();
    take(&mut slow, 5).await;
    let mut quick = live.ready(channel(), Tracks::Both).await.unwrap();
    take(&mut quick, 5).await;
    for unit in &clip.units[5..90] {
        push(&track, std::slice::from_ref(unit));
        assert_eq!(take(&mut quick, 1).await[0].missed, 0);
    }
    let step = take(&mut slow, 1).await.remove(0);
    assert!(step.piece.is_key);
    assert_eq!(step.piece.wall, clip.units[75].wall);
    assert_eq!(step.missed, 70);
    assert_eq!(take(&mut slow, 1).await[0].missed, 0);
}

#[tokio::test]
async fn what_nobody_reads_is_not_cut() {
    let (live, track) = live();
    let clip = clip();
    begin(&track, &clip);
    push(&track, &clip.units[..30]);
    assert_eq!(live.fanouts.count(), 0);
    let both = live.ready(channel(), Tracks::Both).await.unwrap();
    let video = live.ready(channel(), Tracks::Video).await.unwrap();
    assert_eq!(live.fanouts.count(), 2);
    drop(both);
    assert_eq!(live.fanouts.count(), 1);
    drop(video);
    assert_eq!(live.fanouts.count(), 0);
}

#[tokio::test]
async fn a_camera_that_delivers_nothing_and_sound_that_is_not_there_are_errors() {
    let (live, track) = live();
    let nobody = ChannelId::new(8).unwrap();
    let error = live.ready(nobody, Tracks::Both).await.unwrap_err();
    assert!(matches!(error, Error::NotLive(id) if id == nobody));
    let error = live.ready(channel(), Tracks::Both).await.unwrap_err();
    assert!(matches!(error, Error::NotLive(_)));
    let clip = clip();
    begin(&track, &clip);
    push(&track, &clip.units[..3]);
    let error = live.ready(channel(), Tracks::Audio).await.unwrap_err();
    assert!(matches!(error, Error::NoAudio(_)));
}
