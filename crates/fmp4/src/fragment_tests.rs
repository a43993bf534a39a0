//! What is written comes back, unit by unit.

use super::*;
use crate::sample_data::{self, FRAME, any_gop, fragment_bytes, parameters, video_unit};
use crate::{FileClock, build_init, build_segment_init, parse_fragment, scan_segment};
use mp4_atom::{Any, ReadFrom};
use proptest::prelude::*;

/// The units of a track, in order.
fn track_units(units: &[AccessUnit], kind: TrackKind) -> Vec<&AccessUnit> {
    units.iter().filter(|unit| unit.track == kind).collect()
}

/// Builds with the clock of a live stream.
fn build_live(
    sequence: u32,
    parameters: &StreamParameters,
    units: &[AccessUnit],
    end_dts: Option<i64>,
) -> Fragment {
    let clock = FileClock::of_run(parameters);
    build_fragment(&clock, sequence, parameters, units, end_dts)
}

fn clock(is_live: bool, parameters: &StreamParameters, units: &[AccessUnit]) -> FileClock {
    if is_live {
        FileClock::of_run(parameters)
    } else {
        build_segment_init(parameters, &sample_data::identity(), units).1
    }
}

proptest! {
    #[test]
    fn every_unit_comes_back_with_its_times_and_bytes(
        (parameters, units) in any_gop(),
        has_end in any::<bool>(),
        is_live in any::<bool>(),
    ) {
        let last = track_units(&units, TrackKind::Video).last().unwrap().dts.ticks;
        let clock = clock(is_live, &parameters, &units);
        let end_dts = has_end.then_some(last + 1234);
        let fragment = build_fragment(&clock, 1, &parameters, &units, end_dts);
        let bytes = fragment_bytes(&fragment);
        prop_assert_eq!(bytes.len(), fragment.entry.len as usize);
        prop_assert_eq!(fragment.header.len(), fragment.entry.header_len as usize);
        let samples = parse_fragment(&fragment.header).unwrap();
        prop_assert_eq!(&samples, &parse_fragment(&bytes).unwrap());
        let wanted = [
            track_units(&units, TrackKind::Video),
            track_units(&units, TrackKind::Audio),
        ]
        .concat();
        prop_assert_eq!(samples.len(), wanted.len());
        for (sample, unit) in samples.iter().zip(wanted) {
            let at = sample.offset as usize;
            prop_assert_eq!(sample.track, unit.track);
            prop_assert_eq!(&bytes[at..at + sample.size as usize], &unit.data[..]);
            prop_assert_eq!((sample.pts, sample.dts), (unit.pts.ticks, unit.dts.ticks));
            prop_assert_eq!(sample.is_key, unit.is_key);
        }
    }

    #[test]
    fn the_entry_survives_the_file(
        (parameters, units) in any_gop(),
        is_live in any::<bool>(),
    ) {
        let clock = clock(is_live, &parameters, &units);
        let fragment = build_fragment(&clock, 1, &parameters, &units, None);
        let mut file = build_init(&parameters, None).to_vec();
        let offset = file.len() as u64;
        file.extend_from_slice(&fragment_bytes(&fragment));
        let scanned = scan_segment(&file).unwrap();
        prop_assert_eq!(scanned.index.fragments, [FragmentEntry { offset, ..fragment.entry }]);
    }
}

#[test]
fn payload_is_shared_not_copied_and_the_header_is_one_allocation() {
    let units = [
        video_unit(0, 0, true, 5000),
        video_unit(FRAME, FRAME, false, 700),
    ];
    let fragment = build_live(9, &parameters(None), &units, Some(2 * FRAME));
    for (piece, unit) in fragment.payload.iter().zip(&units) {
        assert_eq!(piece.as_ptr(), unit.data.as_ptr());
    }
    assert_eq!(
        fragment.header.len(),
        PRFT_LEN + MOOF_LEN + TRAF_LEN + 2 * 16 + MDAT_HEAD_LEN
    );
}

