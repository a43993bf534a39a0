//! The server's signing key.

use framewell_model::{ErrorKind, HasKind, Secret};

/// A token that is not ours, or no longer valid. Says nothing that helps to forge one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not of the right form.
    #[error("token is malformed")]
    Malformed,
    /// The signature is not ours.
    #[error("token is not valid")]
    BadSignature,
    /// It was valid once.
    #[error("token has expired")]
    Expired,
    /// A ticket for something else.
    #[error("ticket is for another resource")]
    WrongScope,
}

impl HasKind for TokenError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unauthenticated
    }
}

/// 32 random bytes made once per installation; each use signs with its own domain prefix.
#[derive(Debug, Clone)]
pub struct SigningKey(#[expect(dead_code, reason = "skeleton")] Secret<Vec<u8>>);

impl SigningKey {
    /// Wraps key bytes; at least 32.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() >= 32).then(|| Self(Secret::new(bytes)))
    }
}
