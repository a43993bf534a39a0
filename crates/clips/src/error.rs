//! What can go wrong with stored clips.

use framewell_model::{ClipId, ErrorKind, HasKind};

/// A clip that cannot be taken on, stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Catalog(#[from] framewell_catalog::Error),
    /// The object store.
    #[error("the object of a stored clip cannot be written or read now")]
    Blob(#[source] framewell_blob::Error),
    /// The object is not there, or not as long as its row says.
    #[error("the object of clip {0} is missing or damaged")]
    Damaged(ClipId),
    /// The clip is still being made, or cannot be made.
    #[error("clip {0} has no file")]
    NotDone(ClipId),
    /// No thumbnail could be made of the clip, and why.
    #[error("clip {0} has no thumbnail: {1}")]
    NoThumb(ClipId, String),
    /// A clip that makes no sense; the text says what the limit is.
    #[error("{0}")]
    Invalid(String),
    /// As many clips of the channel are being made as may be.
    #[error("{0} clips of this channel are being made, as many as may be")]
    TooManyOfChannel(i64),
    /// As many clips of the account are being made as may be.
    #[error("{0} clips of this account are being made, as many as may be")]
    TooManyOfAccount(i64),
    /// The decoder processes have no encoder.
    #[error("this server cannot encode video: libavcodec has no libx264 here")]
    NoEncoder,
    /// No decoder process starts.
    #[error("the decoder processes are not available")]
    NoWorker,
    /// So many bytes are stored, as many as may be.
    #[error("the stored clips take {0} bytes, as many as they may: delete some first")]
    Full(u64),
    /// The account has stored as many bytes as it may.
    #[error("the stored clips of this account take as many bytes as they may: delete some first")]
    AccountFull,
    /// As many clips of the channel are there as may be.
    #[error("{0} clips of this channel are kept, as many as may be: delete some first")]
    TooManyStored(i64),
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Catalog(source) => source.kind(),
            Self::Blob(source) => source.kind(),
            Self::Damaged(_) => ErrorKind::DataLoss,
            Self::NotDone(_) | Self::NoThumb(..) => ErrorKind::NotFound,
            Self::Invalid(_) => ErrorKind::InvalidArgument,
            Self::NoEncoder => ErrorKind::FailedPrecondition,
            Self::NoWorker => ErrorKind::Unavailable,
            Self::TooManyOfChannel(_)
            | Self::TooManyOfAccount(_)
            | Self::Full(_)
            | Self::AccountFull
            | Self::TooManyStored(_) => ErrorKind::ResourceExhausted,
        }
    }
}
