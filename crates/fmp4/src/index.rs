//! The compact index of a segment's fragments that the catalog keeps beside the row.

use crate::Error;
use framewell_model::{ClockSource, WallTime};

/// Where one fragment lies in its segment, and in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentEntry {
    /// First byte (of its `prft`) in the segment.
    pub offset: u64,
    /// Bytes of `prft` + `moof` + `mdat` header: all that is needed to know the samples.
    pub header_len: u32,
    /// Bytes of the whole fragment.
    pub len: u32,
    /// Wall time of [`FragmentEntry::anchor_pts`]: capture time of the first video unit in decoding
    /// order. The wall time of any sample is `wall + (pts - anchor_pts)` on its timescale.
    pub wall: WallTime,
    /// PTS of the first video unit, 90 kHz ticks of the run.
    pub anchor_pts: i64,
    /// DTS of the first video unit, 90 kHz ticks of the run.
    pub dts: i64,
    /// Smallest video PTS in the fragment.
    pub min_pts: i64,
    /// Largest video PTS plus that sample's duration.
    pub end_pts: i64,
    /// Sum of the video sample durations (decode time), 90 kHz ticks.
    pub duration: i64,
    /// Whether it starts with a key frame.
    pub is_key: bool,
    /// Where `wall` comes from.
    pub clock: ClockSource,
}

/// All fragments of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SegmentIndex {
    /// Bytes of `ftyp` + `moov`.
    pub init_len: u32,
    /// In file order.
    pub fragments: Vec<FragmentEntry>,
}

impl FragmentEntry {
    /// Wall time of a video PTS (90 kHz ticks of the run) by this fragment's anchor.
    #[must_use]
    pub fn wall_of(&self, pts: i64) -> WallTime {
        self.wall
            .plus_micros(framewell_model::Timescale::HZ_90K.to_micros(pts - self.anchor_pts))
    }
}

impl SegmentIndex {
    /// Compact versioned bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads what [`SegmentIndex::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let _ = bytes;
        todo!()
    }

    /// Length of the segment in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.fragments
            .last()
            .map_or(u64::from(self.init_len), |last| {
                last.offset + u64::from(last.len)
            })
    }
}
