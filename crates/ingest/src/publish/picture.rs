//! What is kept of a picture that somebody sent.

use bytes::Bytes;
use framewell_media::nal::{self, NalKind};
use framewell_media::{ParameterError, VideoCodec, VideoParameters};

/// A picture without what does not belong into an access unit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cleaned {
    /// The rest, with lengths; the bytes as they came wherever that is possible and keeps little else.
    pub(super) data: Bytes,
    /// The parameter sets that were among it.
    pub(super) sets: Vec<Bytes>,
}

/// Why a picture is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unclean {
    /// The lengths are wrong.
    Lengths,
    /// No encoder sends so many parameter sets with one picture.
    Sets,
}

/// Most parameter sets with one picture: each is compared with every other. H.264 may have 256 PPS, but
/// encoders send a handful.
const MAX_SETS: usize = 64;
/// Most bytes of them.
const MAX_SETS_BYTES: usize = 64 << 10;

/// Takes parameter sets and delimiters out of length-prefixed NAL units.
pub(super) fn clean(codec: VideoCodec, data: &Bytes) -> Result<Cleaned, Unclean> {
    let (mut sets, mut kept) = (Vec::new(), Vec::new());
    let (mut read, mut dropped, mut kept_from, mut sets_bytes) = (0, 0, None, 0);
    for unit in nal::split_length_prefixed(data) {
        let start = read;
        read += 4 + unit.len();
        let is_kept = match nal::kind(codec, &unit) {
            NalKind::ParameterSet => {
                sets_bytes += unit.len();
                if sets.len() >= MAX_SETS || sets_bytes > MAX_SETS_BYTES {
                    return Err(Unclean::Sets);
                }
                // A slice of the picture would hold the whole of it in memory.
                sets.push(Bytes::copy_from_slice(&unit));
                false
            }
            NalKind::Delimiter => false,
            _ => !unit.is_empty(),
        };
        if is_kept {
            kept_from.get_or_insert(start);
            kept.push(unit);
        } else if kept_from.is_some() {
            dropped += 1;
        }
    }
    if read != data.len() {
        return Err(Unclean::Lengths);
    }
    let data = match kept_from {
        None => Bytes::new(),
        // A small slice of what came would hold all of it in memory, counted as what it is itself.
        Some(from) if dropped == 0 && from <= data.len() / 2 => data.slice(from..),
        Some(_) => nal::join_length_prefixed(&kept),
    };
    Ok(Cleaned { data, sets })
}

/// The parameters that follow from sets among the pictures; `None` if they say nothing new. A set that is
/// not repeated stays as it was.
pub(super) fn updated(
    codec: VideoCodec,
    sets: &[Bytes],
    known: Option<&VideoParameters>,
) -> Result<Option<VideoParameters>, ParameterError> {
    let known = known.filter(|known| known.codec == codec);
    let present = known
        .map(VideoParameters::parameter_sets)
        .unwrap_or_default();
    if sets.iter().all(|set| present.contains(set)) {
        return Ok(None);
    }
    let header = |set: &Bytes| set.first().copied();
    let kept = present
        .iter()
        .filter(|old| !sets.iter().any(|new| header(new) == header(old)));
    let all: Vec<Bytes> = sets.iter().chain(kept).cloned().collect();
    VideoParameters::from_parameter_sets(codec, &all).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(nals: &[&'static [u8]]) -> Bytes {
        let nals: Vec<Bytes> = nals.iter().map(|nal| Bytes::from_static(nal)).collect();
        nal::join_length_prefixed(&nals)
    }

    #[test]
    fn a_clean_picture_is_not_copied() {
        let data = units(&[&[6, 1], &[0x65, 2]]);
        let cleaned = clean(VideoCodec::H264, &data).unwrap();
        assert_eq!(cleaned.data.as_ptr(), data.as_ptr());
        assert_eq!(cleaned.data, data);
        assert!(cleaned.sets.is_empty());
    }

    #[test]
    fn sets_and_delimiters_in_front_are_cut_off_without_a_copy() {
        let slice = &[0x65, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17];
        let data = units(&[&[9, 0xf0], &[0x67, 1], &[0x68, 2], slice]);
        let cleaned = clean(VideoCodec::H264, &data).unwrap();
        assert_eq!(cleaned.data, units(&[slice]));
        assert_eq!(cleaned.sets, [&[0x67, 1][..], &[0x68, 2]]);
        let end = data.as_ptr() as usize + data.len();
        assert_eq!(cleaned.data.as_ptr() as usize + cleaned.data.len(), end);
    }

    #[test]
    fn a_small_rest_does_not_hold_what_was_cut_off() {
        let delimiter = Bytes::from([&[9][..], &[0; 100_000]].concat());
        let data = nal::join_length_prefixed(&[delimiter, Bytes::from_static(&[0x65, 3])]);
        let cleaned = clean(VideoCodec::H264, &data).unwrap();
        assert_eq!(cleaned.data, units(&[&[0x65, 3]]));
        assert!(!data.as_ptr_range().contains(&cleaned.data.as_ptr()));
    }

    #[test]
    fn sets_between_slices_are_taken_out() {
        let data = units(&[&[0x65, 3], &[0x68, 2], &[0x65, 4]]);
        let cleaned = clean(VideoCodec::H264, &data).unwrap();
        assert_eq!(cleaned.data, units(&[&[0x65, 3], &[0x65, 4]]));
        let sets = units(&[&[9, 1], &[0x67, 2]]);
        assert!(clean(VideoCodec::H264, &sets).unwrap().data.is_empty());
    }

    #[test]
    fn a_flood_of_parameter_sets_is_refused() {
        let sets = |count: u16, length: usize| {
            let set = |n: u16| Bytes::from([&[0x68][..], &n.to_be_bytes().repeat(length)].concat());
            nal::join_length_prefixed(&(0..count).map(set).collect::<Vec<_>>())
        };
        let cleaned = |count, length| clean(VideoCodec::H264, &sets(count, length));
        assert_eq!(cleaned(64, 2).unwrap().sets.len(), 64);
        assert_eq!(cleaned(65, 2), Err(Unclean::Sets));
        assert_eq!(cleaned(2, 20_000), Err(Unclean::Sets));
    }

    #[test]
    fn wrong_lengths_are_noticed() {
        for bytes in [&[0, 0, 0][..], &[0, 0, 0, 9, 0x65], &[0, 0, 0, 1, 0x65, 7]] {
            assert_eq!(
                clean(VideoCodec::H264, &Bytes::copy_from_slice(bytes)),
                Err(Unclean::Lengths)
            );
        }
        assert!(
            clean(VideoCodec::H264, &Bytes::new())
                .unwrap()
                .data
                .is_empty()
        );
    }
}
