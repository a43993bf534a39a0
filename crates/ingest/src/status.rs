//! The channel's state as everybody sees it.

use framewell_live::{SourceState, Track};
use framewell_model::{ChannelId, ChannelStatus, RunId, WallClock};
use std::sync::Arc;
use tracing::info;

/// Publishes a channel's state. "Since" moves only when the status does.
#[derive(Debug, Clone)]
pub(crate) struct StatusBoard {
    channel: ChannelId,
    track: Track,
    clock: Arc<dyn WallClock>,
}

impl StatusBoard {
    pub(crate) const fn new(channel: ChannelId, track: Track, clock: Arc<dyn WallClock>) -> Self {
        Self {
            channel,
            track,
            clock,
        }
    }

    /// Frames of this run arrive.
    pub(crate) fn active(&self, run: RunId) {
        self.publish(ChannelStatus::Active, None, Some(run));
    }

    /// Nothing usable comes, for this reason.
    pub(crate) fn failed(&self, status: ChannelStatus, detail: String) {
        self.publish(status, Some(detail), None);
    }

    /// Nothing is wanted any more.
    pub(crate) fn inactive(&self) {
        self.publish(ChannelStatus::Inactive, None, None);
    }

    fn publish(&self, status: ChannelStatus, detail: Option<String>, run: Option<RunId>) {
        let before = self.track.source_state().borrow().clone();
        let since = if before.status == status {
            before.since
        } else {
            info!(channel.id = %self.channel, status = status.as_str(), "channel status changed");
            self.clock.now()
        };
        let state = SourceState {
            status,
            since,
            detail,
            run,
        };
        if state != before {
            self.track.set_source_state(state);
        }
    }
}
