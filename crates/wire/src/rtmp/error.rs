//! Why a conversation cannot go on.

/// What a client sent that RTMP does not allow, or that is more than we take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// RTMPE and other versions are not spoken.
    #[error("rtmp version {0} is not spoken here")]
    Version(u8),
    /// A continuation without a beginning, or a length that changes within a message.
    #[error("a chunk that does not fit: {0}")]
    Chunk(&'static str),
    /// More than the limit of this stage of the conversation.
    #[error("a message of {0} bytes is too long here")]
    TooLong(usize),
    /// Messages begun and not ended.
    #[error("too many unfinished messages")]
    TooMany,
    /// A value that cannot be read.
    #[error("an AMF value that is {0}")]
    Amf(&'static str),
    /// A command at the wrong time, or one that lacks something.
    #[error("{0}")]
    Command(&'static str),
    /// A picture or sound that cannot be read, or of a coding that we do not keep.
    #[error("{0}")]
    Media(&'static str),
}
