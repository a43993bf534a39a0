//! PackBits (TIFF revision 6.0, section 9): bitmaps of motion regions travel in it.

/// The packed form.
pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let run = rest.iter().take(128).take_while(|b| *b == first).count();
        if run >= 2 {
            packed.push(low(257 - run));
            packed.push(*first);
            rest = &rest[run..];
            continue;
        }
        let literal = literal_length(rest);
        packed.push(low(literal - 1));
        packed.extend_from_slice(&rest[..literal]);
        rest = &rest[literal..];
    }
    packed
}

/// Up to the next three equal bytes: for two a run saves nothing.
fn literal_length(bytes: &[u8]) -> usize {
    let most = bytes.len().min(128);
    let is_run = |window: &[u8]| window[0] == window[1] && window[1] == window[2];
    let run = bytes[..most].windows(3).position(is_run);
    run.unwrap_or(most).max(1)
}

fn low(value: usize) -> u8 {
    u8::try_from(value & 0xff).unwrap_or(0)
}

/// The bytes; `None` if it is cut off, or gives more than `most` bytes.
pub(crate) fn unpack(packed: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = packed;
    while let Some((&head, tail)) = rest.split_first() {
        rest = match head {
            0..=127 => {
                let (literal, after) = tail.split_at_checked(usize::from(head) + 1)?;
                bytes.extend_from_slice(literal);
                after
            }
            128 => tail,
            129..=255 => {
                let (value, after) = tail.split_first()?;
                let length = bytes.len() + 257 - usize::from(head);
                bytes.resize(length, *value);
                after
            }
        };
        if bytes.len() > most {
            return None;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_specification_is_read() {
        let packed = [
            0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7,
            0xaa,
        ];
        let bytes = [
            0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0x22,
            0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        ];
        assert_eq!(unpack(&packed, 24).unwrap(), bytes);
        assert_eq!(unpack(&packed, 23), None);
        assert_eq!(unpack(&packed[..4], 24), None);
        assert_eq!(unpack(&[0xfe], 24), None);
        assert_eq!(unpack(&[128, 128], 24), Some(Vec::new()));
        assert_eq!(pack(&[0xff; 54]), [203, 0xff]);
    }

    proptest! {
        #[test]
        fn what_was_packed_is_read_back(bytes in proptest::collection::vec(0_u8..3, 0..600)) {
            prop_assert_eq!(unpack(&pack(&bytes), 600), Some(bytes));
        }
    }
}
