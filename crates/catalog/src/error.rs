//! What can go wrong in the database.

use framewell_model::{ErrorKind, HasKind};

/// A failed catalog call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such row, or not in this account.
    #[error("{what} does not exist")]
    NotFound {
        /// For example `channel 7`.
        what: String,
    },
    /// The row exists already.
    #[error("{what} exists already")]
    AlreadyExists {
        /// For example `tag site of channel 7`.
        what: String,
    },
    /// Input that no row can hold.
    #[error("{0}")]
    Invalid(String),
    /// The database refused or could not be reached.
    #[error("database {operation} failed")]
    Database {
        /// What was being done.
        operation: &'static str,
        /// Why.
        source: sqlx::Error,
    },
    /// A stored value that this version cannot read.
    #[error("{what} in the database is damaged: {why}")]
    Corrupt {
        /// Row and column.
        what: String,
        /// Why.
        why: String,
    },
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            Self::Invalid(_) => ErrorKind::InvalidArgument,
            Self::Database { .. } => ErrorKind::Unavailable,
            Self::Corrupt { .. } => ErrorKind::DataLoss,
        }
    }
}
