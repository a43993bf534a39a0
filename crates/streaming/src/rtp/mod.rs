//! RTP and RTCP packets (RFC 3550) of a channel's tracks. Sans-IO.
//!
//! Packets are written in the interleaved form of RTSP (RFC 2326 section 10.12), one after the other
//! into one buffer, so that a whole access unit leaves with one write and every reader of a channel
//! is sent the same bytes.

mod audio;
mod clock;
mod packetizer;
mod payload;
mod report;
mod sender;
#[cfg(test)]
mod tests;
mod video;

pub(crate) use packetizer::{
    CHANNEL_AUDIO, CHANNEL_VIDEO, Packed, Packetizer, TrackStart, with_channel,
};
pub(crate) use payload::{AudioPayload, Layout, PAYLOAD_VIDEO};
pub(crate) use sender::ReplayMark;

use audio::packetize_audio;
use clock::{StreamClock, Warp};
use sender::Sender;
use video::packetize_video;

/// Largest RTP packet, header included: fits an Ethernet frame with tunnels to spare, so that the
/// same packets can leave over UDP.
const MAX_PACKET_BYTES: usize = 1_400;
/// Bytes of an RTP header without contributors and extensions (RFC 3550 section 5.1).
const HEADER_BYTES: usize = 12;
/// Room for payload in one packet.
const MAX_PAYLOAD_BYTES: usize = MAX_PACKET_BYTES - HEADER_BYTES;
