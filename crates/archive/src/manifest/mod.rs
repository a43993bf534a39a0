//! Manifests of exported clips: what a file is, of which segments it is made, signed by the server.
//!
//! A manifest is checked without server and database: [`open`] verifies the signature, [`check_file`] the
//! file. What is signed is the canonical JSON (RFC 8785) of the member `manifest`; it holds texts, whole
//! numbers below 2^53, lists and objects only, so that sorted members without white space are canonical.

mod canonical;
mod file;
mod key;

pub use file::{FileFault, FileReport, PartHasher, check_file};
pub use key::{PublicKey, Signer};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the layout.
pub const FORMAT: &str = "framewell-clip-1";
/// The signature of RFC 8032.
const ALGORITHM: &str = "Ed25519";

/// What a clip is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// When it was signed, RFC 3339.
    pub made: String,
    /// Whose footage.
    pub channel: i64,
    /// `sub` if it is that of the camera's sub stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// What was asked for.
    pub requested: Span,
    /// What the file shows.
    pub presented: Span,
    /// Holes inside of it.
    pub gaps: Vec<Span>,
    /// The whole file.
    pub file: FileHash,
    /// The segments of which it is made, in the order of their first use.
    pub segments: Vec<UsedSegment>,
    /// The file from its first byte to its last: the media of each segment, and what the server wrote
    /// around it.
    pub parts: Vec<Part>,
}

/// A range of time, RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its first moment.
    pub start: String,
    /// The moment behind its last.
    pub end: String,
}

/// Length and SHA-256 of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHash {
    /// Bytes.
    pub size: u64,
    /// Small hexadecimal digits.
    pub sha256: String,
}

/// A segment as the catalog knew it when the manifest was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedSegment {
    /// Its id.
    pub id: String,
    /// The unbroken piece of recording it belongs to.
    pub run: String,
    /// Place within the run.
    pub sequence: i64,
    /// Its time.
    pub range: Span,
    /// Digest of the whole segment: its link in the chain of the channel. `None` while it is written, and
    /// for footage from before there were digests.
    pub sha256: Option<String>,
    /// When that digest was taken: `written`, `recovered`, `imported` or `rebuilt`.
    pub sealed: Option<String>,
}

/// Bytes of the file that come from one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Number in [`Manifest::segments`]; `None`: written by the server for this file.
    pub segment: Option<u64>,
    /// First byte in the file.
    pub offset: u64,
    /// How many.
    pub length: u64,
    /// Of these bytes.
    pub sha256: String,
    /// Where they lie in the segment, in their order: first byte and how many.
    pub ranges: Vec<(u64, u64)>,
}

/// A manifest that cannot be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// No JSON of this layout.
    #[error("this is no manifest of a clip")]
    Malformed(#[from] serde_json::Error),
    /// Of another layout.
    #[error("the manifest has the format {0:?}, and {FORMAT:?} is known")]
    Format(String),
    /// The signature is of another kind.
    #[error("the signature is {0:?}, and {ALGORITHM:?} is known")]
    Algorithm(String),
    /// A key or a signature that is none.
    #[error("{0} is not 32 (key) or 64 (signature) bytes in base64url")]
    Base64(&'static str),
    /// The manifest was changed, or another key signed it.
    #[error("the signature does not fit: the manifest was changed after it was signed")]
    Signature,
    /// Signed by somebody else.
    #[error("the manifest was signed with the key {found}, not with {expected}")]
    OtherKey {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
}

/// A manifest with its signature, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// What is signed: a [`Manifest`].
    pub manifest: Value,
    /// The proof.
    pub signature: Signature,
}

/// A detached signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// `Ed25519`.
    pub algorithm: String,
    /// Of the server, 32 bytes in base64url.
    pub public_key: String,
    /// 64 bytes in base64url.
    pub value: String,
}

impl Signer {
    /// Signs a manifest.
    ///
    /// # Panics
    /// Never: a manifest is always JSON.
    #[must_use]
    pub fn sign(&self, manifest: &Manifest) -> Signed {
        let manifest = serde_json::to_value(manifest).expect("texts, numbers and lists are JSON");
        let value = self.signature(&canonical::text(&manifest));
        Signed {
            manifest,
            signature: Signature {
                algorithm: ALGORITHM.to_owned(),
                public_key: self.public_key().to_string(),
                value,
            },
        }
    }
}

