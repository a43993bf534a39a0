//! Tokens that open one stored clip (contract section 3.7). They have the form of inner tokens, because
//! clients tell them apart by `share.`; what they say and how they are signed differs.

use crate::key::Domain;
use crate::{SigningKey, TokenError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use framewell_model::{ClipShareId, WallTime};
use serde::{Deserialize, Serialize};

const PREFIX: &str = "share.";

/// What the token of a shared clip says, once its signature is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClipShareToken {
    /// Serial number of the sharing's row, which says what it opens; the row goes when it is ended.
    pub share: ClipShareId,
    /// When it was made, whole seconds.
    pub created: WallTime,
    /// Lifetime in seconds.
    pub lifetime_s: u64,
}

/// The middle part of the text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    clip: ClipShareId,
}

/// The token text; the same input gives the same text.
#[must_use]
pub fn clip_share_token(key: &SigningKey, token: ClipShareToken) -> String {
    let claim = serde_json::to_string(&Claim { clip: token.share })
        .expect("a struct with one integer is valid JSON");
    let body = format!(
        "{PREFIX}{}.{:x}t{:x}",
        URL_SAFE_NO_PAD.encode(claim),
        token.created.secs().max(0),
        token.lifetime_s
    );
    key.seal(Domain::ClipShare, &body)
}

/// Whether a text says of itself that it is such a token. Nothing is verified.
#[must_use]
pub fn is_clip_share(text: &str) -> bool {
    text.rsplit_once('.')
        .is_some_and(|(body, _)| parse(body).is_ok())
}

/// Verifies signature (constant time) and lifetime.
pub fn verify_clip_share(
    key: &SigningKey,
    text: &str,
    now: WallTime,
) -> Result<ClipShareToken, TokenError> {
    if !text.starts_with(PREFIX) {
        return Err(TokenError::Malformed);
    }
    let token = parse(key.unseal(Domain::ClipShare, text)?)?;
    let lifetime_s = i64::try_from(token.lifetime_s).unwrap_or(i64::MAX);
    if now.secs() >= token.created.secs().saturating_add(lifetime_s) {
        return Err(TokenError::Expired);
    }
    Ok(token)
}

fn parse(body: &str) -> Result<ClipShareToken, TokenError> {
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
    Ok(ClipShareToken {
        // Deserializing skips the check of the constructor.
        share: ClipShareId::new(claim.clip.get()).ok_or(TokenError::Malformed)?,
        created: WallTime::from_secs(created_s),
        lifetime_s,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ShareToken, share_token, verify_share_token};
    use framewell_model::TokenSerial;

    const TOKEN: ClipShareToken = ClipShareToken {
        share: ClipShareId::new(7).unwrap(),
        created: WallTime::from_secs(1_000),
        lifetime_s: 60,
    };

    fn key() -> SigningKey {
        SigningKey::new(vec![7; 32]).unwrap()
    }

    #[test]
    fn a_token_says_what_was_sealed_until_it_ends() {
        let text = clip_share_token(&key(), TOKEN);
        assert!(is_clip_share(&text) && text.starts_with("share."), "{text}");
        let verify = |text: &str, at| verify_clip_share(&key(), text, WallTime::from_secs(at));
        assert_eq!(verify(&text, 1_059), Ok(TOKEN));
        assert_eq!(verify(&text, 1_060), Err(TokenError::Expired));
        let forged = text.replace(".3e8t3c.", ".3e8t3d.");
        assert_ne!(forged, text);
        assert_eq!(verify(&forged, 1_000), Err(TokenError::BadSignature));
        assert_eq!(verify("3e8", 1_000), Err(TokenError::Malformed));
    }

    #[test]
    fn tokens_of_clips_and_of_channels_never_pass_for_each_other() {
        let now = WallTime::from_secs(1_000);
        let clip = clip_share_token(&key(), TOKEN);
        assert!(verify_share_token(&key(), &clip, now).is_err());
        let channel = ShareToken {
            serial: TokenSerial::new(7).unwrap(),
            created: now,
            lifetime_s: 60,
        };
        let channel = share_token(&key(), channel);
        assert!(!is_clip_share(&channel));
        assert!(verify_clip_share(&key(), &channel, now).is_err());
    }
}
