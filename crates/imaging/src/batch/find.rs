//! The footage of a range in time order: recorded, then the live ring, then what the camera still
//! sends.
//!
//! The ring is asked first: what it holds is not read from disk. A batch that is slower than the camera
//! finds that the ring has moved on, and goes back to the recording.

use super::source::{LiveGop, Source};
use super::walk::Hole;
use crate::ring_gop::pictures;
use framewell_footage::{CONTINUITY_US, Error, Footage, FootageGap, GopEntry, GopPages, TICK_US};
use framewell_live::{Gop, GopId, Registry, Start, Track, Wake};
use framewell_media::AccessUnit;
use framewell_model::{ChannelId, ChannelStatus, Gap, TimeRange, WallClock, WallTime};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// How long pictures captured before the end of a range may take to arrive.
const SETTLE: Duration = Duration::from_secs(1);
/// A camera whose newest picture is older than this before the end of a range that lies in the past is
/// not waited for.
const AT_EDGE_US: i64 = 3_000_000;

/// What comes next in time order.
#[derive(Debug)]
pub(crate) enum Found {
    Gop(Source),
    Hole(Hole),
}

/// Finds one thing after the other.
#[derive(Debug)]
pub(crate) struct Finder {
    footage: Footage,
    registry: Registry,
    channel: ChannelId,
    end: WallTime,
    /// Everything before this has been found.
    position: WallTime,
    stage: Stage,
    /// When to stop waiting for the camera.
    deadline: Instant,
    /// Whether the range ends ahead of now.
    is_ahead: bool,
    /// The GOP of the ring that was told when it had begun.
    begun: Option<GopId>,
}

#[derive(Debug)]
enum Stage {
    Choose,
    /// Up to `until`, where the ring begins or the range ends.
    Recorded {
        pages: Box<GopPages>,
        entries: VecDeque<GopEntry>,
        until: WallTime,
    },
    /// Behind this GOP of the ring.
    Live(Option<GopId>),
    Done,
}

/// What the ring has to say.
enum Look {
    Found(Box<LiveGop>, GopId),
    /// A GOP that has begun and is not complete: the one before it need not wait any longer.
    Begun(Box<LiveGop>, GopId),
    /// The next GOP is not complete yet, or not there.
    Wait,
    /// The ring begins here, behind the position: what lies between may be recorded.
    Behind(WallTime),
    /// The next GOP begins behind the range.
    End,
}

impl Finder {
    /// Of the range, from the GOP on screen at its start on.
    pub(crate) fn new(
        footage: Footage,
        registry: Registry,
        channel: ChannelId,
        range: TimeRange,
        clock: &dyn WallClock,
    ) -> Self {
        let ahead_us = range.end.micros_since(clock.now()).max(0);
        let ahead = Duration::from_micros(u64::try_from(ahead_us).unwrap_or_default());
        Self {
            footage,
            registry,
            channel,
            end: range.end,
            position: range.start,
            stage: Stage::Choose,
            deadline: Instant::now() + ahead + SETTLE,
            is_ahead: ahead_us > 0,
            begun: None,
        }
    }

    /// The next GOP or hole; `None` at the end of the range. Holes at the seam between recorded and
    /// live footage may come in pieces, and a GOP twice: when it has begun, and when it is complete.
    pub(crate) async fn next(&mut self) -> Result<Option<Found>, Error> {
        loop {
            match &mut self.stage {
                Stage::Choose => self.choose(),
                Stage::Recorded { entries, .. } => {
                    if let Some(entry) = entries.pop_front() {
                        if let Some(found) = self.recorded(entry) {
                            return Ok(Some(found));
                        }
                    } else {
                        self.turn_page().await?;
                    }
                }
                Stage::Live(last) => {
                    let last = *last;
                    if let Some(found) = self.live(last).await? {
                        return Ok(Some(found));
                    }
                }
                Stage::Done => return Ok(None),
            }
        }
    }

    fn track(&self) -> Option<Track> {
        self.registry.get(self.channel)
    }

