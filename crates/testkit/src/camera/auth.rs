//! Basic and Digest authentication (RFC 7617; RFC 2069 style Digest without `qop`, as most cameras
//! ask for it).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use std::fmt::Write as _;

/// How a camera wants to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthScheme {
    /// Anybody may watch.
    #[default]
    None,
    /// Login and password in the clear.
    Basic,
    /// MD5 of login, realm, password and a nonce.
    Digest,
}

const REALM: &str = "camera";

/// The header that asks for credentials.
pub(super) fn challenge(scheme: AuthScheme, nonce: &str) -> String {
    match scheme {
        AuthScheme::None | AuthScheme::Basic => format!("Basic realm=\"{REALM}\""),
        AuthScheme::Digest => format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\""),
    }
}

/// Whether an `Authorization` header proves login and password.
pub(super) fn is_authorized(
    scheme: AuthScheme,
    (login, password): (&str, &str),
    nonce: &str,
    method: &str,
    header: Option<&str>,
) -> bool {
    match (scheme, header) {
        (AuthScheme::None, _) => true,
        (AuthScheme::Basic, Some(header)) => {
            let expected = STANDARD.encode(format!("{login}:{password}"));
            header.strip_prefix("Basic ") == Some(&expected)
        }
        (AuthScheme::Digest, Some(header)) => {
            let Some(fields) = header.strip_prefix("Digest ") else {
                return false;
            };
            let field = |name: &str| {
                fields.split(',').find_map(|part| {
                    let (key, value) = part.trim().split_once('=')?;
                    (key == name).then(|| value.trim_matches('"'))
                })
            };
            let secret = md5_hex(&format!("{login}:{REALM}:{password}"));
            let request = md5_hex(&format!("{method}:{}", field("uri").unwrap_or("")));
            let expected = md5_hex(&format!("{secret}:{nonce}:{request}"));
            field("username") == Some(login)
                && field("nonce") == Some(nonce)
                && field("response") == Some(&expected)
        }
        (AuthScheme::Basic | AuthScheme::Digest, None) => false,
    }
}

fn md5_hex(text: &str) -> String {
    let mut hex = String::with_capacity(32);
    for byte in Md5::digest(text.as_bytes()) {
        // Writing to a String cannot fail.
        let _infallible = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_has_the_value_of_rfc_1321() {
        assert_eq!(md5_hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn a_header_of_the_other_scheme_is_refused() {
        let who = ("admin", "secret");
        let basic = format!("Basic {}", STANDARD.encode("admin:secret"));
        let check = |scheme, header| is_authorized(scheme, who, "n", "DESCRIBE", header);
        assert!(check(AuthScheme::Basic, Some(&basic)));
        assert!(!check(AuthScheme::Digest, Some(&basic)));
        assert!(!check(AuthScheme::Basic, None));
        assert!(check(AuthScheme::None, None));
    }
}
