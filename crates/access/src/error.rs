//! Why a credential does not open something.

use framewell_model::{ErrorKind, HasKind, Right};
use framewell_token::TokenError;

/// A credential that opens nothing, or not this.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Missing, malformed, unsigned, expired or revoked.
    #[error("{0}")]
    Unauthenticated(String),
    /// Valid, without the right. The text says which right is missing.
    #[error("{0}")]
    Denied(String),
    /// The thing is not behind this credential; the same answer as for one that does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The database.
    #[error(transparent)]
    Catalog(#[from] framewell_catalog::Error),
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unauthenticated(_) => ErrorKind::Unauthenticated,
            Self::Denied(_) => ErrorKind::PermissionDenied,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Catalog(source) => source.kind(),
        }
    }
}

impl Error {
    /// A token without a row, or with one that says something else: as if the signature were not ours.
    pub(crate) fn not_valid() -> Self {
        TokenError::BadSignature.into()
    }

    pub(crate) fn lacks(right: Right) -> Self {
        let text = match right {
            Right::Watch => "this token does not allow to watch",
            Right::Create => {
                "this token does not allow to create pictures, clips and events: \
                 it takes a token of level all"
            }
            Right::Meta => {
                "this token does not allow to read or write metadata: it takes a token of level all"
            }
            Right::Configure => {
                "this token does not allow to change settings: it takes a token of level all"
            }
            Right::Publish => {
                "this token does not allow to publish video: it takes a token of level all"
            }
            Right::Admin => {
                "this token does not allow to administer the account: it takes a license key"
            }
        };
        Self::Denied(text.into())
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        Self::Unauthenticated(error.to_string())
    }
}
