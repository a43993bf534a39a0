//! A camera that is simulated: capture, network delay, sender reports.

use super::*;
use proptest::prelude::*;

const FRAME_US: i64 = 40_000;
const GOP: i64 = 25;
/// Where our clock stands when the camera starts.
const START: WallTime = WallTime::from_secs(1_700_000_000);

fn media(us: i64) -> MediaTime {
    MediaTime::new(Timescale::HZ_90K.from_micros(us), Timescale::HZ_90K)
}

fn at(us: i64) -> WallTime {
    START.plus_micros(us)
}

/// Places frame `n` of a 25 Hz camera, arriving `delay_us` after its capture by our clock.
fn frame(timeline: &mut Timeline, n: i64, delay_us: i64) -> Placement {
    let us = n * FRAME_US;
    timeline.place(media(us), n % GOP == 0, at(us + delay_us))
}

fn frames(timeline: &mut Timeline, range: std::ops::Range<i64>, delay_us: i64) -> Vec<Placement> {
    range.map(|n| frame(timeline, n, delay_us)).collect()
}

fn is_rising(placements: &[Placement]) -> bool {
    placements.is_sorted_by(|a, b| a.wall < b.wall)
}

#[test]
fn before_a_report_arrival_counts_and_the_next_key_frame_takes_the_camera_clock() {
    let mut timeline = Timeline::new(TimelineConfig::default());
    let first = frames(&mut timeline, 0..10, 30_000);
    assert_eq!(first[0].wall, at(30_000));
    assert_eq!(first[9].wall, at(30_000 + 9 * FRAME_US));
    // The camera's clock is 2 s ahead of ours.
    timeline.sender_report(at(2_400_000), media(400_000), at(400_000));
    let rest = frames(&mut timeline, 10..GOP, 30_000);
    assert!(rest.iter().all(|p| p.clock == ClockSource::ServerArrival));
    assert_eq!(rest[0].wall, at(30_000 + 10 * FRAME_US));
    let next = frames(&mut timeline, GOP..2 * GOP, 30_000);
    assert!(next.iter().all(|p| p.clock == ClockSource::CameraRtcp));
    assert_eq!(next[0].wall, at(2_000_000 + GOP * FRAME_US));
    assert_eq!(next[24].wall, at(2_000_000 + 49 * FRAME_US));
}

#[test]
fn a_report_before_the_first_frame_counts_from_the_first_frame() {
    let mut timeline = Timeline::new(TimelineConfig::default());
    timeline.sender_report(at(-1_500_000), media(0), at(10_000));
    let first = frame(&mut timeline, 0, 30_000);
    assert_eq!(first.wall, at(-1_500_000));
    assert_eq!(first.clock, ClockSource::CameraRtcp);
}

#[test]
fn an_absurd_report_is_not_believed() {
    let mut timeline = Timeline::new(TimelineConfig::default());
    timeline.sender_report(WallTime::from_secs(0), media(0), at(0));
    frames(&mut timeline, 0..GOP, 30_000);
    timeline.sender_report(at(1_000_000 + 10_000_001), media(1_000_000), at(1_000_000));
    let next = frame(&mut timeline, GOP, 30_000);
    assert_eq!(next.clock, ClockSource::ServerArrival);
    assert_eq!(next.wall, at(1_000_000 + 30_000));
}

#[test]
fn a_camera_clock_behind_ours_is_approached_without_running_back() {
    let mut timeline = Timeline::new(TimelineConfig::default());
    let mut placed = Vec::new();
    for n in 0..40 * GOP {
        if n % 50 == 3 {
            let us = n * FRAME_US;
            timeline.sender_report(at(us - 300_000), media(us), at(us));
        }
        placed.push(frame(&mut timeline, n, 30_000));
    }
    assert!(is_rising(&placed));
    // 330 ms at 30 ms per GOP.
    let there = (11 * GOP) as usize;
    assert_eq!(placed[10 * GOP as usize].clock, ClockSource::ServerArrival);
    assert_eq!(placed[there].clock, ClockSource::CameraRtcp);
    assert_eq!(placed[there].wall, at(11 * GOP * FRAME_US - 300_000));
}

#[test]
fn a_leap_second_moves_no_picture_behind_another() {
    // A camera that repeats a second (UTC), and one that leaves it out.
    for leap_us in [-1_000_000, 1_000_000] {
        let mut timeline = Timeline::new(TimelineConfig::default());
        let mut placed = Vec::new();
        for n in 0..80 * GOP {
            let us = n * FRAME_US;
            if n % 125 == 0 {
                let leaped_us = if n < 500 { 0 } else { leap_us };
                timeline.sender_report(at(us + leaped_us), media(us), at(us + 20_000));
            }
            placed.push(frame(&mut timeline, n, 30_000));
        }
        assert!(is_rising(&placed), "{leap_us}");
        let last = placed.last().unwrap();
        assert_eq!(last.wall, at((80 * GOP - 1) * FRAME_US + leap_us));
    }
}

#[test]
fn a_burst_or_a_stall_does_not_move_the_mapping() {
    let mut timeline = Timeline::new(TimelineConfig::default());
    frames(&mut timeline, 0..50, 30_000);
    // 0.9 s of silence, then everything at once: frames 50 to 72 arrive together.
    for n in 50..72 {
        let held = frame(&mut timeline, n, (72 - n) * FRAME_US);
        assert_eq!(held.wall, at(30_000 + n * FRAME_US));
    }
    let after = frames(&mut timeline, 72..200, 30_000);
    assert_eq!(after[127].wall, at(30_000 + 199 * FRAME_US));
}

