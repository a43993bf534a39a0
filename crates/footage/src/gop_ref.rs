//! Where a GOP lies: what the index alone says about it. Pure functions; nothing here reads media.

use crate::{CONTINUITY_US, Location, Piece};
use framewell_fmp4::FragmentEntry;
use framewell_model::{ChannelId, ClockSource, FrameId, TimeRange, WallTime};
use std::sync::Arc;

/// A recorded GOP, found but not read. Cheap to clone: its segments are shared.
#[derive(Debug, Clone)]
pub struct GopRef {
    /// Whose footage.
    pub channel: ChannelId,
    /// Its key frame.
    pub key: FrameId,
    /// When its pictures are on screen: from the capture time of the key frame up to that of the next
    /// GOP, or up to the end of its own last picture if nothing follows without a hole. Empty if the
    /// camera's clock was set back.
    pub range: TimeRange,
    /// Where its times come from.
    pub clock: ClockSource,
    /// Bytes of its fragments, audio included.
    pub size_bytes: u64,
    /// Whether the recorder may still be adding to it.
    pub is_open: bool,
    /// Its own in file order, at least one; then the next GOP's first one, if that has leading
    /// pictures: those are shown before the key frame that they come behind, and refer to this GOP
    /// (open GOP, H.265 section 3.81).
    fragments: Vec<FragmentRef>,
    /// How many of the fragments are its own.
    own: usize,
}

/// A fragment of a segment.
#[derive(Debug, Clone)]
pub(crate) struct FragmentRef {
    pub(crate) piece: Arc<Piece>,
    index: usize,
}

impl FragmentRef {
    pub(crate) fn entry(&self) -> &FragmentEntry {
        &self.piece.index.fragments[self.index]
    }

    /// Whether it is the first thing behind the segment's init part.
    pub(crate) const fn is_first(&self) -> bool {
        self.index == 0
    }

    /// Whether `next` lies right behind it in the same segment.
    pub(crate) fn is_followed_by(&self, next: &Self) -> bool {
        self.piece.id == next.piece.id && self.index + 1 == next.index
    }

    fn first_shown(&self) -> WallTime {
        let entry = self.entry();
        entry.wall_of(entry.min_pts)
    }

    fn end(&self) -> WallTime {
        let entry = self.entry();
        entry.wall_of(entry.end_pts)
    }
}

impl GopRef {
    /// Number of fragments that [`crate::Footage::read_fragments`] can read.
    #[must_use]
    pub const fn fragment_count(&self) -> usize {
        self.fragments.len()
    }

    /// How many of the fragments are the GOP's own; one more may belong to the next GOP, whose
    /// leading pictures need this one.
    #[must_use]
    pub const fn own_fragment_count(&self) -> usize {
        self.own
    }

    /// Bytes of a fragment; 0 if there is none of this number.
    #[must_use]
    pub fn fragment_bytes(&self, number: usize) -> u64 {
        let fragment = self.fragments.get(number);
        fragment.map_or(0, |fragment| u64::from(fragment.entry().len))
    }

    /// End of the pictures of the fragments before this number; the start of the GOP for 0.
    #[must_use]
    pub fn end_before(&self, number: usize) -> WallTime {
        let before = self.fragments.iter().take(number).map(FragmentRef::end);
        before.max().unwrap_or(self.range.start)
    }

    pub(crate) fn fragments(&self) -> &[FragmentRef] {
        &self.fragments
    }

    /// How many fragments from the first one hold all pictures captured at or before `at`; at least 1.
    #[must_use]
    pub fn fragments_until(&self, at: WallTime) -> usize {
        let is_needed = |fragment: &FragmentRef| fragment.first_shown() <= at;
        let last = self.fragments.iter().rposition(is_needed);
        last.map_or(1, |last| last + 1)
    }

    /// Holes inside the GOP, ascending: the camera paused for more than [`CONTINUITY_US`], or its clock
    /// was set, and the run went on. Usually none.
    #[must_use]
    pub fn pauses(&self) -> Vec<TimeRange> {
        let own = &self.fragments[..self.own];
        let mut end = own[0].end();
        let mut pauses = Vec::new();
        for fragment in &own[1..] {
            let start = fragment.first_shown();
            if start.micros_since(end) > CONTINUITY_US {
                pauses.push(TimeRange {
                    start: end,
                    end: start,
                });
            }
            end = end.max(fragment.end());
        }
        pauses
    }

