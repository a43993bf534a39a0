//! One media segment: one or more fragments, each a GOP.

use bytes::{Bytes, BytesMut};
use framewell_fmp4::Fragment;
use framewell_media::TrackKind;
use framewell_model::{Timescale, WallTime};

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
    pub(super) bytes: usize,
    /// Video access units.
    pub(super) pictures: usize,
    body: Body,
}

/// Handles that share the ring's memory until the first player asks, one piece from then on.
#[derive(Debug)]
enum Body {
    Parts(Vec<Bytes>),
    Whole(Bytes),
}

impl Segment {
    /// The bytes to serve.
    pub(super) fn body(&mut self) -> Bytes {
        if let Body::Parts(parts) = &self.body {
            let mut whole = BytesMut::with_capacity(self.bytes);
            for part in parts {
                whole.extend_from_slice(part);
            }
            self.body = Body::Whole(whole.freeze());
        }
        match &self.body {
            Body::Whole(whole) => whole.clone(),
            Body::Parts(_) => Bytes::new(),
        }
    }
}

/// A segment that still grows.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) epoch: u64,
    pub(super) is_discontinuity: bool,
    start: WallTime,
    ticks: i64,
    pictures: usize,
    bytes: usize,
    parts: Vec<Bytes>,
}

impl Draft {
    pub(super) const fn new(epoch: u64, is_discontinuity: bool, start: WallTime) -> Self {
        Self {
            epoch,
            is_discontinuity,
            start,
            ticks: 0,
            pictures: 0,
            bytes: 0,
            parts: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, fragment: Fragment, units: &[framewell_media::AccessUnit]) {
        let is_video = |unit: &&framewell_media::AccessUnit| unit.track == TrackKind::Video;
        self.ticks += fragment.entry.duration;
        self.pictures += units.iter().filter(is_video).count();
        self.parts.push(fragment.header);
        self.parts.extend(fragment.payload);
        self.bytes = self.parts.iter().map(Bytes::len).sum();
    }

    pub(super) const fn duration_us(&self) -> i64 {
        Timescale::HZ_90K.to_micros(self.ticks)
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn finish(self, sequence: u64, discontinuity: u64) -> Segment {
        Segment {
            sequence,
            epoch: self.epoch,
            is_discontinuity: self.is_discontinuity,
            discontinuity,
            start: self.start,
            duration_us: self.duration_us(),
            bytes: self.bytes,
            pictures: self.pictures,
            body: Body::Parts(self.parts),
        }
    }
}
