//! One media segment: fragments of GOPs, gathered into parts.

use super::body::Body;
use bytes::Bytes;
use framewell_fmp4::Fragment;
use framewell_model::{Timescale, WallTime};

/// A finished partial segment (RFC 8216bis section 3.2).
#[derive(Debug)]
pub(super) struct Part {
    /// Parts of a segment add up to exactly its duration.
    pub(super) duration_us: i64,
    /// Whether it has a key frame.
    pub(super) is_independent: bool,
    pub(super) body: Body,
}

/// A finished media segment.
#[derive(Debug)]
pub(super) struct Segment {
    /// Media sequence number.
    pub(super) sequence: u64,
    /// Which init segment it needs.
    pub(super) epoch: u64,
    /// Whether times or parameters jump before it.
    pub(super) is_discontinuity: bool,
    /// Its discontinuity sequence number (RFC 8216 section 6.2.1).
    pub(super) discontinuity: u64,
    /// Capture time of its first picture.
    pub(super) start: WallTime,
    pub(super) duration_us: i64,
    /// Video access units.
    pub(super) pictures: usize,
    pub(super) parts: Vec<Part>,
    /// That of its parts, one after the other.
    pub(super) body: Body,
}

/// A segment that still grows.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) epoch: u64,
    pub(super) is_discontinuity: bool,
    /// Capture time of its first picture.
    pub(super) start: WallTime,
    /// By how much its first picture is shown later than it is decoded, in ticks.
    shift: i64,
    /// Its finished parts.
    pub(super) parts: Vec<Part>,
    /// Video ticks of all its fragments.
    ticks: i64,
    pictures: usize,
    bytes: usize,
    /// Fragments of the part that grows.
    open: Vec<Bytes>,
    open_is_independent: bool,
    /// Ticks and microseconds of the finished parts.
    parts_ticks: i64,
    parts_us: i64,
}

impl Draft {
    pub(super) const fn new(
        epoch: u64,
        is_discontinuity: bool,
        start: WallTime,
        shift: i64,
    ) -> Self {
        Self {
            epoch,
            is_discontinuity,
            start,
            shift,
            parts: Vec::new(),
            ticks: 0,
            pictures: 0,
            bytes: 0,
            open: Vec::new(),
            open_is_independent: false,
            parts_ticks: 0,
            parts_us: 0,
        }
    }

    /// Adds a fragment of so many pictures to the part that grows.
    pub(super) fn push(&mut self, fragment: Fragment, pictures: usize) {
        self.ticks += fragment.entry.duration;
        self.pictures += pictures;
        self.bytes += fragment.entry.len as usize;
        self.open_is_independent |= fragment.entry.is_key;
        self.open.push(fragment.header);
        self.open.extend(fragment.payload);
    }

    /// Ends the part that grows; false if there is none.
    pub(super) fn end_part(&mut self) -> bool {
        if self.open.is_empty() {
            return false;
        }
        let end_us = self.duration_us();
        self.parts.push(Part {
            duration_us: end_us - self.parts_us,
            is_independent: std::mem::take(&mut self.open_is_independent),
            body: Body::of(self.open.drain(..)),
        });
        self.parts_us = end_us;
        self.parts_ticks = self.ticks;
        true
    }

    /// A key frame that is shown so many ticks later than it is decoded comes next. Lengths are those of what
    /// is shown, and the last part makes up for it: the first pictures of a run, and those behind lost ones,
    /// are decoded at other distances than they are shown, until their reordering is known. `missing` ticks
    /// of the segments before are still to be told; gives those that are now.
    pub(super) fn end_before(&mut self, shift: i64, missing: i64) -> i64 {
        let shown = self.ticks.saturating_add(shift.saturating_sub(self.shift));
        let wanted = shown.saturating_add(missing);
        self.ticks = wanted.max(self.parts_ticks + 1);
        wanted - self.ticks
    }

    pub(super) const fn duration_us(&self) -> i64 {
        Timescale::HZ_90K.to_micros(self.ticks)
    }

    /// Length of the parts that a playlist can list.
    pub(super) const fn parts_us(&self) -> i64 {
        self.parts_us
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn finish(mut self, sequence: u64, discontinuity: u64) -> Segment {
        self.end_part();
        Segment {
            sequence,
            epoch: self.epoch,
            is_discontinuity: self.is_discontinuity,
            discontinuity,
            start: self.start,
            duration_us: self.duration_us(),
            pictures: self.pictures,
            body: Body::chain(self.parts.iter().map(|part| &part.body)),
            parts: self.parts,
        }
    }
}
