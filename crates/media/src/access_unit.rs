//! The atom between ingest and everything else.

use bytes::Bytes;
use framewell_model::{ClockSource, MediaTime, WallTime};
use std::fmt;

/// Which track of a channel's stream. A channel has one video track and at most one audio track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrackKind {
    /// H.264 or H.265.
    Video,
    /// AAC, G.711 or Opus.
    Audio,
}

/// All NAL units of one coded picture, or one audio frame. Cheap to clone: the payload is shared.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessUnit {
    /// Which track.
    pub track: TrackKind,
    /// When to show it, counted from the start of the run on the track's own timescale.
    pub pts: MediaTime,
    /// When to decode it, same scale; never after `pts`, strictly increasing within a track's run.
    pub dts: MediaTime,
    /// Capture time of the picture (wall time of `pts`). Within a GOP it advances exactly with
    /// `pts`; the mapping changes only at key frames, see [`crate::Timeline`].
    pub wall: WallTime,
    /// Where `wall` comes from.
    pub clock: ClockSource,
    /// Random access point: decoding may start here (H.264 IDR; H.265 IDR, CRA, BLA). Audio: true.
    pub is_key: bool,
    /// Video: NAL units, each behind its length in 4 bytes big-endian, without parameter sets or
    /// access unit delimiters. Audio: one raw frame (AAC without ADTS; G.711 bytes; one Opus packet).
    pub data: Bytes,
}

impl fmt::Debug for AccessUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessUnit")
            .field("track", &self.track)
            .field("pts", &self.pts.ticks)
            .field("dts", &self.dts.ticks)
            .field("wall", &self.wall)
            .field("is_key", &self.is_key)
            .field("len", &self.data.len())
            .finish_non_exhaustive()
    }
}