/// The manifest in a signed one, once its signature is found to be good; and the key that signed it, which
/// has to be compared with the server's unless `expected` is it.
///
/// # Errors
/// Anything but a manifest of this format that has not been changed since it was signed.
pub fn open(
    text: &str,
    expected: Option<&PublicKey>,
) -> Result<(Manifest, PublicKey), ManifestError> {
    let signed: Signed = serde_json::from_str(text)?;
    if signed.signature.algorithm != ALGORITHM {
        return Err(ManifestError::Algorithm(signed.signature.algorithm));
    }
    let key: PublicKey = signed.signature.public_key.parse()?;
    if let Some(expected) = expected.filter(|expected| **expected != key) {
        return Err(ManifestError::OtherKey {
            found: key.to_string(),
            expected: expected.to_string(),
        });
    }
    key.verify(&canonical::text(&signed.manifest), &signed.signature.value)?;
    let format = signed.manifest["format"].as_str().unwrap_or_default();
    if format != FORMAT {
        return Err(ManifestError::Format(format.to_owned()));
    }
    Ok((serde_json::from_value(signed.manifest)?, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::Secret;

    pub(super) fn manifest() -> Manifest {
        let span = |start: &str, end: &str| Span {
            start: start.to_owned(),
            end: end.to_owned(),
        };
        Manifest {
            format: FORMAT.to_owned(),
            made: "2026-01-01T00:00:00Z".to_owned(),
            channel: 7,
            stream: None,
            requested: span("2026-01-01T00:00:00Z", "2026-01-01T00:00:10Z"),
            presented: span("2026-01-01T00:00:00Z", "2026-01-01T00:00:10Z"),
            gaps: Vec::new(),
            file: FileHash {
                size: 6,
                sha256: "00".repeat(32),
            },
            segments: Vec::new(),
            parts: Vec::new(),
        }
    }

    fn signer(byte: u8) -> Signer {
        Signer::new(&Secret::new([byte; 32]))
    }

    #[test]
    fn a_signed_manifest_opens_and_says_whose_it_is() {
        let signed = signer(1).sign(&manifest());
        for text in [
            serde_json::to_string(&signed).unwrap(),
            serde_json::to_string_pretty(&signed).unwrap(),
        ] {
            let (opened, key) = open(&text, None).unwrap();
            assert_eq!(opened, manifest());
            assert_eq!(key, signer(1).public_key());
            assert!(open(&text, Some(&key)).is_ok());
        }
    }

    #[test]
    fn any_change_of_the_manifest_shows() {
        let text = serde_json::to_string(&signer(1).sign(&manifest())).unwrap();
        for (from, to) in [
            ("\"channel\":7", "\"channel\":8"),
            ("\"size\":6", "\"size\":7"),
            ("00:00:10Z", "00:00:11Z"),
            ("\"gaps\":[]", "\"gaps\":[],\"more\":1"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            let error = open(&changed, None).unwrap_err();
            assert!(matches!(error, ManifestError::Signature), "{from}: {error}");
        }
    }

    #[test]
    fn a_manifest_that_somebody_else_signed_is_refused_where_the_key_is_known() {
        let theirs = serde_json::to_string(&signer(2).sign(&manifest())).unwrap();
        let ours = signer(1).public_key();
        let error = open(&theirs, Some(&ours)).unwrap_err();
        assert!(matches!(error, ManifestError::OtherKey { .. }), "{error}");
        // And with our key written over theirs, the signature is wrong.
        let forged = theirs.replace(&signer(2).public_key().to_string(), &ours.to_string());
        let error = open(&forged, Some(&ours)).unwrap_err();
        assert!(matches!(error, ManifestError::Signature), "{error}");
    }

    #[test]
    fn what_is_no_manifest_is_an_error() {
        let signed = serde_json::to_string(&signer(1).sign(&manifest())).unwrap();
        for bad in ["", "{}", "[1]", &signed.replace("Ed25519", "none")] {
            assert!(open(bad, None).is_err(), "{bad}");
        }
    }
}
