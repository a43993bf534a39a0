//! What can go wrong with stored pictures.

use framewell_model::{ErrorKind, HasKind, ImageId};

/// A picture that cannot be stored or read, or a task that cannot be taken on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Catalog(#[from] framewell_catalog::Error),
    /// The object store.
    #[error("the object of a stored picture cannot be written or read now")]
    Blob(#[source] framewell_blob::Error),
    /// The object is not there, or not as long as its row says.
    #[error("the object of picture {0} is missing or damaged")]
    Damaged(ImageId),
    /// A task that makes no sense; the text says what the limit is.
    #[error("{0}")]
    Invalid(String),
    /// As many tasks of the channel are open as may be.
    #[error("{0} image generation tasks of this channel are open, as many as may be")]
    TooManyTasks(i64),
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Catalog(source) => source.kind(),
            Self::Blob(source) => source.kind(),
            Self::Damaged(_) => ErrorKind::DataLoss,
            Self::Invalid(_) => ErrorKind::InvalidArgument,
            Self::TooManyTasks(_) => ErrorKind::ResourceExhausted,
        }
    }
}
