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
    /// A hold keeps it from being deleted.
    #[error("{what} cannot be deleted: the hold {name:?} keeps footage of it")]
    Held {
        /// For example `record 7`.
        what: String,
        /// Name of the hold.
        name: String,
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
    /// A search was stopped: it would have kept the database busy for too long.
    #[error("{operation} took longer than {} ms and was stopped; ask for less at once", .limit.as_millis())]
    TooSlow {
        /// What was being done.
        operation: &'static str,
        /// How long it might have taken.
        limit: std::time::Duration,
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
            Self::Held { .. } => ErrorKind::FailedPrecondition,
            Self::Invalid(_) => ErrorKind::InvalidArgument,
            Self::Database { .. } | Self::TooSlow { .. } => ErrorKind::Unavailable,
            Self::Corrupt { .. } => ErrorKind::DataLoss,
        }
    }
}

impl Error {
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    /// Wraps an error of the driver; for `map_err`.
    pub(crate) fn database(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { operation, source }
    }

    pub(crate) fn migration(source: sqlx::migrate::MigrateError) -> Self {
        Self::Database {
            operation: "migration",
            source: sqlx::Error::Migrate(Box::new(source)),
        }
    }

    pub(crate) fn corrupt(column: &str, why: impl std::fmt::Display) -> Self {
        Self::Corrupt {
            what: format!("column {column}"),
            why: why.to_string(),
        }
    }
}
