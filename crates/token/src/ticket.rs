//! Media tickets: short-lived grants inside URLs (contract section 3.6).

use crate::key::Domain;
use crate::{SigningKey, TokenError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use framewell_model::{AccountId, Holder, TokenSerial, WallTime};
use serde::{Deserialize, Serialize};

const PREFIX: &str = "media.";

/// The middle part of the text.
#[derive(Serialize, Deserialize)]
struct Claim {
    /// Scope.
    u: String,
    /// Account of who asked for it.
    a: AccountId,
    /// Serial number of the token that it was asked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s: Option<TokenSerial>,
}

/// What a ticket says that was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaTicket {
    /// Who asked for it.
    pub holder: Holder,
    /// When it ends.
    pub expire: WallTime,
}

/// A ticket for `scope` (path-like, for example `live/7` or `rec/7/1201`) until `expire` (whole
/// seconds, rounded down). Characters `[A-Za-z0-9._-]` only.
#[must_use]
pub fn media_ticket(key: &SigningKey, holder: Holder, scope: &str, expire: WallTime) -> String {
    let claim = Claim {
        u: scope.to_owned(),
        a: holder.account,
        s: holder.serial,
    };
    let claim = serde_json::to_string(&claim).expect("a text and two numbers are valid JSON");
    let body = format!(
        "{PREFIX}{}.{}",
        URL_SAFE_NO_PAD.encode(claim),
        expire.secs().max(0)
    );
    key.seal(Domain::Media, &body)
}

/// Verifies that `text` is a live ticket for exactly `scope`.
pub fn verify_media_ticket(
    key: &SigningKey,
    text: &str,
    scope: &str,
    now: WallTime,
) -> Result<MediaTicket, TokenError> {
    if !text.starts_with(PREFIX) {
        return Err(TokenError::Malformed);
    }
    let body = key.unseal(Domain::Media, text)?;
    let (claim, expire) = body
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('.'))
        .ok_or(TokenError::Malformed)?;
    let claim = URL_SAFE_NO_PAD
        .decode(claim)
        .map_err(|_| TokenError::Malformed)?;
    let claim: Claim = serde_json::from_slice(&claim).map_err(|_| TokenError::Malformed)?;
    let expire_s: i64 = expire.parse().map_err(|_| TokenError::Malformed)?;
    if claim.u != scope {
        return Err(TokenError::WrongScope);
    }
    if now.secs() >= expire_s {
        return Err(TokenError::Expired);
    }
    let (account, serial) = (claim.a, claim.s);
    Ok(MediaTicket {
        holder: Holder { account, serial },
        expire: WallTime::from_secs(expire_s),
    })
}
