//! Init segments: `ftyp` and `moov` without samples.

use crate::{Error, SegmentIdentity};
use bytes::Bytes;
use framewell_media::StreamParameters;

/// Writes `ftyp` and `moov` (with `mvex`) for the tracks of `parameters`, with the identity box if given.
#[must_use]
pub fn build_init(parameters: &StreamParameters, identity: Option<&SegmentIdentity>) -> Bytes {
    let _ = (parameters, identity);
    todo!()
}

/// Reads what [`build_init`] wrote from the head of a segment.
pub fn parse_init(head: &[u8]) -> Result<(StreamParameters, Option<SegmentIdentity>), Error> {
    let _ = head;
    todo!()
}
