//! Sound to be transcoded to Opus, and what came of it.
//!
//! A worker that was started with `--sound` does only this. After its [`super::wire::Reply::Hello`] each
//! [`Request`] is answered with one [`Reply`]; framing is that of [`super::wire`]. A request goes on where the last
//! one ended, unless it says that it begins.

use super::wire::{self, Failure};
use framewell_media::AudioCodec;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};

/// Most frames of one request.
pub const MAX_FRAMES: usize = 1_000;
/// Most bytes of one request: two minutes of G.711.
pub const MAX_BYTES: usize = 1 << 20;
/// Samples per second of all that comes out; also the ticks of its time (RFC 7587 section 4.1).
pub const RATE: u32 = 48_000;
/// Samples of each channel in a packet that comes out: 20 ms.
pub const PACKET_SAMPLES: usize = 960;

/// Coding that becomes Opus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// ISO/IEC 14496-3, raw frames.
    Aac,
    /// ITU-T G.711 mu-law.
    Pcmu,
    /// ITU-T G.711 A-law.
    Pcma,
}

impl Coding {
    /// The coding of a track, if it can become Opus and is not.
    #[must_use]
    pub const fn of(codec: AudioCodec) -> Option<Self> {
        match codec {
            AudioCodec::Aac => Some(Self::Aac),
            AudioCodec::Pcmu => Some(Self::Pcmu),
            AudioCodec::Pcma => Some(Self::Pcma),
            AudioCodec::Opus => None,
        }
    }
}

/// Header of a request. The payload is the configuration, then the frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Coding.
    pub coding: Coding,
    /// Samples per second, where the bitstream does not say.
    pub sample_rate: u32,
    /// Channels, where the bitstream does not say.
    pub channels: u16,
    /// Bytes of the decoder's configuration (`AudioSpecificConfig` of AAC).
    pub config_len: u32,
    /// Whether nothing that came before is gone on with.
    pub begins: bool,
    /// Time of the first sample in microseconds, and byte length, of each frame.
    pub frames: Vec<(i64, u32)>,
}

impl Request {
    /// Bytes that the header announces.
    #[must_use]
    pub fn payload_len(&self) -> u64 {
        let frames: u64 = self.frames.iter().map(|(_, len)| u64::from(*len)).sum();
        u64::from(self.config_len) + frames
    }
}

/// Header of an answer. The payload is the packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// What got ready.
    Packets {
        /// Time of the first sample in microseconds, and byte length, of each packet of 20 ms.
        packets: Vec<(i64, u32)>,
        /// Frames that do not decode; silence is in their place.
        damaged: u32,
    },
    /// Nothing; the next request has to begin.
    Failed(Failure),
}

/// Worker: waits for the next request and its payload; `None` when the other side hung up.
///
/// # Errors
/// The socket is broken, or the message is longer than allowed or contradicts itself.
pub fn read_request(stream: &mut impl Read) -> io::Result<Option<(Request, Vec<u8>)>> {
    let mut prefix = [0; wire::PREFIX_LEN];
    match stream.read_exact(&mut prefix) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let prefix = wire::Prefix::parse(prefix)?;
    let mut header = vec![0; prefix.header_len];
    stream.read_exact(&mut header)?;
    let request: Request = wire::parse_header(&header)?;
    let is_whole = request.payload_len() == prefix.payload_len as u64;
    if !is_whole || prefix.payload_len > MAX_BYTES || request.frames.len() > MAX_FRAMES {
        let text = "a request for sound contradicts itself or is too long";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut payload = vec![0; prefix.payload_len];
    stream.read_exact(&mut payload)?;
    Ok(Some((request, payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(frames: Vec<(i64, u32)>) -> Request {
        Request {
            coding: Coding::Aac,
            sample_rate: 48_000,
            channels: 2,
            config_len: 2,
            begins: true,
            frames,
        }
    }

    fn sent(request: &Request, payload: usize) -> io::Result<Option<(Request, Vec<u8>)>> {
        let mut bytes = wire::head(request, payload).unwrap();
        bytes.resize(bytes.len() + payload, 7);
        read_request(&mut &bytes[..])
    }

    #[test]
    fn a_request_survives_the_socket() {
        let whole = request(vec![(-5, 3), (21_333, 4)]);
        assert_eq!(sent(&whole, 9).unwrap(), Some((whole, vec![7; 9])));
        assert_eq!(read_request(&mut &[][..]).unwrap(), None);
    }

    #[test]
    fn a_request_that_is_too_long_or_contradicts_itself_is_refused() {
        assert!(sent(&request(vec![(0, 3)]), 6).is_err());
        assert!(sent(&request(vec![(0, 0); MAX_FRAMES + 1]), 2).is_err());
        let long = u32::try_from(MAX_BYTES).unwrap();
        assert!(sent(&request(vec![(0, long)]), MAX_BYTES + 2).is_err());
    }
}
