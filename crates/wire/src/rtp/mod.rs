//! From RTP packets to access units: H.264 (RFC 6184), H.265 (RFC 7798), AAC (RFC 3640), G.711 (RFC 3551); sender
//! reports.
//!
//! Pure functions over bytes, with limits. What is lost on the way costs the access unit it belongs to.

mod aac;
mod packet;
pub mod rtcp;
mod video;

pub use aac::AacDepacketizer;
pub use packet::{Clock, Packet};
pub use video::VideoDepacketizer;

use bytes::Bytes;
use framewell_media::VideoCodec;

/// An access unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// RTP time, unwrapped.
    pub ticks: i64,
    /// Video: NAL units with lengths. Audio: one frame.
    pub data: Bytes,
}

/// What came out of a packet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// In the order of their packets.
    pub frames: Vec<Frame>,
    /// Packets that never came, and ones that could not be used.
    pub lost: u64,
}

/// Takes the packets of a stream apart, whatever its coding.
#[derive(Debug)]
pub enum Depacketizer {
    /// Pictures.
    Video(VideoDepacketizer),
    /// AAC.
    Aac(AacDepacketizer),
    /// G.711 or Opus: a packet is a frame.
    Plain(Clock),
}

impl Depacketizer {
    /// Of pictures of this coding.
    pub fn video(codec: VideoCodec) -> Self {
        Self::Video(VideoDepacketizer::new(codec))
    }

    /// Takes in the next packet.
    pub fn push(&mut self, packet: &Packet) -> Output {
        match self {
            Self::Video(stream) => stream.push(packet),
            Self::Aac(stream) => stream.push(packet),
            Self::Plain(clock) => {
                let Some(lost) = clock.missing_before(packet.sequence) else {
                    return Output::default();
                };
                let frame = Frame {
                    ticks: clock.place(packet.timestamp),
                    data: packet.payload.clone(),
                };
                Output {
                    frames: vec![frame],
                    lost,
                }
            }
        }
    }

    /// An RTP time on the clock of the frames.
    pub fn place(&mut self, timestamp: u32) -> i64 {
        match self {
            Self::Video(stream) => stream.place(timestamp),
            Self::Aac(stream) => stream.place(timestamp),
            Self::Plain(clock) => clock.place(timestamp),
        }
    }
}
