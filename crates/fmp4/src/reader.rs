//! Reading fragments and recovering segments.

use crate::{Error, SegmentIdentity, SegmentIndex};
use framewell_media::{StreamParameters, TrackKind};

/// One sample of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Which track.
    pub track: TrackKind,
    /// Position of its data, counted from the first byte of the fragment.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Ticks of the run on the track's timescale.
    pub dts: i64,
    /// Ticks of the run on the track's timescale.
    pub pts: i64,
    /// Ticks.
    pub duration: u32,
    /// Random access point.
    pub is_key: bool,
}

/// Reads the samples of a fragment from its header bytes (`prft moof` and the `mdat` header; the
/// payload may follow or be absent), video first, in decoding order per track.
pub fn parse_fragment(header: &[u8]) -> Result<Vec<Sample>, Error> {
    let _ = header;
    todo!()
}

/// What a walk over a segment's bytes found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedSegment {
    /// Tracks.
    pub parameters: StreamParameters,
    /// Who it is.
    pub identity: Option<SegmentIdentity>,
    /// Complete fragments; `index.len_bytes()` is where the good bytes end.
    pub index: SegmentIndex,
}

/// Walks a segment from its first byte up to the last complete fragment; a torn tail is not an error.
/// Used after a crash and by a rebuild of the catalog. `data` may be a memory map.
pub fn scan_segment(data: &[u8]) -> Result<ScannedSegment, Error> {
    let _ = data;
    todo!()
}
