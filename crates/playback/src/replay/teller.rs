//! What was read, as items: where units begin anew, which are shown, what is missing. Pure.

use super::ReplayItem;
use framewell_footage::TICK_US;
use framewell_media::{AccessUnit, StreamParameters, TrackKind, VideoCodec, nal};
use framewell_model::{RunId, TimeRange, WallTime};
use std::collections::VecDeque;
use std::sync::Arc;

/// NAL unit types of pictures that cannot be decoded when decoding starts at the key frame before them
/// (H.265 table 7-1: `RASL_N`, `RASL_R`).
const RASL: [u8; 2] = [8, 9];

/// A read of units of one GOP.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) run: RunId,
    pub(super) parameters: Arc<StreamParameters>,
    /// In decoding order.
    pub(super) units: Vec<AccessUnit>,
    /// Whether the first one is the GOP's key frame.
    pub(super) starts_gop: bool,
    /// Whether nothing behind these units is wanted.
    pub(super) is_last: bool,
}

/// Remembers what was told.
#[derive(Debug)]
pub(super) struct Teller {
    range: TimeRange,
    /// Run and parameters of the units told last.
    told: Option<(RunId, Arc<StreamParameters>)>,
    /// A hole that is not told yet: it may grow.
    gap: Option<TimeRange>,
    /// Pauses of the open GOP that were not reached yet.
    pauses: VecDeque<TimeRange>,
    /// Time of the key frame that units began with, while its leading pictures may follow.
    fresh_key: Option<i64>,
}

impl Teller {
    pub(super) const fn new(range: TimeRange) -> Self {
        Self {
            range,
            told: None,
            gap: None,
            pauses: VecDeque::new(),
            fresh_key: None,
        }
    }

    /// There is nothing here.
    pub(super) fn miss(&mut self, hole: TimeRange) {
        let start = hole.start.max(self.range.start);
        let end = hole.end.min(self.range.end);
        if start >= end {
            return;
        }
        self.gap = Some(match self.gap {
            Some(gap) => TimeRange {
                start: gap.start.min(start),
                end: gap.end.max(end),
            },
            None => TimeRange { start, end },
        });
    }

    /// The holes within the GOP whose units come next.
    pub(super) fn expect_pauses(&mut self, pauses: Vec<TimeRange>, from: WallTime) {
        let start = from.max(self.range.start);
        self.pauses = pauses.into_iter().filter(|p| p.end > start).collect();
    }

    /// Whether units can go on in the middle of a GOP: nothing is missing before them.
    pub(super) const fn is_whole(&self) -> bool {
        self.gap.is_none() && self.told.is_some()
    }

    /// What is left to tell at the end.
    pub(super) fn finish(&mut self) -> Vec<ReplayItem> {
        self.gap.take().map(ReplayItem::Gap).into_iter().collect()
    }

    pub(super) fn tell(&mut self, read: Read) -> Vec<ReplayItem> {
        let mut units = read.units;
        if read.is_last {
            self.cut(&mut units);
        }
        let mut items = Vec::with_capacity(units.len() + 2);
        if read.starts_gop {
            self.begin(&read.run, &read.parameters, &units, &mut items);
        }
        let codec = read.parameters.video.codec;
        for unit in units {
            if self.is_broken(codec, &unit) {
                continue;
            }
            if unit.track == TrackKind::Video {
                self.tell_pauses(unit.wall, &mut items);
            }
            let is_shown =
                unit.wall.plus_micros(TICK_US) >= self.range.start && unit.wall < self.range.end;
            items.push(ReplayItem::Unit { unit, is_shown });
        }
        items
    }

    fn begin(
        &mut self,
        run: &RunId,
        parameters: &Arc<StreamParameters>,
        units: &[AccessUnit],
        items: &mut Vec<ReplayItem>,
    ) {
        let hole = self.gap.take();
        items.extend(hole.map(ReplayItem::Gap));
        self.fresh_key = None;
        let is_same =
            matches!(&self.told, Some((told, known)) if told == run && known == parameters);
        if is_same && hole.is_none() {
            return;
        }
        let key = units.iter().find(|unit| unit.track == TrackKind::Video);
        self.fresh_key = key.map(|key| key.pts.ticks);
        self.told = Some((*run, Arc::clone(parameters)));
        items.push(ReplayItem::Begin {
            run: *run,
            parameters: Arc::clone(parameters),
        });
    }

    fn tell_pauses(&mut self, wall: WallTime, items: &mut Vec<ReplayItem>) {
        while let Some(pause) = self.pauses.front().copied() {
            if pause.end > wall.plus_micros(TICK_US) {
                return;
            }
            self.pauses.pop_front();
            items.push(ReplayItem::Gap(pause));
        }
    }

    /// Whether a picture refers to one before the key frame that units began with.
    fn is_broken(&self, codec: VideoCodec, unit: &AccessUnit) -> bool {
        let Some(key) = self.fresh_key else {
            return false;
        };
        unit.track == TrackKind::Video
            && codec == VideoCodec::H265
            && unit.pts.ticks < key
            && nal::split_length_prefixed(&unit.data).any(|nal| {
                nal.first()
                    .is_some_and(|byte| RASL.contains(&((byte >> 1) & 0x3f)))
            })
    }

    /// Cuts behind the last picture of the range: those decoded later are neither shown nor needed.
    fn cut(&self, units: &mut Vec<AccessUnit>) {
        let is_wanted = |unit: &AccessUnit| unit.wall < self.range.end;
        let last = units
            .iter()
            .rposition(|unit| unit.track == TrackKind::Video && is_wanted(unit));
        let mut number = 0;
        units.retain(|unit| {
            let is_needed = last.is_some_and(|last| number <= last);
            number += 1;
            match unit.track {
                TrackKind::Video => is_needed,
                TrackKind::Audio => is_wanted(unit),
            }
        });
    }
}
