//! Which pictures a clip shows, which it needs besides, and when they come in the file.

use super::{ClipPart, ClipSource, Holes};
use framewell_media::TrackKind;
use framewell_model::{TimeRange, Timescale, WallTime};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

/// Decode times that miss each other by up to this many 90 kHz ticks (1 ms) still join.
const JOIN_TICKS: i64 = 90;

/// A video sample of the clip.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture {
    /// Index of its [`ClipSource`].
    pub(super) source: usize,
    /// First byte in the fragment.
    pub(super) offset: u32,
    pub(super) size: u32,
    /// 90 kHz ticks of the run; of the file once it is selected.
    pub(super) dts: i64,
    /// Like `dts`.
    pub(super) pts: i64,
    pub(super) duration: u32,
    pub(super) is_key: bool,
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
    pub(super) pictures: Vec<Picture>,
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
        let source = |picture: Option<&Picture>| picture.map_or(0, |picture| picture.source);
        source(self.pictures.first())..=source(self.pictures.last())
    }

    /// Presented length in 90 kHz ticks.
    pub(super) fn shown_ticks(&self) -> u64 {
        self.shown.end.abs_diff(self.shown.start)
    }
}

/// Chooses; `None` if no picture lies in the range.
pub(super) fn select(wanted: TimeRange, sources: &[ClipSource], holes: Holes) -> Option<Selection> {
    let stretches: Vec<Stretch> = unbroken(sources)
        .into_iter()
        .filter_map(|range| Stretch::new(sources, range))
        .collect();
    let (first_stretch, first) = stretches.iter().enumerate().find_map(|(at, stretch)| {
        let place = stretch.place_on_screen(sources, wanted.start)?;
        Some((at, place))
    })?;
    let mut builder = Builder {
        holes,
        ..Builder::default()
    };
    for (at, stretch) in stretches.iter().enumerate().skip(first_stretch) {
        let from = if at == first_stretch { first } else { 0 };
        let count = stretch.order[from..]
            .iter()
            .take_while(|index| stretch.wall(sources, **index) < wanted.end)
            .count();
        if count > 0 {
            builder.add(stretch, from, from + count - 1, sources);
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

/// All that can be decoded of a group of sources.
#[derive(Debug)]
struct Stretch {
    sources: Range<usize>,
    /// In decoding order, from the first key frame on, without the pictures shown before it.
    pictures: Vec<Picture>,
    /// Indices of `pictures` in order of presentation.
    order: Vec<usize>,
    /// When the last picture ends.
    end_pts: i64,
}

impl Stretch {
    fn new(sources: &[ClipSource], range: Range<usize>) -> Option<Self> {
        let mut pictures: Vec<Picture> = Vec::new();
        for at in range.clone() {
            let video = sources[at]
                .samples
                .iter()
                .filter(|s| s.track == TrackKind::Video);
            pictures.extend(video.map(|sample| Picture {
                source: at,
                offset: sample.offset,
                size: sample.size,
                dts: sample.dts,
                pts: sample.pts,
                duration: sample.duration,
                is_key: sample.is_key,
            }));
        }
        let key = pictures.iter().position(|picture| picture.is_key)?;
        let key_pts = pictures[key].pts;
        pictures.drain(..key);
        // Pictures shown before the key frame need ones that are not here.
        pictures.retain(|picture| picture.pts >= key_pts);
        let mut order: Vec<usize> = (0..pictures.len()).collect();
        order.sort_by_key(|index| pictures[*index].pts);
        let end_of = |picture: &Picture| picture.pts.saturating_add(i64::from(picture.duration));
        let end_pts = pictures.iter().map(end_of).max()?;
        Some(Self {
            sources: range,
            pictures,
            order,
            end_pts,
        })
    }

    fn wall(&self, sources: &[ClipSource], index: usize) -> WallTime {
        let picture = &self.pictures[index];
        sources[picture.source].entry.wall_of(picture.pts)
    }

    /// When the picture at this place of the order leaves the screen, in ticks of the run.
    fn until(&self, place: usize) -> i64 {
        self.order
            .get(place + 1)
            .map_or(self.end_pts, |next| self.pictures[*next].pts)
    }

    /// The wall time of that.
    fn until_wall(&self, sources: &[ClipSource], place: usize) -> WallTime {
        let index = self.order[place];
        let ticks = self.until(place).saturating_sub(self.pictures[index].pts);
        let shown_us = Timescale::HZ_90K.to_micros(ticks);
        self.wall(sources, index).plus_micros(shown_us)
    }

    /// Place in the order of the first picture that is still on screen after `start`.
    fn place_on_screen(&self, sources: &[ClipSource], start: WallTime) -> Option<usize> {
        (0..self.order.len()).find(|place| self.until_wall(sources, *place) > start)
    }

    /// Indices of the pictures to decode in order to show those from `first` to `last` of the order.
    fn needed(&self, first: usize, last: usize) -> Range<usize> {
        let first_pts = self.pictures[self.order[first]].pts;
        let last_pts = self.pictures[self.order[last]].pts;
        let key = self
            .pictures
            .iter()
            .rposition(|picture| picture.is_key && picture.pts <= first_pts)
            .unwrap_or(0);
        let end = self
            .pictures
            .iter()
            .rposition(|picture| picture.pts <= last_pts)
            .unwrap_or(0);
        key..end + 1
    }
}

/// Lays stretches one after another.
#[derive(Debug, Default)]
struct Builder {
    holes: Holes,
    pictures: Vec<Picture>,
    spans: Vec<Span>,
    parts: Vec<ClipPart>,
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
        let placed = stretch.pictures[needed]
            .iter()
            .filter(|picture| picture.pts >= key.pts)
            .map(|picture| Picture {
                dts: picture.dts.saturating_add(shift),
                pts: picture.pts.saturating_add(shift),
                ..*picture
            });
        self.pictures.extend(placed);
        self.start_wall.get_or_insert(start_wall);
        self.end_wall = Some(stretch.until_wall(sources, last));
        self.spans.push(Span {
            sources: stretch.sources.clone(),
            shown,
            shift,
        });
        self.note_parts(stretch, first, last, sources);
    }

    /// Notes which segments the pictures from place `first` to place `last` of the last span come from.
    fn note_parts(&mut self, stretch: &Stretch, first: usize, last: usize, sources: &[ClipSource]) {
        let picture = |place: usize| &stretch.pictures[stretch.order[place]];
        let segment = |place: usize| sources[picture(place).source].segment;
        let (Some(begin), Some(span)) = (self.spans.first(), self.spans.last()) else {
            return;
        };
        let origin = begin.shown.start.saturating_add(begin.shift);
        let mut from = first;
        while from <= last {
            let of_part = (from..=last).take_while(|place| segment(*place) == segment(from));
            let to = of_part.last().unwrap_or(from);
            let at = picture(from).pts.saturating_add(span.shift);
            let start = stretch.wall(sources, stretch.order[from]);
            let end = stretch.until_wall(sources, to).max(start);
            let codecs = sources[picture(from).source].parameters.codecs();
            let same = self.parts.last().filter(|part| *part.codecs == *codecs);
            self.parts.push(ClipPart {
                segment: segment(from),
                at_ticks: u64::try_from(at.saturating_sub(origin)).unwrap_or(0),
                range: TimeRange { start, end },
                codecs: same.map_or_else(|| codecs.into(), |part| Arc::clone(&part.codecs)),
            });
            from = to + 1;
        }
    }

    /// The file starts at decode time 0; what follows is shown when what came before ends, or when it
    /// was captured if holes are kept, unless its decode times must come later than that.
    fn shift_for(&self, shown_start: i64, first_dts: i64, start_wall: WallTime) -> i64 {
        let (Some(before), Some(last)) = (self.spans.last(), self.pictures.last()) else {
            return first_dts.saturating_neg();
        };
        let shown_end = before.shown.end.saturating_add(before.shift);
        let follows = shown_end.saturating_sub(shown_start);
        let decodes = last.dts.saturating_add(1).saturating_sub(first_dts);
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
            pictures: self.pictures,
            shown,
            range: TimeRange {
                start,
                end: end.max(start),
            },
            spans: self.spans,
            parts: self.parts,
        })
    }
}