#[test]
fn durations_reach_to_the_next_unit() {
    let parameters = parameters(None);
    let units = [
        video_unit(0, 0, true, 10),
        video_unit(FRAME, FRAME, false, 10),
        video_unit(5 * FRAME, 5 * FRAME, false, 10),
    ];
    let durations = |units: &[AccessUnit], end| {
        parse_fragment(&build_live(1, &parameters, units, end).header)
            .unwrap()
            .iter()
            .map(|sample| i64::from(sample.duration))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        durations(&units, Some(6 * FRAME)),
        [FRAME, 4 * FRAME, FRAME]
    );
    assert_eq!(durations(&units, None), [FRAME, 4 * FRAME, 4 * FRAME]);
    assert_eq!(durations(&units[..1], None), [FRAME]);
    // An end that is not later than the last unit says nothing.
    assert_eq!(durations(&units[..2], Some(FRAME)), [FRAME, FRAME]);
}

#[test]
fn a_lone_g711_frame_lasts_a_byte_per_sample() {
    let audio = sample_data::pcma();
    let units = [
        video_unit(0, 0, true, 10),
        sample_data::audio_unit(&audio, 0, 160),
    ];
    let fragment = build_live(1, &parameters(Some(audio)), &units, None);
    assert_eq!(parse_fragment(&fragment.header).unwrap()[1].duration, 160);
}

#[test]
fn an_independent_parser_reads_the_same_boxes() {
    let audio = sample_data::aac();
    let mut estimator = framewell_media::DtsEstimator::new(2);
    let mut units = sample_data::gop(0, 9, 2, &mut estimator);
    units.extend(sample_data::audio_between(&audio, 0, 9 * FRAME));
    let fragment = build_live(4, &parameters(Some(audio)), &units, Some(9 * FRAME));
    let mut bytes = &fragment_bytes(&fragment)[..];
    let Any::Prft(prft) = Any::read_from(&mut bytes).unwrap() else {
        panic!("prft first");
    };
    assert_eq!(prft.media_time, 900_000);
    let Any::Moof(moof) = Any::read_from(&mut bytes).unwrap() else {
        panic!("moof second");
    };
    assert_eq!(moof.mfhd.sequence_number, 4);
    assert_eq!(moof.traf.len(), 2);
    let video = &moof.traf[0];
    assert_eq!(video.tfhd.track_id, 1);
    assert_eq!(
        video.tfdt.as_ref().unwrap().base_media_decode_time,
        900_000 - 7_200
    );
    let run = &video.trun[0];
    assert_eq!(run.samples.len(), 9);
    assert_eq!(
        run.data_offset,
        Some(i32::try_from(fragment.header.len()).unwrap() - 32)
    );
    assert_eq!(run.samples.get(0).unwrap().cts, Some(7_200));
    let Any::Mdat(mdat) = Any::read_from(&mut bytes).unwrap() else {
        panic!("mdat third");
    };
    assert_eq!(
        mdat.data.len(),
        fragment.payload.iter().map(Bytes::len).sum::<usize>()
    );
    assert!(bytes.is_empty());
}

#[test]
fn a_segment_counts_from_its_own_beginning_however_late_in_the_run() {
    let audio = sample_data::aac();
    let parameters = parameters(Some(audio.clone()));
    for start_s in [0, 3_600, 30 * 86_400] {
        let start = start_s * 90_000;
        let mut units = vec![video_unit(start + 2 * FRAME, start, true, 10)];
        // Two frames from before the picture is shown, two from then on.
        let first_frame = start_s * 48_000 + 3_840 + 96 - 2_048;
        units.extend((0..4).map(|n| sample_data::audio_unit(&audio, first_frame + n * 1_024, 20)));
        let (_, clock) = build_segment_init(&parameters, &sample_data::identity(), &units);
        let fragment = build_fragment(&clock, 1, &parameters, &units, None);
        let mut bytes = &fragment_bytes(&fragment)[..];
        let Any::Prft(prft) = Any::read_from(&mut bytes).unwrap() else {
            panic!("prft first");
        };
        assert_eq!(prft.media_time, 7_200);
        let Any::Moof(moof) = Any::read_from(&mut bytes).unwrap() else {
            panic!("moof second");
        };
        let start_of = |at: usize| moof.traf[at].tfdt.as_ref().unwrap().base_media_decode_time;
        assert_eq!((start_of(0), start_of(1)), (0, 96));
        assert_eq!(moof.traf[1].trun[0].samples.len(), 2);
        let times = parse_fragment(&fragment.header).unwrap();
        let times: Vec<i64> = times.iter().map(|sample| sample.dts).collect();
        let frames = (0..4).map(|n| first_frame + n * 1_024);
        assert!(
            times
                .iter()
                .copied()
                .eq(std::iter::once(start).chain(frames))
        );
    }
}
