//! Parameters of recently read segments.

use framewell_media::StreamParameters;
use framewell_model::SegmentId;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Segments remembered: a few per channel of a full node. Equal parameters are held once, so an entry
/// costs a few dozen bytes.
const CAPACITY: usize = 256;

type Entry = (SegmentId, Arc<StreamParameters>);

/// Least recently used segments go first; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct ParameterCache {
    /// Newest use at the back.
    entries: Arc<Mutex<VecDeque<Entry>>>,
}

impl ParameterCache {
    pub(crate) fn get(&self, id: SegmentId) -> Option<Arc<StreamParameters>> {
        let mut entries = self.entries.lock();
        let place = entries.iter().rposition(|(known, _)| *known == id)?;
        let entry = entries.remove(place)?;
        let found = Arc::clone(&entry.1);
        entries.push_back(entry);
        Some(found)
    }

    /// Remembers and returns the parameters, sharing the memory of equal ones: all segments of a
    /// camera usually have the same.
    pub(crate) fn insert(
        &self,
        id: SegmentId,
        parameters: StreamParameters,
    ) -> Arc<StreamParameters> {
        let mut entries = self.entries.lock();
        let equal = entries
            .iter()
            .rev()
            .find(|(_, known)| **known == parameters);
        let shared = match equal {
            Some((_, known)) => Arc::clone(known),
            None => Arc::new(parameters),
        };
        if entries.len() == CAPACITY {
            entries.pop_front();
        }
        entries.push_back((id, Arc::clone(&shared)));
        shared
    }
}
