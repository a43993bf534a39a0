//! Segments that are not published yet.

use crate::Piece;
use framewell_fmp4::{FragmentEntry, SegmentIdentity};
use framewell_model::{ChannelId, SegmentId, TimeRange};
use std::path::PathBuf;
use std::sync::Arc;

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
#[derive(Debug, Clone, Default)]
pub struct Spool {
    inner: Arc<parking_lot::RwLock<std::collections::BTreeMap<SegmentId, Piece>>>,
}

impl Spool {
    /// An empty spool.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A segment was opened; it has no fragments and shows up with its first one.
    pub fn open(&self, segment: &SpoolSegment) {
        let _ = (segment, &self.inner);
        todo!()
    }

    /// A fragment was written completely.
    pub fn append(&self, id: SegmentId, entry: FragmentEntry) {
        let _ = (id, entry);
        todo!()
    }

    /// The segment is published, or given up: readers find it in the catalog, or not at all.
    pub fn remove(&self, id: SegmentId) {
        let _ = id;
        todo!()
    }

    /// Segments with footage in `range`, ascending by start.
    #[must_use]
    pub fn pieces(&self, channel: ChannelId, range: TimeRange) -> Vec<Piece> {
        let _ = (channel, range);
        todo!()
    }
}
