//! Proof that a stored segment is what was recorded: its digest, and the one before it.

use crate::SegmentId;
use std::fmt;
use std::str::FromStr;

/// SHA-256 (FIPS 180-4) of all bytes of a segment.
///
/// The bytes contain the digest of the segment that was closed before (see [`ChainLink`]), so a digest
/// stands for all segments up to its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentDigest([u8; 32]);

impl SegmentDigest {
    /// Wraps what a hash function gave.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SegmentDigest {
    /// 64 small hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SegmentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct ParseDigestError;

impl FromStr for SegmentDigest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return Err(ParseDigestError);
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(ParseDigestError);
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let value = digit(pair[0])? << 4 | digit(pair[1])?;
            *byte = u8::try_from(value).map_err(|_| ParseDigestError)?;
        }
        Ok(Self(bytes))
    }
}

/// The segment of the same channel that was closed before, written into the one that follows: whoever
/// changes or removes a segment has to change all that came after it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainLink {
    /// Which segment.
    pub segment: SegmentId,
    /// What it was when it was closed.
    pub digest: SegmentDigest,
}

/// When a digest was taken, which is since when a change shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SealSource {
    /// While the segment was written.
    Written,
    /// After a crash, from the file that lay in the spool folder: a change between the crash and then
    /// does not show.
    Recovered,
    /// While the samples of a file were taken in that somebody sent: it says nothing about what
    /// happened to that file before.
    Imported,
    /// When the catalog was rebuilt from the stored objects: only the segments behind it say more.
    Rebuilt,
}

impl SealSource {
    /// Every source, for parsing.
    pub const ALL: [Self; 4] = [
        Self::Written,
        Self::Recovered,
        Self::Imported,
        Self::Rebuilt,
    ];

    /// The word stored in the database and shown in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Recovered => "recovered",
            Self::Imported => "imported",
            Self::Rebuilt => "rebuilt",
        }
    }

    /// The source of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == word)
    }
}

/// What a catalog knows of a segment's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// The digest.
    pub digest: SegmentDigest,
    /// When it was taken.
    pub source: SealSource,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_back_from_its_text() {
        let digest = SegmentDigest::new(std::array::from_fn(|i| i as u8 * 7));
        let text = digest.to_string();
        assert_eq!(text.len(), 64);
        assert_eq!(text.parse(), Ok(digest));
        for bad in ["", "12", &text.repeat(2), &text.replace('0', "g")] {
            assert_eq!(bad.parse::<SegmentDigest>(), Err(ParseDigestError), "{bad}");
        }
    }

    #[test]
    fn every_source_is_found_by_its_word() {
        for source in SealSource::ALL {
            assert_eq!(SealSource::from_word(source.as_str()), Some(source));
        }
        assert_eq!(SealSource::from_word("guessed"), None);
    }
}
