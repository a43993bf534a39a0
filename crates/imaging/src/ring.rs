//! Finding pictures in the live ring.

use crate::choose;
use crate::live::{Arrivals, SETTLE_LIMIT, decode_wall, is_active, is_at_edge};
use crate::request::Match;
use crate::ring_gop;
use framewell_footage::{CONTINUITY_US, CompressedGop, GopSample, TICK_US};
use framewell_live::{Gop, Track};
use framewell_media::TrackKind;
use framewell_model::{WallClock, WallTime};
use std::sync::Arc;

/// A camera that pauses for longer leaves a hole, in the ring as in the recording (which cuts there).
const PAUSE_US: i64 = 5_000_000;

/// A picture of the ring.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) gop: Arc<CompressedGop>,
    pub(crate) index: usize,
}

/// What the ring knows about an instant.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The picture that is meant.
    Hit(Hit),
    /// Nothing; the recording may know more. These are the pictures around that the ring has.
    Miss(Option<WallTime>, Option<Hit>),
}

/// The key frame of the newest GOP.
pub(crate) fn newest_key(track: &Track) -> Option<Hit> {
    let newest = [track.newest_gop()?];
    let gop = view_key(&newest, 0);
    Some(Hit { gop, index: 0 })
}

/// Looks for a picture. Waits at the live edge until those that count have arrived, a second at most.
pub(crate) async fn find(
    track: &Track,
    at: WallTime,
    matching: Match,
    clock: &dyn WallClock,
) -> Answer {
    let mut arrivals = Arrivals::of(track);
    let settle = async {
        loop {
            let gops = track.gops();
            if is_settled(&gops, at, matching) || !may_settle(track, &gops, at, clock) {
                return;
            }
            arrivals.next().await;
        }
    };
    // What does not come in time is not waited for: the newest picture is still on screen.
    let is_late = tokio::time::timeout(SETTLE_LIMIT, settle).await.is_err();
    choose(&track.gops(), at, matching, is_late && is_active(track))
}

/// The picture that is meant, among these GOPs. With `is_held` the newest picture counts as on screen
/// for a while after it was captured.
fn choose(gops: &[Gop], at: WallTime, matching: Match, is_held: bool) -> Answer {
    let exact = exact(gops, at, is_held);
    let before = || last_by(gops, at);
    let after = || first_from(gops, at);
    let found = match matching {
        Match::Exact => exact,
        Match::Keyframe => exact.map(|hit| Hit { index: 0, ..hit }),
        Match::Before => before(),
        Match::After => after().filter(|_| reaches_back_to(gops, at)),
        Match::Nearest => match (before(), after()) {
            (Some(before), Some(after)) => {
                let is_before = choose::is_before_nearer(before.captured(), at, after.captured());
                Some(if is_before { before } else { after })
            }
            // Older footage may be nearer than what the ring has.
            (None, _) => None,
            (before, None) => before,
        },
    };
    match found {
        Some(hit) => Answer::Hit(hit),
        None => Answer::Miss(before().map(|hit| hit.captured()), after()),
    }
}

impl Hit {
    pub(crate) fn captured(&self) -> WallTime {
        self.gop.samples[self.index].wall
    }
}

/// The picture on screen; `None` in a hole.
fn exact(gops: &[Gop], at: WallTime, is_held: bool) -> Option<Hit> {
    let place = gop_by(gops, at)?;
    let gop = &gops[place];
    let goes_on = gops.get(place + 1).is_some_and(|next| next.run == gop.run);
    let is_covered = goes_on || gop.newest().is_some_and(|newest| at <= newest);
    let is_newest = place + 1 == gops.len();
    let is_waited_for = is_held && is_newest && is_at_edge(gop, at);
    if !is_covered && !is_waited_for {
        return None;
    }
    let hit = hit_by(gops, place, at)?;
    let next_key = gops.get(place + 1).filter(|_| goes_on).and_then(Gop::start);
    let following = choose::following(&hit.gop, hit.index).or(next_key);
    let paused_us = following.map_or(0, |next| next.micros_since(hit.captured()));
    let is_over = at.micros_since(hit.captured()) > CONTINUITY_US;
    (paused_us <= PAUSE_US || !is_over).then_some(hit)
}

