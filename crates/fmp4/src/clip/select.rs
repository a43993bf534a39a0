//! Which pictures a clip shows, which it needs besides, and when they come in the file.

use super::parts::Parts;
use super::stretch::Stretch;
use super::{ClipPart, ClipSource, Holes};
use framewell_model::{TimeRange, Timescale, WallTime};
use std::ops::{Range, RangeInclusive};

/// Decode times that miss each other by up to this many 90 kHz ticks (1 ms) still join.
const JOIN_TICKS: i64 = 90;

/// A video sample near the beginning or the end of a stretch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture {
    /// Index of its [`ClipSource`].
    pub(super) source: usize,
    /// Index among the samples of its fragment.
    pub(super) index: u32,
    /// 90 kHz ticks of the run.
    pub(super) dts: i64,
    /// Like `dts`.
    pub(super) pts: i64,
    pub(super) duration: u32,
    pub(super) is_key: bool,
}

/// Which pictures of a source are in the clip.
#[derive(Debug, Clone)]
pub(super) struct Pick {
    /// Index of the [`ClipSource`].
    pub(super) source: usize,
    /// Ticks of the file less ticks of the run.
    pub(super) shift: i64,
    /// Indices among the samples of its fragment; `None`: all its pictures.
    pub(super) only: Option<Vec<u32>>,
}

/// A part of the clip without a break in decode time.
#[derive(Debug, Clone)]
pub(super) struct Span {
    /// Indices of its [`ClipSource`]s.
    pub(super) sources: Range<usize>,
    /// What is presented of it, in 90 kHz ticks of the run.
    pub(super) shown: Range<i64>,
    /// Ticks of the file less ticks of the run.
    pub(super) shift: i64,
}

/// What goes into the clip.
#[derive(Debug)]
pub(super) struct Selection {
    /// In decoding order, at least one.
    pub(super) picks: Vec<Pick>,
    /// In order, at least one.
    pub(super) spans: Vec<Span>,
    /// What is presented, in 90 kHz ticks of the file.
    pub(super) shown: Range<i64>,
    /// Wall time of that.
    pub(super) range: TimeRange,
    /// The same, by segments.
    pub(super) parts: Vec<ClipPart>,
}

impl Selection {
    /// Indices of the first and the last source that pictures are taken from.
    pub(super) fn used_sources(&self) -> RangeInclusive<usize> {
        let source = |pick: Option<&Pick>| pick.map_or(0, |pick| pick.source);
        source(self.picks.first())..=source(self.picks.last())
    }

    /// Presented length in 90 kHz ticks.
    pub(super) fn shown_ticks(&self) -> u64 {
        self.shown.end.abs_diff(self.shown.start)
    }
}

/// Chooses; `None` if no picture lies in the range.
pub(super) fn select(wanted: TimeRange, sources: &[ClipSource], holes: Holes) -> Option<Selection> {
    let mut builder = Builder {
        holes,
        ..Builder::default()
    };
    let mut has_begun = false;
    for group in unbroken(sources) {
        let search = (!has_begun).then_some(wanted.start);
        let Some((stretch, from)) = Stretch::find(sources, &group, search, wanted.end) else {
            continue;
        };
        has_begun = true;
        let count = stretch.order[from..]
            .iter()
            .take_while(|index| stretch.wall(sources, **index) < wanted.end)
            .count();
        if count > 0 {
            builder.add(&stretch, from, from + count - 1, sources);
        }
        if from + count < stretch.order.len() {
            break;
        }
    }
    builder.finish()
}

/// Groups of sources that follow each other in decode time.
fn unbroken(sources: &[ClipSource]) -> Vec<Range<usize>> {
    let joins = |before: &ClipSource, after: &ClipSource| {
        let end = before.entry.dts.saturating_add(before.entry.duration);
        (0..=JOIN_TICKS).contains(&after.entry.dts.saturating_sub(end))
    };
    let mut groups: Vec<Range<usize>> = Vec::new();
    for at in 0..sources.len() {
        match groups.last_mut() {
            Some(group) if joins(&sources[at - 1], &sources[at]) => group.end = at + 1,
            _ => groups.push(at..at + 1),
        }
    }
    groups
}

