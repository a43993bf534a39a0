//! Pushes: who gets which picture, and what it costs.

use crate::common::{ready_pid, signal, until, within};
use crate::rig::{Rig, channel, stamp};
use framewell_imaging::{Delivery, Grid, LiveFeed, LiveImage, LiveRequest, Output};
use framewell_media::{AccessUnit, VideoCodec};
use framewell_model::{ErrorKind, HasKind};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use rustix::process::Signal;
use std::time::Duration;

/// Four seconds at 25 fps, a key frame every 25 pictures.
pub(crate) fn clip(b_frames: u32) -> (ClipSpec, EncodedClip) {
    let spec = ClipSpec {
        width: 320,
        height: 240,
        b_frames,
        ..ClipSpec::default()
    };
    let clip = spec.encode().unwrap();
    (spec, clip)
}

pub(crate) fn request() -> LiveRequest {
    LiveRequest {
        channel: channel(),
        from: None,
        until: None,
        fps: None,
        is_keys_only: false,
        output: Output::jpeg(85),
        delivery: Delivery::Bounded(1_000),
    }
}

pub(crate) fn sized(width: u32, fps: Option<f64>) -> LiveRequest {
    let output = Output {
        width: Some(width),
        ..Output::jpeg(85)
    };
    LiveRequest {
        output,
        fps,
        ..request()
    }
}

/// The next picture, after its stamp and its headers were found to say the same.
pub(crate) async fn next(feed: &mut LiveFeed) -> LiveImage {
    let image = within(feed.next()).await.unwrap().unwrap();
    if image.image.width >= 320 {
        assert_eq!(stamp(&image.image).capture, image.image.captured);
    }
    image
}

/// Numbers of the pictures that a feed gives out until one of them is the last one.
pub(crate) async fn frames_until(feed: &mut LiveFeed, spec: &ClipSpec, last: u32) -> Vec<u32> {
    let mut frames = Vec::new();
    while frames.last() != Some(&last) {
        frames.push(number(spec, &next(feed).await));
    }
    frames
}

pub(crate) fn number(spec: &ClipSpec, image: &LiveImage) -> u32 {
    let us = image.image.captured.micros_since(spec.start);
    u32::try_from(us / (1_000_000 / i64::from(spec.fps))).unwrap()
}

/// Of the pictures from `first` on those that a rate means: the first one, then the nearest one to
/// each instant of the grid.
pub(crate) fn meant(spec: &ClipSpec, first: u32, fps: f64) -> Vec<u32> {
    let grid = Grid::new(fps).unwrap();
    let wall = |index: u32| spec.stamp(index).capture;
    let end = grid.nearest(wall(spec.frames - 1));
    let mut frames = vec![first];
    for index in grid.nearest(wall(first)) + 1..=end {
        let at = grid.instant(index);
        let distance = |frame: &u32| at.micros_since(wall(*frame)).abs();
        let nearest = (first..spec.frames).min_by_key(distance).unwrap();
        if distance(&nearest) <= 20_000 {
            frames.push(nearest);
        }
    }
    frames
}

/// Pushes pictures one by one; each is out of the decoder before the next one comes.
async fn play(rig: &Rig, pace: &mut LiveFeed, units: &[&AccessUnit]) {
    for unit in units {
        rig.push([*unit]);
        let image = next(pace).await;
        assert_eq!(image.image.captured, unit.wall);
    }
}