fn last_by(gops: &[Gop], at: WallTime) -> Option<Hit> {
    hit_by(gops, gop_by(gops, at)?, at)
}

fn first_from(gops: &[Gop], at: WallTime) -> Option<Hit> {
    if let Some(place) = gop_by(gops, at) {
        let view = view(gops, place);
        if let Some(index) = choose::first_from(&view, at) {
            return Some(Hit { gop: view, index });
        }
        return (place + 1 < gops.len()).then(|| Hit {
            gop: view_key(gops, place + 1),
            index: 0,
        });
    }
    (!gops.is_empty()).then(|| Hit {
        gop: view_key(gops, 0),
        index: 0,
    })
}

fn reaches_back_to(gops: &[Gop], at: WallTime) -> bool {
    gop_by(gops, at).is_some()
}

fn hit_by(gops: &[Gop], place: usize, at: WallTime) -> Option<Hit> {
    let gop = view(gops, place);
    choose::last_by(&gop, at).map(|index| Hit { gop, index })
}

/// The newest GOP whose key frame was captured at or before `at`, give or take rounding.
fn gop_by(gops: &[Gop], at: WallTime) -> Option<usize> {
    let until = at.plus_micros(TICK_US);
    gops.iter()
        .rposition(|gop| gop.start().is_some_and(|start| start <= until))
}

/// A GOP with the leading pictures of the next one, if those may refer to it.
fn view(gops: &[Gop], place: usize) -> Arc<CompressedGop> {
    let gop = &gops[place];
    let mut samples: Vec<GopSample> = ring_gop::samples(gop).collect();
    let own = samples.len();
    let next = gops.get(place + 1);
    if let Some(next) = next.filter(|next| ring_gop::is_continued(gop, next)) {
        samples.extend(ring_gop::leading_samples(next));
        if samples.len() == own + 1 {
            samples.truncate(own);
        }
    }
    Arc::new(ring_gop::compressed(gop, samples, own))
}

/// The key frame alone.
fn view_key(gops: &[Gop], place: usize) -> Arc<CompressedGop> {
    let gop = &gops[place];
    let samples: Vec<GopSample> = ring_gop::samples(gop).take(1).collect();
    let own = samples.len();
    Arc::new(ring_gop::compressed(gop, samples, own))
}

/// Whether the ring's answer is final: every picture yet to come is decoded, hence shown, after all
/// that count.
fn is_settled(gops: &[Gop], at: WallTime, matching: Match) -> bool {
    let Some(newest) = gops.last() else {
        return false;
    };
    let Some(place) = gop_by(gops, at) else {
        return true;
    };
    if newest.run != gops[place].run {
        return true;
    }
    let until = match matching {
        Match::Exact | Match::Before | Match::Keyframe => Some(at),
        Match::After | Match::Nearest => first_from(gops, at).map(|hit| hit.captured()),
    };
    let last = newest.units.iter().rfind(|u| u.track == TrackKind::Video);
    let is_passed = |until| last.is_some_and(|unit| decode_wall(unit) >= until);
    until.is_some_and(|until| newest.is_closed || is_passed(until))
}

