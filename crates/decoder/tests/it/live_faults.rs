//! Pushes when cameras, streams and decoders fail.

use crate::common::{poll_once, ready_pid, signal, until, within};
use crate::live_feeds::{clip, frames_until, next, number, request};
use crate::rig::{Rig, channel, run, stamp};
use bytes::Bytes;
use framewell_imaging::{Delivery, Error, HubConfig, LiveFeed, LiveRequest};
use framewell_live::EndReason;
use framewell_media::AccessUnit;
use framewell_model::{ChannelId, ChannelStatus, ErrorKind, HasKind};
use framewell_testkit::encode::ClipSpec;
use rustix::process::Signal;
use std::time::Duration;

async fn trouble(feed: &mut LiveFeed) -> Error {
    within(feed.next()).await.unwrap().unwrap_err()
}

#[tokio::test]
async fn a_camera_that_comes_back_goes_on_in_the_same_push() {
    let (spec, clip) = clip(2);
    let rig = Rig::new(spec.start).await;
    rig.stream(1, &clip, clip.video().take(1));
    let mut feed = rig.imaging.live(request()).unwrap();
    rig.push(clip.video().skip(1).take(40));
    rig.track.end_run(EndReason::CameraLost);
    rig.show(ChannelStatus::Offline);
    let mut last = u32::MAX;
    let error = loop {
        match within(feed.next()).await.unwrap() {
            Ok(image) => last = number(&spec, &image),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::NotLive { .. }), "{error:?}");
    // What the decoder held back came out at the end of the run, before or behind the news.
    if last != 40 {
        let rest = frames_until(&mut feed, &spec, 40).await;
        assert_eq!(rest.last(), Some(&40));
    }
    let later = clip.starting_at(spec.start + Duration::from_secs(20));
    rig.stream(2, &later, later.video().take(30));
    let image = within(feed.next()).await.unwrap().unwrap();
    assert_eq!((number(&spec, &image), image.dropped), (500, 0));
    assert_eq!(image.image.frame.run, run(2));
}

#[tokio::test]
async fn other_parameters_take_effect_at_their_key_frame() {
    let (spec, clip) = clip(2);
    let wide = ClipSpec {
        width: 480,
        start: spec.start + Duration::from_secs(2),
        ..spec
    };
    let wide = wide.encode().unwrap();
    let rig = Rig::new(spec.start).await;
    rig.stream(1, &clip, clip.video().take(1));
    let mut feed = rig.imaging.live(request()).unwrap();
    rig.push(clip.video().skip(1).take(49));
    assert_eq!(number(&spec, &next(&mut feed).await), 0);
    // The second clip's times go on where the first one's stop.
    let shift = clip.video().nth(50).unwrap().pts.ticks;
    let parameters = wide.parameters.clone().into_shared();
    rig.track.set_parameters(parameters);
    let shifted: Vec<AccessUnit> = wide
        .video()
        .take(19)
        .map(|unit| {
            let mut unit = unit.clone();
            unit.pts.ticks += shift;
            unit.dts.ticks += shift;
            unit
        })
        .collect();
    rig.push(&shifted);
    rig.track.end_run(EndReason::Stopped);
    let mut widths = vec![320];
    for frame in 1..69 {
        let image = next(&mut feed).await;
        assert_eq!(number(&spec, &image), frame);
        widths.push(image.image.width);
    }
    assert!(widths[..50].iter().all(|width| *width == 320), "{widths:?}");
    assert!(widths[50..].iter().all(|width| *width == 480), "{widths:?}");
}

