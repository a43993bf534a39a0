//! Why somebody may not publish, or no longer.

use super::Protocol;
use framewell_live::EndReason;
use framewell_media::ParameterError;
use framewell_model::{ChannelId, ErrorKind, HasKind, WallTime};
use std::time::Duration;

/// Why a channel takes no publisher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The server pulls the channel's video itself.
    #[error("channel {0} has a camera source that the server pulls: remove the source to publish")]
    HasCamera(ChannelId),
    /// Somebody else publishes and delivers.
    #[error("channel {channel} is being published to over {} since {since}", .protocol.as_str())]
    Taken {
        /// The channel.
        channel: ChannelId,
        /// How the other one publishes.
        protocol: Protocol,
        /// Since when.
        since: WallTime,
    },
    /// Who publishes gives the main stream; a sub stream is pulled from a camera.
    #[error("the sub stream of channel {0} cannot be published to")]
    SubStream(ChannelId),
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
}

impl PublishError {
    /// The label in metrics.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::HasCamera(_) => "has_camera",
            Self::Taken { .. } => "taken",
            Self::SubStream(_) => "sub_stream",
            Self::Stopping => "stopping",
        }
    }
}

impl HasKind for PublishError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::HasCamera(_) => ErrorKind::FailedPrecondition,
            Self::SubStream(_) => ErrorKind::InvalidArgument,
            Self::Taken { .. } => ErrorKind::AlreadyExists,
            Self::Stopping => ErrorKind::Unavailable,
        }
    }
}

/// Why a publisher ended. The messages are shown to people as the channel's detail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// It said goodbye.
    #[error("the publisher ended its stream")]
    Finished,
    /// Its connection broke.
    #[error("the connection of the publisher was lost")]
    Lost,
    /// No picture for this long.
    #[error("the publisher sent no picture for {} s", .0.as_secs_f32())]
    Silent(Duration),
    /// Another publisher came after it had been silent.
    #[error("another publisher took over, by {}", .0.as_str())]
    Replaced(Protocol),
    /// The channel was given a camera source.
    #[error("the channel has a camera source now")]
    PulledFromCamera,
    /// The channel was deleted.
    #[error("the channel was deleted")]
    ChannelDeleted,
    /// Its credential ended or was revoked, or somebody ended its session.
    #[error("the publisher may not publish any more")]
    NotAllowed,
    /// Parameter sets that cannot be used.
    #[error("the publisher sends unusable video parameters: {0}")]
    Parameters(#[from] ParameterError),
    /// It sends what its protocol does not allow, or what we do not take.
    #[error("the publisher sends {0}")]
    Unusable(&'static str),
    /// The server stops.
    #[error("the server is stopping")]
    ServerStops,
}

impl Ended {
    /// What readers of the track are told.
    pub(super) const fn reason(&self) -> EndReason {
        match self {
            Self::PulledFromCamera | Self::ServerStops | Self::ChannelDeleted => EndReason::Stopped,
            _ => EndReason::CameraLost,
        }
    }
}