async fn many_feeds(count: usize) {
    let (spec, clip) = clip(0);
    let units: Vec<&AccessUnit> = clip.video().collect();
    let rig = Rig::new(spec.start + Duration::from_secs(1)).await;
    rig.stream(1, &clip, units[..30].iter().copied());
    let wishes = [
        sized(320, Some(5.0)),
        sized(160, Some(2.0)),
        sized(320, Some(12.5)),
        sized(64, None),
        sized(320, Some(5.0)),
        sized(640, Some(1.0)),
        sized(160, Some(0.5)),
        sized(320, Some(25.0)),
        sized(96, Some(3.0)),
    ];
    let start = |wish: &LiveRequest| rig.imaging.live(wish.clone()).unwrap();
    let mut pace = start(&request());
    let wishes = &wishes[..count - 1];
    let mut feeds: Vec<LiveFeed> = wishes.iter().map(start).collect();
    assert_eq!(number(&spec, &next(&mut pace).await), 29);
    // The others take part from the picture on that comes when they have joined.
    let mut expected = Vec::new();
    for (feed, wish) in feeds.iter_mut().zip(wishes) {
        let first = number(&spec, &next(feed).await);
        assert_eq!(first, 29, "{wish:?}");
        expected.push(match wish.fps {
            None => (first..100).collect(),
            Some(fps) => meant(&spec, first, fps),
        });
    }
    play(&rig, &mut pace, &units[30..]).await;
    for ((mut feed, wish), expected) in feeds.into_iter().zip(wishes).zip(expected) {
        let mut got = vec![29];
        if expected.len() > 1 {
            got.extend(frames_until(&mut feed, &spec, *expected.last().unwrap()).await);
        }
        assert_eq!(got, expected, "{wish:?}");
    }
    let stats = rig.imaging.hub_stats();
    assert_eq!((stats.decoders, stats.starts), (1, 1));
    // From the key frame that was newest at the start to the end, each picture once.
    assert_eq!(stats.samples, 75);
}

#[tokio::test]
async fn one_feed_decodes_each_picture_once() {
    many_feeds(1).await;
}

#[tokio::test]
async fn three_feeds_share_one_decoder() {
    many_feeds(3).await;
}

#[tokio::test]
async fn ten_feeds_share_one_decoder() {
    many_feeds(10).await;
}

#[tokio::test]
async fn feeds_that_want_the_same_share_the_finished_picture() {
    let (spec, clip) = clip(0);
    let units: Vec<&AccessUnit> = clip.video().collect();
    let rig = Rig::new(spec.start).await;
    rig.stream(1, &clip, units[..1].iter().copied());
    let mut feeds: Vec<LiveFeed> = (0..10)
        .map(|_| rig.imaging.live(request()).unwrap())
        .collect();
    for feed in &mut feeds {
        next(feed).await;
    }
    let before = rig.imaging.hub_stats().pictures;
    for unit in &units[1..20] {
        rig.push([*unit]);
        for feed in &mut feeds {
            assert_eq!(next(feed).await.image.captured, unit.wall);
        }
    }
    let made = rig.imaging.hub_stats().pictures - before;
    assert_eq!(made, 19);
}

#[tokio::test]
async fn a_look_back_goes_on_live_without_hole_or_repetition() {
    let cases = [
        (Delivery::Latest, 0),
        (Delivery::Bounded(2), 0),
        (Delivery::All, 0),
        (Delivery::All, 2),
    ];
    for (delivery, b_frames) in cases {
        let (spec, clip) = clip(b_frames);
        let units: Vec<&AccessUnit> = clip.video().collect();
        // So long before the end that it does not come by the clock.
        let rig = Rig::new(spec.start.plus_micros(-60_000_000)).await;
        rig.stream(1, &clip, units[..60].iter().copied());
        let mut feed = rig
            .imaging
            .live(LiveRequest {
                from: Some(spec.stamp(10).capture),
                until: Some(spec.stamp(90).capture),
                delivery,
                ..request()
            })
            .unwrap();
        let mut frames = Vec::new();
        let mut sent = 60;
        while let Some(image) = within(feed.next()).await {
            let image = image.unwrap();
            assert_eq!(stamp(&image.image).capture, image.image.captured);
            let at = u32::try_from(frames.len()).unwrap();
            assert_eq!((u64::from(at), 0), (image.sequence, image.dropped));
            frames.push(number(&spec, &image));
            // Live pictures come while it catches up, and one by one behind that.
            if (frames.len() > 30 && sent < 70) || frames.len() + 20 > sent {
                let more = units[sent..].iter().take(1).copied();
                rig.push(more);
                sent = (sent + 1).min(100);
            }
        }
        let expected: Vec<u32> = (10..90).collect();
        assert_eq!(frames, expected, "{delivery:?} {b_frames}");
    }
}

