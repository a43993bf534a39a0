//! License keys (`LKey`): one per account, shown once.

use crate::key::Domain;
use crate::{SigningKey, TokenError};
use framewell_model::TokenSerial;

const PREFIX: &str = "v3.";

/// The key text for a serial number: `v3.<serial>.<signature>`.
#[must_use]
pub fn license_key(key: &SigningKey, serial: TokenSerial) -> String {
    key.seal(Domain::License, &format!("{PREFIX}{serial}"))
}

/// Verifies a key text.
pub fn verify_license_key(key: &SigningKey, text: &str) -> Result<TokenSerial, TokenError> {
    if !text.starts_with(PREFIX) {
        return Err(TokenError::Malformed);
    }
    let body = key.unseal(Domain::License, text)?;
    let serial = body.strip_prefix(PREFIX).ok_or(TokenError::Malformed)?;
    serial.parse().map_err(|_| TokenError::Malformed)
}
