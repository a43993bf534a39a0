//! What can go wrong in a push, told to each of its receivers.

use crate::Error;
use framewell_decode::Error as DecodeError;
use framewell_model::{ChannelId, WallTime};

/// Like [`Error`], but there is one for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The camera delivers nothing.
    NotLive { newest: Option<WallTime> },
    /// The video does not decode; it goes on at the next key frame.
    Damaged(String),
    /// The pictures cannot be had in the form that this push asks for; it ends.
    Refused(String),
    /// The decoder processes fail.
    Decoder(String),
    /// Pictures were overwritten before they were decoded.
    Overrun { gops: u64 },
    /// The channel was deleted.
    Gone,
}

impl Trouble {
    pub(crate) fn of(error: &DecodeError) -> Self {
        match error {
            DecodeError::Bitstream(why) | DecodeError::Invalid(why) => Self::Damaged(why.clone()),
            other => Self::Decoder(other.to_string()),
        }
    }

    pub(crate) fn error(self, channel: ChannelId) -> Error {
        let failed = |source| Error::Decode { channel, source };
        match self {
            Self::NotLive { newest } => Error::NotLive { channel, newest },
            Self::Damaged(why) => failed(DecodeError::Bitstream(why)),
            Self::Refused(why) => failed(DecodeError::Invalid(why)),
            Self::Decoder(why) => failed(DecodeError::Died(why)),
            Self::Overrun { gops } => Error::Overrun { channel, gops },
            Self::Gone => Error::Gone { channel },
        }
    }
}
