//! The server's signing key, and the signature that every token text ends with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use framewell_model::{ErrorKind, HasKind, Secret};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// Bytes of the HMAC-SHA-256 that a token carries (RFC 2104 section 5 allows half and more).
const SIGNATURE_BYTES: usize = 20;

/// Least key length: the output size of the hash (RFC 2104 section 3).
const LEAST_KEY_BYTES: usize = 32;

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

/// What a signature is for. Each kind signs with a prefix of its own, so that a text of one kind
/// never verifies as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    License,
    Share,
    ClipShare,
    Media,
}

impl Domain {
    /// Ends with a byte that no token text contains: prefix and text cannot run into each other.
    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::License => b"framewell license key 1\0",
            Self::Share => b"framewell share token 1\0",
            Self::ClipShare => b"framewell clip share token 1\0",
            Self::Media => b"framewell media ticket 1\0",
        }
    }
}

/// What the seed of the key for manifests is derived from. As with [`Domain`], no token begins so.
const MANIFEST_SEED: &[u8] = b"framewell manifest seed 1\0";

/// 32 random bytes made once per installation; each use signs with its own domain prefix.
#[derive(Debug, Clone)]
pub struct SigningKey(Secret<Vec<u8>>);

impl SigningKey {
    /// Wraps key bytes; at least 32.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        let key = Secret::new(bytes);
        (key.expose().len() >= LEAST_KEY_BYTES).then_some(Self(key))
    }

    /// The secret bytes of the key that signs manifests of clips: derived, so that who has the one has the
    /// other, and nothing more has to be kept.
    #[must_use]
    pub fn manifest_seed(&self) -> Secret<[u8; 32]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose())
            .expect("HMAC takes keys of any length (RFC 2104 section 2)");
        mac.update(MANIFEST_SEED);
        Secret::new(mac.finalize().into_bytes().into())
    }

    /// `body` with a dot and its signature behind it.
    pub(crate) fn seal(&self, domain: Domain, body: &str) -> String {
        format!("{body}.{}", self.signature(domain, body))
    }

    /// The body of a sealed text, once the signature is found to be ours.
    ///
    /// The texts of the signatures are compared, not the bytes behind them: a signature whose unused
    /// last bits differ is another text, and each token has exactly one.
    pub(crate) fn unseal<'a>(&self, domain: Domain, text: &'a str) -> Result<&'a str, TokenError> {
        let (body, signature) = text.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let expected = self.signature(domain, body);
        let is_ours: bool = expected.as_bytes().ct_eq(signature.as_bytes()).into();
        is_ours.then_some(body).ok_or(TokenError::BadSignature)
    }

    /// 27 base64url characters (RFC 4648 section 5) of 160 bits.
    fn signature(&self, domain: Domain, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose())
            .expect("HMAC takes keys of any length (RFC 2104 section 2)");
        mac.update(domain.prefix());
        mac.update(body.as_bytes());
        let digest = mac.finalize().into_bytes();
        URL_SAFE_NO_PAD.encode(&digest[..SIGNATURE_BYTES])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_key_is_refused() {
        assert!(SigningKey::new(vec![7; 31]).is_none());
        assert!(SigningKey::new(vec![7; 32]).is_some());
    }

    #[test]
    fn the_seed_for_manifests_is_the_same_for_one_key_and_another_for_another() {
        let seed = |byte| {
            *SigningKey::new(vec![byte; 32])
                .unwrap()
                .manifest_seed()
                .expose()
        };
        assert_eq!(seed(1), seed(1));
        assert_ne!(seed(1), seed(2));
        assert_ne!(seed(1), [1; 32]);
    }

    #[test]
    fn debug_shows_no_key_byte() {
        let key = SigningKey::new(vec![77; 32]).unwrap();
        assert!(!format!("{key:?}").contains("77"));
    }

    #[test]
    fn the_signature_is_hmac_sha_256_cut_to_160_bits() {
        // RFC 4231 test case 2 has a key that is too short for us, so the reference is computed here
        // from the definition in RFC 2104 section 2, without the hmac crate.
        use sha2::Digest as _;
        let (inner, outer) = (vec![0x36 ^ 9u8; 64], vec![0x5c ^ 9u8; 64]);
        let message = [&inner[..], Domain::Share.prefix(), b"body"].concat();
        let digest = Sha256::digest([&outer[..], &Sha256::digest(message)[..]].concat());
        let key = SigningKey::new(vec![9; 64]).unwrap();
        assert_eq!(
            key.seal(Domain::Share, "body"),
            format!("body.{}", URL_SAFE_NO_PAD.encode(&digest[..20]))
        );
    }

    #[test]
    fn a_text_of_one_kind_does_not_verify_as_another() {
        let key = SigningKey::new(vec![9; 32]).unwrap();
        let text = key.seal(Domain::Share, "same body");
        assert_eq!(key.unseal(Domain::Share, &text), Ok("same body"));
        for domain in [Domain::License, Domain::Media] {
            assert_eq!(key.unseal(domain, &text), Err(TokenError::BadSignature));
        }
    }
}
