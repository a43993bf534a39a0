//! The digest of a segment, taken from the bytes as they go to the spool file.

use bytes::Bytes;
use framewell_model::SegmentDigest;
use sha2::{Digest as _, Sha256};

/// SHA-256 of everything that is in the file so far. Runs where the write runs, off the async threads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, parts: &[Bytes]) {
        for part in parts {
            self.0.update(part);
        }
    }

    pub(crate) fn finish(self) -> SegmentDigest {
        SegmentDigest::new(self.0.finalize().into())
    }
}

/// The digest of bytes that are in memory.
pub(crate) fn of(data: &[u8]) -> SegmentDigest {
    SegmentDigest::new(Sha256::digest(data).into())
}
