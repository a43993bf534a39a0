//! Reading objects whole: digest, scan, and the row that an object deserves.

use crate::{Archive, Error};
use bytes::Bytes;
use framewell_blob::ObjectKey;
use framewell_catalog::NewSegment;
use framewell_fmp4::{ScannedSegment, SegmentIdentity};
use framewell_model::{ErrorKind, HasKind, Segment, SegmentDigest, TimeRange};
use sha2::{Digest as _, Sha256};
use std::ops::Range;

/// Bytes read at a time.
const READ_BYTES: u64 = 4 << 20;
/// Largest object that is read into memory whole. A segment of 10 s at 20 Mbit/s has 25 MB.
pub(crate) const MAX_WHOLE_BYTES: u64 = 512 << 20;
/// Bytes in which the head of a segment (`ftyp`, `moov`) has room.
pub(crate) const HEAD_BYTES: u64 = 64 << 10;

impl Archive {
    /// Up to `len` bytes from the start of an object; `None` if there is no object (any more).
    pub(crate) async fn head(&self, key: &ObjectKey, len: u64) -> Result<Option<Bytes>, Error> {
        found(self.blobs.get_range(key, 0..len).await)
    }

    /// A part of an object; `None` if there is no object (any more).
    pub(crate) async fn part(
        &self,
        key: &ObjectKey,
        range: Range<u64>,
    ) -> Result<Option<Bytes>, Error> {
        found(self.blobs.get_range(key, range).await)
    }

    /// Length of an object; `None` if there is none.
    pub(crate) async fn size(&self, key: &ObjectKey) -> Result<Option<u64>, Error> {
        found(self.blobs.size(key).await)
    }

    /// Digest and length of an object as it is, and its head; `None` if there is none.
    pub(crate) async fn digest(
        &self,
        key: &ObjectKey,
    ) -> Result<Option<(SegmentDigest, u64, Bytes)>, Error> {
        let mut hash = Sha256::new();
        let (mut at, mut head) = (0, Bytes::new());
        loop {
            let read = found(self.blobs.get_range(key, at..at + READ_BYTES).await)?;
            let Some(read) = read else { return Ok(None) };
            if at == 0 {
                head = read.slice(..read.len().min(usize::try_from(HEAD_BYTES).unwrap_or(0)));
            }
            hash.update(&read);
            at += read.len() as u64;
            if (read.len() as u64) < READ_BYTES {
                let digest = SegmentDigest::new(hash.finalize().into());
                return Ok(Some((digest, at, head)));
            }
        }
    }

    /// An object of `size` bytes, whole; `None` if there is none.
    pub(crate) async fn whole(&self, key: &ObjectKey, size: u64) -> Result<Option<Bytes>, Error> {
        found(self.blobs.get_range(key, 0..size).await)
    }
}

/// What is not there is an answer here, not an error.
fn found<T>(read: Result<T, framewell_blob::Error>) -> Result<Option<T>, Error> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The digest of bytes at hand.
pub(crate) fn digest_of(data: &[u8]) -> SegmentDigest {
    SegmentDigest::new(Sha256::digest(data).into())
}

/// The row of an object as it is; `None` without a complete fragment.
pub(crate) fn row_of(identity: &SegmentIdentity, scanned: &ScannedSegment) -> Option<NewSegment> {
    let ends = scanned.index.fragments.iter().map(|f| f.wall_of(f.end_pts));
    let range = TimeRange {
        start: identity.wall_start,
        end: ends.max()?.max(identity.wall_start),
    };
    Some(NewSegment {
        id: identity.segment,
        channel: identity.channel,
        run: identity.run,
        sequence: identity.sequence,
        range,
        clock: identity.clock,
        size_bytes: i64::try_from(scanned.index.len_bytes()).unwrap_or(i64::MAX),
        codecs: scanned.parameters.codecs(),
        index: scanned.index.encode(),
    })
}

/// In what the object says to be another segment than the row says; `None` if it is the same.
pub(crate) fn difference(identity: &SegmentIdentity, row: &Segment) -> Option<String> {
    let is = |what: &str, object: &dyn std::fmt::Display, row: &dyn std::fmt::Display| {
        Some(format!("the object says {what} {object}, the row {row}"))
    };
    if identity.segment != row.id {
        is("segment", &identity.segment, &row.id)
    } else if identity.channel != row.channel {
        is("channel", &identity.channel, &row.channel)
    } else if identity.run != row.run {
        is("run", &identity.run, &row.run)
    } else if identity.sequence != row.sequence {
        is("number", &identity.sequence, &row.sequence)
    } else if identity.wall_start != row.range.start {
        is("start", &identity.wall_start, &row.range.start)
    } else {
        None
    }
}
