//! Media tickets: short-lived grants inside URLs.

use crate::{SigningKey, TokenError};
use framewell_model::WallTime;

/// A ticket for `scope` (path-like, for example `live/7` or `rec/7/1201`) until `expire` (whole
/// seconds). Characters `[A-Za-z0-9._-]` only.
#[must_use]
pub fn media_ticket(key: &SigningKey, scope: &str, expire: WallTime) -> String {
    let _ = (key, scope, expire);
    todo!()
}

/// Verifies that `text` is a live ticket for exactly `scope`.
pub fn verify_media_ticket(
    key: &SigningKey,
    text: &str,
    scope: &str,
    now: WallTime,
) -> Result<(), TokenError> {
    let _ = (key, text, scope, now);
    todo!()
}
