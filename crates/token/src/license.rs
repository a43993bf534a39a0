//! License keys (`LKey`): one per account, shown once.

use crate::{SigningKey, TokenError};
use framewell_model::TokenSerial;

/// The key text for a serial number.
#[must_use]
pub fn license_key(key: &SigningKey, serial: TokenSerial) -> String {
    let _ = (key, serial);
    todo!()
}

/// Verifies a key text.
pub fn verify_license_key(key: &SigningKey, text: &str) -> Result<TokenSerial, TokenError> {
    let _ = (key, text);
    todo!()
}
