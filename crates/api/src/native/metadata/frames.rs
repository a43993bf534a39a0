//! Frames of documents: whose they are, and when they were captured.

use crate::AppState;
use crate::error::ApiError;
use framewell_imaging::{FrameTime, FrameTimes};
use framewell_model::{ChannelId, FrameId, WallTime};

/// How far the time of a document may lie from that of its frame: clocks are read to the second.
const TOLERANCE_US: i64 = 1_000_000;

/// Frames of one channel. Nothing is looked at before the first question.
pub(crate) struct Frames<'a> {
    state: &'a AppState,
    channel: ChannelId,
    times: Option<FrameTimes>,
}

impl<'a> Frames<'a> {
    pub(crate) const fn new(state: &'a AppState, channel: ChannelId) -> Self {
        Self {
            state,
            channel,
            times: None,
        }
    }

    /// When a frame was captured, if that is known, and whether it is the channel's at all. The inner
    /// error is for the client and about this document alone.
    pub(crate) async fn captured(
        &mut self,
        frame: FrameId,
        timestamp: Option<WallTime>,
    ) -> Result<Result<Option<WallTime>, String>, ApiError> {
        let channel = self.channel;
        let times = self
            .times
            .get_or_insert_with(|| self.state.imaging.frame_times(channel));
        Ok(match times.find(frame).await? {
            FrameTime::Unknown => Err(format!(
                "frame {frame} is none of channel {channel}, or nothing of its run is left"
            )),
            FrameTime::NotHeld if timestamp.is_none() => Err(format!(
                "timestamp is missing, and frame {frame} is no longer held, so its time is not known"
            )),
            // Its own time was good enough for a frame that is gone, too.
            FrameTime::NotSearched { is_own_run: true } if timestamp.is_some() => Ok(None),
            FrameTime::NotHeld => Ok(None),
            FrameTime::NotSearched { .. } => Err(format!(
                "frame {frame} was not looked for, as the frames of this write lie in too many places; send it again with fewer"
            )),
            FrameTime::At(at) => match timestamp {
                Some(timestamp) if timestamp.micros_since(at).abs() > TOLERANCE_US => Err(format!(
                    "timestamp {timestamp} is more than 1 s from frame {frame}, which is of {at}"
                )),
                _ => Ok(Some(at)),
            },
        })
    }
}
