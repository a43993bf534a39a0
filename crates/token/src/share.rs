//! Inner tokens of channels and groups (contract section 3.1).

use crate::key::Domain;
use crate::{SigningKey, TokenError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use framewell_model::{TokenSerial, WallTime};
use serde::{Deserialize, Serialize};

const PREFIX: &str = "share.";

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

/// The middle part of the text.
#[derive(Serialize, Deserialize)]
struct Claim {
    si: TokenSerial,
}

/// The token text; the same input gives the same text.
///
/// `created` is written in whole seconds, rounded down; a time before 1970 is written as 1970.
#[must_use]
pub fn share_token(key: &SigningKey, token: ShareToken) -> String {
    let claim = serde_json::to_string(&Claim { si: token.serial })
        .expect("a struct with one integer is valid JSON");
    let created_s = token.created.secs().max(0);
    let body = format!(
        "{PREFIX}{}.{created_s:x}t{:x}",
        URL_SAFE_NO_PAD.encode(claim),
        token.lifetime_s
    );
    key.seal(Domain::Share, &body)
}

/// Verifies signature (constant time) and lifetime.
///
/// The token is valid from the start, whatever `created` says: clocks may be moved back.
pub fn verify_share_token(
    key: &SigningKey,
    text: &str,
    now: WallTime,
) -> Result<ShareToken, TokenError> {
    if !text.starts_with(PREFIX) {
        return Err(TokenError::Malformed);
    }
    let token = parse_body(key.unseal(Domain::Share, text)?)?;
    let lifetime_s = i64::try_from(token.lifetime_s).unwrap_or(i64::MAX);
    let end_s = token.created.secs().saturating_add(lifetime_s);
    if now.secs() >= end_s {
        return Err(TokenError::Expired);
    }
    Ok(token)
}

fn parse_body(body: &str) -> Result<ShareToken, TokenError> {
    let (claim, times) = body
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('.'))
        .ok_or(TokenError::Malformed)?;
    let (created, lifetime) = times.split_once('t').ok_or(TokenError::Malformed)?;
    let claim = URL_SAFE_NO_PAD
        .decode(claim)
        .map_err(|_| TokenError::Malformed)?;
    let claim: Claim = serde_json::from_slice(&claim).map_err(|_| TokenError::Malformed)?;
    let created_s = i64::from_str_radix(created, 16).map_err(|_| TokenError::Malformed)?;
    let lifetime_s = u64::from_str_radix(lifetime, 16).map_err(|_| TokenError::Malformed)?;
    // Deserializing skips the check of the constructor.
    let serial = TokenSerial::new(claim.si.get()).ok_or(TokenError::Malformed)?;
    Ok(ShareToken {
        serial,
        created: WallTime::from_secs(created_s),
        lifetime_s,
    })
}
