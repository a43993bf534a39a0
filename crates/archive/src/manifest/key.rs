//! The server's key for manifests: Ed25519 (RFC 8032).

use super::ManifestError;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use framewell_model::Secret;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Signs manifests; cheap to clone. `Debug` shows the public key only.
#[derive(Clone)]
pub struct Signer(Arc<Ed25519KeyPair>);

impl Signer {
    /// From the 32 secret bytes of RFC 8032 section 5.1.5.
    ///
    /// # Panics
    /// Never: every 32 bytes are a key.
    #[must_use]
    pub fn new(seed: &Secret<[u8; 32]>) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose());
        Self(Arc::new(pair.expect("a seed of 32 bytes is a key")))
    }

    /// What others verify with.
    ///
    /// # Panics
    /// Never: a public key has 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let bytes = self.0.public_key().as_ref().try_into();
        PublicKey(bytes.expect("a public key has 32 bytes"))
    }

    pub(super) fn signature(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.0.sign(text.as_bytes()))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.public_key()).finish()
    }
}

/// A server's public key; as a text, 43 characters of base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    pub(super) fn verify(&self, text: &str, signature: &str) -> Result<(), ManifestError> {
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| ManifestError::Base64("the signature"))?;
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(text.as_bytes(), &signature)
            .map_err(|_| ManifestError::Signature)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = ManifestError;

    fn from_str(text: &str) -> Result<Self, ManifestError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(ManifestError::Base64("the key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_signatures_are_those_of_the_standard() {
        // RFC 8032 section 7.1, test 1: the empty message.
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec,
            0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03,
            0x1c, 0xae, 0x7f, 0x60,
        ];
        let signer = Signer::new(&Secret::new(seed));
        let key = signer.public_key();
        assert_eq!(key.0[..4], [0xd7, 0x5a, 0x98, 0x01]);
        let signature = URL_SAFE_NO_PAD.decode(signer.signature("")).unwrap();
        assert_eq!(signature[..4], [0xe5, 0x56, 0x43, 0x00]);
        assert_eq!(key.to_string().parse::<PublicKey>().unwrap(), key);
        assert!("short".parse::<PublicKey>().is_err());
        assert!(!format!("{signer:?}").contains("157"), "no secret byte");
    }
}
