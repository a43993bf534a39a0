//! Closed segments that wait to be published. Who takes one owns it: the publisher, or whoever makes room.

use crate::segment::ClosedSegment;
use framewell_model::{ChannelId, SegmentId, TimeRange};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// What has to be known of a segment to make room for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) id: SegmentId,
    pub(crate) channel: ChannelId,
    pub(crate) range: TimeRange,
    pub(crate) size_bytes: i64,
    pub(crate) path: PathBuf,
}

impl From<&ClosedSegment> for Waiting {
    fn from(closed: &ClosedSegment) -> Self {
        let row = &closed.row;
        Self {
            id: row.id,
            channel: row.channel,
            range: row.range,
            size_bytes: row.size_bytes,
            path: closed.path.clone(),
        }
    }
}

/// The segments, by id; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backlog {
    lists: Arc<Mutex<Lists>>,
}

#[derive(Debug, Default)]
struct Lists {
    /// In the queue.
    queued: BTreeMap<SegmentId, ClosedSegment>,
    /// In the spool folder and in no queue.
    stray: BTreeMap<SegmentId, Waiting>,
    /// Taken to make room; their files may be there still.
    going: BTreeSet<SegmentId>,
}

impl Backlog {
    pub(crate) fn insert(&self, closed: ClosedSegment) {
        self.lists.lock().queued.insert(closed.row.id, closed);
    }

    /// Takes a segment; `None` if it had to go.
    pub(crate) fn take(&self, id: SegmentId) -> Option<ClosedSegment> {
        self.lists.lock().queued.remove(&id)
    }

    /// It waits in the spool folder until the queue has room.
    pub(crate) fn leave(&self, stray: Waiting) {
        self.lists.lock().stray.insert(stray.id, stray);
    }

    /// Takes a segment out of those that wait in the folder, if it is known; whether it may be published:
    /// it does not have to go.
    pub(crate) fn claim(&self, id: SegmentId) -> (Option<Waiting>, bool) {
        let mut lists = self.lists.lock();
        (lists.stray.remove(&id), !lists.going.contains(&id))
    }

    /// Takes the one that was recorded first, of those that nobody is publishing and that may go. Call
    /// [`Self::gone`] when its file is.
    pub(crate) fn take_oldest(
        &self,
        may_go: impl Fn(ChannelId, TimeRange) -> bool,
    ) -> Option<Waiting> {
        let mut lists = self.lists.lock();
        let queued = lists.queued.values().map(|closed| &closed.row);
        let queued = queued.map(|row| (row.id, row.channel, row.range));
        let stray = lists.stray.values();
        let stray = stray.map(|one| (one.id, one.channel, one.range));
        let free = queued.chain(stray).filter(|one| may_go(one.1, one.2));
        let (id, ..) = free.min_by_key(|(_, _, range)| range.start)?;
        lists.going.insert(id);
        let queued = lists.queued.remove(&id);
        let stray = lists.stray.remove(&id);
        queued.as_ref().map(Waiting::from).or(stray)
    }

    /// The file of a segment that had to go is no more.
    pub(crate) fn gone(&self, id: SegmentId) {
        self.lists.lock().going.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::WallTime;
    use uuid::Uuid;

    fn stray(n: u32, start: i64) -> Waiting {
        Waiting {
            id: SegmentId::from_uuid(Uuid::from_u128(n.into())),
            channel: ChannelId::new(1).unwrap(),
            range: TimeRange::new(WallTime::from_secs(start), WallTime::from_secs(start + 2))
                .unwrap(),
            size_bytes: 1,
            path: PathBuf::new(),
        }
    }

    #[test]
    fn what_waits_in_the_folder_goes_by_age_and_is_not_published_while_it_goes() {
        let backlog = Backlog::default();
        for (n, start) in [(1, 30), (2, 10), (3, 20)] {
            backlog.leave(stray(n, start));
        }
        let kept = stray(2, 10).id;
        let oldest = backlog
            .take_oldest(|_, range| range != stray(2, 10).range)
            .unwrap();
        assert_eq!(oldest, stray(3, 20));
        assert_eq!(backlog.claim(oldest.id), (None, false));
        backlog.gone(oldest.id);
        assert_eq!(backlog.claim(oldest.id), (None, true));
        assert_eq!(backlog.claim(kept), (Some(stray(2, 10)), true));
        assert_eq!(backlog.take_oldest(|_, _| true), Some(stray(1, 30)));
        assert_eq!(backlog.take_oldest(|_, _| true), None);
    }
}
