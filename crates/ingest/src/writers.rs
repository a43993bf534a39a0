//! Who writes into each channel's track: a camera session or a publisher, and never two.
//!
//! The table is shared by [`crate::Ingest`], which claims a channel before it pulls its camera, and by
//! [`crate::publish::Publishers`]. Whoever loses a channel has written its last unit when the call that
//! took it away returns.

use crate::publish::{Ended, Slot};
use framewell_model::ChannelId;
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What writes into a track.
#[derive(Debug, Clone)]
pub(crate) enum Writer {
    /// A camera session of ours.
    Camera,
    /// A device or program that sends to us.
    Publisher(Arc<Slot>),
}

/// The writers of all channels; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writers {
    // Never held while a publisher is ended: that waits for the unit which it writes, and every other
    // channel would wait, too.
    channels: Arc<Mutex<BTreeMap<ChannelId, Writer>>>,
}

impl Writers {
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<ChannelId, Writer>> {
        self.channels.lock()
    }

    /// Gives the channel to its camera; a publisher that has it is ended.
    pub(crate) fn claim_for_camera(&self, channel: ChannelId) {
        let before = self.lock().insert(channel, Writer::Camera);
        if let Some(Writer::Publisher(slot)) = before {
            slot.end(Ended::PulledFromCamera);
        }
    }

    /// The camera's session has ended.
    pub(crate) fn release_camera(&self, channel: ChannelId) {
        let mut channels = self.lock();
        if matches!(channels.get(&channel), Some(Writer::Camera)) {
            channels.remove(&channel);
        }
    }

    /// All publishers now.
    pub(crate) fn publishers(&self) -> Vec<Arc<Slot>> {
        let of = |writer: &Writer| match writer {
            Writer::Camera => None,
            Writer::Publisher(slot) => Some(Arc::clone(slot)),
        };
        self.lock().values().filter_map(of).collect()
    }

    /// Ends a publisher and gives its channel free.
    pub(crate) fn end(&self, slot: &Arc<Slot>, ended: Ended) {
        // First, so that nobody else writes into the channel before its last unit.
        slot.end(ended);
        let mut channels = self.lock();
        let channel = slot.channel();
        if let Some(Writer::Publisher(present)) = channels.get(&channel)
            && Arc::ptr_eq(present, slot)
        {
            channels.remove(&channel);
        }
    }
}
