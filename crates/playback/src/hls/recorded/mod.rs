//! Recorded ranges as HLS: playlists over stored segments as they are.
//!
//! A media segment is a byte range of a stored segment, told from the indexes alone. Nothing is muxed
//! anew: the clock in the headers of the fragments is moved while they are read, to that of the run
//! ([`framewell_fmp4::continue_run`]), so that stored segments that follow each other are one stream.

mod desk;
mod groups;
mod media;
mod playlist;
#[cfg(test)]
mod tests;

pub use desk::PlaylistText;
pub use media::MediaFile;
pub use playlist::Kind;

use super::packager::playable;
use bytes::Bytes;
use desk::Desk;
use framewell_fmp4::{build_init, fingerprint};
use framewell_footage::{Footage, Piece};
use framewell_model::{ChannelId, ErrorKind, HasKind, Holder, SegmentId, TimeRange, WallTime};
use groups::Groups;
use playlist::Writer;
use std::sync::Arc;

/// Longest playlist: a week.
const MAX_RANGE_US: i64 = 7 * 86_400_000_000;
/// Longest playlist without an end. It has short segments, because how long it becomes is not known and
/// segments that were told must not change.
const MAX_OPEN_US: i64 = 32 * 3_600_000_000;
/// Longer playlists have longer segments, so that there are not more than about this many: 6 MB of text.
const MAX_SEGMENTS: i64 = 20_000;
/// Footage is looked up in stretches of this length: no more indexes than those of one are in memory.
const STRETCH_US: i64 = 2 * 3_600_000_000;
/// Media segments last this long, or up to the key frame behind that.
const AIM_US: i64 = 5_000_000;
/// The same in playlists of a [`LONG_US`] and more, whose text would otherwise be twice as long.
const LONG_AIM_US: i64 = 10_000_000;
const LONG_US: i64 = 6 * 3_600_000_000;
/// Footage is in the spool so long after its capture at the latest: a fragment is written when the next
/// begins, after a second at most.
const SETTLED_US: i64 = 10_000_000;

/// A recorded playlist or a file of it that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing is recorded in the range, as yet.
    #[error("channel {channel} has no footage from {start} on in the range")]
    Empty {
        /// The channel.
        channel: ChannelId,
        /// Start of the range.
        start: WallTime,
    },
    /// The range is too long.
    #[error(
        "a playlist holds {} days at most, and {} hours without an end",
        MAX_RANGE_US / 86_400_000_000,
        MAX_OPEN_US / 3_600_000_000
    )]
    TooLong,
    /// The holder has too many playlists made, or takes too slowly what was made.
    #[error("this token has as many playlists made as one may")]
    Share,
    /// All together have.
    #[error("as many playlists are being made and sent as may")]
    Busy,
    /// The segment was deleted after the playlist was made, or never was one of the channel.
    #[error("segment {segment} of channel {channel} is not recorded, or no longer")]
    Gone {
        /// The channel.
        channel: ChannelId,
        /// The segment.
        segment: SegmentId,
    },
    /// The footage.
    #[error("{0}")]
    Footage(#[from] framewell_footage::Error),
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Empty { .. } | Self::Gone { .. } => ErrorKind::NotFound,
            Self::TooLong => ErrorKind::InvalidArgument,
            Self::Share => ErrorKind::ResourceExhausted,
            Self::Busy => ErrorKind::Unavailable,
            Self::Footage(source) => source.kind(),
        }
    }
}

/// What a playlist shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The picture on screen then is the first one to be shown.
    pub start: WallTime,
    /// `None`: as far as footage reaches, and on.
    pub end: Option<WallTime>,
}

impl Span {
    /// The type that fits: nothing can be added to a range that has passed.
    #[must_use]
    pub fn kind(&self, now: WallTime) -> Kind {
        match self.end {
            Some(end) if is_settled(end, now) => Kind::Vod,
            _ => Kind::Event,
        }
    }

    /// How long media segments are at least, the same whenever the playlist is asked for; `None` if it is
    /// too long, as it is now.
    fn aim_us(&self, now: WallTime) -> Option<i64> {
        let Some(end) = self.end else {
            let is_short = now.micros_since(self.start) <= MAX_OPEN_US;
            return is_short.then_some(AIM_US);
        };
        match end.micros_since(self.start) {
            length if length > MAX_RANGE_US => None,
            length if length >= LONG_US => Some(LONG_AIM_US.max(length / MAX_SEGMENTS)),
            _ => Some(AIM_US),
        }
    }
}

