//! Integers in groups of seven bits, least significant first (LEB128), signed ones zigzag.

use crate::Error;

pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(0x80 | low7(value));
        value >>= 7;
    }
    out.push(low7(value));
}

fn low7(value: u64) -> u8 {
    (value & 0x7f).to_le_bytes()[0]
}

pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, (value << 1 ^ value >> 63).cast_unsigned());
}

pub(crate) fn take(rest: &mut &[u8]) -> Result<u64, Error> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let Some((&byte, after)) = rest.split_first() else {
            return Err(Error::BadIndex("cut off".to_owned()));
        };
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            break;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Error::BadIndex("number of more than 64 bits".to_owned()))
}

pub(crate) fn take_signed(rest: &mut &[u8]) -> Result<i64, Error> {
    let value = take(rest)?;
    Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_round_trip(value in any::<u64>()) {
            let mut out = Vec::new();
            put(&mut out, value);
            put_signed(&mut out, value.cast_signed());
            let mut rest = &out[..];
            prop_assert_eq!(take(&mut rest), Ok(value));
            prop_assert_eq!(take_signed(&mut rest), Ok(value.cast_signed()));
            prop_assert!(rest.is_empty());
        }
    }
}
