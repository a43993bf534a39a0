//! Segments that are not published yet.

use crate::{Location, Piece};
use framewell_fmp4::{FragmentEntry, SegmentIdentity, SegmentIndex};
use framewell_model::{ChannelId, SegmentId, TimeRange, WallTime};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::oneshot;

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
    waiting: Arc<Mutex<Vec<Waiting>>>,
}

/// Somebody who waits for footage.
#[derive(Debug)]
struct Waiting {
    channel: ChannelId,
    end: WallTime,
    wake: oneshot::Sender<()>,
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
        let (channel, end) = (piece.channel, piece.range.end);
        drop(inner);
        self.wake(channel, end);
    }

    /// Resolves when a fragment that reaches `end` is written; what is there already does not count. Ask first,
    /// then look, then wait.
    #[must_use]
    pub fn reached(&self, channel: ChannelId, end: WallTime) -> oneshot::Receiver<()> {
        let (wake, woken) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        // Of those who gave up nothing stays, even where nothing is recorded.
        waiting.retain(|one| !one.wake.is_closed());
        waiting.push(Waiting { channel, end, wake });
        woken
    }

    fn wake(&self, channel: ChannelId, end: WallTime) {
        let mut waiting = self.waiting.lock();
        let is_reached = |one: &mut Waiting| one.channel == channel && one.end <= end;
        for one in waiting.extract_if(.., is_reached) {
            // Whoever gave up is not there any more.
            let _gone = one.wake.send(());
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::{ClockSource, RunId};
    use tokio::sync::oneshot::error::TryRecvError;
    use uuid::Uuid;

    /// A second of video that begins so many seconds after 100.
    fn fragment(second: i64) -> FragmentEntry {
        FragmentEntry {
            offset: 1_000,
            header_len: 500,
            len: 9_000,
            wall: WallTime::from_secs(100 + second),
            anchor_pts: second * 90_000,
            dts: second * 90_000,
            min_pts: second * 90_000,
            end_pts: (second + 1) * 90_000,
            duration: 90_000,
            is_key: true,
            clock: ClockSource::CameraRtcp,
        }
    }

    fn open(spool: &Spool, channel: ChannelId) -> SegmentId {
        let segment = SegmentId::from_uuid(Uuid::now_v7());
        let identity = SegmentIdentity {
            segment,
            channel,
            run: RunId::from_uuid(Uuid::now_v7()),
            sequence: 0,
            wall_start: WallTime::from_secs(100),
            clock: ClockSource::CameraRtcp,
        };
        spool.open(&SpoolSegment {
            identity,
            path: PathBuf::new(),
            init_len: 800,
        });
        segment
    }

    #[test]
    fn who_waits_for_footage_is_woken_by_the_fragment_that_reaches_it() {
        let spool = Spool::new();
        let channel = |id: &str| -> ChannelId { id.parse().unwrap() };
        let (gate, yard) = (channel("7"), channel("8"));
        let (of_gate, of_yard) = (open(&spool, gate), open(&spool, yard));
        let end = WallTime::from_secs(102);
        let mut waiting = spool.reached(gate, end);
        drop(spool.reached(gate, end));
        spool.append(of_gate, fragment(0));
        spool.append(of_yard, fragment(1));
        assert_eq!(waiting.try_recv(), Err(TryRecvError::Empty));
        spool.append(of_gate, fragment(1));
        assert_eq!(waiting.try_recv(), Ok(()));
        assert!(spool.waiting.lock().is_empty());
        // What is there does not count: the caller looks for itself.
        let mut later = spool.reached(gate, end);
        assert_eq!(later.try_recv(), Err(TryRecvError::Empty));
    }
}