#[test]
fn a_start_that_comes_in_a_burst_is_corrected_towards_the_true_delay() {
    let mut timeline = Timeline::new(TimelineConfig::default());
    let burst: Vec<_> = (0..50)
        .map(|n| frame(&mut timeline, n, 30_000 + (50 - n) * FRAME_US))
        .collect();
    let rest = frames(&mut timeline, 50..6000, 30_000);
    assert!(is_rising(&burst) && is_rising(&rest) && burst[49].wall < rest[0].wall);
    assert_eq!(rest.last().unwrap().wall, at(30_000 + 5999 * FRAME_US));
}

#[test]
fn media_time_that_jumps_is_anchored_anew() {
    for jump_us in [3_600_000_000, -40_000_000_000] {
        let mut timeline = Timeline::new(TimelineConfig::default());
        timeline.sender_report(at(0), media(0), at(30_000));
        let before = frames(&mut timeline, 0..GOP, 30_000);
        let jumped = timeline.place(
            media(GOP * FRAME_US + jump_us),
            true,
            at(GOP * FRAME_US + 30_000),
        );
        assert_eq!(
            jumped.wall,
            at(GOP * FRAME_US + 30_000),
            "jump of {jump_us}"
        );
        assert_eq!(jumped.clock, ClockSource::ServerArrival);
        assert!(before[24].wall < jumped.wall);
        // The first report after the jump is believed again.
        timeline.sender_report(at(1_515_000), media(1_500_000 + jump_us), at(1_500_000));
        let us = 2 * GOP * FRAME_US;
        let next = timeline.place(media(us + jump_us), true, at(us + 30_000));
        assert_eq!(
            (next.wall, next.clock),
            (at(us + 15_000), ClockSource::CameraRtcp)
        );
    }
}

#[test]
fn drift_is_followed_in_small_steps() {
    // The camera counts 100 ppm fast: 0.1 ms per GOP of a second.
    for with_reports in [false, true] {
        let mut timeline = Timeline::new(TimelineConfig::default());
        let mut worst_us = 0;
        for n in 0..4000 {
            let true_us = n * FRAME_US;
            let fast_us = true_us + true_us / 10_000;
            if with_reports && n % 125 == 0 {
                timeline.sender_report(at(true_us), media(fast_us), at(true_us + 20_000));
            }
            let placed = timeline.place(media(fast_us), n % GOP == 0, at(true_us + 30_000));
            let wanted = at(true_us + if with_reports { 0 } else { 30_000 });
            worst_us = worst_us.max(placed.wall.micros_since(wanted).abs());
        }
        assert!(
            worst_us <= 3_000,
            "{worst_us} us off with reports {with_reports}"
        );
    }
}

#[test]
fn a_camera_that_sets_its_clock_forward_is_followed_at_the_next_key_frame() {
    let mut timeline = Timeline::new(TimelineConfig::default());
    timeline.sender_report(at(0), media(0), at(20_000));
    frames(&mut timeline, 0..GOP, 30_000);
    timeline.sender_report(at(1_700_000), media(1_000_000), at(1_000_000));
    let next = frame(&mut timeline, GOP, 30_000);
    assert_eq!(next.wall, at(1_700_000));
    assert_eq!(next.clock, ClockSource::CameraRtcp);
}

#[test]
fn audio_shares_the_mapping_of_the_video() {
    let mut timeline = Timeline::new(TimelineConfig::default());
    frame(&mut timeline, 0, 30_000);
    let rate = Timescale::new(8_000).unwrap();
    let audio = timeline.place(MediaTime::new(800, rate), false, at(400_000));
    assert_eq!(audio.wall, at(30_000 + 100_000));
}

proptest! {
    #[test]
    fn wall_time_never_runs_back_and_is_exact_within_a_gop(
        steps in prop::collection::vec((0i64..400_000, -2_000_000i64..2_000_000, 0u8..20), 50..300),
        camera_us in -9_000_000i64..9_000_000,
    ) {
        let mut timeline = Timeline::new(TimelineConfig::default());
        let mut last: Option<(i64, WallTime, ClockSource)> = None;
        for (n, (delay_us, jitter_us, event)) in steps.into_iter().enumerate() {
            let us = n as i64 * FRAME_US;
            if event == 0 {
                timeline.sender_report(at(us + camera_us + jitter_us), media(us), at(us));
            }
            let starts_gop = n % 10 == 0;
            let placed = timeline.place(media(us), starts_gop, at(us + delay_us));
            if let Some((before_us, wall, clock)) = last {
                prop_assert!(placed.wall > wall);
                if !starts_gop {
                    prop_assert_eq!(placed.wall.micros_since(wall), us - before_us);
                    prop_assert_eq!(placed.clock, clock);
                }
            }
            last = Some((us, placed.wall, placed.clock));
        }
    }

    #[test]
    fn any_input_is_placed_without_panic_and_in_order_of_gops(
        units in prop::collection::vec((any::<i64>(), any::<bool>(), any::<i64>(), any::<bool>()), 1..60),
    ) {
        let mut timeline = Timeline::new(TimelineConfig::default());
        let mut last_key: Option<WallTime> = None;
        for (ticks, starts_gop, arrival, has_report) in units {
            let arrival = WallTime::from_micros(arrival);
            let pts = MediaTime::new(ticks, Timescale::HZ_90K);
            if has_report {
                timeline.sender_report(arrival.plus_micros(ticks % 1000), pts, arrival);
            }
            let placed = timeline.place(pts, starts_gop, arrival);
            if starts_gop {
                prop_assert!(last_key.is_none_or(|key| key <= placed.wall));
                last_key = Some(placed.wall);
            }
        }
    }
}
