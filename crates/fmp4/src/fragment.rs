//! Fragments: `prft`, `moof`, `mdat`.

use crate::FragmentEntry;
use bytes::Bytes;
use framewell_media::AccessUnit;
use framewell_media::StreamParameters;

/// A fragment ready to be written with one vectored write: nothing of the payload is copied.
#[derive(Debug, Clone)]
pub struct Fragment {
    /// `prft`, `moof` and the header of `mdat`.
    pub header: Bytes,
    /// The samples, in the order of the `mdat`: all video, then all audio.
    pub payload: Vec<Bytes>,
    /// What the index says about it; `offset` is 0 until the caller knows the place in the file.
    pub entry: FragmentEntry,
}

/// Builds a fragment from the units of a piece of one GOP, in decoding order, video and audio mixed;
/// at least one video unit.
///
/// `sequence` counts fragments from 1 (`mfhd`). `end_dts` is the DTS of the next video unit, which
/// gives the last sample its duration; `None` at the end of a run repeats the one before.
#[must_use]
pub fn build_fragment(
    sequence: u32,
    parameters: &StreamParameters,
    units: &[AccessUnit],
    end_dts: Option<i64>,
) -> Fragment {
    let _ = (sequence, parameters, units, end_dts);
    todo!()
}
