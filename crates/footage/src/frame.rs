//! From the name of a picture to the time at which it was captured.

use crate::footage::piece_of;
use crate::{Error, Footage, Piece};
use framewell_model::{ChannelId, FrameId, WallTime};

/// What is known about a frame.
#[derive(Debug, Clone)]
pub enum FramePlace {
    /// It lies in this segment.
    In(Box<Piece>),
    /// The run is the channel's, and this stretch of it is not recorded any more, or never was.
    NotRecorded,
    /// Nothing of the run is recorded for this channel.
    UnknownRun,
}

impl Piece {
    /// When a picture was captured; `None` if its time is not one of this segment. Whether a picture has
    /// exactly this time is not looked at.
    #[must_use]
    pub fn capture_of(&self, frame: FrameId) -> Option<WallTime> {
        if frame.run != self.run {
            return None;
        }
        let mut fragments = self.index.fragments.iter();
        let holds = fragments.find(|f| f.min_pts <= frame.ticks && frame.ticks < f.end_pts);
        holds.map(|fragment| fragment.wall_of(frame.ticks))
    }
}

impl Footage {
    /// Where a frame lies: a search by halves through the published segments of its run.
    pub async fn find_frame(
        &self,
        channel: ChannelId,
        frame: FrameId,
    ) -> Result<FramePlace, Error> {
        let failed = |source| Error::Catalog { channel, source };
        let catalog = self.catalog();
        let ends = catalog.run_sequences(channel, frame.run).await;
        let Some((mut low, mut high)) = ends.map_err(failed)? else {
            return Ok(FramePlace::UnknownRun);
        };
        while low <= high {
            let middle = low + (high - low) / 2;
            let segment = catalog.run_segment(channel, frame.run, middle).await;
            let segment = segment.map_err(failed)?;
            let Some(segment) = segment.filter(|segment| segment.sequence >= low) else {
                low = middle + 1;
                continue;
            };
            let sequence = segment.sequence;
            let piece = piece_of(segment)?;
            if piece.capture_of(frame).is_some() {
                return Ok(FramePlace::In(Box::new(piece)));
            }
            let start = piece.index.fragments.iter().map(|f| f.min_pts).min();
            if start.is_some_and(|start| frame.ticks < start) {
                high = sequence - 1;
            } else {
                low = middle + 1;
            }
        }
        Ok(FramePlace::NotRecorded)
    }
}
