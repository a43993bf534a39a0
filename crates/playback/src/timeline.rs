//! Recorded periods and holes.

use framewell_footage::{Error, Footage};
use framewell_model::{ChannelId, Gap, TimeRange};

/// What a channel recorded in a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// Recorded periods, ascending, cut to the range; pauses up to the merge limit do not split.
    pub periods: Vec<TimeRange>,
    /// Gap rows that overlap the range.
    pub gaps: Vec<Gap>,
}

/// Loads a timeline; pauses of up to `merge_us` microseconds do not split a period.
pub async fn load_timeline(
    footage: &Footage,
    channel: ChannelId,
    range: TimeRange,
    merge_us: i64,
) -> Result<Timeline, Error> {
    let _ = (footage, channel, range, merge_us);
    todo!()
}