/// Whether the stream will get to `at` in a moment.
fn may_settle(track: &Track, gops: &[Gop], at: WallTime, clock: &dyn WallClock) -> bool {
    let Some(gop) = gops.last().filter(|_| is_active(track)) else {
        return false;
    };
    let is_reached = gop.newest().is_some_and(|newest| at <= newest);
    is_reached || (at <= clock.now() && is_at_edge(gop, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use framewell_live::{RingConfig, Track};
    use framewell_media::{AccessUnit, StreamParameters, VideoCodec, VideoParameters};
    use framewell_model::{ClockSource, MediaTime, Timescale};

    /// A ring with runs of pictures every 40 ms; each run is (start in ms, pictures, GOP length).
    fn gops(runs: &[(i64, i64, i64)]) -> Vec<Gop> {
        let track = Track::new(RingConfig::default(), WallTime::from_secs(0));
        for (number, (start, count, length)) in (1..).zip(runs) {
            let run = format!("01900000-0000-7000-8000-{number:012}");
            track.begin_run(run.parse().unwrap(), parameters());
            for n in 0..*count {
                let ticks = MediaTime::new(n * 3_600, Timescale::HZ_90K);
                track.push(AccessUnit {
                    track: TrackKind::Video,
                    pts: ticks,
                    dts: ticks,
                    wall: at(start + n * 40),
                    clock: ClockSource::CameraRtcp,
                    is_key: n % length == 0,
                    data: Bytes::from_static(&[0, 0, 0, 1, 0x65]),
                });
            }
        }
        track.gops()
    }

    fn parameters() -> Arc<StreamParameters> {
        let video = VideoParameters {
            codec: VideoCodec::H264,
            width: 320,
            height: 240,
            config: Bytes::new(),
            reorder_depth: 0,
            rfc6381: String::new(),
        };
        Arc::new(StreamParameters { video, audio: None })
    }

    fn at(ms: i64) -> WallTime {
        WallTime::from_micros(ms * 1_000)
    }

    fn found(gops: &[Gop], ms: i64, matching: Match) -> Option<i64> {
        match choose(gops, at(ms), matching, false) {
            Answer::Hit(hit) => Some(hit.captured().micros() / 1_000),
            Answer::Miss(..) => None,
        }
    }

    #[test]
    fn each_match_has_its_picture_within_a_run() {
        let gops = gops(&[(1_000, 10, 5)]);
        for (ms, exact, after, nearest, key) in [
            (1_000, 1_000, 1_000, 1_000, 1_000),
            (1_010, 1_000, 1_040, 1_000, 1_000),
            (1_030, 1_000, 1_040, 1_040, 1_000),
            (1_190, 1_160, 1_200, 1_200, 1_000),
            (1_210, 1_200, 1_240, 1_200, 1_200),
        ] {
            let answers = [
                (Match::Exact, exact),
                (Match::Before, exact),
                (Match::After, after),
                (Match::Nearest, nearest),
                (Match::Keyframe, key),
            ];
            for (matching, expected) in answers {
                assert_eq!(
                    found(&gops, ms, matching),
                    Some(expected),
                    "{ms} {matching:?}"
                );
            }
        }
    }

    #[test]
    fn between_runs_only_neighbours_are_found() {
        let gops = gops(&[(1_000, 5, 5), (3_000, 5, 5)]);
        let all = [
            Match::Exact,
            Match::Keyframe,
            Match::Before,
            Match::After,
            Match::Nearest,
        ];
        let answers = |ms| all.map(|matching| found(&gops, ms, matching));
        assert_eq!(
            answers(1_500),
            [None, None, Some(1_160), Some(3_000), Some(1_160)]
        );
        assert_eq!(
            answers(2_500),
            [None, None, Some(1_160), Some(3_000), Some(3_000)]
        );
    }

    #[test]
    fn before_the_ring_and_behind_it_the_recording_is_asked() {
        let gops = gops(&[(1_000, 5, 5)]);
        for matching in [Match::Exact, Match::Before, Match::After, Match::Nearest] {
            assert_eq!(found(&gops, 500, matching), None, "{matching:?}");
        }
        let Answer::Miss(before, after) = choose(&gops, at(500), Match::After, false) else {
            panic!("the ring begins later");
        };
        assert_eq!(
            (before, after.map(|hit| hit.captured())),
            (None, Some(at(1_000)))
        );
        assert_eq!(found(&gops, 2_000, Match::Exact), None);
        assert_eq!(found(&gops, 2_000, Match::Before), Some(1_160));
        assert_eq!(found(&gops, 2_000, Match::After), None);
    }

    #[test]
    fn a_long_pause_in_a_run_is_a_hole_and_a_short_one_is_not() {
        for (pause_ms, exact) in [(4_000, Some(1_000)), (6_000, None)] {
            let mut gops = gops(&[(1_000, 2, 5)]);
            gops[0].units[1].wall = at(1_000 + pause_ms);
            assert_eq!(found(&gops, 3_000, Match::Exact), exact, "{pause_ms}");
            assert_eq!(found(&gops, 1_050, Match::Exact), Some(1_000));
            assert_eq!(found(&gops, 3_000, Match::Before), Some(1_000));
        }
    }
}
