//! The life of packagers, with the time passed in.

use super::*;
use framewell_live::{EndReason, RingConfig, SourceState};
use framewell_media::AccessUnit;
use framewell_model::WallTime;
use framewell_testkit::clock::MovableClock;
use framewell_testkit::encode::ClipSpec;

const CHANNEL: i64 = 7;

fn channel() -> ChannelId {
    ChannelId::new(CHANNEL).unwrap()
}

fn live() -> (Live, Track) {
    let clock = MovableClock::new(WallTime::from_secs(1_767_225_600));
    let registry = Registry::new(RingConfig::default(), Arc::new(clock));
    let track = registry.track(channel());
    (Live::new(registry), track)
}

fn play_into(track: &Track) -> Vec<AccessUnit> {
    let spec = ClipSpec {
        width: 320,
        height: 240,
        ..ClipSpec::default()
    };
    let clip = spec.encode().unwrap();
    let run = "00000000-0000-7000-8000-000000000001".parse().unwrap();
    track.begin_run(run, Arc::new(clip.parameters));
    for unit in &clip.units {
        track.push(unit.clone());
    }
    clip.units
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(20)
}

fn active() -> SourceState {
    let idle = SourceState::inactive(WallTime::from_secs(0));
    SourceState {
        status: ChannelStatus::Active,
        ..idle
    }
}

#[tokio::test]
async fn a_camera_that_delivers_nothing_is_not_live() {
    let (live, track) = live();
    let not_live = Error::NotLive(channel());
    let nobody = ChannelId::new(8).unwrap();
    assert_eq!(
        live.playlist(nobody, "", Reload::default()).await,
        Err(Error::NotLive(nobody))
    );
    // Nobody pulls from it: answered at once, or this test would take its ten seconds.
    let now = live.playlist(channel(), "", Reload::default()).await;
    assert_eq!(now, Err(not_live.clone()));
    track.set_source_state(active());
    let waited = live.ready(channel(), soon()).await;
    assert_eq!(waited.err(), Some(not_live));
    let missing = Error::NoSegment(channel(), 1);
    assert_eq!(
        live.segment(channel(), 1).await.err(),
        Some(missing.clone())
    );
    let no_part = Error::NoPart(channel(), 1, 0);
    assert_eq!(live.part(channel(), 1, 0).await.err(), Some(no_part));
    assert_eq!(live.init(channel(), 1).await, Err(missing));
}

#[tokio::test]
async fn one_segment_is_better_than_none_at_the_deadline() {
    let (live, track) = live();
    let units = {
        let (_, elsewhere) = self::live();
        let units = play_into(&elsewhere);
        let run = "00000000-0000-7000-8000-000000000001".parse().unwrap();
        track.begin_run(run, elsewhere.parameters().unwrap());
        units
    };
    for unit in &units[..26] {
        track.push(unit.clone());
    }
    let packager = live.ready(channel(), soon()).await.unwrap();
    assert_eq!(packager.lock().len(), 1);
}

#[tokio::test]
async fn packagers_end_when_nobody_asks_and_their_numbers_go_on() {
    let (live, track) = live();
    play_into(&track);
    let first = live.ready(channel(), soon()).await.unwrap();
    let next = first.lock().next_sequence();
    let now = Instant::now();
    live.drop_idle(now + MAX_IDLE - Duration::from_secs(1));
    assert!(live.present(channel()).is_some());
    first.lock().touch(now + Duration::from_secs(30));
    play_into(&track);
    first.lock().advance(now + Duration::from_secs(30));
    live.drop_idle(now + MAX_IDLE);
    assert!(live.present(channel()).is_some(), "asking keeps it");
    live.drop_idle(now + MAX_IDLE + Duration::from_secs(30));
    assert!(live.present(channel()).is_none(), "nobody asked");
    assert!(live.segment(channel(), next - 1).await.is_err());
    let again = live.ready(channel(), soon()).await.unwrap();
    let again = again.lock();
    let oldest = again.listed().next().unwrap();
    assert!(oldest.sequence >= next);
    assert!(oldest.discontinuity > next - 1);
}

#[tokio::test]
async fn a_camera_that_is_gone_for_a_minute_is_not_live_however_often_somebody_asks() {
    let (live, track) = live();
    play_into(&track);
    let packager = live.ready(channel(), soon()).await.unwrap();
    track.end_run(EndReason::CameraLost);
    let now = Instant::now();
    packager.lock().advance(now);
    for second in 0..70 {
        packager.lock().touch(now + Duration::from_secs(second));
        packager.lock().advance(now + Duration::from_secs(second));
    }
    live.drop_idle(now + MAX_IDLE);
    let gone = live.ready(channel(), soon()).await;
    assert_eq!(gone.err(), Some(Error::NotLive(channel())));
}

#[test]
fn segments_end_by_their_bytes_if_media_time_stands_still() {
    let (_, elsewhere) = live();
    let key = play_into(&elsewhere).remove(0);
    let (_, track) = live();
    let run = "00000000-0000-7000-8000-000000000001".parse().unwrap();
    track.begin_run(run, elsewhere.parameters().unwrap());
    let data = Bytes::from(vec![0; 4 << 20]);
    let push = |n: i64| {
        let mut unit = key.clone();
        unit.dts.ticks += n;
        unit.data = data.clone();
        track.push(unit);
    };
    push(0);
    let now = Instant::now();
    let mut packager = Packager::start(&track, 0, now).unwrap();
    for n in 1..100 {
        push(n);
        packager.advance(now);
    }
    // Of 400 MiB, what the limit of a channel lets stay.
    assert_eq!(packager.len(), 3);
}

#[tokio::test]
async fn who_waits_on_one_channel_leaves_room_for_others() {
    let (live, track) = live();
    let other = ChannelId::new(8).unwrap();
    for track in [track, live.registry.track(other)] {
        play_into(&track);
    }
    let busy = live.ready(channel(), soon()).await.unwrap();
    let free = live.ready(other, soon()).await.unwrap();
    let waiting = || live.places(&busy).map(drop);
    let places: Vec<_> = std::iter::from_fn(|| live.places(&busy).ok()).collect();
    assert_eq!(places.len(), MAX_WAITING / 2);
    assert_eq!(waiting(), Err(Error::Busy));
    assert!(live.places(&free).is_ok());
    drop(places);
    assert_eq!(waiting(), Ok(()));
}

#[test]
fn long_gops_do_not_make_answers_wait_for_minutes() {
    assert_eq!(longest_wait(2), Duration::from_secs(6));
    assert_eq!(longest_wait(60), MAX_WAIT);
}
