//! Gap rows.

use crate::{Catalog, Error};
use framewell_model::{ChannelId, Gap, GapReason, TimeRange, WallTime};

/// A hole to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewGap {
    /// Whose footage.
    pub channel: ChannelId,
    /// Where it begins.
    pub start: WallTime,
    /// Where it ends; `None` while it lasts.
    pub end: Option<WallTime>,
    /// Why.
    pub reason: GapReason,
}

impl Catalog {
    /// Records a gap. An open gap of the channel is closed first, at the new one's start.
    pub async fn insert_gap(&self, gap: NewGap) -> Result<(), Error> {
        let _ = gap;
        todo!()
    }

    /// Ends the channel's open gap, if there is one; one that would have no length goes.
    pub async fn close_gap(&self, channel: ChannelId, end: WallTime) -> Result<(), Error> {
        let _ = (channel, end);
        todo!()
    }

    /// Gaps that overlap a range, ascending.
    pub async fn gaps_in(&self, channel: ChannelId, range: TimeRange) -> Result<Vec<Gap>, Error> {
        let _ = (channel, range);
        todo!()
    }

    /// End of the newest published segment of a channel, and the start of its open gap: what the
    /// recorder needs after a restart.
    pub async fn recording_tail(
        &self,
        channel: ChannelId,
    ) -> Result<(Option<WallTime>, Option<Gap>), Error> {
        let _ = channel;
        todo!()
    }
}
