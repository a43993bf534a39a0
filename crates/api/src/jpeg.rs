//! Size of a JPEG file, from its headers.

/// Width and height in pixels; `None` if this is no JPEG file (ITU-T T.81 annex B).
pub(crate) fn size(file: &[u8]) -> Option<(u32, u32)> {
    let mut rest = file.strip_prefix(&[0xff, 0xd8])?;
    loop {
        let [0xff, marker, after @ ..] = rest else {
            return None;
        };
        match marker {
            // Fill bytes before a marker (B.1.1.2).
            0xff => rest = &rest[1..],
            // Markers without a segment (B.1.1.3).
            0x01 | 0xd0..=0xd7 => rest = after,
            // The scan begins before any frame header, or the picture ends.
            0xd8..=0xda => return None,
            // Start of frame (B.2.2): length, precision, lines, samples per line.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let header = after.get(..7)?;
                let number =
                    |at: usize| u32::from(u16::from_be_bytes([header[at], header[at + 1]]));
                let (height, width) = (number(3), number(5));
                return (width > 0 && height > 0).then_some((width, height));
            }
            _ => {
                let length = after.get(..2)?;
                let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                rest = after.get(length.max(2)..)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_stands_in_the_frame_header() {
        let file = [
            0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xc2, 0, 11, 8, 0x02, 0xd0, 0x05, 0, 1,
        ];
        assert_eq!(size(&file), Some((1280, 720)));
        for end in 0..18 {
            assert_eq!(size(&file[..end]), None);
        }
        assert_eq!(size(b"\x89PNG\r\n"), None);
        assert_eq!(size(&[0xff, 0xd8, 0xff, 0xd9]), None);
    }
}
