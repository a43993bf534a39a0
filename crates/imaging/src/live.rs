//! The live edge of a ring.

use framewell_live::{Gop, Start, Subscriber, Track, Wake};
use framewell_media::AccessUnit;
use framewell_model::{ChannelStatus, WallTime};
use std::time::Duration;

/// How long after it was captured the newest picture may pass as the one on screen.
const FRESH_US: i64 = 3_000_000;
/// How long to wait until no more picture can arrive that was captured at or before a moment at the
/// live edge.
pub(crate) const SETTLE_LIMIT: Duration = Duration::from_secs(1);

/// Whether `at` lies just behind the newest picture.
pub(crate) fn is_at_edge(gop: &Gop, at: WallTime) -> bool {
    let age_us = gop.newest().map(|newest| at.micros_since(newest));
    age_us.is_some_and(|age| (0..=FRESH_US).contains(&age))
}

/// Decode time on the wall clock. Within a GOP wall time advances exactly with media time.
pub(crate) fn decode_wall(unit: &AccessUnit) -> WallTime {
    let ahead = unit.pts.micros() - unit.dts.micros();
    unit.wall.plus_micros(-ahead)
}

pub(crate) fn is_active(track: &Track) -> bool {
    track.source_state().borrow().status == ChannelStatus::Active
}

/// Wakes with every unit that arrives after it was made.
pub(crate) struct Arrivals(Subscriber);

impl Arrivals {
    pub(crate) fn of(track: &Track) -> Self {
        let mut subscriber = track.subscribe(Start::NewestKey);
        while subscriber.try_next().is_some() {}
        Self(subscriber)
    }

    pub(crate) async fn next(&mut self) {
        self.0.next(Wake::EveryUnit).await;
    }
}
