//! From RTP packets to access units: H.264 (RFC 6184), H.265 (RFC 7798), AAC (RFC 3640), G.711 (RFC 3551).
//!
//! Pure functions over bytes, with limits. What is lost on the way costs the access unit it belongs to.

mod aac;
mod packet;
mod video;

pub(crate) use aac::AacDepacketizer;
pub(crate) use packet::{Clock, Packet};
pub(crate) use video::VideoDepacketizer;

use bytes::Bytes;

/// An access unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// RTP time, unwrapped.
    pub(crate) ticks: i64,
    /// Video: NAL units with lengths. Audio: one frame.
    pub(crate) data: Bytes,
}

/// What came out of a packet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) frames: Vec<Frame>,
    /// Packets that never came, and ones that could not be used.
    pub(crate) lost: u64,
}
