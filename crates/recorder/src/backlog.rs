//! Closed segments that wait to be published. Who takes one owns it: the publisher, or whoever makes room.

use crate::segment::ClosedSegment;
use framewell_model::SegmentId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The segments, by id; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backlog {
    waiting: Arc<Mutex<BTreeMap<SegmentId, ClosedSegment>>>,
}

impl Backlog {
    pub(crate) fn insert(&self, closed: ClosedSegment) {
        self.waiting.lock().insert(closed.row.id, closed);
    }

    /// Takes a segment; `None` if it had to go.
    pub(crate) fn take(&self, id: SegmentId) -> Option<ClosedSegment> {
        self.waiting.lock().remove(&id)
    }

    /// Takes the one that was recorded first, of those that nobody is publishing and that may go.
    pub(crate) fn take_oldest(
        &self,
        may_go: impl Fn(&ClosedSegment) -> bool,
    ) -> Option<ClosedSegment> {
        let mut waiting = self.waiting.lock();
        let free = waiting.values().filter(|closed| may_go(closed));
        let id = free.min_by_key(|closed| closed.row.range.start)?.row.id;
        waiting.remove(&id)
    }
}