#[tokio::test]
async fn damaged_video_is_told_and_goes_on_at_the_next_key_frame() {
    let (spec, clip) = clip(0);
    let mut units: Vec<AccessUnit> = clip.video().cloned().collect();
    // As after a lost packet: half of a picture is missing.
    let half = units[10].data.len() / 2;
    let mut cut = units[10].data[..half].to_vec();
    cut.extend(std::iter::repeat_n(0xff, half));
    units[10].data = Bytes::from(cut);
    let rig = Rig::new(spec.start).await;
    rig.stream(1, &clip, &units[..1]);
    let mut feed = rig.imaging.live(request()).unwrap();
    let mut other = rig.imaging.live(request()).unwrap();
    next(&mut feed).await;
    next(&mut other).await;
    for unit in &units[1..10] {
        rig.push([unit]);
        next(&mut feed).await;
        next(&mut other).await;
    }
    rig.push(&units[10..40]);
    for feed in [&mut feed, &mut other] {
        let error = trouble(feed).await;
        assert_eq!(error.kind(), ErrorKind::DataLoss, "{error:?}");
        let image = next(feed).await;
        assert_eq!((number(&spec, &image), image.dropped), (25, 15));
        assert_eq!(
            frames_until(feed, &spec, 39).await,
            (26..40).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn a_decoder_that_dies_costs_no_picture() {
    for b_frames in [0, 2] {
        let (spec, clip) = clip(b_frames);
        let units: Vec<&AccessUnit> = clip.video().collect();
        let rig = Rig::new(spec.start).await;
        rig.stream(1, &clip, units[..1].iter().copied());
        let mut feed = rig.imaging.live(request()).unwrap();
        rig.push(units[1..30].iter().copied());
        assert_eq!(
            frames_until(&mut feed, &spec, 20).await,
            (0..21).collect::<Vec<_>>()
        );
        signal(ready_pid(&rig.pool).await, Signal::KILL);
        rig.push(units[30..60].iter().copied());
        let rest = frames_until(&mut feed, &spec, 50).await;
        assert_eq!(rest, (21..51).collect::<Vec<_>>(), "{b_frames}");
    }
}

#[tokio::test]
async fn a_decoder_that_dies_again_and_again_in_one_long_gop_costs_no_picture() {
    for b_frames in [0, 2] {
        let (spec, _) = clip(b_frames);
        let spec = ClipSpec { gop: 100, ..spec };
        let clip = spec.encode().unwrap();
        let units: Vec<&AccessUnit> = clip.video().collect();
        let rig = Rig::new(spec.start).await;
        rig.stream(1, &clip, units[..1].iter().copied());
        let mut feed = rig.imaging.live(request()).unwrap();
        rig.push(units[1..30].iter().copied());
        // What comes last may be held back.
        let mut shown = frames_until(&mut feed, &spec, 20).await;
        for end in [50, 70, 90] {
            signal(ready_pid(&rig.pool).await, Signal::KILL);
            rig.push(units[end - 20..end].iter().copied());
            shown.extend(frames_until(&mut feed, &spec, end as u32 - 10).await);
        }
        assert_eq!(shown, (0..81).collect::<Vec<_>>(), "{b_frames}");
    }
}

#[tokio::test]
async fn a_decoder_that_falls_behind_skips_to_a_key_frame_and_says_how_much() {
    let (spec, clip) = clip(0);
    let units: Vec<&AccessUnit> = clip.video().collect();
    let rig = Rig::new(spec.start).await;
    rig.stream(1, &clip, units[..1].iter().copied());
    let mut feed = rig.imaging.live(request()).unwrap();
    let mut all = rig
        .imaging
        .live(LiveRequest {
            delivery: Delivery::All,
            ..request()
        })
        .unwrap();
    next(&mut feed).await;
    next(&mut all).await;
    let pid = ready_pid(&rig.pool).await;
    signal(pid, Signal::STOP);
    rig.push(units[1..2].iter().copied());
    until(|| rig.pool.workers()[0].is_busy).await;
    rig.push(units[2..].iter().copied());
    signal(pid, Signal::CONT);
    let mut frames = Vec::new();
    let mut dropped = 0;
    while frames.last() != Some(&99) {
        let image = next(&mut feed).await;
        dropped += image.dropped;
        frames.push(number(&spec, &image));
    }
    assert_eq!(frames[0], 1);
    assert!(frames[1..].starts_with(&[75, 76]), "{frames:?}");
    assert_eq!(dropped, 73);
    // Whoever may lose nothing reads the ring instead.
    let rest = frames_until(&mut all, &spec, 99).await;
    assert_eq!(rest, (1..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_channel_that_is_deleted_ends_its_pushes() {
    let (spec, clip) = clip(0);
    let rig = Rig::new(spec.start).await;
    rig.stream(1, &clip, clip.video().take(2));
    let mut feed = rig.imaging.live(request()).unwrap();
    next(&mut feed).await;
    rig.registry.remove(channel());
    let error = trouble(&mut feed).await;
    assert!(matches!(error, Error::Gone { .. }), "{error:?}");
    assert!(within(feed.next()).await.is_none());
    until(|| rig.imaging.hub_stats().decoders == 0).await;
}

#[tokio::test]
async fn now_gets_the_picture_that_a_decoder_held_back_when_the_run_ends() {
    let (spec, mut clip) = clip(2);
    // The stream does not say that its decoder reorders.
    clip.parameters.video.reorder_depth = 0;
    let mut key = clip.video().next().unwrap().clone();
    key.dts = key.pts;
    let rig = Rig::new(spec.start).await;
    rig.stream(1, &clip, [&key]);
    let mut image = Box::pin(rig.image(None));
    assert!(poll_once(image.as_mut()).await.is_none());
    until(|| rig.imaging.hub_stats().samples == 1).await;
    rig.track.end_run(EndReason::CameraLost);
    let limit = Duration::from_secs(10);
    let image = tokio::time::timeout(limit, image).await.unwrap().unwrap();
    assert_eq!(stamp(&image), spec.stamp(0));
}

#[tokio::test]
async fn there_are_no_more_decoders_than_allowed() {
    let (spec, clip) = clip(0);
    let rig = Rig::new(spec.start).await;
    let imaging = rig.imaging.clone().with_hub(HubConfig {
        max_decoders: 1,
        ..HubConfig::default()
    });
    rig.stream(1, &clip, clip.video().take(2));
    let other: ChannelId = "8".parse().unwrap();
    let parameters = clip.parameters.clone().into_shared();
    rig.registry.track(other).begin_run(run(9), parameters);
    let mut first = imaging.live(request()).unwrap();
    next(&mut first).await;
    let wish = || LiveRequest {
        channel: other,
        ..request()
    };
    let error = imaging.live(wish()).unwrap_err();
    assert!(
        matches!(error, Error::TooManyDecoders { limit: 1 }),
        "{error:?}"
    );
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let same = imaging.live(request());
    assert!(same.is_ok(), "pushes of one channel share its decoder");
    drop((first, same));
    until(|| imaging.hub_stats().decoders == 0).await;
    assert!(imaging.live(wish()).is_ok());
}

#[tokio::test]
async fn a_push_with_an_end_ends_though_the_camera_is_silent() {
    let (spec, clip) = clip(0);
    let rig = Rig::new(spec.start + Duration::from_millis(100)).await;
    rig.stream(1, &clip, clip.video().take(3));
    let mut feed = rig
        .imaging
        .live(LiveRequest {
            from: Some(spec.start),
            until: Some(spec.start + Duration::from_millis(200)),
            ..request()
        })
        .unwrap();
    for frame in 0..3 {
        assert_eq!(number(&spec, &next(&mut feed).await), frame);
    }
    assert!(within(feed.next()).await.is_none());
}
