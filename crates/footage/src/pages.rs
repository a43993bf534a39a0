//! GOPs and gaps of a range of any length, a page at a time.

use crate::around::LEADING_US;
use crate::footage::piece_of;
use crate::gop_ref::{GopRef, gops_of};
use crate::{CONTINUITY_US, Error, Footage, Location, Piece};
use framewell_model::{ChannelId, Gap, GapReason, SegmentId, TimeRange, WallTime};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Segments looked up at a time: about 40 minutes of 10 s segments.
const PIECES_PER_PAGE: i64 = 256;

/// A stretch without footage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FootageGap {
    /// Cut to the range that was asked for.
    pub range: TimeRange,
    /// Why, if the recorder wrote that down.
    pub reason: Option<GapReason>,
}

/// What a range of time consists of.
#[derive(Debug, Clone)]
pub enum GopEntry {
    /// Footage.
    Gop(GopRef),
    /// None.
    Gap(FootageGap),
}

/// The GOPs of a range and the gaps between them, in time order. Media is not read, and no more
/// than a page of indexes is held.
///
/// A range that reaches to the present ends with a gap from what has reached the spool up to the
/// range's end.
#[derive(Debug)]
pub struct GopPages {
    footage: Footage,
    channel: ChannelId,
    range: TimeRange,
    /// Segments that overlap this are yet to be looked up; `None`: all have been.
    rest: Option<TimeRange>,
    /// Looked up already, of those that may be met again; with the end of their footage.
    seen: Vec<(SegmentId, WallTime)>,
    /// Looked up and not told yet.
    waiting: VecDeque<Arc<Piece>>,
    /// The entries so far end here.
    told_until: WallTime,
    is_done: bool,
}

impl Footage {
    /// The GOPs with pictures on screen within a range, and the gaps, without reading media.
    #[must_use]
    pub fn gops(&self, channel: ChannelId, range: TimeRange) -> GopPages {
        // The piece before may reach in by rounding; the one behind may have leading pictures.
        let rest = TimeRange {
            start: range.start.plus_micros(-CONTINUITY_US),
            end: range.end.plus_micros(LEADING_US),
        };
        GopPages {
            footage: self.clone(),
            channel,
            range,
            rest: Some(rest),
            seen: Vec::new(),
            waiting: VecDeque::new(),
            told_until: range.start,
            is_done: false,
        }
    }
}

impl Footage {
    /// Why there is nothing in these stretches (ascending), as far as the recorder wrote it down.
    pub async fn explain(
        &self,
        channel: ChannelId,
        holes: &[TimeRange],
    ) -> Result<Vec<FootageGap>, Error> {
        let (Some(first), Some(last)) = (holes.first(), holes.last()) else {
            return Ok(Vec::new());
        };
        let span = TimeRange {
            start: first.start,
            end: last.end,
        };
        let rows = self.catalog().gaps_in(channel, span).await;
        let rows = rows.map_err(|source| Error::Catalog { channel, source })?;
        let explained = |range: &TimeRange| FootageGap {
            range: *range,
            reason: reason_of(range, &rows),
        };
        Ok(holes.iter().map(explained).collect())
    }
}

impl GopPages {
    /// The next entries; `None` at the end. After an error the same page may be asked for again.
    /// Cancel-safe.
    pub async fn next_page(&mut self) -> Result<Option<Vec<GopEntry>>, Error> {
        while !self.is_done {
            if let Some(rest) = self.rest {
                self.look_up(rest).await?;
            }
            let (entries, told_until) = self.entries();
            let entries = self.with_reasons(entries).await?;
            // Nothing was changed before this point that the next call would miss.
            self.told_until = told_until;
            let kept = usize::from(self.rest.is_some()).min(self.waiting.len());
            self.waiting.drain(..self.waiting.len() - kept);
            self.is_done = self.rest.is_none();
            if !entries.is_empty() {
                return Ok(Some(entries));
            }
        }
        Ok(None)
    }

