//! Pictures out of the live ring.

use crate::shot::Shot;
use framewell_live::{Gop, Start, Subscriber, Track, Wake};
use framewell_media::{AccessUnit, TrackKind};
use framewell_model::{ChannelStatus, WallClock, WallTime};
use std::time::Duration;

/// A newest picture that is older than this passes as "now" only if another one arrives.
const FRESH_US: i64 = 3_000_000;
/// How long a camera whose newest picture is not fresh may take to send another one. Its clock may
/// be slow: sender reports that are 10 s off are still believed.
const PROOF_OF_LIFE: Duration = Duration::from_secs(2);
/// How long to wait until no more picture can arrive that was captured at or before a moment at the
/// live edge.
const SETTLE_LIMIT: Duration = Duration::from_secs(1);

/// The newest picture of a camera that delivers; else the capture time of its last one in memory.
pub(crate) async fn now(track: &Track, clock: &dyn WallClock) -> Result<Shot, Option<WallTime>> {
    let newest = || track.newest_gop().and_then(|gop| gop.newest());
    if !is_active(track) {
        return Err(newest());
    }
    let mut arrivals = Arrivals::of(track);
    let first = newest();
    if first.is_none_or(|wall| clock.now().micros_since(wall) > FRESH_US) {
        let another = async {
            while newest() == first {
                arrivals.next().await;
            }
        };
        let proof = tokio::time::timeout(PROOF_OF_LIFE, another).await;
        proof.map_err(|_| first)?;
    }
    let gop = track.newest_gop().ok_or(None)?;
    let last = gop.newest().ok_or(None)?;
    Shot::of_live(&gop, None, last).ok_or(Some(last))
}

/// The picture on screen at `at`, if the ring has it; `at` may also lie between the newest picture
/// and now.
pub(crate) async fn at(track: &Track, at: WallTime, clock: &dyn WallClock) -> Option<Shot> {
    let mut arrivals = Arrivals::of(track);
    let settle = async {
        while !is_settled(track, at) && may_settle(track, at, clock) {
            arrivals.next().await;
        }
    };
    let settled = tokio::time::timeout(SETTLE_LIMIT, settle).await;
    if let Some(gop) = track.gop_at(at) {
        return Shot::of_live(&gop, next_gop(track, &gop).as_ref(), at);
    }
    // No picture came in time: the newest one is still on screen.
    let is_late = settled.is_err() && is_active(track);
    let gop = track
        .newest_gop()
        .filter(|gop| is_late && is_at_edge(gop, at))?;
    Shot::of_live(&gop, None, at)
}

/// The GOP behind `gop` if pictures may refer from there to `gop`.
fn next_gop(track: &Track, gop: &Gop) -> Option<Gop> {
    if gop.parameters.video.reorder_depth == 0 {
        return None;
    }
    let is_next = |next: &Gop| {
        next.id == gop.id + 1 && next.run == gop.run && next.parameters == gop.parameters
    };
    track.gops().into_iter().find(is_next)
}

/// Whether the ring's answer for `at` is final: its run is over, or every picture yet to come is
/// decoded, hence shown, after `at`.
fn is_settled(track: &Track, at: WallTime) -> bool {
    let (Some(gop), Some(newest)) = (track.gop_at(at), track.newest_gop()) else {
        return false;
    };
    let last = newest.units.iter().rfind(|u| u.track == TrackKind::Video);
    newest.is_closed || newest.run != gop.run || last.is_some_and(|unit| decode_wall(unit) >= at)
}

/// Whether the stream will get to `at` in a moment.
fn may_settle(track: &Track, at: WallTime, clock: &dyn WallClock) -> bool {
    let Some(gop) = track.newest_gop().filter(|_| is_active(track)) else {
        return false;
    };
    if gop.newest().is_some_and(|newest| at <= newest) {
        return track.gop_at(at).is_some();
    }
    at <= clock.now() && is_at_edge(&gop, at)
}

/// Whether `at` lies just behind the newest picture.
fn is_at_edge(gop: &Gop, at: WallTime) -> bool {
    let age_us = gop.newest().map(|newest| at.micros_since(newest));
    age_us.is_some_and(|age| (0..=FRESH_US).contains(&age))
}

/// Decode time on the wall clock. Within a GOP wall time advances exactly with media time.
fn decode_wall(unit: &AccessUnit) -> WallTime {
    let ahead = unit.pts.micros() - unit.dts.micros();
    unit.wall.plus_micros(-ahead)
}

fn is_active(track: &Track) -> bool {
    track.source_state().borrow().status == ChannelStatus::Active
}

/// Wakes with every unit that arrives after it was made.
struct Arrivals(Subscriber);

impl Arrivals {
    fn of(track: &Track) -> Self {
        let mut subscriber = track.subscribe(Start::NewestKey);
        while subscriber.try_next().is_some() {}
        Self(subscriber)
    }

    async fn next(&mut self) {
        self.0.next(Wake::EveryUnit).await;
    }
}