    /// The ring if it holds the position, else the recording up to where the ring begins.
    fn choose(&mut self) {
        let oldest = self.track().and_then(|track| ring_start(&track));
        let oldest = oldest.filter(|start| *start < self.end);
        self.stage = match oldest {
            Some(start) if start <= self.position.plus_micros(TICK_US) => Stage::Live(None),
            start => self.recorded_until(start.unwrap_or(self.end)),
        };
    }

    fn recorded_until(&self, until: WallTime) -> Stage {
        let range = TimeRange {
            start: self.position,
            end: until,
        };
        Stage::Recorded {
            pages: Box::new(self.footage.gops(self.channel, range)),
            entries: VecDeque::new(),
            until,
        }
    }

    async fn turn_page(&mut self) -> Result<(), Error> {
        let Stage::Recorded {
            pages,
            entries,
            until,
        } = &mut self.stage
        else {
            return Ok(());
        };
        match pages.next_page().await? {
            Some(page) => entries.extend(page),
            None if *until < self.end => {
                self.position = self.position.max(*until);
                self.stage = Stage::Choose;
            }
            None => self.stage = Stage::Live(None),
        }
        Ok(())
    }

    fn recorded(&mut self, entry: GopEntry) -> Option<Found> {
        match entry {
            GopEntry::Gop(gop) => {
                self.position = self.position.max(gop.range.end);
                Some(Found::Gop(Source::Recorded(gop)))
            }
            // The camera may still fill it.
            GopEntry::Gap(FootageGap { range, .. }) if range.end >= self.end => None,
            GopEntry::Gap(FootageGap { range, reason }) => {
                self.position = self.position.max(range.end);
                Some(Found::Hole(Hole { range, reason }))
            }
        }
    }

    /// The next GOP of the ring, waited for if it is still to come; `None` if the stage has changed.
    async fn live(&mut self, last: Option<GopId>) -> Result<Option<Found>, Error> {
        let look = match self.track() {
            _ if self.position >= self.end => Look::End,
            Some(track) => self.wait(&track, last).await,
            None if self.is_ahead => {
                tokio::time::sleep_until(self.deadline).await;
                Look::End
            }
            None => Look::End,
        };
        match look {
            Look::Found(live, id) => {
                let start = live.range().start;
                if start.micros_since(self.position) > TICK_US {
                    return self.hole_until(start).await.map(Some);
                }
                self.position = self.position.max(live.range().end);
                self.stage = Stage::Live(Some(id));
                Ok(Some(Found::Gop(Source::Live(live.into()))))
            }
            Look::Begun(live, id) => {
                self.begun = Some(id);
                let start = live.range().start;
                if start.micros_since(self.position) > TICK_US {
                    return self.hole_until(start).await.map(Some);
                }
                Ok(Some(Found::Gop(Source::Live(live.into()))))
            }
            Look::Behind(start) => {
                self.stage = self.recorded_until(start);
                Ok(None)
            }
            Look::End | Look::Wait => {
                self.stage = Stage::Done;
                if self.end.micros_since(self.position) <= TICK_US {
                    return Ok(None);
                }
                self.hole_until(self.end).await.map(Some)
            }
        }
    }

    async fn hole_until(&mut self, until: WallTime) -> Result<Found, Error> {
        let range = TimeRange {
            start: self.position,
            end: until,
        };
        self.position = until;
        if range.micros() <= CONTINUITY_US {
            let reason = None;
            return Ok(Found::Hole(Hole { range, reason }));
        }
        let channel = self.channel;
        let rows = self.footage.catalog().gaps_in(channel, range).await;
        let rows = rows.map_err(|source| Error::Catalog { channel, source })?;
        let shared_us = |row: &Gap| {
            let end = row.end.unwrap_or(range.end).min(range.end);
            end.micros_since(row.start.max(range.start))
        };
        let longest = rows.iter().max_by_key(|row| shared_us(row));
        let reason = longest
            .filter(|row| shared_us(row) > 0)
            .map(|row| row.reason);
        Ok(Found::Hole(Hole { range, reason }))
    }

