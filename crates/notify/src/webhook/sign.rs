//! Signatures of deliveries.

use framewell_model::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt::Write as _;

/// The value of the header `Framewell-Signature`: `v1=` and HMAC-SHA256 (RFC 2104) over the seconds since
/// 1970 of the header `Framewell-Timestamp`, a dot and the body, in lower-case hexadecimal.
#[must_use]
pub fn sign(secret: &Secret<String>, timestamp: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let mut text = String::from("v1=");
    for byte in mac.finalize().into_bytes() {
        write!(text, "{byte:02x}").expect("a String takes any text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '1714550400.{}' | openssl dgst -sha256 -hmac key`
    #[test]
    fn a_signature_is_what_openssl_computes() {
        let signature = sign(&Secret::new("key".into()), 1_714_550_400, "{}");
        assert_eq!(
            signature,
            "v1=f0c37b797bfe7119da60a1c4c2d1b31b6d121a68498d25c574758391625df283"
        );
    }
}
