//! What is known of a channel across its tasks: they may end and start again.

use crate::gaps::Coverage;
use crate::windows::{Recorded, Windows};
use framewell_live::SourceClock;
use framewell_model::{ChainLink, RunId, StreamOffset};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Notify;

/// What outlives a channel's task.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) coverage: Coverage,
    /// The newest run, and the place in it of its next segment.
    pub(crate) next: Option<(RunId, i64)>,
    /// The segment that was closed last, to which the next one is tied.
    pub(crate) link: Option<ChainLink>,
    /// GOPs with recorded units.
    pub(crate) recorded: Recorded,
    /// The camera's clock as it was last written down.
    pub(crate) told_clock: Option<SourceClock>,
    /// How the sub stream's clock lies to that of its main stream, as it was last written down.
    pub(crate) told_offset: Option<StreamOffset>,
    /// What is to be kept around events.
    pub(crate) windows: Windows,
}

/// A channel's memory, and the bell that says that it has a new window; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChannelMemory {
    pub(crate) state: Arc<Mutex<Memory>>,
    pub(crate) bell: Arc<Notify>,
}
