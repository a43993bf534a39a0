//! NAL units: length-prefixed and Annex B framing, types, random access points.

use crate::VideoCodec;
use bytes::{BufMut, Bytes, BytesMut};

/// The NAL units of length-prefixed data (4-byte big-endian lengths); stops at the first bad length.
pub fn split_length_prefixed(data: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let header = data.get(at..at + 4)?;
        let length = u32::from_be_bytes(header.try_into().ok()?) as usize;
        let start = at + 4;
        let end = start.checked_add(length).filter(|end| *end <= data.len())?;
        at = end;
        Some(data.slice(start..end))
    })
}

/// The NAL units of an Annex B stream (ITU-T H.264 Annex B), without start codes and trailing zeros.
#[must_use]
pub fn split_annex_b(data: &Bytes) -> Vec<Bytes> {
    let mut nals = Vec::new();
    let mut start = find_start_code(data, 0).map(|code| code + START_CODE.len());
    while let Some(from) = start {
        let next = find_start_code(data, from);
        let until = next.unwrap_or(data.len());
        let used = data[from..until]
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        if used > 0 {
            nals.push(data.slice(from..from + used));
        }
        start = next.map(|code| code + START_CODE.len());
    }
    nals
}

/// The three bytes before every NAL unit; a fourth, leading zero belongs to what is before.
const START_CODE: [u8; 3] = [0, 0, 1];

/// First start code at or after `from`. Looks at every third byte of ordinary data.
fn find_start_code(data: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(window) = data.get(at..at + START_CODE.len()) {
        match *window {
            [0, 0, 1] => return Some(at),
            [_, _, (2..)] => at += 3,
            [_, (1..), _] => at += 2,
            _ => at += 1,
        }
    }
    None
}

/// Length-prefixed form (4 bytes each) of some NAL units. A unit of 4 GiB or more is left out.
#[must_use]
pub fn join_length_prefixed(nals: &[Bytes]) -> Bytes {
    let total = nals.iter().map(|nal| nal.len() + 4).sum();
    let mut out = BytesMut::with_capacity(total);
    for nal in nals {
        if let Ok(length) = u32::try_from(nal.len()) {
            out.put_u32(length);
            out.put_slice(nal);
        }
    }
    out.freeze()
}

/// What a NAL unit is, as far as routing cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NalKind {
    /// Slice of a picture where decoding may start.
    KeySlice,
    /// Slice of any other picture.
    Slice,
    /// VPS, SPS or PPS.
    ParameterSet,
    /// Access unit delimiter.
    Delimiter,
    /// Supplemental enhancement information.
    Sei,
    /// Anything else.
    Other,
}

/// Classifies a NAL unit by its header.
#[must_use]
pub fn kind(codec: VideoCodec, nal: &[u8]) -> NalKind {
    let Some(&header) = nal.first() else {
        return NalKind::Other;
    };
    match codec {
        // ITU-T H.264 table 7-1
        VideoCodec::H264 => match header & 0x1f {
            5 => NalKind::KeySlice,
            1..=4 => NalKind::Slice,
            6 => NalKind::Sei,
            7 | 8 => NalKind::ParameterSet,
            9 => NalKind::Delimiter,
            _ => NalKind::Other,
        },
        // ITU-T H.265 table 7-1: BLA 16 to 18, IDR 19 and 20, CRA 21
        VideoCodec::H265 => match header >> 1 & 0x3f {
            16..=21 => NalKind::KeySlice,
            0..=9 => NalKind::Slice,
            32..=34 => NalKind::ParameterSet,
            35 => NalKind::Delimiter,
            39 | 40 => NalKind::Sei,
            _ => NalKind::Other,
        },
    }
}

/// Whether length-prefixed data starts a random access point.
#[must_use]
pub fn is_key(codec: VideoCodec, data: &Bytes) -> bool {
    split_length_prefixed(data).any(|nal| kind(codec, &nal) == NalKind::KeySlice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn annex_b_units_lose_start_codes_and_trailing_zeros() {
        let stream = Bytes::from_static(&[
            9, 9, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 0, 1, 0x65, 0, 1, 0, 0,
        ]);
        let nals = split_annex_b(&stream);
        assert_eq!(nals, [&[0x67, 1][..], &[0x68, 2], &[0x65, 0, 1]]);
    }

    #[test]
    fn kinds_of_both_codecs() {
        let h264 = |header| kind(VideoCodec::H264, &[header]);
        assert_eq!(h264(0x65), NalKind::KeySlice);
        assert_eq!(h264(0x41), NalKind::Slice);
        assert_eq!(h264(0x67), NalKind::ParameterSet);
        assert_eq!(h264(0x06), NalKind::Sei);
        assert_eq!(h264(0x09), NalKind::Delimiter);
        let h265 = |nal_type: u8| kind(VideoCodec::H265, &[nal_type << 1, 1]);
        assert_eq!(h265(21), NalKind::KeySlice);
        assert_eq!(h265(1), NalKind::Slice);
        assert_eq!(h265(32), NalKind::ParameterSet);
        assert_eq!(h265(35), NalKind::Delimiter);
        assert_eq!(h265(39), NalKind::Sei);
        assert_eq!(kind(VideoCodec::H265, &[]), NalKind::Other);
    }

    /// NAL units as encoders make them: no start code inside, no zero at the end.
    fn nal() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 1..40).prop_map(|raw| {
            let mut nal = Vec::new();
            for byte in raw {
                if byte <= 3 && nal.ends_with(&[0, 0]) {
                    nal.push(3);
                }
                nal.push(byte);
            }
            nal.push(0x80);
            nal.into()
        })
    }

    proptest! {
        #[test]
        fn annex_b_round_trips(nals in prop::collection::vec(nal(), 0..6)) {
            let stream: Vec<u8> = nals
                .iter()
                .flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat())
                .collect();
            prop_assert_eq!(split_annex_b(&stream.into()), nals);
        }

        #[test]
        fn length_prefixes_round_trip(nals in prop::collection::vec(nal(), 0..6)) {
            let joined = join_length_prefixed(&nals);
            prop_assert_eq!(split_length_prefixed(&joined).collect::<Vec<_>>(), nals);
        }

        #[test]
        fn any_bytes_are_split_without_panic(data in prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..200)) {
            let data = Bytes::from(data);
            prop_assert!(split_annex_b(&data).iter().all(|nal| !nal.is_empty()));
            let total: usize = split_length_prefixed(&data).map(|nal| nal.len() + 4).sum();
            prop_assert!(total <= data.len());
            let has_key = split_length_prefixed(&data)
                .any(|nal| nal.first().is_some_and(|header| header & 0x1f == 5));
            prop_assert_eq!(is_key(VideoCodec::H264, &data), has_key);
        }
    }
}
