//! A reader of HLS media playlists that holds them to RFC 8216bis, statement by statement.
//!
//! [`Playlist::read`] refuses a text that breaks a rule and says which; [`Playlist::check_successor`] does
//! the same for what may change from one answer to a later one, [`Playlist::updated_by`] for delta
//! updates. Section numbers are those of the draft. It knows what our playlists may contain and refuses
//! every other tag, so that a new one comes with its rules.

mod attributes;
mod read;
mod reload;
mod rules;
#[cfg(test)]
mod tests;

pub use attributes::Attributes;

use framewell_model::WallTime;
use std::ops::Range;

/// What breaks a rule, in words.
pub type Violation = String;

/// Bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Relative, without its query.
    pub uri: String,
    /// `BYTERANGE`; `None`: all of it.
    pub range: Option<Range<u64>>,
}

/// `EXT-X-PART`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Relative, without its query.
    pub uri: String,
    /// Microseconds.
    pub duration_us: i64,
    /// It has a key frame.
    pub is_independent: bool,
}

/// A media segment, or at the end of a live playlist the parts of one that still grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Media sequence number.
    pub sequence: u64,
    /// Discontinuity sequence number.
    pub discontinuity: u64,
    /// `EXT-X-DISCONTINUITY` stands before it.
    pub starts_discontinuity: bool,
    /// Its `EXT-X-MAP`.
    pub map: Resource,
    /// Its bytes; `None` while it grows.
    pub media: Option<Resource>,
    /// `EXT-X-PROGRAM-DATE-TIME`.
    pub start: WallTime,
    /// `EXTINF` in microseconds; the parts so far while it grows.
    pub duration_us: i64,
    /// Its parts, where they are listed.
    pub parts: Vec<Part>,
}

impl Segment {
    /// When the next one should start.
    #[must_use]
    pub fn end(&self) -> WallTime {
        self.start.plus_micros(self.duration_us)
    }
}

/// `EXT-X-PLAYLIST-TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Segments are added at the end.
    Event,
    /// Nothing changes.
    Vod,
}

/// `EXT-X-SERVER-CONTROL`, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerControl {
    /// Requests may wait for news.
    pub can_block_reload: bool,
    /// How far from the end players of parts stay.
    pub part_hold_back_us: Option<i64>,
    /// From how far before the end on delta updates leave segments out.
    pub can_skip_until_us: Option<i64>,
}

/// A media playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playlist {
    /// `EXT-X-VERSION`.
    pub version: u8,
    /// `EXT-X-TARGETDURATION`.
    pub target_s: i64,
    /// `EXT-X-PART-INF`.
    pub part_target_us: Option<i64>,
    /// `EXT-X-SERVER-CONTROL`.
    pub control: ServerControl,
    /// `EXT-X-PLAYLIST-TYPE`.
    pub kind: Option<Kind>,
    /// `EXT-X-ENDLIST`.
    pub has_end: bool,
    /// `EXT-X-START`: where players begin, from the first segment on, exactly.
    pub start_us: Option<i64>,
    /// `EXT-X-MEDIA-SEQUENCE`, that of the first segment even if it is skipped.
    pub sequence: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`.
    pub discontinuity: u64,
    /// `EXT-X-SKIP`.
    pub skipped: u64,
    /// Complete segments that are not skipped.
    pub segments: Vec<Segment>,
    /// The one that grows, if parts of it are listed.
    pub open: Option<Segment>,
    /// URI of the `EXT-X-PRELOAD-HINT`, without its query.
    pub hint: Option<String>,
}

impl Playlist {
    /// Reads and checks a text. All URIs must be relative and carry `query`.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn read(text: &str, query: &str) -> Result<Self, Violation> {
        Self::read_within(text, query, rules::ROUNDING_US)
    }

    /// [`Playlist::read`] of a camera that is as cameras are: its clock is corrected, so a segment may start so
    /// many microseconds beside the end of the one before, and its pictures come at uneven distances, so
    /// parts may be short.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn read_within(text: &str, query: &str, clock_us: i64) -> Result<Self, Violation> {
        let playlist = read::read(text, query)?;
        rules::check(&playlist, clock_us)?;
        Ok(playlist)
    }

    /// Complete segments and the one that grows.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter().chain(&self.open)
    }

    /// The newest part: sequence number of its segment, its own number.
    #[must_use]
    pub fn newest_part(&self) -> Option<(u64, u64)> {
        let segment = self.all().next_back()?;
        let last = segment.parts.len().checked_sub(1)?;
        Some((segment.sequence, last as u64))
    }
}

/// Says which rule is broken unless it holds.
pub(crate) fn ensure(holds: bool, rule: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(rule()) }
}
