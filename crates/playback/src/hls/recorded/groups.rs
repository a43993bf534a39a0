//! From stored segments to media segments of a playlist. No I/O.

use framewell_fmp4::FragmentEntry;
use framewell_footage::{Location, Piece};
use framewell_model::{SegmentId, TimeRange, Timescale, WallTime};
use std::ops::Range;
use std::sync::Arc;

/// A pause of a camera up to this long is no discontinuity: the recorder lets the picture before it stand,
/// and so does the playlist, because the clock of the run goes on.
const PAUSE_US: i64 = 5_000_000;

/// A media segment: fragments of a stored segment, from a key frame on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) segment: SegmentId,
    /// Its bytes there.
    pub(super) bytes: Range<u64>,
    /// Capture time of its first picture.
    pub(super) start: WallTime,
    pub(super) duration_us: i64,
    /// Whether it does not go on where the one before ended, or with other parameters.
    pub(super) is_discontinuity: bool,
    /// Whether the init segment of the one before fits it.
    pub(super) has_same_parameters: bool,
}

/// A piece, and the fragments of it that take part.
#[derive(Debug)]
struct Part {
    piece: Arc<Piece>,
    parameters: u64,
    fragments: Range<usize>,
}

/// Makes media segments of pieces that come in order, one piece behind: how long the last segment of a
/// piece is, the next piece tells.
#[derive(Debug)]
pub(super) struct Groups {
    range: TimeRange,
    aim_us: i64,
    /// No more footage will come.
    is_ended: bool,
    waiting: Option<Part>,
    /// What [`Groups::waiting`] follows.
    before: Option<(Arc<Piece>, u64)>,
}

impl Groups {
    pub(super) const fn new(range: TimeRange, aim_us: i64, is_ended: bool) -> Self {
        Self {
            range,
            aim_us,
            is_ended,
            waiting: None,
            before: None,
        }
    }

    /// The next piece; gives the segments of the one before.
    pub(super) fn take(
        &mut self,
        piece: Arc<Piece>,
        parameters: u64,
        give: &mut impl FnMut(Group),
    ) {
        let needed = crate::plan::needed(&piece.index.fragments, self.range);
        let Some(fragments) = needed.filter(|fragments| !fragments.is_empty()) else {
            return;
        };
        let next = Part {
            piece,
            parameters,
            fragments,
        };
        if let Some(part) = self.waiting.take() {
            self.give(part, Some(&next), give);
        }
        self.waiting = Some(next);
    }

    /// No more pieces.
    pub(super) fn finish(mut self, give: &mut impl FnMut(Group)) {
        if let Some(part) = self.waiting.take() {
            self.give(part, None, give);
        }
    }

    fn give(&mut self, part: Part, next: Option<&Part>, give: &mut impl FnMut(Group)) {
        let entries = &part.piece.index.fragments;
        // What is still written may grow up to the next key frame.
        let is_open =
            next.is_none() && !self.is_ended && matches!(part.piece.location, Location::Spool(_));
        // The next piece goes on where this one ends only if nothing of it was cut off.
        let is_whole = part.fragments.end == entries.len();
        let follower = next.filter(|next| {
            is_whole && next.fragments.start == 0 && goes_on(&part.piece, &next.piece)
        });
        let follower_pts = follower.map(|next| next.piece.index.fragments[0].min_pts);
        let (goes_on, has_same_parameters) = self.before.take().map_or((true, false), |before| {
            let has_same = before.1 == part.parameters;
            let goes_on = goes_on(&before.0, &part.piece) && part.fragments.start == 0;
            (
                goes_on && has_same,
                has_same && before.0.run == part.piece.run,
            )
        });
        let cuts = cuts(entries, part.fragments.clone(), self.aim_us);
        let count = if is_open { cuts.len() - 1 } else { cuts.len() };
        for (n, cut) in cuts.iter().take(count).enumerate() {
            let next_pts = match cuts.get(n + 1) {
                Some(next) => Some(entries[next.start].min_pts),
                None => follower_pts,
            };
            let mut group = group(&part, cut.clone(), next_pts);
            group.is_discontinuity = n == 0 && !goes_on;
            group.has_same_parameters = n > 0 || has_same_parameters;
            give(group);
        }
        self.before = Some((part.piece, part.parameters));
    }
}

/// Whether `next` is the next segment of the same run, give or take a short pause.
fn goes_on(piece: &Piece, next: &Piece) -> bool {
    let Some(first) = next.index.fragments.first() else {
        return false;
    };
    let pause_us = first.wall_of(first.min_pts).micros_since(piece.range.end);
    piece.run == next.run && piece.sequence + 1 == next.sequence && pause_us.abs() <= PAUSE_US
}

/// Splits at key frames, each time `aim_us` are reached.
fn cuts(entries: &[FragmentEntry], within: Range<usize>, aim_us: i64) -> Vec<Range<usize>> {
    let mut cuts = Vec::new();
    let mut start = within.start;
    for n in within.clone().skip(1) {
        let length = entries[n].dts.saturating_sub(entries[start].dts);
        if entries[n].is_key && Timescale::HZ_90K.to_micros(length) >= aim_us {
            cuts.push(start..n);
            start = n;
        }
    }
    cuts.push(start..within.end);
    cuts
}

/// `next_pts` is that of the first picture shown of what follows without a hole: players add lengths up to
/// find the place of a segment, so they must not differ from the media's own clock. By what is shown and
/// not by what is decoded: the first pictures of a run are decoded at shorter distances than they are
/// shown, until their reordering is known.
fn group(part: &Part, fragments: Range<usize>, next_pts: Option<i64>) -> Group {
    let entries = &part.piece.index.fragments[fragments];
    let (first, last) = (&entries[0], &entries[entries.len() - 1]);
    let ends = entries.iter().map(|entry| entry.end_pts);
    let end_pts = next_pts.or(ends.max()).unwrap_or(first.min_pts);
    Group {
        segment: part.piece.id,
        bytes: first.offset..last.offset + u64::from(last.len),
        start: first.wall_of(first.min_pts),
        duration_us: Timescale::HZ_90K.to_micros(end_pts.saturating_sub(first.min_pts).max(0)),
        is_discontinuity: false,
        has_same_parameters: true,
    }
}
