//! What tickets are for.

use framewell_model::{ChannelId, ClipId, EventId, ImageId, RecordId, Right, WallTime};
use std::fmt;

/// What a media ticket opens: exactly one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaScope {
    /// Live streams of a channel, on every protocol.
    Live(ChannelId),
    /// Everything recorded of a channel, on every protocol.
    Footage(ChannelId),
    /// Publishing to a channel, on every protocol.
    Publish(ChannelId),
    /// One recorded segment.
    Record(ChannelId, RecordId),
    /// The JSON file of an event.
    EventFile(ChannelId, EventId),
    /// One picture of a channel at an instant.
    Image(ChannelId, WallTime),
    /// Footage of a channel that begins at an instant, to be sent.
    Upload(ChannelId, WallTime),
    /// One stored picture.
    StoredImage(ChannelId, ImageId),
    /// One stored clip.
    Clip(ChannelId, ClipId),
    /// Its thumbnail.
    ClipThumb(ChannelId, ClipId),
}

impl MediaScope {
    /// The channel that it is about.
    #[must_use]
    pub const fn channel(&self) -> ChannelId {
        match self {
            Self::Live(channel)
            | Self::Footage(channel)
            | Self::Publish(channel)
            | Self::Record(channel, _)
            | Self::EventFile(channel, _)
            | Self::Image(channel, _)
            | Self::Upload(channel, _)
            | Self::StoredImage(channel, _)
            | Self::Clip(channel, _)
            | Self::ClipThumb(channel, _) => *channel,
        }
    }

    /// What the token that a ticket is asked for with has to allow.
    #[must_use]
    pub const fn right(&self) -> Right {
        match self {
            Self::Publish(_) | Self::Upload(..) => Right::Publish,
            Self::Live(_)
            | Self::Footage(_)
            | Self::Record(..)
            | Self::EventFile(..)
            | Self::Image(..)
            | Self::StoredImage(..)
            | Self::Clip(..)
            | Self::ClipThumb(..) => Right::Watch,
        }
    }
}

/// The text inside the ticket. It must not change: tickets that are out would end.
impl fmt::Display for MediaScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live(channel) => write!(f, "live/{channel}"),
            Self::Footage(channel) => write!(f, "footage/{channel}"),
            Self::Publish(channel) => write!(f, "publish/{channel}"),
            Self::Record(channel, record) => write!(f, "rec/{channel}/{record}"),
            Self::Clip(channel, clip) => write!(f, "clip/{channel}/{clip}"),
            Self::ClipThumb(channel, clip) => write!(f, "clip/{channel}/{clip}/thumb"),
            Self::StoredImage(channel, image) => write!(f, "stored/{channel}/{image}"),
            Self::Upload(channel, start) => write!(f, "upload/{channel}/{}", start.micros()),
            Self::EventFile(channel, event) => write!(f, "event/{channel}/{event}"),
            Self::Image(channel, at) => write!(f, "img/{channel}/{}", at.micros()),
        }
    }
}