    /// Looks up the next segments.
    async fn look_up(&mut self, rest: TimeRange) -> Result<(), Error> {
        let channel = self.channel;
        // The spool first, see `Footage::pieces`.
        let spooled = self.footage.spool().pieces(channel, rest);
        let catalog = self.footage.catalog();
        let rows = catalog.segments_in(channel, rest, PIECES_PER_PAGE).await;
        let rows = rows.map_err(|source| Error::Catalog { channel, source })?;
        let is_full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= PIECES_PER_PAGE;
        let last = rows.last().map(|row| row.range.start);
        let bound = last.filter(|last| is_full && *last > rest.start);
        let mut pieces = Vec::with_capacity(rows.len());
        for row in rows {
            pieces.push(piece_of(row)?);
        }
        let known: HashSet<SegmentId> = pieces.iter().map(|piece| piece.id).collect();
        let is_now = |piece: &Piece| bound.is_none_or(|bound| piece.range.start <= bound);
        let spooled = spooled.into_iter().filter(|p| !known.contains(&p.id));
        pieces.extend(spooled.filter(is_now));
        pieces.retain(|piece| self.seen.iter().all(|(id, _)| *id != piece.id));
        pieces.sort_by_key(|piece| (piece.range.start, piece.range.end));
        self.seen
            .extend(pieces.iter().map(|piece| match piece.location {
                Location::Object(_) => (piece.id, piece.range.end),
                // It may grow, and be published meanwhile.
                Location::Spool(_) => (piece.id, WallTime::from_micros(i64::MAX)),
            }));
        let may_come_again = |end: WallTime| bound.is_some_and(|bound| end > bound);
        self.seen.retain(|(_, end)| may_come_again(*end));
        self.waiting.extend(pieces.into_iter().map(Arc::new));
        self.rest = bound.map(|start| TimeRange { start, ..rest });
        Ok(())
    }

    /// What can be told of the segments that wait, and where it ends. The last one has to wait for its
    /// follower, unless none will come.
    fn entries(&self) -> (Vec<GopEntry>, WallTime) {
        let mut entries = Vec::new();
        let mut told_until = self.told_until;
        let pieces: Vec<&Arc<Piece>> = self.waiting.iter().collect();
        let kept = usize::from(self.rest.is_some()).min(pieces.len());
        for n in 0..pieces.len() - kept {
            for gop in gops_of(pieces[n], pieces.get(n + 1).copied()) {
                if gop.range.overlaps(&self.range) {
                    entries.extend(gap(told_until, gop.range.start));
                    told_until = told_until.max(gop.range.end);
                    entries.push(GopEntry::Gop(gop));
                }
            }
        }
        if self.rest.is_none() {
            entries.extend(gap(told_until, self.range.end));
        }
        (entries, told_until)
    }

    async fn with_reasons(&self, mut entries: Vec<GopEntry>) -> Result<Vec<GopEntry>, Error> {
        let holes: Vec<TimeRange> = entries
            .iter()
            .filter_map(|entry| entry.gap().map(|gap| gap.range))
            .collect();
        let mut explained = self
            .footage
            .explain(self.channel, &holes)
            .await?
            .into_iter();
        for entry in &mut entries {
            if let GopEntry::Gap(hole) = entry {
                hole.reason = explained.next().and_then(|gap| gap.reason);
            }
        }
        Ok(entries)
    }
}

impl GopEntry {
    /// The gap, if it is one.
    #[must_use]
    pub const fn gap(&self) -> Option<&FootageGap> {
        match self {
            Self::Gap(gap) => Some(gap),
            Self::Gop(_) => None,
        }
    }
}

fn gap(start: WallTime, end: WallTime) -> Option<GopEntry> {
    let range = TimeRange::new(start, end).filter(|range| range.micros() > 0)?;
    let reason = None;
    Some(GopEntry::Gap(FootageGap { range, reason }))
}

/// The reason of the row that explains most of a hole.
fn reason_of(hole: &TimeRange, rows: &[Gap]) -> Option<GapReason> {
    let shared_us = |row: &Gap| {
        let end = row.end.unwrap_or(hole.end).min(hole.end);
        end.micros_since(row.start.max(hole.start))
    };
    let explaining = rows.iter().filter(|row| shared_us(row) > 0);
    explaining
        .max_by_key(|row| shared_us(row))
        .map(|row| row.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_that_explains_most_of_a_hole_gives_its_reason() {
        let range = |start, end| TimeRange {
            start: WallTime::from_secs(start),
            end: WallTime::from_secs(end),
        };
        let row = |start, end: Option<i64>, reason| Gap {
            channel: "7".parse().unwrap(),
            start: WallTime::from_secs(start),
            end: end.map(WallTime::from_secs),
            reason,
        };
        let rows = [
            row(0, Some(12), GapReason::PacketLoss),
            row(12, Some(18), GapReason::ServerDown),
            row(30, None, GapReason::CameraOffline),
        ];
        assert_eq!(
            reason_of(&range(10, 20), &rows),
            Some(GapReason::ServerDown)
        );
        assert_eq!(
            reason_of(&range(25, 40), &rows),
            Some(GapReason::CameraOffline)
        );
        assert_eq!(reason_of(&range(20, 30), &rows), None);
    }
}
