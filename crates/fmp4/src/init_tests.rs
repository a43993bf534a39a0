//! Init segments, and what damaged ones do.

use super::*;
use crate::sample_data::{aac, h264, h265, identity, parameters, pcma, video_unit};
use framewell_media::{AudioCodec, AudioParameters, VideoParameters};
use framewell_model::{SegmentDigest, SegmentId};
use mp4_atom::{Any, ReadFrom};
use proptest::prelude::*;
use uuid::Uuid;

fn all() -> Vec<StreamParameters> {
    let pcmu = AudioParameters {
        codec: AudioCodec::Pcmu,
        ..pcma()
    };
    let long_config = AudioParameters {
        config: vec![0x11; 300].into(),
        ..aac()
    };
    let mut all = Vec::new();
    for video in [h264(), h265()] {
        for audio in [
            None,
            Some(aac()),
            Some(pcma()),
            Some(pcmu.clone()),
            Some(AudioParameters::opus(1)),
            Some(AudioParameters::opus(2)),
            Some(long_config.clone()),
        ] {
            let video: VideoParameters = video.clone();
            all.push(StreamParameters { video, audio });
        }
    }
    all
}

#[test]
fn parameters_and_identity_come_back() {
    for parameters in all() {
        let init = build_init(&parameters, Some(&identity()));
        assert_eq!(
            parse_init(&init),
            Ok((parameters.clone(), Some(identity())))
        );
        let anonymous = build_init(&parameters, None);
        assert_eq!(parse_init(&anonymous), Ok((parameters, None)));
    }
}

#[test]
fn the_link_to_the_segment_before_comes_back_and_changes_nothing_else() {
    let parameters = parameters(Some(aac()));
    let picture = video_unit(7_200, 0, true, 10);
    let link = ChainLink {
        segment: SegmentId::from_uuid(Uuid::from_u128(77)),
        digest: SegmentDigest::new([9; 32]),
    };
    let (init, _) = build_linked_init(
        &parameters,
        &identity(),
        Some(&link),
        std::slice::from_ref(&picture),
    );
    assert_eq!(parse_link(&init), Ok(Some(link)));
    assert_eq!(
        parse_init(&init),
        Ok((parameters.clone(), Some(identity())))
    );
    assert!(Any::read_from(&mut &init[..]).is_ok());

    let (older, _) = build_segment_init(&parameters, &identity(), &[picture]);
    assert_eq!(parse_link(&older), Ok(None));
    assert_eq!(parse_init(&older), Ok((parameters, Some(identity()))));
}

#[test]
fn a_segment_in_the_middle_of_a_run_begins_at_time_0_of_players() {
    // Beyond what 32 bits hold at 90 kHz.
    for start_s in [0, 25_200, 30 * 86_400] {
        let start = start_s * 90_000;
        let parameters = parameters(Some(aac()));
        let picture = video_unit(start + 7_200, start, true, 10);
        let (init, _) = build_segment_init(&parameters, &identity(), &[picture]);
        assert_eq!(parse_init(&init), Ok((parameters, Some(identity()))));
        let mut bytes = &init[..];
        Any::read_from(&mut bytes).unwrap();
        let Any::Moov(moov) = Any::read_from(&mut bytes).unwrap() else {
            panic!("moov second");
        };
        let edits = moov.trak[0].edts.as_ref().unwrap();
        let edits = &edits.elst.as_ref().unwrap().entries;
        assert_eq!((edits.len(), edits[0].segment_duration), (1, 0));
        assert_eq!(edits[0].media_time, Some(7_200));
        assert!(moov.trak[1].edts.is_none());
    }
}

#[test]
fn an_init_segment_that_is_cut_off_is_an_error_at_every_length() {
    let init = build_init(&parameters(Some(aac())), Some(&identity()));
    for len in 0..init.len() {
        assert!(parse_init(&init[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn an_independent_parser_reads_the_same_boxes() {
    let init = build_init(&parameters(Some(aac())), Some(&identity()));
    let mut bytes = &init[..];
    assert!(matches!(Any::read_from(&mut bytes).unwrap(), Any::Ftyp(_)));
    let Any::Moov(moov) = Any::read_from(&mut bytes).unwrap() else {
        panic!("moov second");
    };
    assert!(bytes.is_empty());
    assert_eq!(moov.trak.len(), 2);
    assert_eq!(moov.trak[0].tkhd.width.integer(), 322);
    assert_eq!(moov.trak[0].mdia.mdhd.timescale, 90_000);
    assert_eq!(moov.trak[1].mdia.mdhd.timescale, 48_000);
    assert_eq!(moov.mvex.unwrap().trex.len(), 2);
    let codec = &moov.trak[1].mdia.minf.stbl.stsd.codecs[0];
    let mp4_atom::Codec::Mp4a(mp4a) = codec else {
        panic!("mp4a entry");
    };
    assert_eq!(
        mp4a.esds
            .es_desc
            .dec_config
            .dec_specific
            .as_ref()
            .unwrap()
            .freq_index,
        3
    );
}

proptest! {
    #[test]
    fn damaged_init_segments_never_panic(
        which in 0usize..10,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut init = build_init(&all()[which], Some(&identity())).to_vec();
        for (at, value) in edits {
            let at = at.index(init.len());
            init[at] = value;
        }
        let len = cut.index(init.len() * 4).min(init.len());
        if let Ok((parameters, _)) = parse_init(&init[..len]) {
            prop_assert!(parameters.video.width > 0);
        }
    }

    #[test]
    fn any_bytes_are_no_init_segment(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(parse_init(&bytes).is_err());
    }
}
