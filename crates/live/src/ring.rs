//! The ring: whole GOPs, oldest overwritten first.

use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{RunId, WallTime};
use std::collections::VecDeque;
use std::sync::Arc;

/// Number of a GOP in its channel's ring; grows by one per GOP, across runs.
pub type GopId = u64;

/// How much a ring keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingConfig {
    /// Bytes kept beyond the open GOP and the one before it, of payload and of what it costs to keep it
    /// (default 8 MiB: 15 s at 4 Mbit/s, longer than a segment; the design's limit per camera is 20 MiB).
    pub max_bytes: usize,
    /// Most media time kept, in microseconds (default 30 s), so that a quiet camera does not pile up
    /// an hour of tiny GOPs.
    pub max_age_us: i64,
    /// A GOP that grows past this many bytes is dropped up to its newest unit and the run's readers
    /// lag: a camera that never sends a key frame must not eat the memory (default 64 MiB).
    pub max_gop_bytes: usize,
}

impl Default for RingConfig {
    fn default() -> Self {
        Self {
            max_bytes: 8 << 20,
            max_age_us: 30_000_000,
            max_gop_bytes: 64 << 20,
        }
    }
}

/// A GOP of more units is treated as one of too many bytes: each costs memory besides its payload,
/// and a hostile camera can send millions of a few bytes. 20 minutes at 25 pictures and 50 audio
/// frames per second.
const MAX_GOP_UNITS: usize = 90_000;

/// What a unit costs besides its payload: its handle, in a list that doubles as it grows, and the head
/// of its allocation. A publisher whose pictures have one byte would fill a ring with millions of them.
const UNIT_COST: usize = 512;

/// A GOP as readers see it: immutable header, units so far.
#[derive(Debug, Clone)]
pub struct Gop {
    /// Its number.
    pub id: GopId,
    /// The run it belongs to.
    pub run: RunId,
    /// Parameters of all its units.
    pub parameters: Arc<StreamParameters>,
    /// Units in arrival order, video and audio mixed; the first one is a video key frame.
    pub units: Vec<AccessUnit>,
    /// Whether no more units will come.
    pub is_closed: bool,
    /// Payload bytes of `units`.
    pub bytes: usize,
}

impl Gop {
    /// Capture time of the key frame.
    #[must_use]
    pub fn start(&self) -> Option<WallTime> {
        self.units.first().map(|unit| unit.wall)
    }

    /// What it takes of the ring's budget.
    fn cost(&self) -> usize {
        self.bytes + self.units.len() * UNIT_COST + self.parameters.video.config.len()
    }

    /// Latest capture time of a video unit so far.
    #[must_use]
    pub fn newest(&self) -> Option<WallTime> {
        self.units
            .iter()
            .filter(|u| u.track == TrackKind::Video)
            .map(|u| u.wall)
            .max()
    }
}

/// When a GOP in the ring was captured, without its units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GopSpan {
    /// Its number.
    pub id: GopId,
    /// The run it belongs to.
    pub run: RunId,
    /// Capture time of the key frame.
    pub start: WallTime,
    /// Whether no more units will come.
    pub is_closed: bool,
}

/// The ring itself; [`crate::Track`] guards it with a mutex held for a push or a copy of handles.
#[derive(Debug)]
pub(crate) struct Ring {
    config: RingConfig,
    gops: VecDeque<Gop>,
    bytes: usize,
    /// Of all GOPs.
    cost: usize,
    next_id: GopId,
}

impl Ring {
    pub(crate) fn new(config: RingConfig) -> Self {
        Self {
            config,
            gops: VecDeque::new(),
            bytes: 0,
            cost: 0,
            next_id: 1,
        }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number that the next GOP will get.
    pub(crate) const fn next_id(&self) -> GopId {
        self.next_id
    }

    pub(crate) fn oldest(&self) -> Option<&Gop> {
        self.gops.front()
    }

    pub(crate) fn newest(&self) -> Option<&Gop> {
        self.gops.back()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Gop> {
        self.gops.iter()
    }

    /// The GOP with this number, if it is still here.
    pub(crate) fn get(&self, id: GopId) -> Option<&Gop> {
        let first = self.gops.front()?.id;
        self.gops.get(usize::try_from(id.checked_sub(first)?).ok()?)
    }

    pub(crate) fn close_newest(&mut self) {
        if let Some(gop) = self.gops.back_mut() {
            gop.is_closed = true;
        }
    }

    pub(crate) fn start_gop(&mut self, run: RunId, parameters: Arc<StreamParameters>) {
        self.close_newest();
        let gop = Gop {
            id: self.next_id,
            run,
            parameters,
            units: Vec::new(),
            is_closed: false,
            bytes: 0,
        };
        self.cost += gop.cost();
        self.gops.push_back(gop);
        self.next_id += 1;
    }

    /// Appends to the open GOP; false (nothing stored) if there is none.
    pub(crate) fn append(&mut self, unit: AccessUnit) -> bool {
        let Some(gop) = self.gops.back_mut().filter(|gop| !gop.is_closed) else {
            return false;
        };
        let len = unit.data.len();
        if gop.bytes + len > self.config.max_gop_bytes || gop.units.len() >= MAX_GOP_UNITS {
            self.bytes -= gop.bytes;
            self.cost -= gop.bytes + gop.units.len() * UNIT_COST;
            gop.units.clear();
            gop.bytes = 0;
            gop.is_closed = true;
            return false;
        }
        gop.bytes += len;
        self.bytes += len;
        self.cost += len + UNIT_COST;
        gop.units.push(unit);
        self.evict();
        true
    }

    /// Drops the oldest GOPs beyond the budget; the newest two always stay, so that a reader who
    /// starts now finds a key frame and the GOP before it.
    fn evict(&mut self) {
        // Age is looked at when a GOP starts: its first picture is then the newest one.
        let newest = self.gops.back().filter(|gop| gop.units.len() == 1);
        let newest = newest.and_then(Gop::start);
        while self.gops.len() > 2 {
            let front = &self.gops[0];
            let is_old = match (newest, self.gops[1].start()) {
                (Some(newest), Some(end)) => newest.micros_since(end) >= self.config.max_age_us,
                _ => false,
            };
            if self.cost - front.cost() < self.config.max_bytes && !is_old {
                break;
            }
            self.bytes -= front.bytes;
            self.cost -= front.cost();
            self.gops.pop_front();
        }
    }
}
