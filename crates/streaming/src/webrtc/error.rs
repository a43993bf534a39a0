//! Why a session is not opened.

use framewell_access::sessions::SessionRefused;
use framewell_ingest::publish::PublishError;
use framewell_model::{ChannelId, ErrorKind, HasKind};

/// A session that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such channel on this server.
    #[error("channel {0} does not exist")]
    NoChannel(ChannelId),
    /// The camera delivers nothing now.
    #[error("channel {0} is not streaming")]
    NotLive(ChannelId),
    /// WebRTC cannot carry what the camera sends, or the client did not offer to take it.
    #[error("{reason}; {} can play it", instead.join(" and "))]
    Unplayable {
        /// What stands against it.
        reason: String,
        /// Protocols of this server that carry it.
        instead: &'static [&'static str],
    },
    /// The session description cannot be understood or agreed to.
    #[error("the session description is refused: {0}")]
    BadDescription(String),
    /// All places are taken, or limits of tokens or of the server stand against it.
    #[error(transparent)]
    Refused(#[from] SessionRefused),
    /// The channel takes no publisher now.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// No such session, or it has ended.
    #[error("the webrtc session does not exist")]
    NoSession,
    /// The server stops, or its cryptography fails.
    #[error("no webrtc session can be made: {0}")]
    Failed(String),
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoChannel(_) | Self::NoSession => ErrorKind::NotFound,
            Self::NotLive(_) => ErrorKind::Unavailable,
            Self::Unplayable { .. } => ErrorKind::FailedPrecondition,
            Self::BadDescription(_) => ErrorKind::InvalidArgument,
            Self::Refused(source) => source.kind(),
            Self::Publish(source) => source.kind(),
            Self::Failed(_) => ErrorKind::Internal,
        }
    }
}
