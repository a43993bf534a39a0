//! Parts, answers that wait, and delta updates.

use crate::hls::{playlist, reloaded};
use crate::support::{begin, channel, encode, fetch, later, push_all, registry, spec};
use framewell_live::{Registry, Track};
use framewell_media::{AudioCodec, VideoCodec};
use framewell_playback::hls::{Error, Live, Reload, Wanted};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use framewell_testkit::m3u8::Playlist;
use framewell_testkit::stamp::read_stamps_video_bytes;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

fn wants(sequence: u64, part: Option<u64>) -> Reload {
    Reload {
        wanted: Some(Wanted { sequence, part }),
        is_delta: false,
    }
}

const DELTA: Reload = Reload {
    wanted: None,
    is_delta: true,
};

/// A channel with the first `count` units of a clip in it.
async fn begun(clip: &EncodedClip, count: usize) -> (Live, Track, Registry) {
    let registry = registry();
    let live = Live::new(registry.clone());
    let track = begin(&registry, &clip.parameters);
    push_all(&track, &clip.units[..count]);
    (live, track, registry)
}

/// Pushes unit by unit: every state of the playlist keeps to the rules and follows from the one before,
/// parts are there as soon as they are told of, and together they are the segment.
async fn part_by_part(spec: ClipSpec) {
    let clip = encode(spec.clone()).await;
    let half = clip.units.len() / 2;
    let (live, track, _registry) = begun(&clip, half).await;
    let mut before = playlist(&live).await;
    let mut news = 0;
    for unit in &clip.units[half..] {
        assert!(track.push(unit.clone()));
        let next = playlist(&live).await;
        before.check_successor(&next).unwrap();
        if next.newest_part() != before.newest_part() {
            news += 1;
            assert!(before.hint.is_some());
            let newest = next.all().next_back().unwrap();
            let hinted = before.hint.as_ref().unwrap();
            let mut parts = next.all().flat_map(|segment| &segment.parts);
            assert!(parts.any(|part| part.uri == *hinted), "{hinted}");
            let part = &newest.parts.last().unwrap().uri;
            assert!(!fetch(&live, channel(7), part, "").await.unwrap().is_empty());
        }
        before = next;
    }
    let seconds = f64::from(spec.frames) / f64::from(spec.fps) / 2.0;
    assert!(
        f64::from(news) >= seconds * 2.5,
        "{news} parts in {seconds} s"
    );
    whole_of_parts(&live, &before).await;
}