    /// End of the last picture that [`crate::Footage::read_gop`] gives and that is its own, or a leading
    /// one of the next GOP.
    #[must_use]
    pub fn pictures_end(&self) -> WallTime {
        let ends = self.fragments[..self.own].iter().map(FragmentRef::end);
        let has_leading = self.fragments.len() > self.own;
        let leading = has_leading.then_some(self.range.end);
        ends.chain(leading).max().unwrap_or(self.range.end)
    }

    /// Whether one of its pictures is on screen at `at`.
    #[must_use]
    pub fn is_on_screen(&self, at: WallTime) -> bool {
        self.range.contains(at) && !self.pauses().iter().any(|pause| pause.contains(at))
    }

    /// Capture times of a hole around `at`, as far as this GOP knows: the end of its pictures before,
    /// the start of those after.
    pub(crate) fn edges(&self, at: WallTime) -> (Option<WallTime>, Option<WallTime>) {
        let pause = self.pauses().into_iter().find(|pause| pause.contains(at));
        match pause {
            Some(pause) => (Some(pause.start), Some(pause.end)),
            None if self.range.start > at => (None, Some(self.range.start)),
            None => (Some(self.range.end), None),
        }
    }
}

/// The GOPs of pieces that ascend by start, in file order.
pub(crate) fn gops_of_all(pieces: &[Arc<Piece>]) -> Vec<GopRef> {
    let next = |n: usize| pieces.get(n + 1);
    (0..pieces.len())
        .flat_map(|n| gops_of(&pieces[n], next(n)))
        .collect()
}

/// The GOPs of a piece; `next` is the one behind it, if there is one.
pub(crate) fn gops_of(piece: &Arc<Piece>, next: Option<&Arc<Piece>>) -> Vec<GopRef> {
    let fragments = &piece.index.fragments;
    let keys: Vec<usize> = (0..fragments.len())
        .filter(|n| fragments[*n].is_key)
        .collect();
    let gop = |n: usize| {
        let own = keys[n]..keys.get(n + 1).copied().unwrap_or(fragments.len());
        gop_of(piece, own, next)
    };
    (0..keys.len()).map(gop).collect()
}

fn gop_of(piece: &Arc<Piece>, own: std::ops::Range<usize>, next: Option<&Arc<Piece>>) -> GopRef {
    let fragment = |piece: &Arc<Piece>, index| FragmentRef {
        piece: Arc::clone(piece),
        index,
    };
    let is_last = own.end == piece.index.fragments.len();
    let mut fragments: Vec<_> = own.clone().map(|index| fragment(piece, index)).collect();
    let end = fragments.iter().map(FragmentRef::end).max();
    let key = *fragments[0].entry();
    let end = end.unwrap_or(key.wall);
    let follower = match next {
        _ if !is_last => Some(fragment(piece, own.end)),
        Some(next) if piece.continues_into(next) && !next.index.fragments.is_empty() => {
            Some(fragment(next, 0))
        }
        _ => None,
    };
    let follower = follower.filter(|f| f.first_shown().micros_since(end) <= CONTINUITY_US);
    let end = match (&follower, next) {
        (Some(follower), _) => follower.entry().wall,
        // Footage of another run that begins before this one ends is the newer truth.
        (None, Some(next)) if is_last => end.min(next.range.start),
        _ => end,
    };
    let own_count = fragments.len();
    let size_bytes = fragments.iter().map(|f| u64::from(f.entry().len)).sum();
    fragments.extend(follower.filter(|f| f.entry().min_pts < f.entry().anchor_pts));
    GopRef {
        channel: piece.channel,
        key: FrameId {
            run: piece.run,
            ticks: key.anchor_pts,
        },
        range: TimeRange {
            start: key.wall,
            end: end.max(key.wall),
        },
        clock: key.clock,
        size_bytes,
        is_open: is_last && next.is_none() && matches!(piece.location, Location::Spool(_)),
        fragments,
        own: own_count,
    }
}
