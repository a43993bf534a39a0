//! Finding the GOP of an instant, or the one nearest to it.

use crate::footage::piece_of;
use crate::gop_ref::{GopRef, gops_of, gops_of_all};
use crate::{CompressedGop, Error, Footage, Piece, TICK_US};
use framewell_model::{ChannelId, TimeRange, WallTime};
use std::sync::Arc;

/// Leading pictures are shown at most this long before the key frame that they follow in decoding
/// order: 16 reordered pictures (the most that H.265 allows) at 16 per second.
pub(crate) const LEADING_US: i64 = 1_000_000;

impl Footage {
    /// The GOP with the picture on screen at `at` (give or take [`TICK_US`]). [`Error::NoFootage`] in a
    /// gap: `at` must lie within a GOP's range. Of two that overlap, the one that starts later counts.
    pub async fn find_gop(&self, channel: ChannelId, at: WallTime) -> Result<GopRef, Error> {
        let near = TimeRange {
            start: at.plus_micros(-LEADING_US),
            end: at.plus_micros(LEADING_US),
        };
        let pieces = self.pieces(channel, near).await?;
        let pieces: Vec<Arc<Piece>> = pieces.into_iter().map(Arc::new).collect();
        let gops = gops_of_all(&pieces);
        // A rounded capture time may lie one tick before its picture, or be the last one of a GOP.
        for until in [at.plus_micros(TICK_US), at] {
            let held = gops.iter().rfind(|gop| gop.range.contains(until));
            if let Some(gop) = held.filter(|gop| gop.is_on_screen(until)) {
                return Ok(gop.clone());
            }
        }
        Err(self.hole_at(channel, at, &gops).await?)
    }

    /// The GOP on screen at `at`, its samples from the key frame up to all that can be shown at or
    /// before `at` (give or take [`TICK_US`]). Reads only the fragments needed. [`Error::NoFootage`]
    /// in a gap.
    pub async fn gop_at(&self, channel: ChannelId, at: WallTime) -> Result<CompressedGop, Error> {
        let gop = self.find_gop(channel, at).await?;
        self.read_gop_until(&gop, at.plus_micros(TICK_US)).await
    }

    /// The GOP whose key frame was captured last of those captured at or before `at`, however long
    /// before: it has the last picture captured by then. `None` if there is none.
    pub async fn gop_before(
        &self,
        channel: ChannelId,
        at: WallTime,
    ) -> Result<Option<GopRef>, Error> {
        let Some(piece) = self.piece_starting_by(channel, at).await? else {
            return Ok(None);
        };
        let next = self.piece_behind(&piece).await?;
        let gops = gops_of(&piece, next.as_ref());
        Ok(gops.into_iter().rfind(|gop| gop.range.start <= at))
    }

    /// The GOP whose key frame was captured first of those captured at or after `at`, however long
    /// after. `None` if there is none yet.
    pub async fn gop_after(
        &self,
        channel: ChannelId,
        at: WallTime,
    ) -> Result<Option<GopRef>, Error> {
        let begun = self.piece_starting_by(channel, at).await?;
        if let Some(piece) = begun.filter(|piece| piece.range.end > at) {
            let next = self.piece_behind(&piece).await?;
            let mut gops = gops_of(&piece, next.as_ref()).into_iter();
            if let Some(gop) = gops.find(|gop| gop.range.start >= at) {
                return Ok(Some(gop));
            }
        }
        let Some(piece) = self.piece_starting_from(channel, at).await? else {
            return Ok(None);
        };
        let next = self.piece_behind(&piece).await?;
        Ok(gops_of(&piece, next.as_ref()).into_iter().next())
    }

    async fn piece_behind(&self, piece: &Piece) -> Result<Option<Arc<Piece>>, Error> {
        let from = piece.range.start.plus_micros(1);
        self.piece_starting_from(piece.channel, from).await
    }

    async fn piece_starting_by(
        &self,
        channel: ChannelId,
        at: WallTime,
    ) -> Result<Option<Arc<Piece>>, Error> {
        // The spool first, as in `pieces`: what is published between the two looks is in both.
        let spooled = self.spool().starting_by(channel, at);
        let row = self.catalog().segment_starting_by(channel, at).await;
        let row = row.map_err(|source| Error::Catalog { channel, source })?;
        let stored = row.map(piece_of).transpose()?;
        Ok(match (spooled, stored) {
            (Some(spooled), Some(stored)) if spooled.range.start > stored.range.start => {
                Some(spooled)
            }
            (spooled, stored) => stored.or(spooled),
        }
        .map(Arc::new))
    }

    async fn piece_starting_from(
        &self,
        channel: ChannelId,
        at: WallTime,
    ) -> Result<Option<Arc<Piece>>, Error> {
        let spooled = self.spool().starting_from(channel, at);
        let row = self.catalog().segment_starting_from(channel, at).await;
        let row = row.map_err(|source| Error::Catalog { channel, source })?;
        let stored = row.map(piece_of).transpose()?;
        Ok(match (spooled, stored) {
            (Some(spooled), Some(stored)) if spooled.range.start < stored.range.start => {
                Some(spooled)
            }
            (spooled, stored) => stored.or(spooled),
        }
        .map(Arc::new))
    }

    /// Where the footage nearest to `at` is, as the error to answer with: [`Error::NoFootage`].
    pub async fn no_footage(&self, channel: ChannelId, at: WallTime) -> Result<Error, Error> {
        self.hole_at(channel, at, &[]).await
    }

    async fn hole_at(
        &self,
        channel: ChannelId,
        at: WallTime,
        near: &[GopRef],
    ) -> Result<Error, Error> {
        let (spooled_before, spooled_after) = self.spool().around(channel, at);
        let (before, after) = self
            .catalog()
            .footage_around(channel, at)
            .await
            .map_err(|source| Error::Catalog { channel, source })?;
        let (ends, starts): (Vec<_>, Vec<_>) = near.iter().map(|gop| gop.edges(at)).unzip();
        let far_ends = [before, spooled_before].map(|range| range.map(|range| range.end));
        let far_starts = [after, spooled_after].map(|range| range.map(|range| range.start));
        Ok(Error::NoFootage {
            channel,
            at,
            before: ends.into_iter().chain(far_ends).flatten().max(),
            after: starts.into_iter().chain(far_starts).flatten().min(),
        })
    }
}
