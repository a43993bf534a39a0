//! Footage without a break in decode time, of which only both ends are looked at picture by picture.
//!
//! Which picture is the first and which the last depends on the pictures around them; all that lies between is
//! taken fragment by fragment, however long it is.

use super::ClipSource;
use super::select::Picture;
use framewell_model::{Timescale, WallTime};
use std::ops::Range;

/// All that can be decoded of a group of sources.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) sources: Range<usize>,
    /// Of the beginning, then of the end. In decoding order, from the first key frame on, without the pictures
    /// shown before it.
    pub(super) pictures: Vec<Picture>,
    /// Indices of `pictures` in order of presentation.
    pub(super) order: Vec<usize>,
    /// How many of the pictures are those of the beginning.
    head: usize,
    /// The sources between, with all their pictures. Empty: beginning and end are one.
    pub(super) interior: Range<usize>,
    /// When the last picture ends.
    end_pts: i64,
}

impl Stretch {
    /// The stretch of a group, and the place in its order to begin at: the first picture that is on screen after
    /// `search`, or the first one of all. Its pictures before `end` can be told from those behind.
    pub(super) fn find(
        sources: &[ClipSource],
        group: &Range<usize>,
        search: Option<WallTime>,
        end: WallTime,
    ) -> Option<(Self, usize)> {
        let interior = interior(sources, group, search, end)?;
        if !interior.is_empty()
            && let Some(stretch) = Self::new(sources, group, interior)
        {
            let place = search.map_or(Some(0), |start| stretch.settled_place(sources, start));
            if let Some(place) = place {
                return Some((stretch, place));
            }
        }
        let stretch = Self::new(sources, group, group.end..group.end)?;
        let mut places = 0..stretch.order.len();
        let place = match search {
            None => 0,
            Some(start) => places.find(|place| stretch.until_wall(sources, *place) > start)?,
        };
        Some((stretch, place))
    }

    fn new(sources: &[ClipSource], group: &Range<usize>, interior: Range<usize>) -> Option<Self> {
        let mut pictures = pictures(sources, group.start..interior.start);
        let key = pictures.iter().position(|picture| picture.is_key)?;
        let key_pts = pictures[key].pts;
        pictures.drain(..key);
        // Pictures shown before the key frame need ones that are not here.
        pictures.retain(|picture| picture.pts >= key_pts);
        let head = pictures.len();
        pictures.extend(self::pictures(sources, interior.end..group.end));
        let mut order: Vec<usize> = (0..pictures.len()).collect();
        order[..head].sort_by_key(|index| pictures[*index].pts);
        order[head..].sort_by_key(|index| pictures[*index].pts);
        let end_of = |picture: &Picture| picture.pts.saturating_add(i64::from(picture.duration));
        let end_pts = pictures.iter().map(end_of).max()?;
        Some(Self {
            sources: group.clone(),
            pictures,
            order,
            head,
            interior,
            end_pts,
        })
    }

    pub(super) fn wall(&self, sources: &[ClipSource], index: usize) -> WallTime {
        let picture = &self.pictures[index];
        sources[picture.source].entry.wall_of(picture.pts)
    }

    /// When the picture at this place of the order leaves the screen, in ticks of the run.
    pub(super) fn until(&self, place: usize) -> i64 {
        self.order
            .get(place + 1)
            .map_or(self.end_pts, |next| self.pictures[*next].pts)
    }

    /// The wall time of that.
    pub(super) fn until_wall(&self, sources: &[ClipSource], place: usize) -> WallTime {
        let index = self.order[place];
        let until = match sources.get(self.interior.start) {
            Some(next) if !self.interior.is_empty() && place + 1 == self.head => next.entry.min_pts,
            _ => self.until(place),
        };
        let ticks = until.saturating_sub(self.pictures[index].pts);
        let shown_us = Timescale::HZ_90K.to_micros(ticks);
        self.wall(sources, index).plus_micros(shown_us)
    }

    /// Place in the order of the first picture that is still on screen after `start`, if no picture of the
    /// sources between could come before it.
    fn settled_place(&self, sources: &[ClipSource], start: WallTime) -> Option<usize> {
        let head = &self.pictures[..self.head];
        let last_key = head.iter().rposition(|picture| picture.is_key)?;
        let settled_pts = head[last_key..].iter().map(|picture| picture.pts).min()?;
        (0..self.head)
            .take_while(|place| self.pictures[self.order[*place]].pts < settled_pts)
            .find(|place| self.until_wall(sources, *place) > start)
    }

    /// Where in `pictures` the sources between have their place, if the places from `first` to `last` of the
    /// order are on both sides of them.
    pub(super) fn joint(&self, first: usize, last: usize) -> Option<usize> {
        let is_around = first < self.head && last >= self.head;
        (is_around && !self.interior.is_empty()).then_some(self.head)
    }

    /// Indices of the pictures to decode in order to show those from `first` to `last` of the order.
    pub(super) fn needed(&self, first: usize, last: usize) -> Range<usize> {
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

/// The sources of a group that need not be looked at picture by picture: at both ends a whole group of pictures
/// lies between them and whatever the first and the last picture depend on. `None` if nothing of the group is
/// on screen after `search`.
fn interior(
    sources: &[ClipSource],
    group: &Range<usize>,
    search: Option<WallTime>,
    end: WallTime,
) -> Option<Range<usize>> {
    let ends = |at: usize| {
        let entry = &sources[at].entry;
        entry.wall_of(entry.end_pts)
    };
    let first = match search {
        None => group.start,
        Some(start) => group.clone().find(|at| ends(*at) > start)?,
    };
    let is_key = |at: &usize| sources[*at].entry.is_key;
    let key_behind = |at: usize| (at + 1..group.end).find(is_key);
    let key_before = |at: usize| (group.start..at).rfind(is_key);
    let from = key_behind(first).and_then(key_behind);
    let last = group.clone().find(|at| ends(*at) >= end);
    let to = key_before(last.map_or(group.end, |last| last + 1)).and_then(key_before);
    match (from, to) {
        (Some(from), Some(to)) if from < to => Some(from..to),
        _ => Some(group.end..group.end),
    }
}

fn pictures(sources: &[ClipSource], range: Range<usize>) -> Vec<Picture> {
    let mut pictures = Vec::new();
    for at in range {
        sources[at]
            .samples
            .for_each_picture(&sources[at].entry, |index, sample| {
                pictures.push(Picture {
                    source: at,
                    index,
                    dts: sample.dts,
                    pts: sample.pts,
                    duration: sample.duration,
                    is_key: sample.is_key,
                });
            });
    }
    pictures
}
