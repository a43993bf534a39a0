//! Segments that are not published yet.

use crate::{Location, Piece};
use framewell_fmp4::{FragmentEntry, SegmentIdentity, SegmentIndex};
use framewell_model::{ChannelId, SegmentId, TimeRange, WallTime};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Folder in the spool folder, with one for each channel, of segments whose channel no row knew when the
/// server started. They wait there for a rebuild of the catalog.
pub const UNKNOWN_CHANNELS: &str = "unknown";

/// A segment that the recorder opened.
#[derive(Debug, Clone)]
pub struct SpoolSegment {
    /// Who it is.
    pub identity: SegmentIdentity,
    /// The file.
    pub path: PathBuf,
    /// Bytes of `ftyp` + `moov`, written already.
    pub init_len: u32,
}

/// What the recorder is writing and has not published; cheap to clone.
///
/// It holds a few segments per channel: the open one and those on their way to the store.
#[derive(Debug, Clone, Default)]
pub struct Spool {
    inner: Arc<RwLock<BTreeMap<SegmentId, Piece>>>,
}

impl Spool {
    /// An empty spool.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A segment was opened; it has no fragments and shows up with its first one.
    pub fn open(&self, segment: &SpoolSegment) {
        let identity = &segment.identity;
        let piece = Piece {
            record: None,
            id: identity.segment,
            channel: identity.channel,
            run: identity.run,
            sequence: identity.sequence,
            range: TimeRange {
                start: identity.wall_start,
                end: identity.wall_start,
            },
            clock: identity.clock,
            size_bytes: u64::from(segment.init_len),
            index: Arc::new(SegmentIndex {
                init_len: segment.init_len,
                ..SegmentIndex::default()
            }),
            location: Location::Spool(segment.path.clone()),
        };
        self.inner.write().insert(identity.segment, piece);
    }

    /// A fragment was written completely.
    pub fn append(&self, id: SegmentId, entry: FragmentEntry) {
        let mut inner = self.inner.write();
        let Some(piece) = inner.get_mut(&id) else {
            return;
        };
        piece.range.end = piece.range.end.max(entry.wall_of(entry.end_pts));
        let index = Arc::make_mut(&mut piece.index);
        index.fragments.push(entry);
        piece.size_bytes = index.len_bytes();
    }

    /// The segment is published, or given up: readers find it in the catalog, or not at all.
    pub fn remove(&self, id: SegmentId) {
        self.inner.write().remove(&id);
    }

    /// A segment that is not published yet, with the fragments written so far.
    #[must_use]
    pub fn get(&self, id: SegmentId) -> Option<Piece> {
        self.inner.read().get(&id).cloned()
    }

    /// Segments with footage in `range`, ascending by start.
    #[must_use]
    pub fn pieces(&self, channel: ChannelId, range: TimeRange) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = self
            .inner
            .read()
            .values()
            .filter(|piece| is_footage_of(piece, channel) && piece.range.overlaps(&range))
            .cloned()
            .collect();
        pieces.sort_by_key(|piece| piece.range.start);
        pieces
    }

    /// Ranges nearest to `at` that do not hold it: the newest that ends at or before it, the oldest
    /// that starts after it.
    #[must_use]
    pub fn around(
        &self,
        channel: ChannelId,
        at: WallTime,
    ) -> (Option<TimeRange>, Option<TimeRange>) {
        let inner = self.inner.read();
        let ranges = || {
            inner
                .values()
                .filter(|piece| is_footage_of(piece, channel))
                .map(|piece| piece.range)
        };
        let before = ranges().filter(|r| r.end <= at).max_by_key(|r| r.end);
        let after = ranges().filter(|r| r.start > at).min_by_key(|r| r.start);
        (before, after)
    }

    /// The segment that starts last of those that start at or before `at`, and have footage.
    #[must_use]
    pub fn starting_by(&self, channel: ChannelId, at: WallTime) -> Option<Piece> {
        let inner = self.inner.read();
        let pieces = inner.values().filter(|p| is_footage_of(p, channel));
        let begun = pieces.filter(|piece| piece.range.start <= at);
        begun.max_by_key(|piece| piece.range.start).cloned()
    }

    /// The segment that starts first of those that start at or after `at`, and have footage.
    #[must_use]
    pub fn starting_from(&self, channel: ChannelId, at: WallTime) -> Option<Piece> {
        let inner = self.inner.read();
        let pieces = inner.values().filter(|p| is_footage_of(p, channel));
        let later = pieces.filter(|piece| piece.range.start >= at);
        later.min_by_key(|piece| piece.range.start).cloned()
    }
}

fn is_footage_of(piece: &Piece, channel: ChannelId) -> bool {
    piece.channel == channel && !piece.index.fragments.is_empty()
}