#[tokio::test]
async fn a_look_back_is_whole_though_it_takes_longer_than_its_end() {
    let (spec, clip) = clip(0);
    let rig = Rig::new(spec.start + Duration::from_secs(4)).await;
    rig.stream(1, &clip, clip.video());
    let pid = ready_pid(&rig.pool).await;
    signal(pid, Signal::STOP);
    let mut feed = rig
        .imaging
        .live(LiveRequest {
            from: Some(spec.stamp(10).capture),
            until: Some(spec.stamp(90).capture),
            ..request()
        })
        .unwrap();
    let early = tokio::time::timeout(Duration::from_secs(5), feed.next()).await;
    assert!(early.is_err(), "{early:?}");
    signal(pid, Signal::CONT);
    let frames = frames_until(&mut feed, &spec, 89).await;
    assert_eq!(frames, (10..90).collect::<Vec<_>>());
    assert!(within(feed.next()).await.is_none());
}

#[tokio::test]
async fn a_rate_in_the_past_takes_what_a_rate_takes() {
    let (spec, clip) = clip(0);
    let rig = Rig::new(spec.start + Duration::from_secs(4)).await;
    rig.stream(1, &clip, clip.video());
    let mut feed = rig
        .imaging
        .live(LiveRequest {
            from: Some(spec.stamp(3).capture),
            ..sized(320, Some(2.0))
        })
        .unwrap();
    let expected = meant(&spec, 3, 2.0);
    let frames = frames_until(&mut feed, &spec, *expected.last().unwrap()).await;
    assert_eq!(frames, expected);
}

#[tokio::test]
async fn a_slow_receiver_gets_what_it_asked_for_and_costs_the_others_nothing() {
    let (spec, clip) = clip(0);
    let units: Vec<&AccessUnit> = clip.video().collect();
    let rig = Rig::new(spec.start).await;
    rig.stream(1, &clip, units[..1].iter().copied());
    let start = |delivery| {
        let wish = LiveRequest {
            delivery,
            ..request()
        };
        rig.imaging.live(wish).unwrap()
    };
    let (mut pace, mut latest) = (start(Delivery::Bounded(9)), start(Delivery::Latest));
    let (mut bounded, mut all) = (start(Delivery::Bounded(3)), start(Delivery::All));
    for feed in [&mut pace, &mut latest, &mut bounded, &mut all] {
        assert_eq!(number(&spec, &next(feed).await), 0);
    }
    play(&rig, &mut pace, &units[1..]).await;
    let image = next(&mut latest).await;
    assert_eq!(
        (number(&spec, &image), image.sequence, image.dropped),
        (99, 99, 98)
    );
    let first = next(&mut bounded).await;
    assert_eq!((number(&spec, &first), first.dropped), (97, 96));
    assert_eq!(frames_until(&mut bounded, &spec, 99).await, [98, 99]);
    for frame in 1..100 {
        let image = next(&mut all).await;
        assert_eq!((number(&spec, &image), image.dropped), (frame, 0));
    }
}

#[tokio::test]
async fn key_frames_alone_are_decoded_when_nobody_wants_more() {
    let (spec, clip) = clip(0);
    let units: Vec<&AccessUnit> = clip.video().collect();
    let rig = Rig::new(spec.start).await;
    rig.stream(1, &clip, units[..30].iter().copied());
    let keys = || LiveRequest {
        is_keys_only: true,
        ..request()
    };
    let mut feeds = [keys(), keys(), keys()].map(|wish| rig.imaging.live(wish).unwrap());
    for feed in &mut feeds {
        assert_eq!(number(&spec, &next(feed).await), 25, "at once");
    }
    until(|| rig.imaging.hub_stats().decoders == 1).await;
    let before = rig.imaging.hub_stats();
    for unit in &units[30..80] {
        rig.push([*unit]);
        if unit.is_key {
            for feed in &mut feeds {
                assert_eq!(next(feed).await.image.captured, unit.wall);
            }
        }
    }
    let after = rig.imaging.hub_stats();
    let done = (
        after.samples - before.samples,
        after.pictures - before.pictures,
    );
    assert!(
        done.0 <= 4,
        "two key frames, and those of feeds that joined late: {done:?}"
    );
    // Somebody who wants all pictures joins in the middle of a GOP.
    let mut full = rig.imaging.live(request()).unwrap();
    assert_eq!(number(&spec, &next(&mut full).await), 79);
    play(&rig, &mut full, &units[80..]).await;
}

