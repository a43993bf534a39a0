//! NAL units: length-prefixed and Annex B framing, types, random access points.

use crate::VideoCodec;
use bytes::Bytes;

/// The NAL units of length-prefixed data (4-byte big-endian lengths); stops at the first bad length.
pub fn split_length_prefixed(data: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let header = data.get(at..at + 4)?;
        let length = u32::from_be_bytes(header.try_into().ok()?) as usize;
        let start = at + 4;
        let end = start.checked_add(length).filter(|end| *end <= data.len())?;
        at = end;
        Some(data.slice(start..end))
    })
}

/// The NAL units of an Annex B stream (ITU-T H.264 Annex B), without start codes and trailing zeros.
#[must_use]
pub fn split_annex_b(data: &Bytes) -> Vec<Bytes> {
    let _ = data;
    todo!()
}

/// Length-prefixed form (4 bytes each) of some NAL units.
#[must_use]
pub fn join_length_prefixed(nals: &[Bytes]) -> Bytes {
    let _ = nals;
    todo!()
}

/// What a NAL unit is, as far as routing cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NalKind {
    /// Slice of a picture where decoding may start.
    KeySlice,
    /// Slice of any other picture.
    Slice,
    /// VPS, SPS or PPS.
    ParameterSet,
    /// Access unit delimiter.
    Delimiter,
    /// Supplemental enhancement information.
    Sei,
    /// Anything else.
    Other,
}

/// Classifies a NAL unit by its header.
#[must_use]
pub fn kind(codec: VideoCodec, nal: &[u8]) -> NalKind {
    let _ = (codec, nal);
    todo!()
}

/// Whether length-prefixed data starts a random access point.
#[must_use]
pub fn is_key(codec: VideoCodec, data: &Bytes) -> bool {
    split_length_prefixed(data).any(|nal| kind(codec, &nal) == NalKind::KeySlice)
}
