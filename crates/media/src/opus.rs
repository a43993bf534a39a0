//! Opus (RFC 6716): how long a packet sounds, and what a file says about a stream.

use bytes::{BufMut, Bytes, BytesMut};

/// Samples per second on the wire and in files, whatever was encoded (RFC 7587 section 4.1).
pub const RATE: u32 = 48_000;
/// Samples that a decoder needs to settle: what libopus states at this rate.
const PRE_SKIP: u16 = 312;
/// Longest packet: 120 ms (RFC 6716 section 3.2.5).
const MAX_SAMPLES: u32 = 5_760;

/// Samples of a packet at [`RATE`], by its first bytes (RFC 6716 section 3.1); `None` if it is none.
#[must_use]
pub fn samples(packet: &[u8]) -> Option<u32> {
    let (&toc, rest) = packet.split_first()?;
    let config = toc >> 3;
    let frame = match config {
        // SILK: 10, 20, 40, 60 ms; hybrid: 10, 20 ms; CELT: 2.5, 5, 10, 20 ms.
        0..=11 => [480, 960, 1_920, 2_880][usize::from(config % 4)],
        12..=15 => [480, 960][usize::from(config % 2)],
        _ => [120, 240, 480, 960][usize::from(config % 4)],
    };
    let count = match toc & 0b11 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first()? & 0x3f),
    };
    Some(frame * count).filter(|samples| (1..=MAX_SAMPLES).contains(samples))
}

/// The payload of a `dOps` box (Opus in ISO BMFF section 4.3.2) of one or two channels.
pub(crate) fn config(channels: u16) -> Bytes {
    let mut config = BytesMut::with_capacity(11);
    config.put_u8(0); // Version
    config.put_u8(if channels == 1 { 1 } else { 2 });
    config.put_u16(PRE_SKIP);
    config.put_u32(RATE); // InputSampleRate
    config.put_i16(0); // OutputGain
    config.put_u8(0); // ChannelMappingFamily: mono or stereo
    config.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_how_long_a_packet_sounds() {
        for (packet, expected) in [
            (&[0x78, 0][..], 960),     // CELT 20 ms, one frame
            (&[0xe0, 0], 120),         // CELT 2.5 ms
            (&[0x01, 0], 960),         // SILK 10 ms, two frames
            (&[0x18, 0], 2_880),       // SILK 60 ms
            (&[0xfb, 0x06, 0], 5_760), // CELT 20 ms, six frames
        ] {
            assert_eq!(samples(packet), Some(expected), "{packet:02x?}");
        }
        for bad in [&[][..], &[0xfb], &[0xfb, 0], &[0xfb, 0x07]] {
            assert_eq!(samples(bad), None, "{bad:02x?}");
        }
    }

    #[test]
    fn a_stereo_stream_says_so() {
        assert_eq!(config(2)[..], [0, 2, 1, 56, 0, 0, 0xbb, 0x80, 0, 0, 0]);
    }
}
