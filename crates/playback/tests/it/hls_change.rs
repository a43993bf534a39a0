//! What playlists say when a stream changes.

use crate::hls::{playlist, stamps};
use crate::support::{begin, channel, encode, later, push_all, registry, run_id, spec};
use framewell_live::EndReason;
use framewell_playback::hls::Live;
use framewell_testkit::encode::ClipSpec;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn new_parameters_are_a_discontinuity_with_an_init_segment_of_their_own() {
    let first = encode(spec(100)).await;
    let second_spec = ClipSpec {
        width: 640,
        height: 480,
        ..spec(75)
    };
    let second = encode(second_spec).await;
    let live_registry = registry();
    let live = Live::new(live_registry.clone());
    let track = begin(&live_registry, &first.parameters);
    push_all(&track, &first.units);
    let before = playlist(&live).await;
    track.set_parameters(Arc::new(second.parameters.clone()));
    push_all(&track, &later(&second.units, 4_000_000));
    let after = playlist(&live).await;
    before.check_successor(&after).unwrap();
    let jumps: Vec<_> = after
        .segments
        .iter()
        .map(|s| s.starts_discontinuity)
        .collect();
    assert_eq!(jumps, [false, false, false, false, true, false]);
    assert_ne!(after.segments[3].map, after.segments[4].map);
    assert_eq!(
        after.segments[4].discontinuity,
        after.segments[3].discontinuity + 1
    );
    for (segment, frame) in after.segments.iter().zip([0, 25, 50, 75, 0, 25]) {
        assert_eq!(stamps(&live, segment).await[0].frame, frame);
    }
    let text = live.multivariant(channel(7), "").await.unwrap();
    assert!(text.contains("RESOLUTION=640x480"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_comes_back_is_a_discontinuity_at_its_own_time() {
    let clip = encode(spec(100)).await;
    let live_registry = registry();
    let live = Live::new(live_registry.clone());
    let track = begin(&live_registry, &clip.parameters);
    push_all(&track, &clip.units);
    let before = playlist(&live).await;
    track.end_run(EndReason::CameraLost);
    let ended = playlist(&live).await;
    before.check_successor(&ended).unwrap();
    assert_eq!(
        ended.segments.len(),
        4,
        "the last GOP of a run is a segment too"
    );
    track.begin_run(run_id(2), Arc::new(clip.parameters.clone()));
    // Media time begins anew, wall time does not.
    let away_us = 10_000_000;
    let mut units = clip.units.clone();
    for unit in &mut units {
        unit.wall = unit.wall.plus_micros(away_us);
    }
    push_all(&track, &units);
    let after = playlist(&live).await;
    ended.check_successor(&after).unwrap();
    let first_new = after
        .segments
        .iter()
        .position(|s| s.starts_discontinuity)
        .unwrap();
    let (old, new) = (&after.segments[first_new - 1], &after.segments[first_new]);
    assert_eq!(new.start.micros_since(old.start), away_us - 3_000_000);
    assert_eq!(new.map, old.map, "the parameters are the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discontinuity_that_leaves_the_window_is_counted() {
    let clip = encode(spec(700)).await;
    let live_registry = registry();
    let live = Live::new(live_registry.clone());
    let track = begin(&live_registry, &clip.parameters);
    push_all(&track, &clip.units[..100]);
    let mut before = playlist(&live).await;
    let count = before.segments[0].discontinuity;
    track.end_run(EndReason::CameraLost);
    track.begin_run(run_id(2), Arc::new(clip.parameters.clone()));
    for unit in &clip.units[100..] {
        track.push(unit.clone());
        if unit.is_key {
            let next = playlist(&live).await;
            before.check_successor(&next).unwrap();
            before = next;
        }
    }
    assert!(
        before
            .segments
            .iter()
            .all(|segment| !segment.starts_discontinuity)
    );
    assert_eq!(before.segments[0].discontinuity, count + 1);
}
