//! The one place where object keys are made.

use framewell_model::{ChannelId, SegmentId, WallTime};

/// Names an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ObjectKey {
    /// A recorded segment: `seg/<channel>/<yyyy-mm-dd>/<hh>/<segment uuid>.mp4`.
    Segment {
        /// Whose footage.
        channel: ChannelId,
        /// Capture time of its first picture: spreads objects over folders by day and hour.
        start: WallTime,
        /// Identity.
        id: SegmentId,
    },
}

impl ObjectKey {
    /// The key as text, `/`-separated, relative.
    #[must_use]
    pub fn path(&self) -> String {
        todo!()
    }
}
