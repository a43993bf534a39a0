//! Compressed samples on their way from the socket to a decoder.

use crate::run::JobError;
use ffmpeg_next::codec::packet::Packet;
use framewell_decode::protocol::wire::{Codec, Failure};
use framewell_media::nal::{self, NalKind};
use std::io::Read;

/// What a sample holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// No coded picture; the decoder would take it for damage.
    Nothing,
    /// A picture that refers to others.
    Picture,
    /// A picture at which decoding can start.
    KeyPicture,
}

/// Reads a sample from the socket straight into the memory that the decoder reads.
pub(crate) fn read_packet(payload: &mut impl Read, pts: i64, len: u32) -> Result<Packet, JobError> {
    let too_big = || Failure::Invalid(format!("a sample of {len} bytes does not fit in memory"));
    let size = usize::try_from(len).map_err(|_| too_big())?;
    let mut packet = Packet::new(size);
    payload.read_exact(packet.data_mut().ok_or_else(too_big)?)?;
    packet.set_pts(Some(pts));
    Ok(packet)
}

/// Looks at the NAL units of length-prefixed data, up to the first slice.
pub(crate) fn content(codec: Codec, data: &[u8]) -> Content {
    let mut rest = data;
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let nal = &tail[..length.min(tail.len())];
        match nal::kind(codec.into(), nal) {
            NalKind::KeySlice => return Content::KeyPicture,
            NalKind::Slice => return Content::Picture,
            _ => rest = &tail[nal.len()..],
        }
    }
    Content::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_slice_says_what_a_sample_is() {
        let parameters = [0, 0, 0, 2, 0x67, 1];
        let slice = |header| [&parameters[..], &[0, 0, 0, 1, header]].concat();
        assert_eq!(content(Codec::H264, &parameters), Content::Nothing);
        assert_eq!(content(Codec::H264, &slice(0x65)), Content::KeyPicture);
        assert_eq!(content(Codec::H264, &slice(0x41)), Content::Picture);
        assert_eq!(
            content(Codec::H265, &[0, 0, 0, 2, 21 << 1, 1]),
            Content::KeyPicture
        );
        assert_eq!(
            content(Codec::H265, &[0, 0, 0, 2, 1 << 1, 1]),
            Content::Picture
        );
        assert_eq!(content(Codec::H264, &[0xff; 9]), Content::Nothing);
    }
}
