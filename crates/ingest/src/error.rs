//! Why a camera session ended.

use crate::SourceError;
use framewell_media::ParameterError;
use framewell_model::{ErrorKind, HasKind};
use std::time::Duration;

/// Longest text taken over from the RTSP client.
const MAX_REASON: usize = 200;

/// How the RTSP client's complaint about something else begins, a web server say.
const NOT_RTSP: &str = "RTSP framing error";

/// The end of a session. The messages are shown to people as the channel's detail; they hold no
/// secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The URL is refused before a connection is made.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// The camera answered 401 or 403.
    #[error("the camera refuses the login or password")]
    Unauthorized,
    /// No connection, or an answer that makes no sense.
    #[error("cannot open the camera: {reason}")]
    Open {
        /// What the RTSP client says.
        reason: String,
    },
    /// The camera offers video, but in no coding that we keep.
    #[error("codec {name} is not supported")]
    UnsupportedCodec {
        /// Its name in the session description, in capitals.
        name: String,
    },
    /// The camera offers no video at all.
    #[error("the camera offers no video")]
    NoVideo,
    /// No frame within the connect limit.
    #[error("the camera gave no picture within {} s", .0.as_secs_f32())]
    ConnectTimeout(Duration),
    /// Frames stopped coming, but the connection stayed open.
    #[error("the camera sent no picture for {} s", .0.as_secs_f32())]
    Silent(Duration),
    /// The camera closed the connection.
    #[error("the camera closed the connection")]
    Closed,
    /// The connection broke, or carried something that is not RTSP or RTP.
    #[error("the connection failed: {reason}")]
    Broken {
        /// What the RTSP client says.
        reason: String,
    },
    /// Parameter sets that cannot be used.
    #[error("the camera sends unusable video parameters: {0}")]
    Parameters(#[from] ParameterError),
}

impl HasKind for SessionError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Source(error) => error.kind(),
            Self::Unauthorized => ErrorKind::Unauthenticated,
            Self::Open { .. } | Self::Closed | Self::Broken { .. } => ErrorKind::Unavailable,
            Self::UnsupportedCodec { .. } | Self::NoVideo => ErrorKind::FailedPrecondition,
            Self::ConnectTimeout(_) | Self::Silent(_) => ErrorKind::Timeout,
            Self::Parameters(error) => error.kind(),
        }
    }
}

impl SessionError {
    /// An error of the RTSP client before the first packet.
    pub(crate) fn opening(error: &retina::Error) -> Self {
        match error.status_code() {
            Some(401 | 403) => Self::Unauthorized,
            _ if error.to_string().starts_with(NOT_RTSP) => Self::Open {
                reason: "what answers there does not speak RTSP".to_owned(),
            },
            _ => Self::Open {
                reason: first_line(error),
            },
        }
    }

    /// An error of the RTSP client while packets come.
    pub(crate) fn streaming(error: &retina::Error) -> Self {
        Self::Broken {
            reason: first_line(error),
        }
    }
}

/// The client's messages go on with addresses and dumps in further lines.
fn first_line(error: &retina::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or("no reason given");
    line.chars().take(MAX_REASON).collect()
}