#[tokio::test]
async fn a_slow_rate_decodes_only_what_its_pictures_need() {
    let spec = ClipSpec {
        width: 320,
        height: 240,
        frames: 400,
        ..ClipSpec::default()
    };
    let clip = spec.encode().unwrap();
    let units: Vec<&AccessUnit> = clip.video().collect();
    let rig = Rig::new(spec.start).await;
    rig.stream(1, &clip, units[..1].iter().copied());
    let mut feed = rig.imaging.live(sized(320, Some(0.2))).unwrap();
    assert_eq!(number(&spec, &next(&mut feed).await), 0);
    for (index, unit) in units.iter().enumerate().skip(1) {
        rig.push([*unit]);
        if index % 125 == 0 {
            assert_eq!(number(&spec, &next(&mut feed).await) as usize, index);
        } else {
            tokio::task::yield_now().await;
        }
    }
    let samples = rig.imaging.hub_stats().samples;
    assert!(samples < 160, "{samples} of 400");
}

#[tokio::test]
async fn pictures_that_nothing_refers_to_are_left_out() {
    let (spec, clip) = clip(2);
    let units: Vec<&AccessUnit> = clip.video().collect();
    let rig = Rig::new(spec.start).await;
    rig.stream(1, &clip, units[..1].iter().copied());
    let mut feed = rig.imaging.live(sized(320, Some(1.0))).unwrap();
    let mut sent = 1;
    for frame in meant(&spec, 0, 1.0) {
        // Some more in decoding order bring out what is shown before them.
        let until = (frame as usize + 7).min(100);
        rig.push(units[sent..until].iter().copied());
        sent = until;
        assert_eq!(number(&spec, &next(&mut feed).await), frame);
    }
    let samples = rig.imaging.hub_stats().samples;
    assert!(samples < 70, "{samples} of 100");
}

#[tokio::test]
async fn every_codec_with_reordering_gives_every_picture() {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let spec = ClipSpec {
            codec,
            width: 320,
            height: 240,
            gop: 12,
            b_frames: 2,
            frames: 48,
            ..ClipSpec::default()
        };
        let clip = spec.encode().unwrap();
        let units: Vec<&AccessUnit> = clip.video().collect();
        let rig = Rig::new(spec.start).await;
        rig.stream(1, &clip, units[..1].iter().copied());
        let mut feed = rig.imaging.live(request()).unwrap();
        for unit in &units[1..] {
            rig.push([*unit]);
            tokio::task::yield_now().await;
        }
        rig.track.end_run(framewell_live::EndReason::Stopped);
        let frames = frames_until(&mut feed, &spec, 47).await;
        assert_eq!(frames, (0..48).collect::<Vec<u32>>(), "{codec:?}");
    }
}

#[tokio::test]
async fn the_decoder_ends_with_the_last_push() {
    let (spec, clip) = clip(0);
    let rig = Rig::new(spec.start).await;
    rig.stream(1, &clip, clip.video().take(5));
    let mut feed = rig.imaging.live(request()).unwrap();
    next(&mut feed).await;
    assert_eq!(rig.imaging.hub_stats().decoders, 1);
    drop(feed);
    until(|| rig.imaging.hub_stats().decoders == 0).await;
}

#[tokio::test]
async fn bad_wishes_are_refused_with_the_limit() {
    let (spec, clip) = clip(0);
    let rig = Rig::new(spec.start).await;
    rig.stream(1, &clip, clip.video().take(5));
    let bad = [
        sized(3, None),
        sized(320, Some(0.0)),
        sized(320, Some(-2.0)),
        sized(320, Some(1e9)),
        sized(320, Some(f64::NAN)),
        LiveRequest {
            from: Some(spec.start),
            until: Some(spec.start),
            ..request()
        },
    ];
    for wish in bad {
        let error = rig.imaging.live(wish).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    let stranger = LiveRequest {
        channel: "99".parse().unwrap(),
        ..request()
    };
    let error = rig.imaging.live(stranger).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(rig.imaging.hub_stats().decoders, 0);
}
