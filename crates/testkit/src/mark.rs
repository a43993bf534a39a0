//! A clock inside a stream: an SEI message in every picture that says when its first byte was sent, so that a
//! reader behind any server can tell how long the picture took.
//!
//! `user_data_unregistered` (ITU-T H.264 section D.1.7, H.265 section D.2.7): sixteen bytes of identity, sixteen
//! hexadecimal digits with microseconds since 1970. Digits need no emulation prevention.

use framewell_media::VideoCodec;

/// The identity.
const MARK: &[u8; 16] = b"framewell-clock!";
const DIGITS: usize = 16;

/// The NAL unit of a picture, with the time still to be written.
#[must_use]
pub fn sei(codec: VideoCodec) -> Vec<u8> {
    let header: &[u8] = match codec {
        VideoCodec::H264 => &[6],
        // PREFIX_SEI_NUT.
        VideoCodec::H265 => &[39 << 1, 1],
    };
    let mut unit = header.to_vec();
    // Type 5, 32 bytes.
    unit.extend([5, 32]);
    unit.extend_from_slice(MARK);
    unit.extend([b'0'; DIGITS]);
    // rbsp_trailing_bits.
    unit.push(0x80);
    unit
}

/// Where in these bytes the digits are.
#[must_use]
pub fn find(bytes: &[u8]) -> Option<usize> {
    let at = bytes
        .windows(MARK.len())
        .position(|window| window == MARK)?;
    let digits = at + MARK.len();
    (digits + DIGITS <= bytes.len()).then_some(digits)
}

/// Writes a time over the digits at `at`.
pub fn write(bytes: &mut [u8], at: usize, micros: i64) {
    let text = format!("{:016x}", micros.max(0));
    if let Some(place) = bytes.get_mut(at..at + DIGITS) {
        place.copy_from_slice(text.as_bytes());
    }
}

/// The time in these bytes, in microseconds since 1970.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<i64> {
    let at = find(bytes)?;
    let digits = std::str::from_utf8(bytes.get(at..at + DIGITS)?).ok()?;
    i64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_was_written_is_read_back() {
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            let mut unit = [&[1, 2, 3], sei(codec).as_slice()].concat();
            assert_eq!(read(&unit), Some(0));
            let at = find(&unit).unwrap();
            write(&mut unit, at, 1_795_000_000_123_456);
            assert_eq!(read(&unit), Some(1_795_000_000_123_456));
        }
        assert_eq!(read(b"framewell-clock!12"), None);
    }
}
