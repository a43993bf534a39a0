//! Digest authentication (RFC 7616; without `qop` as in RFC 2617 and before): the server's side. Sans-IO.
//!
//! The password never travels; what does is a hash of it, of a number that this server made up, and of
//! the request. MD5 is there for the clients that know nothing else, SHA-256 for all others.

use md5::Md5;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Longest header that is looked at. Clients send about 300 bytes.
const MAX_HEADER_BYTES: usize = 2_048;
/// The name that challenges go by.
pub const REALM: &str = "framewell";

/// Hash of RFC 7616 section 3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// For clients that know nothing else.
    Md5,
    /// For all others.
    Sha256,
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn hash(self, parts: &[&str]) -> String {
        let text = parts.join(":");
        let mut hex = String::with_capacity(64);
        let mut push = |bytes: &[u8]| {
            for byte in bytes {
                write!(hex, "{byte:02x}").expect("writing into a string does not fail");
            }
        };
        match self {
            Self::Md5 => push(&Md5::digest(text)),
            Self::Sha256 => push(&Sha256::digest(text)),
        }
        hex
    }
}

/// The values of `WWW-Authenticate`: the stronger first, as RFC 7616 section 3.7 wants it.
///
/// Without `qop`: the connection's own nonce is what keeps an answer from being used again, and clients
/// of RTSP are many that know the old form only.
pub fn challenges(nonce: &str) -> [String; 2] {
    [Algorithm::Sha256, Algorithm::Md5].map(|algorithm| {
        let name = algorithm.name();
        format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm={name}")
    })
}

/// What a client answers to a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    algorithm: Algorithm,
    user: String,
    realm: String,
    nonce: String,
    /// What was asked for, in the client's words.
    pub uri: String,
    response: String,
    /// `qop`, `nc` and `cnonce`, of a client that wants them although nobody asked.
    quality: Option<[String; 3]>,
}

impl Answer {
    /// `None` if the header is no Digest that can be checked.
    pub fn parse(header: &str) -> Option<Self> {
        if header.len() > MAX_HEADER_BYTES {
            return None;
        }
        let (scheme, rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let fields = parse_fields(rest)?;
        let field = |name: &str| {
            let found = fields.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        let algorithm = match field("algorithm").map(|text| text.to_ascii_uppercase()) {
            None => Algorithm::Md5,
            Some(text) if text == Algorithm::Md5.name() => Algorithm::Md5,
            Some(text) if text == Algorithm::Sha256.name() => Algorithm::Sha256,
            Some(_) => return None,
        };
        let quality = match field("qop") {
            None => None,
            Some(quality) if quality == "auth" => Some([field("nc")?, field("cnonce")?, quality]),
            Some(_) => return None,
        };
        Some(Self {
            algorithm,
            user: field("username")?,
            realm: field("realm")?,
            nonce: field("nonce")?,
            uri: field("uri")?,
            response: field("response")?.to_ascii_lowercase(),
            quality,
        })
    }

    /// Whether it answers a challenge with this nonce.
    pub fn is_to(&self, nonce: &str) -> bool {
        self.nonce == nonce && self.realm == REALM
    }

    /// Whether it was made with this password for a request of this method.
    pub fn is_by(&self, password: &str, method: &str) -> bool {
        let secret = self.algorithm.hash(&[&self.user, &self.realm, password]);
        let request = self.algorithm.hash(&[method, &self.uri]);
        let expected = match &self.quality {
            None => self.algorithm.hash(&[&secret, &self.nonce, &request]),
            Some([count, own, quality]) => {
                let parts = [&secret, &self.nonce, count, own, quality, &request];
                self.algorithm.hash(&parts.map(String::as_str))
            }
        };
        is_equal(expected.as_bytes(), self.response.as_bytes())
    }
}

/// In a time that does not depend on where the two differ.
fn is_equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .fold(0, |different, (l, r)| different | (l ^ r))
            == 0
}

/// `name=value` or `name="value"`, with commas between.
fn parse_fields(text: &str) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=')?;
        let (value, behind) = match behind.trim_start().strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let behind = behind.trim_start();
                let end = behind.find(',').unwrap_or(behind.len());
                let (value, behind) = behind.split_at(end);
                (value.trim().to_owned(), behind)
            }
        };
        fields.push((name.trim().to_ascii_lowercase(), value));
        let behind = behind.trim_start();
        rest = match behind.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if behind.is_empty() => behind,
            None => return None,
        };
    }
    Some(fields)
}

/// A quoted string behind its first quote, and what comes after it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => value.push(chars.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(extra: &str, response: &str) -> String {
        format!(
            "Digest username=\"any\", realm=\"framewell\", nonce=\"n1\", uri=\"rtsp://h/live/7\", \
             response=\"{response}\"{extra}"
        )
    }

    /// Made with `printf … | md5sum` and `sha256sum`.
    const BY_MD5: &str = "b263a46282238b8ac974588f8728d8c6";
    const BY_SHA256: &str = "b1c994efecbdc0931519450add43674ae0fb60fc35ee0b23890f4e7757fd52e5";
    const BY_QUALITY: &str = "62203dd45ab34b2e21b90b60aa1a50d1";

    #[test]
    fn the_right_password_is_known_by_either_hash() {
        for text in [
            header("", BY_MD5),
            header(", algorithm=MD5", BY_MD5),
            header(", algorithm=\"SHA-256\"", BY_SHA256),
            header(", qop=auth, nc=00000001, cnonce=\"c1\"", BY_QUALITY),
        ] {
            let answer = Answer::parse(&text).unwrap();
            assert!(answer.is_to("n1") && !answer.is_to("n2"));
            assert!(answer.is_by("secret", "DESCRIBE"), "{text}");
            assert!(!answer.is_by("Secret", "DESCRIBE"));
            assert!(!answer.is_by("secret", "PLAY"));
        }
    }

    #[test]
    fn what_is_no_digest_is_not_looked_at() {
        for text in [
            "",
            "Basic dTpw",
            "Digest",
            "Digest username",
            "Digest username=\"any",
            "Digest username=\"any\" realm=\"x\"",
            &header(", algorithm=MD5-sess", BY_MD5),
            &header(", qop=auth-int", BY_MD5),
            &format!("Digest username=\"{}\"", "x".repeat(MAX_HEADER_BYTES)),
        ] {
            assert_eq!(Answer::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(text in "\\PC{0,80}", tail in "[ -~]{0,80}") {
            Answer::parse(&text);
            Answer::parse(&format!("Digest {tail}"));
        }
    }
}
