//! Which segment a clip shows when.

use super::stretch::Stretch;
use super::{ClipPart, ClipSource};
use framewell_media::StreamParameters;
use framewell_model::{TimeRange, WallTime};
use std::ops::Range;
use std::sync::Arc;

/// Parts, in the order in which they are added.
#[derive(Debug, Default)]
pub(super) struct Parts {
    parts: Vec<ClipPart>,
    /// Those of the last part.
    parameters: Option<Arc<StreamParameters>>,
}

/// Something that is shown of a source.
struct Shown {
    source: usize,
    pts: i64,
    start: WallTime,
    until: WallTime,
}

impl Parts {
    /// Adds what is at some places of the order of a stretch, and between them. The clip begins at `origin`, in
    /// ticks of the run.
    pub(super) fn note(
        &mut self,
        stretch: &Stretch,
        places: Range<usize>,
        sources: &[ClipSource],
        origin: i64,
    ) {
        let at = |place: usize| {
            let index = stretch.order[place];
            let picture = &stretch.pictures[index];
            Shown {
                source: picture.source,
                pts: picture.pts,
                start: stretch.wall(sources, index),
                until: stretch.until_wall(sources, place),
            }
        };
        let joint = stretch.joint(places.start, places.end - 1);
        let head = places.start..joint.unwrap_or(places.end);
        let mut is_first = true;
        let mut add = |shown: Shown| {
            self.add(&shown, sources, origin, is_first);
            is_first = false;
        };
        head.map(at).for_each(&mut add);
        if let Some(joint) = joint {
            let all = stretch.interior.clone().map(|at| whole(at, sources));
            all.for_each(&mut add);
            (joint..places.end).map(at).for_each(&mut add);
        }
    }

    fn add(&mut self, shown: &Shown, sources: &[ClipSource], origin: i64, is_first: bool) {
        let source = &sources[shown.source];
        match self.parts.last_mut() {
            Some(part) if part.segment == source.segment && !is_first => {
                part.range.end = shown.until.max(part.range.start);
            }
            _ => {
                let codecs = self.codecs(&source.parameters);
                self.parts.push(ClipPart {
                    segment: source.segment,
                    at_ticks: u64::try_from(shown.pts.saturating_sub(origin)).unwrap_or(0),
                    range: TimeRange {
                        start: shown.start,
                        end: shown.until.max(shown.start),
                    },
                    codecs,
                });
            }
        }
    }

    fn codecs(&mut self, parameters: &Arc<StreamParameters>) -> Arc<str> {
        let before = self.parts.last().zip(self.parameters.as_ref());
        if let Some((part, _)) = before.filter(|(_, known)| Arc::ptr_eq(known, parameters)) {
            return Arc::clone(&part.codecs);
        }
        self.parameters = Some(Arc::clone(parameters));
        let codecs = parameters.codecs();
        match self.parts.last() {
            Some(part) if *part.codecs == *codecs => Arc::clone(&part.codecs),
            _ => codecs.into(),
        }
    }

    pub(super) fn finish(self) -> Vec<ClipPart> {
        self.parts
    }
}

/// All of a source that another one follows.
fn whole(at: usize, sources: &[ClipSource]) -> Shown {
    let entry = &sources[at].entry;
    let until_pts = sources
        .get(at + 1)
        .map_or(entry.end_pts, |next| next.entry.min_pts);
    Shown {
        source: at,
        pts: entry.min_pts,
        start: entry.wall_of(entry.min_pts),
        until: entry.wall_of(until_pts),
    }
}