/// Segments are their parts one after the other, and a player that takes parts sees every picture.
async fn whole_of_parts(live: &Live, playlist: &Playlist) {
    let get = async |uri: &str| fetch(live, channel(7), uri, "").await.unwrap();
    let segments: Vec<_> = playlist
        .segments
        .iter()
        .filter(|s| !s.parts.is_empty())
        .collect();
    assert!(segments.len() >= 2);
    let mut file = get(&segments[0].map.uri).await;
    for segment in &segments {
        let mut parts = Vec::new();
        for part in &segment.parts {
            parts.extend(get(&part.uri).await);
        }
        assert_eq!(parts, get(&segment.media.as_ref().unwrap().uri).await);
        file.extend(parts);
    }
    let stamps = tokio::task::spawn_blocking(move || read_stamps_video_bytes(&file)).await;
    let stamps = stamps.unwrap().unwrap();
    assert_eq!(stamps[0].capture, segments[0].start);
    for pair in stamps.windows(2) {
        assert_eq!(pair[0].frame + 1, pair[1].frame);
    }
    let total_us: i64 = segments.iter().map(|segment| segment.duration_us).sum();
    let span_us = stamps
        .last()
        .unwrap()
        .capture
        .micros_since(stamps[0].capture);
    assert!(
        (total_us - span_us) < 150_000,
        "{total_us} us, {span_us} us"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_of_a_stream_in_parts_keeps_to_the_rules() {
    part_by_part(spec(400)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_with_b_frames_and_sound_keep_to_the_rules() {
    let audio = Some(AudioCodec::Aac);
    part_by_part(ClipSpec {
        b_frames: 2,
        audio,
        ..spec(400)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_h265_keep_to_the_rules() {
    part_by_part(ClipSpec {
        codec: VideoCodec::H265,
        gop: 50,
        ..spec(400)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_short_gops_and_few_pictures_keep_to_the_rules() {
    part_by_part(ClipSpec {
        gop: 10,
        ..spec(400)
    })
    .await;
    part_by_part(ClipSpec {
        fps: 10,
        gop: 10,
        ..spec(200)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_for_its_part_and_for_no_other() {
    let clip = encode(spec(300)).await;
    let (live, track, _registry) = begun(&clip, 226).await;
    let before = playlist(&live).await;
    assert_eq!(before.open, None, "frame 225 begins a segment");
    let next = before.segments.last().unwrap().sequence + 1;
    let mut tasks = JoinSet::new();
    for part in [Some(0), Some(1), None] {
        let live = live.clone();
        tasks.spawn(async move { (part, reloaded(&live, wants(next, part)).await) });
    }
    // The part that the playlist hints at is waited for too.
    let hint = before.hint.clone().unwrap();
    let mut hinted = JoinSet::new();
    let player = live.clone();
    hinted.spawn(async move { fetch(&player, channel(7), &hint, "").await });
    let answered = async |tasks: &mut JoinSet<(Option<u64>, Playlist)>| {
        tasks.join_next().await.unwrap().unwrap()
    };
    // Parts have nine pictures, and are complete when the next picture comes.
    push_all(&track, &clip.units[226..235]);
    let (part, first) = answered(&mut tasks).await;
    assert_eq!((part, first.newest_part()), (Some(0), Some((next, 0))));
    assert!(
        !hinted
            .join_next()
            .await
            .unwrap()
            .unwrap()
            .unwrap()
            .is_empty()
    );
    assert!(tasks.try_join_next().is_none());
    push_all(&track, &clip.units[235..244]);
    let (part, second) = answered(&mut tasks).await;
    assert_eq!((part, second.newest_part()), (Some(1), Some((next, 1))));
    push_all(&track, &clip.units[244..251]);
    let (part, whole) = answered(&mut tasks).await;
    assert_eq!(part, None);
    assert_eq!(whole.segments.last().unwrap().sequence, next);
    first.check_successor(&second).unwrap();
    second.check_successor(&whole).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_leaves_while_it_waits_for_all_is_replaced() {
    let clip = encode(spec(300)).await;
    let (live, track, _registry) = begun(&clip, 226).await;
    let next = playlist(&live).await.segments.last().unwrap().sequence + 1;
    let waiting = |live: &Live| {
        let live = live.clone();
        async move { reloaded(&live, wants(next, Some(0))).await }
    };
    let mut first = Box::pin(waiting(&live));
    assert!(
        futures::poll!(&mut first).is_pending(),
        "it follows the ring"
    );
    let mut second = Box::pin(waiting(&live));
    assert!(futures::poll!(&mut second).is_pending());
    drop(first);
    push_all(&track, &clip.units[226..235]);
    assert_eq!(second.await.newest_part(), Some((next, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_answered_at_once_and_what_is_too_far_refused() {
    let clip = encode(spec(300)).await;
    let (live, _track, _registry) = begun(&clip, 240).await;
    let now = playlist(&live).await;
    let open = now.open.clone().unwrap();
    assert_eq!(open.parts.len(), 1);
    let last = open.sequence - 1;
    for there in [
        wants(last, None),
        wants(last, Some(0)),
        wants(open.sequence, Some(0)),
        // Behind the last part of a segment is the first part of the next.
        wants(last, Some(3)),
        wants(last, Some(u64::MAX)),
        wants(0, Some(0)),
        wants(0, None),
    ] {
        assert_eq!(reloaded(&live, there).await, now, "{there:?}");
    }
    for far in [
        wants(last + 3, None),
        wants(last + 3, Some(0)),
        wants(u64::MAX, None),
        wants(u64::MAX, Some(u64::MAX)),
        wants(open.sequence, Some(20)),
        wants(open.sequence + 1, Some(20)),
    ] {
        let refused = live.playlist(channel(7), "", far).await;
        let (channel, newest) = (channel(7), last);
        assert_eq!(refused, Err(Error::TooFar { channel, newest }), "{far:?}");
    }
    for (sequence, part) in [
        (open.sequence, 2),
        (open.sequence + 1, 0),
        (0, 0),
        (last, 3),
    ] {
        let missing = live.part(channel(7), sequence, part).await.err();
        assert_eq!(missing, Some(Error::NoPart(channel(7), sequence, part)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_longer_than_three_target_durations() {
    let clip = encode(spec(300)).await;
    let (live, _track, _registry) = begun(&clip, 240).await;
    let open = playlist(&live).await.open.unwrap().sequence;
    let begin = Instant::now();
    let (nothing, part) = tokio::join!(
        live.playlist(channel(7), "", wants(open, Some(1))),
        live.part(channel(7), open, 1),
    );
    assert_eq!(nothing, Err(Error::NoNews(channel(7))));
    assert_eq!(part.err(), Some(Error::NoPart(channel(7), open, 1)));
    assert!(begin.elapsed() >= Duration::from_secs(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_update_makes_the_full_playlist_of_an_older_one() {
    let first = encode(spec(600)).await;
    let wide = ClipSpec {
        width: 640,
        ..spec(500)
    };
    let wide = encode(wide).await;
    let (live, track, _registry) = begun(&first, 500).await;
    let mut known = playlist(&live).await;
    let mut skipped = 0;
    let mut check = async || {
        let delta = reloaded(&live, DELTA).await;
        let full = playlist(&live).await;
        skipped += delta.skipped;
        let updated = known.updated_by(&delta).unwrap();
        let old_parts_gone = without_old_parts(updated, &full);
        assert_eq!(old_parts_gone, full);
        known = full;
    };
    for unit in &first.units[500..] {
        track.push(unit.clone());
        check().await;
    }
    // A change of parameters, and its way through the window until it is skipped.
    track.set_parameters(std::sync::Arc::new(wide.parameters.clone()));
    for unit in later(&wide.units, 24_000_000) {
        track.push(unit);
        check().await;
    }
    assert!(skipped > 100, "{skipped}");
}

/// Parts leave a playlist when they get old, and clients drop them then.
fn without_old_parts(mut updated: Playlist, full: &Playlist) -> Playlist {
    for (segment, told) in updated.segments.iter_mut().zip(&full.segments) {
        if told.parts.is_empty() {
            segment.parts.clear();
        }
    }
    updated
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_stays_long_makes_a_long_part_and_the_playlist_says_so() {
    let clip = encode(spec(300)).await;
    let (live, track, _registry) = begun(&clip, 240).await;
    let usual = playlist(&live).await.part_target_us.unwrap();
    assert_eq!(usual, 378_000);
    push_all(&track, &later(&clip.units[240..250], 1_000_000));
    push_all(&track, &later(&clip.units[250..], 1_000_000));
    // It has parts that are too short beside the long one, so only the statement is looked at.
    let text = live
        .playlist(channel(7), "", Reload::default())
        .await
        .unwrap();
    assert!(text.contains("PART-TARGET=1."), "{text}");
    assert!(
        text.contains("PART-HOLD-BACK=4.") || text.contains("PART-HOLD-BACK=3."),
        "{text}"
    );
}
