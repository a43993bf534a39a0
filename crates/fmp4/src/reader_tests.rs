//! Recovery of segments, and hostile bytes.

use super::*;
use crate::sample_data::{
    FRAME, aac, any_gop, audio_between, fragments, gop, identity, parameters, segment,
};
use framewell_media::DtsEstimator;
use proptest::prelude::*;

/// Three GOPs with B-frames and audio.
fn three_fragments() -> (StreamParameters, Vec<crate::Fragment>) {
    let audio = aac();
    let mut dts = DtsEstimator::new(2);
    let gops: Vec<_> = (0..3)
        .map(|n| {
            let start = n * 10 * FRAME;
            let mut units = gop(start, 10, 2, &mut dts);
            units.extend(audio_between(&audio, start, start + 10 * FRAME));
            units
        })
        .collect();
    let parameters = parameters(Some(audio));
    let fragments = fragments(&parameters, &gops);
    (parameters, fragments)
}

#[test]
fn a_whole_segment_is_found_again() {
    let (parameters, fragments) = three_fragments();
    let file = segment(&parameters, &fragments);
    let scanned = scan_segment(&file).unwrap();
    assert_eq!(scanned.parameters, parameters);
    assert_eq!(scanned.identity, Some(identity()));
    assert_eq!(scanned.index.len_bytes(), file.len() as u64);
    let mut offset = u64::from(scanned.index.init_len);
    for (found, made) in scanned.index.fragments.iter().zip(&fragments) {
        assert_eq!(
            *found,
            FragmentEntry {
                offset,
                ..made.entry
            }
        );
        offset += u64::from(made.entry.len);
    }
    assert_eq!(scanned.index.fragments.len(), 3);
}

#[test]
fn a_torn_tail_costs_the_open_fragment_only() {
    let (parameters, fragments) = three_fragments();
    let file = segment(&parameters, &fragments);
    let ends: Vec<u64> = scan_segment(&file)
        .unwrap()
        .index
        .fragments
        .iter()
        .map(|entry| entry.offset + u64::from(entry.len))
        .collect();
    let init_len = file.len()
        - fragments
            .iter()
            .map(|f| f.entry.len as usize)
            .sum::<usize>();
    for len in init_len..=file.len() {
        let scanned = scan_segment(&file[..len]).unwrap();
        let complete = ends.iter().filter(|end| **end <= len as u64).count();
        assert_eq!(scanned.index.fragments.len(), complete, "{len} bytes");
    }
    assert!(scan_segment(&file[..init_len - 1]).is_err());
}

#[test]
fn a_tail_of_zeros_or_noise_ends_the_walk() {
    let (parameters, fragments) = three_fragments();
    let file = segment(&parameters, &fragments);
    for tail in [
        vec![0; 4096],
        vec![0xff; 4096],
        b"\0\0\0\x10moof".repeat(40),
    ] {
        let scanned = scan_segment(&[&file[..], &tail].concat()).unwrap();
        assert_eq!(scanned.index.len_bytes(), file.len() as u64);
    }
}

proptest! {
    #[test]
    fn a_damaged_fragment_never_panics_and_stays_inside(
        (parameters, units) in any_gop(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let clock = crate::FileClock::of_run(&parameters);
        let fragment = crate::build_fragment(&clock, 1, &parameters, &units, None);
        let mut header = fragment.header.to_vec();
        for (at, value) in edits {
            let at = at.index(header.len());
            header[at] = value;
        }
        if let Ok(samples) = parse_fragment(&header) {
            prop_assert!(samples.iter().all(|s| s.offset.checked_add(s.size).is_some()));
        }
    }

    #[test]
    fn a_damaged_segment_never_panics_and_claims_no_more_than_there_is(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (parameters, fragments) = three_fragments();
        let mut file = segment(&parameters, &fragments);
        for (at, value) in edits {
            let at = at.index(file.len());
            file[at] = value;
        }
        let len = cut.index(file.len() * 4).min(file.len());
        if let Ok(scanned) = scan_segment(&file[..len]) {
            prop_assert!(scanned.index.len_bytes() <= len as u64);
        }
    }

    #[test]
    fn any_bytes_are_no_fragment(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(parse_fragment(&bytes).is_err());
        prop_assert!(scan_segment(&bytes).is_err());
    }
}
