//! Inner tokens of channels and groups (contract section 3.1).

use crate::{SigningKey, TokenError};
use framewell_model::{TokenSerial, WallTime};

/// What a share token says, once its signature is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareToken {
    /// Serial number of the token's row, which says what it opens and whether it is revoked.
    pub serial: TokenSerial,
    /// When it was made, whole seconds.
    pub created: WallTime,
    /// Lifetime in seconds.
    pub lifetime_s: u64,
}

/// The token text; the same input gives the same text.
#[must_use]
pub fn share_token(key: &SigningKey, token: ShareToken) -> String {
    let _ = (key, token);
    todo!()
}

/// Verifies signature (constant time) and lifetime.
pub fn verify_share_token(
    key: &SigningKey,
    text: &str,
    now: WallTime,
) -> Result<ShareToken, TokenError> {
    let _ = (key, text, now);
    todo!()
}