fn is_settled(end: WallTime, now: WallTime) -> bool {
    now.micros_since(end) >= SETTLED_US
}

/// Recorded HLS of all channels. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorded {
    footage: Footage,
    desk: Desk,
}

impl Recorded {
    pub(crate) fn new(footage: Footage) -> Self {
        Self {
            footage,
            desk: Desk::new(),
        }
    }

    /// The media playlist of a span. It begins with the key frame that the picture at its start needs, and
    /// says in `EXT-X-START` where in there the span begins. `query` is appended to every URI.
    ///
    /// An EVENT playlist grows by whole segments while the span does, and gets its end when the footage up
    /// to the span's end is there.
    ///
    /// Few are made at a time, of one holder and of all; others wait for some seconds.
    pub async fn playlist(
        &self,
        channel: ChannelId,
        span: Span,
        kind: Kind,
        query: &str,
        now: WallTime,
        holder: Holder,
    ) -> Result<PlaylistText, Error> {
        let until = span.end.map_or(now, |end| end.min(now));
        let range = TimeRange::new(span.start, until.max(span.start)).ok_or(Error::TooLong)?;
        let aim_us = span.aim_us(now).ok_or(Error::TooLong)?;
        let is_ended = kind == Kind::Vod || span.end.is_some_and(|end| is_settled(end, now));
        let turn = self.desk.turn(holder).await?;
        let mut groups = Groups::new(range, aim_us, is_ended);
        let mut writer = Writer::new(kind, query, aim_us);
        for stretch in stretches(range) {
            for piece in self.pieces_from(channel, stretch, range).await? {
                let parameters = self.parameters(&piece).await?;
                groups.take(piece, parameters, &mut |group| writer.push(&group));
            }
        }
        groups.finish(&mut |group| writer.push(&group));
        let text = writer.finish(span.start, is_ended);
        turn.finish(text.ok_or(Error::Empty {
            channel,
            start: span.start,
        })?)
    }

    /// Init segment for the media of a stored segment.
    pub async fn init(&self, channel: ChannelId, segment: SegmentId) -> Result<Bytes, Error> {
        let piece = self.piece(channel, segment).await?;
        let parameters = self.footage.parameters(&piece).await?;
        Ok(build_init(&playable(&parameters), None))
    }

    /// A stored segment as media of a playlist: the same bytes at the same places, but on the clock of
    /// its run.
    pub async fn media(&self, channel: ChannelId, segment: SegmentId) -> Result<MediaFile, Error> {
        let piece = self.piece(channel, segment).await?;
        let parameters = self.footage.parameters(&piece).await?;
        Ok(MediaFile::new(
            self.footage.clone(),
            piece,
            playable(&parameters),
        ))
    }

    async fn piece(&self, channel: ChannelId, segment: SegmentId) -> Result<Piece, Error> {
        let found = self.footage.find_piece(channel, segment).await?;
        found.ok_or(Error::Gone { channel, segment })
    }

    /// Pieces that begin in the stretch; in the first one also those that reach into it.
    async fn pieces_from(
        &self,
        channel: ChannelId,
        stretch: TimeRange,
        range: TimeRange,
    ) -> Result<Vec<Arc<Piece>>, Error> {
        let pieces = self.footage.pieces(channel, stretch).await?;
        let is_first = stretch.start == range.start;
        let begins = |piece: &Piece| is_first || piece.range.start >= stretch.start;
        Ok(pieces.into_iter().filter(begins).map(Arc::new).collect())
    }

    /// What tells whether two segments have the same parameters.
    async fn parameters(&self, piece: &Piece) -> Result<u64, Error> {
        match piece.index.parameters {
            // It is still written, or older than such numbers.
            0 => Ok(fingerprint(&*self.footage.parameters(piece).await?)),
            known => Ok(known),
        }
    }
}

/// The range in parts, in order.
fn stretches(range: TimeRange) -> impl Iterator<Item = TimeRange> {
    let count = range.micros() / STRETCH_US + 1;
    (0..count).map(move |n| TimeRange {
        start: range.start.plus_micros(n * STRETCH_US),
        end: range.end.min(range.start.plus_micros((n + 1) * STRETCH_US)),
    })
}
