//! What to feed a decoder for some pictures of a GOP. Pure functions.

use crate::reference::is_needless;
use framewell_decode::{Entry, Exit};
use framewell_footage::CompressedGop;

/// Where a decoder stands in a GOP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Index of the first sample that it was not offered.
    next: usize,
    /// Presentation times of pictures that it has taken in and holds back, because one that is shown
    /// earlier might follow.
    held: Vec<i64>,
}

/// A decoder's job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) entry: Entry,
    /// Indexes of the samples to feed, ascending.
    pub(crate) feed: Vec<usize>,
    pub(crate) exit: Exit,
    /// Where the decoder stands afterwards; `None` after [`Exit::Drain`].
    pub(crate) after: Option<Position>,
    /// Presentation times of further pictures that come out when a decoder is drained at the end of a
    /// GOP that is watched in order: the next to be asked for, and costly afterwards.
    pub(crate) spare: Vec<i64>,
}

/// The cheapest way to the pictures with these indexes: on from the decoder's position if all of them
/// lie ahead of it, else from the key frame.
///
/// The decoder keeps its position, for the pictures that are asked for next. With B pictures it gives
/// a picture out only once it has taken in [`reorder_depth`] pictures shown later, so those are fed too;
/// where the samples end before, it has to be drained.
///
/// [`reorder_depth`]: framewell_media::VideoParameters::reorder_depth
pub(crate) fn plan(gop: &CompressedGop, position: Option<&Position>, wanted: &[usize]) -> Plan {
    let usable = position.filter(|p| wanted.iter().all(|index| p.reaches(gop, *index)));
    let (entry, mut place) = match usable {
        Some(position) => (Entry::Continue, position.clone()),
        None => (Entry::Key, Position::default()),
    };
    let last = wanted.iter().copied().max().unwrap_or(0);
    let mut missing: Vec<i64> = wanted.iter().map(|index| gop.samples[*index].pts).collect();
    let mut feed = Vec::new();
    while place.next < gop.samples.len() && (place.next <= last || !missing.is_empty()) {
        let index = place.next;
        place.next += 1;
        let is_ahead = index > last;
        if !is_ahead && !wanted.contains(&index) && is_needless(gop, index) {
            continue;
        }
        feed.push(index);
        if let Some(out) = place.take_in(gop, index) {
            missing.retain(|pts| *pts != out);
        }
    }
    let exit = if missing.is_empty() {
        Exit::Keep
    } else {
        Exit::Drain
    };
    let mut spare = Vec::new();
    if exit == Exit::Drain && entry == Entry::Continue {
        spare.extend(place.held.iter().filter(|pts| !missing.contains(pts)));
    }
    Plan {
        entry,
        feed,
        exit,
        after: (exit == Exit::Keep).then_some(place),
        spare,
    }
}

impl Position {
    fn reaches(&self, gop: &CompressedGop, index: usize) -> bool {
        index >= self.next || self.held.contains(&gop.samples[index].pts)
    }

