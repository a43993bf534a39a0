//! What to read next, while footage grows, is published and expires.

use super::FAR_FUTURE;
use framewell_footage::{Error, Footage, GopEntry, GopPages, GopRef};
use framewell_model::{ChannelId, TimeRange, WallTime};
use std::collections::VecDeque;
use std::ops::Range;

/// A stretch of the timeline.
#[derive(Debug)]
pub(super) enum Stretch {
    /// Fragments of a GOP that have not been told.
    Fragments { gop: GopRef, numbers: Range<usize> },
    /// A hole.
    Gap(TimeRange),
}

/// Walks through the GOPs of a range.
///
/// Indexes are looked up a page at a time. Where a page ends with the newest footage of its time, it is
/// looked up again when the replay gets there, and the footage written since then is told.
#[derive(Debug)]
pub(super) struct Finder {
    footage: Footage,
    channel: ChannelId,
    range: TimeRange,
    is_open_ended: bool,
    pages: GopPages,
    entries: VecDeque<GopEntry>,
    /// The GOP told last, and how many of its fragments.
    last: Option<(GopRef, usize)>,
    /// Whether anything was told since the last look: if not, looking again finds nothing new.
    has_told: bool,
}

impl Finder {
    pub(super) fn new(
        footage: &Footage,
        channel: ChannelId,
        start: WallTime,
        end: Option<WallTime>,
    ) -> Self {
        let range = TimeRange {
            start,
            end: end.unwrap_or(FAR_FUTURE).max(start),
        };
        Self {
            footage: footage.clone(),
            channel,
            range,
            is_open_ended: end.is_none(),
            pages: footage.gops(channel, range),
            entries: VecDeque::new(),
            last: None,
            has_told: false,
        }
    }

    /// The wanted range; of one without an end, that lies in the far future.
    pub(super) const fn range(&self) -> TimeRange {
        self.range
    }

    pub(super) async fn next(&mut self) -> Result<Option<Stretch>, Error> {
        loop {
            match self.entries.pop_front() {
                Some(GopEntry::Gop(gop)) => {
                    if let Some(stretch) = self.untold(gop) {
                        return Ok(Some(stretch));
                    }
                }
                Some(GopEntry::Gap(gap)) if gap.range.end >= self.range.end => {
                    if self.look_again() {
                        continue;
                    }
                    let is_told = self.is_open_ended || self.last.is_none();
                    return Ok((!is_told).then_some(Stretch::Gap(gap.range)));
                }
                Some(GopEntry::Gap(gap)) => {
                    let told = self.last.as_ref().map(|(gop, _)| gop.range.end);
                    let start = told.map_or(gap.range.start, |told| told.max(gap.range.start));
                    if start < gap.range.end {
                        let end = gap.range.end;
                        return Ok(Some(Stretch::Gap(TimeRange { start, end })));
                    }
                }
                None => match self.pages.next_page().await? {
                    Some(entries) => self.entries.extend(entries),
                    None if self.look_again() => {}
                    None => return Ok(None),
                },
            }
        }
    }

    /// What of a GOP was not told yet.
    fn untold(&mut self, gop: GopRef) -> Option<Stretch> {
        let told = match &self.last {
            Some((last, told)) if last.key == gop.key => *told,
            _ => 0,
        };
        let until = self.needed(&gop);
        (told < until).then(|| {
            self.last = Some((gop.clone(), until));
            self.has_told = true;
            Stretch::Fragments {
                gop,
                numbers: told..until,
            }
        })
    }

    /// How many fragments of a GOP the range needs. The leading pictures of the next GOP come with that
    /// one, unless the range ends before its key frame.
    fn needed(&self, gop: &GopRef) -> usize {
        if gop.range.end < self.range.end {
            return gop.own_fragment_count();
        }
        let last_moment = self.range.end.plus_micros(-1);
        gop.fragments_until(last_moment).min(gop.fragment_count())
    }

    /// Begins a new look at the GOP told last, unless there is no need: nothing was told since the last
    /// look, or the range is told up to its end.
    fn look_again(&mut self) -> bool {
        let Some((last, _)) = self.last.as_ref().filter(|_| self.has_told) else {
            return false;
        };
        if !last.is_open && last.range.end >= self.range.end {
            return false;
        }
        let rest = TimeRange {
            start: last.range.start,
            end: self.range.end,
        };
        self.has_told = false;
        self.entries.clear();
        self.pages = self.footage.gops(self.channel, rest);
        true
    }
}