/// Lays stretches one after another.
#[derive(Debug, Default)]
struct Builder {
    holes: Holes,
    picks: Vec<Pick>,
    /// Of the last picture, in ticks of the file.
    last_dts: i64,
    spans: Vec<Span>,
    parts: Parts,
    start_wall: Option<WallTime>,
    end_wall: Option<WallTime>,
}

impl Builder {
    /// Adds the pictures from place `first` to place `last` of the order of presentation.
    fn add(&mut self, stretch: &Stretch, first: usize, last: usize, sources: &[ClipSource]) {
        let needed = stretch.needed(first, last);
        let key = stretch.pictures[needed.start];
        let shown = stretch.pictures[stretch.order[first]].pts..stretch.until(last);
        let start_wall = stretch.wall(sources, stretch.order[first]);
        let shift = self.shift_for(shown.start, key.dts, start_wall);
        let (head, tail) = match stretch.joint(first, last) {
            Some(joint) => (needed.start..joint, joint..needed.end),
            None => (needed, 0..0),
        };
        self.pick(&stretch.pictures[head], key.pts, shift, sources);
        if !tail.is_empty() {
            let all = stretch.interior.clone().map(|source| Pick {
                source,
                shift,
                only: None,
            });
            self.picks.extend(all);
            self.pick(&stretch.pictures[tail], key.pts, shift, sources);
        }
        self.start_wall.get_or_insert(start_wall);
        self.end_wall = Some(stretch.until_wall(sources, last));
        self.spans.push(Span {
            sources: stretch.sources.clone(),
            shown,
            shift,
        });
        let begin = &self.spans[0];
        let origin = begin.shown.start.saturating_add(begin.shift);
        self.parts.note(
            stretch,
            first..last + 1,
            sources,
            origin.saturating_sub(shift),
        );
    }

    /// Takes pictures, in decoding order, without those shown before `from_pts`.
    fn pick(&mut self, pictures: &[Picture], from_pts: i64, shift: i64, sources: &[ClipSource]) {
        for of_source in pictures.chunk_by(|a, b| a.source == b.source) {
            let source = of_source[0].source;
            let mut taken = of_source.iter().filter(|picture| picture.pts >= from_pts);
            let only: Vec<u32> = taken.clone().map(|picture| picture.index).collect();
            let Some(last) = taken.next_back() else {
                continue;
            };
            self.last_dts = last.dts.saturating_add(shift);
            let is_all = only.len() == sources[source].samples.picture_count();
            self.picks.push(Pick {
                source,
                shift,
                only: (!is_all).then_some(only),
            });
        }
    }

    /// The file starts at decode time 0; what follows is shown when what came before ends, or when it
    /// was captured if holes are kept, unless its decode times must come later than that.
    fn shift_for(&self, shown_start: i64, first_dts: i64, start_wall: WallTime) -> i64 {
        let Some(before) = self.spans.last() else {
            return first_dts.saturating_neg();
        };
        let shown_end = before.shown.end.saturating_add(before.shift);
        let follows = shown_end.saturating_sub(shown_start);
        let decodes = self.last_dts.saturating_add(1).saturating_sub(first_dts);
        let captured = match (self.holes, self.spans.first(), self.start_wall) {
            (Holes::Keep, Some(begin), Some(begin_wall)) => {
                let passed_us = start_wall.micros_since(begin_wall);
                let origin = begin.shown.start.saturating_add(begin.shift);
                origin
                    .saturating_add(Timescale::HZ_90K.from_micros(passed_us))
                    .saturating_sub(shown_start)
            }
            _ => follows,
        };
        follows.max(decodes).max(captured)
    }

    fn finish(self) -> Option<Selection> {
        let (first, last) = (self.spans.first()?, self.spans.last()?);
        let shown = first.shown.start.saturating_add(first.shift)
            ..last.shown.end.saturating_add(last.shift);
        let (start, end) = (self.start_wall?, self.end_wall?);
        Some(Selection {
            picks: self.picks,
            shown,
            range: TimeRange {
                start,
                end: end.max(start),
            },
            spans: self.spans,
            parts: self.parts.finish(),
        })
    }
}