    async fn wait(&self, track: &Track, last: Option<GopId>) -> Look {
        let mut arrivals = track.subscribe(Start::NewestKey);
        while arrivals.try_next().is_some() {}
        let may_come = || self.may_come(track);
        let found = async {
            loop {
                match self.look(track, last, false) {
                    Look::Wait if may_come() => {
                        arrivals.next(Wake::EveryUnit).await;
                    }
                    Look::Wait => return self.look(track, last, true),
                    look => return look,
                }
            }
        };
        let in_time = tokio::time::timeout_at(self.deadline, found).await;
        in_time.unwrap_or_else(|_| self.look(track, last, true))
    }

    /// Whether the camera may still send pictures of the range.
    fn may_come(&self, track: &Track) -> bool {
        let newest = track.newest_gop().and_then(|gop| gop.newest());
        let is_at_edge = newest.is_some_and(|at| self.end.micros_since(at) <= AT_EDGE_US);
        let is_active = track.source_state().borrow().status == ChannelStatus::Active;
        self.is_ahead || (is_active && is_at_edge)
    }

    /// `is_late`: nothing more is waited for.
    fn look(&self, track: &Track, last: Option<GopId>, is_late: bool) -> Look {
        let gops = track.gops();
        let Some(index) = self.next_index(&gops, last) else {
            return Look::Wait;
        };
        let (gop, next) = (&gops[index], gops.get(index + 1));
        let Some(start) = gop.start() else {
            return Look::Wait;
        };
        if start >= self.end {
            return Look::End;
        }
        if index == 0 && start.micros_since(self.position) > TICK_US {
            return Look::Behind(start);
        }
        let is_whole = gop.is_closed && next.is_none_or(|next| has_leading(gop, next));
        let is_final = is_whole || is_late || is_settled(gop, self.end);
        if !is_final && self.begun == Some(gop.id) {
            return Look::Wait;
        }
        let live = LiveGop::new(gop.clone(), next.cloned()).map(Box::new);
        match live {
            Some(live) if is_final => Look::Found(live, gop.id),
            Some(live) => Look::Begun(live, gop.id),
            None => Look::Wait,
        }
    }

    /// The GOP behind the last one; without that, the one on screen at the position, or the first one
    /// behind it.
    fn next_index(&self, gops: &[Gop], last: Option<GopId>) -> Option<usize> {
        if let Some(last) = last {
            return gops.iter().position(|gop| gop.id > last);
        }
        let from = self.position.plus_micros(TICK_US);
        let is_begun = |gop: &Gop| gop.start().is_some_and(|start| start <= from);
        let index = match gops.iter().rposition(is_begun) {
            Some(index) if reaches(gops, index, self.position) => index,
            Some(index) => index + 1,
            None => 0,
        };
        (index < gops.len()).then_some(index)
    }
}

fn ring_start(track: &Track) -> Option<WallTime> {
    track.gops().iter().find_map(Gop::start)
}

/// Whether pictures of this GOP are on screen at `at` or later.
fn reaches(gops: &[Gop], index: usize, at: WallTime) -> bool {
    let next = gops.get(index + 1).cloned();
    LiveGop::new(gops[index].clone(), next).is_some_and(|live| live.range().end > at)
}

/// Whether all pictures of the next GOP that are shown with this one have arrived.
fn has_leading(gop: &Gop, next: &Gop) -> bool {
    if gop.parameters.video.reorder_depth == 0 || next.run != gop.run || next.is_closed {
        return true;
    }
    let key = pictures(next).next().map(|unit| unit.pts.ticks);
    let is_behind = |unit: &AccessUnit| key.is_some_and(|key| unit.pts.ticks > key);
    pictures(next).any(is_behind)
}

/// Whether every picture yet to come is decoded, hence shown, at or after `end`.
fn is_settled(gop: &Gop, end: WallTime) -> bool {
    pictures(gop).last().is_some_and(|unit| {
        let ahead_us = unit.pts.micros() - unit.dts.micros();
        unit.wall.plus_micros(-ahead_us) >= end
    })
}
