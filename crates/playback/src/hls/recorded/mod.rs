//! Recorded ranges as HLS: playlists over stored segments as they are.
//!
//! A media segment is a byte range of a stored segment, told from the indexes alone. Nothing is muxed
//! anew: the clock in the headers of the fragments is moved while they are read, to that of the run
//! ([`framewell_fmp4::continue_run`]), so that stored segments that follow each other are one stream.

mod groups;
mod media;
mod playlist;
#[cfg(test)]
mod tests;

pub use media::MediaFile;
pub use playlist::Kind;

use super::packager::playable;
use bytes::Bytes;
use framewell_fmp4::{build_init, fingerprint};
use framewell_footage::{Footage, Piece};
use framewell_model::{ChannelId, ErrorKind, HasKind, SegmentId, TimeRange, WallTime};
use groups::Groups;
use playlist::Writer;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Longest playlist: a week. Its text has some 20 MB.
const MAX_RANGE_US: i64 = 7 * 86_400_000_000;
/// Footage is looked up in stretches of this length: no more indexes than those of one are in memory.
const STRETCH_US: i64 = 2 * 3_600_000_000;
/// Playlists that are made at a time; others wait.
const MAX_AT_ONCE: usize = 4;
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
    #[error("a playlist holds {} days at most", MAX_RANGE_US / 86_400_000_000)]
    TooLong,
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
}

fn is_settled(end: WallTime, now: WallTime) -> bool {
    now.micros_since(end) >= SETTLED_US
}

/// Recorded HLS of all channels. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorded {
    footage: Footage,
    places: Arc<Semaphore>,
}

impl Recorded {
    pub(crate) fn new(footage: Footage) -> Self {
        Self {
            footage,
            places: Arc::new(Semaphore::new(MAX_AT_ONCE)),
        }
    }

    /// The media playlist of a span. It begins with the key frame that the picture at its start needs, and
    /// says in `EXT-X-START` where in there the span begins. `query` is appended to every URI.
    ///
    /// An EVENT playlist grows by whole segments while the span does, and gets its end when the footage up
    /// to the span's end is there.
    pub async fn playlist(
        &self,
        channel: ChannelId,
        span: Span,
        kind: Kind,
        query: &str,
        now: WallTime,
    ) -> Result<String, Error> {
        let until = span.end.map_or(now, |end| end.min(now));
        let range = TimeRange::new(span.start, until.max(span.start));
        let range = range.filter(|range| range.micros() <= MAX_RANGE_US);
        let range = range.ok_or(Error::TooLong)?;
        let length_us = span.end.map_or(0, |end| end.micros_since(span.start));
        if length_us > MAX_RANGE_US {
            return Err(Error::TooLong);
        }
        let aim_us = if length_us >= LONG_US {
            LONG_AIM_US
        } else {
            AIM_US
        };
        let is_ended = kind == Kind::Vod || span.end.is_some_and(|end| is_settled(end, now));
        let Ok(_place) = self.places.acquire().await else {
            unreachable!("the semaphore is never closed");
        };
        let mut groups = Groups::new(range, aim_us, is_ended);
        let mut writer = Writer::new(kind, query);
        for stretch in stretches(range) {
            for piece in self.pieces_from(channel, stretch, range).await? {
                let parameters = self.parameters(&piece).await?;
                groups.take(piece, parameters, &mut |group| writer.push(&group));
            }
        }
        groups.finish(&mut |group| writer.push(&group));
        let text = writer.finish(span.start, is_ended);
        text.ok_or(Error::Empty {
            channel,
            start: span.start,
        })
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