    /// The picture that the decoder gives out when it takes in a sample.
    fn take_in(&mut self, gop: &CompressedGop, index: usize) -> Option<i64> {
        self.held.push(gop.samples[index].pts);
        if self.held.len() <= usize::from(gop.video.reorder_depth) {
            return None;
        }
        let first = self.held.iter().enumerate().min_by_key(|(_, pts)| **pts);
        first
            .map(|(place, _)| place)
            .map(|place| self.held.swap_remove(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choose::tests::gop;
    use crate::reference::cost;
    use std::sync::Arc;

    const REFERENCED: u8 = 0x41;
    const UNREFERENCED: u8 = 0x01;

    /// Pictures every 40 ms, no reordering, all referred to.
    fn simple(count: i64) -> CompressedGop {
        let millis: Vec<i64> = (0..count).map(|n| n * 40).collect();
        gop(&millis, millis.len(), |_| REFERENCED)
    }

    /// I P B B P B B in decoding order; nothing refers to the B pictures.
    fn reordered() -> CompressedGop {
        let millis = [0, 120, 40, 80, 240, 160, 200];
        let is_b = |index: usize| [2, 3, 5, 6].contains(&index);
        let header = |index| {
            if is_b(index) {
                UNREFERENCED
            } else {
                REFERENCED
            }
        };
        let mut gop = gop(&millis, millis.len(), header);
        Arc::make_mut(&mut gop.video).reorder_depth = 1;
        gop
    }

    #[test]
    fn neighbours_asked_for_one_after_another_cost_one_picture_each() {
        let gop = simple(6);
        let first = plan(&gop, None, &[2]);
        assert_eq!((first.entry, first.exit), (Entry::Key, Exit::Keep));
        assert_eq!(first.feed, [0, 1, 2]);
        let mut position = first.after;
        for index in 3..6 {
            let next = plan(&gop, position.as_ref(), &[index]);
            assert_eq!((next.entry, next.feed), (Entry::Continue, vec![index]));
            position = next.after;
        }
    }

    #[test]
    fn pictures_wanted_together_are_one_pass() {
        let gop = simple(10);
        let plan = plan(&gop, None, &[7, 3, 3, 5]);
        assert_eq!(plan.feed, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_picture_behind_the_position_means_to_start_again() {
        let gop = simple(6);
        let position = plan(&gop, None, &[4]).after;
        let back = plan(&gop, position.as_ref(), &[5, 2]);
        assert_eq!(
            (back.entry, back.feed),
            (Entry::Key, vec![0, 1, 2, 3, 4, 5])
        );
    }

    #[test]
    fn with_b_pictures_each_shown_picture_still_costs_one() {
        let gop = reordered();
        let mut position = None;
        let mut fed = Vec::new();
        for index in [0, 2, 3, 1, 5, 6] {
            let next = plan(&gop, position.as_ref(), &[index]);
            assert_eq!(next.exit, Exit::Keep, "{index}");
            fed.extend(next.feed);
            position = next.after;
        }
        // The key frame comes out when the P picture behind it is in; and so on.
        assert_eq!(fed, [0, 1, 2, 3, 4, 5, 6]);
        let last = plan(&gop, position.as_ref(), &[4]);
        assert_eq!((last.entry, last.exit), (Entry::Continue, Exit::Drain));
        assert!(last.feed.is_empty() && last.after.is_none());
    }

    #[test]
    fn draining_at_the_end_of_a_gop_gives_the_rest_too() {
        let mut gop = reordered();
        Arc::make_mut(&mut gop.video).reorder_depth = 2;
        let position = plan(&gop, None, &[3]).after;
        let last = plan(&gop, position.as_ref(), &[6]);
        assert_eq!((last.entry, last.exit), (Entry::Continue, Exit::Drain));
        assert_eq!(last.spare, [240 * 90]);
        assert!(
            plan(&gop, None, &[6]).spare.is_empty(),
            "nobody watches in order"
        );
    }

    #[test]
    fn pictures_that_nothing_refers_to_are_left_out() {
        let gop = reordered();
        let one = plan(&gop, None, &[6]);
        assert_eq!(one.feed, [0, 1, 4, 6]);
        assert_eq!([0, 3, 4, 6].map(|index| cost(&gop, &[index])), [1, 3, 3, 4]);
        assert_eq!(cost(&gop, &[6, 2, 3]), 6);
    }

    #[test]
    fn leading_pictures_of_the_first_key_frame_are_not_fed() {
        // Own leading picture at -40; the next GOP's key frame at 120 with a leading picture at 80.
        let gop = gop(&[0, -40, 40, 120, 80], 3, |_| REFERENCED);
        assert_eq!(plan(&gop, None, &[2]).feed, [0, 2]);
        assert_eq!(plan(&gop, None, &[4]).feed, [0, 2, 3, 4]);
        assert_eq!(cost(&gop, &[4]), 4);
    }
}
