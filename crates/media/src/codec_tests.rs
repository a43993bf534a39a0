//! Parameter sets made by x264 and x265 (`testsrc2` of 322x182 and 720x576), and hostile bytes.

use super::*;
use proptest::prelude::*;

/// Bytes of a hexadecimal text.
fn hex(text: &str) -> Bytes {
    let digit = |c: u8| u8::try_from(char::from(c).to_digit(16).unwrap()).unwrap();
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect::<Vec<_>>()
        .into()
}

const X264_HIGH_B3: [&str; 2] = [
    "6764000dacd941519e226c0440000003004000000c83c50a6580",
    "68ebe3cb22c0",
];
const X264_BASELINE: [&str; 2] = [
    "6742c00dd901519e226c0440000003004000000c83c50a92",
    "68cb83cb20",
];
const X264_422_10_INTERLACED: [&str; 2] = [
    "677a001eb6cd940b424d808800000300080000030190f8a14cb0",
    "68fba3cb22c0",
];
const X265_B: [&str; 3] = [
    "40010c01ffff01600000030090000003000003003c959809",
    "42010101600000030090000003000003003ca00a480b9c9596566924caf0168080000003008000000c84",
    "4401c172b46240",
];
const X265_NO_B: [&str; 3] = [
    "40010c01ffff01600000030090000003000003003c928090",
    "42010101600000030090000003000003003ca00a480b9c95964a924caf016808000003000800000300c840",
    "4401c172b46240",
];

fn nals(texts: &[&str]) -> Vec<Bytes> {
    texts.iter().map(|text| hex(text)).collect()
}

fn parameters(codec: VideoCodec, texts: &[&str]) -> VideoParameters {
    VideoParameters::from_parameter_sets(codec, &nals(texts)).unwrap()
}

#[test]
fn sizes_names_and_reorder_depths_of_real_encoders() {
    let cases = [
        (
            VideoCodec::H264,
            &X264_HIGH_B3[..],
            (322, 182),
            2,
            "avc1.64000d",
        ),
        (
            VideoCodec::H264,
            &X264_BASELINE,
            (322, 182),
            0,
            "avc1.42c00d",
        ),
        (
            VideoCodec::H264,
            &X264_422_10_INTERLACED,
            (720, 576),
            2,
            "avc1.7a001e",
        ),
        (VideoCodec::H265, &X265_B, (322, 182), 2, "hvc1.1.6.L60.90"),
        (
            VideoCodec::H265,
            &X265_NO_B,
            (322, 182),
            0,
            "hvc1.1.6.L60.90",
        ),
    ];
    for (codec, texts, size, reorder_depth, name) in cases {
        let video = parameters(codec, texts);
        assert_eq!((video.width, video.height), size, "{name}");
        assert_eq!(video.reorder_depth, reorder_depth, "{name}");
        assert_eq!(video.rfc6381, name);
    }
}

#[test]
fn a_record_gives_back_its_parameter_sets_in_any_order_and_once() {
    for (codec, texts) in [
        (VideoCodec::H264, &X264_HIGH_B3[..]),
        (VideoCodec::H265, &X265_B),
    ] {
        let sets = nals(texts);
        let mut shuffled = sets.clone();
        shuffled.reverse();
        shuffled.push(sets[0].clone());
        let video = VideoParameters::from_parameter_sets(codec, &shuffled).unwrap();
        assert_eq!(video.parameter_sets(), sets);
        let again = VideoParameters::from_config(codec, video.config.clone()).unwrap();
        assert_eq!(again, video);
    }
}

#[test]
fn the_avc_record_of_a_high_profile_states_chroma_and_depth() {
    let video = parameters(VideoCodec::H264, &X264_422_10_INTERLACED);
    assert_eq!(video.config[..6], [1, 0x7a, 0, 0x1e, 0xff, 0xe1]);
    assert!(video.config.ends_with(&[0xfe, 0xfa, 0xfa, 0]));
}

#[test]
fn without_a_statement_a_single_reference_means_no_reordering() {
    let depth = |sps: &str| parameters(VideoCodec::H264, &[sps, "68ebc3cb22c0"]).reorder_depth;
    // High profile, pic_order_cnt_type 0, 16x16 pixels, no VUI: max_num_ref_frames 1, then 4.
    assert_eq!(depth("6764000dace9e4"), 0);
    assert_eq!(depth("6764000dace579"), 2);
}

#[test]
fn what_is_missing_is_named() {
    let h264 = VideoParameters::from_parameter_sets(VideoCodec::H264, &nals(&X264_HIGH_B3[..1]));
    assert_eq!(h264.unwrap_err().to_string(), "bad parameter sets: no PPS");
    let h265 = VideoParameters::from_parameter_sets(VideoCodec::H265, &nals(&X265_B[1..]));
    assert_eq!(h265.unwrap_err().to_string(), "bad parameter sets: no VPS");
    let record = parameters(VideoCodec::H264, &X264_BASELINE).config;
    let cut = VideoParameters::from_config(VideoCodec::H264, record.slice(..record.len() - 1));
    assert_eq!(cut.unwrap_err().to_string(), "bad avcC: cut off");
}

#[test]
fn audio_names() {
    let audio = |codec, config: &'static [u8]| AudioParameters {
        codec,
        sample_rate: 48_000,
        channels: 1,
        config: Bytes::from_static(config),
    };
    assert_eq!(audio(AudioCodec::Aac, &[0x11, 0x90]).rfc6381(), "mp4a.40.2");
    assert_eq!(audio(AudioCodec::Aac, &[0x2b, 0x11]).rfc6381(), "mp4a.40.5");
    assert_eq!(
        audio(AudioCodec::Aac, &[0xf9, 0x40]).rfc6381(),
        "mp4a.40.42"
    );
    assert_eq!(audio(AudioCodec::Pcma, &[]).rfc6381(), "alaw");
    assert_eq!(AudioParameters::opus(2).rfc6381(), "opus");
    let stream = StreamParameters {
        video: parameters(VideoCodec::H264, &X264_BASELINE),
        audio: Some(audio(AudioCodec::Pcmu, &[])),
    };
    assert_eq!(stream.codecs(), "avc1.42c00d,ulaw");
}

/// A real set of parameter sets with some bytes changed and its end cut.
fn damaged() -> impl Strategy<Value = (VideoCodec, Vec<Bytes>)> {
    let whole = prop_oneof![
        Just((VideoCodec::H264, &X264_HIGH_B3[..])),
        Just((VideoCodec::H264, &X264_422_10_INTERLACED[..])),
        Just((VideoCodec::H265, &X265_B[..])),
    ];
    let edits = prop::collection::vec((0usize..3, 0usize..60, any::<u8>()), 0..8);
    (whole, edits, 0usize..60).prop_map(|((codec, texts), edits, keep)| {
        let mut sets: Vec<Vec<u8>> = nals(texts).iter().map(|nal| nal.to_vec()).collect();
        for (which, at, value) in edits {
            let count = sets.len();
            let nal = &mut sets[which % count];
            let len = nal.len();
            nal[at % len] = value;
        }
        if let Some(sps) = sets.iter_mut().rev().nth(1) {
            sps.truncate(keep.max(1));
        }
        (codec, sets.into_iter().map(Bytes::from).collect())
    })
}

proptest! {
    #[test]
    fn damaged_parameter_sets_never_panic((codec, sets) in damaged()) {
        if let Ok(video) = VideoParameters::from_parameter_sets(codec, &sets) {
            prop_assert!(video.width > 0 && video.height > 0);
            prop_assert!(video.reorder_depth <= 16);
            prop_assert_eq!(VideoParameters::from_config(codec, video.config.clone()), Ok(video));
        }
    }

    #[test]
    fn any_bytes_are_no_record_or_a_good_one(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            let config = Bytes::from(bytes.clone());
            let sets = VideoParameters::from_parameter_sets(codec, &[config.clone(), config.clone()]);
            for video in [VideoParameters::from_config(codec, config), sets].into_iter().flatten() {
                prop_assert!(video.width > 0 && video.height > 0);
            }
        }
    }

    #[test]
    fn a_damaged_record_never_panics(
        (codec, sets) in damaged(),
        edits in prop::collection::vec((0usize..120, any::<u8>()), 1..4),
    ) {
        if let Ok(video) = VideoParameters::from_parameter_sets(codec, &sets) {
            let mut record = video.config.to_vec();
            let len = record.len();
            for (at, value) in edits {
                record[at % len] = value;
            }
            if let Ok(video) = VideoParameters::from_config(codec, record.into()) {
                prop_assert!(video.width > 0 && video.height > 0);
            }
        }
    }
}

/// A record can count more, but no decoder could tell them apart; and a million of them, each compared with
/// all before it, would take minutes.
#[test]
fn a_flood_of_parameter_sets_is_refused_at_once() {
    for (codec, texts, header) in [
        (VideoCodec::H264, &X264_HIGH_B3[..], 0x68),
        (VideoCodec::H265, &X265_B, 0x44),
    ] {
        let mut sets = nals(texts);
        sets.extend((0..200_000_u32).map(|n| {
            let [_, a, b, c] = n.to_be_bytes();
            Bytes::copy_from_slice(&[header, a, b, c])
        }));
        let error = VideoParameters::from_parameter_sets(codec, &sets).unwrap_err();
        assert_eq!(error.why, "too many of a kind", "{codec:?}");
        let mut long = nals(texts);
        long.extend([1, 2].map(|n| Bytes::from([&[header, n][..], &[n; 40_000]].concat())));
        let error = VideoParameters::from_parameter_sets(codec, &long).unwrap_err();
        assert_eq!(error.why, "longer than 64 KiB", "{codec:?}");
    }
    let mut record = parameters(VideoCodec::H265, &X265_B).config.to_vec();
    record[22] = 1;
    record.truncate(24);
    record.extend(u16::MAX.to_be_bytes());
    record.extend([0, 1, 0x44].repeat(usize::from(u16::MAX)));
    let error = VideoParameters::from_config(VideoCodec::H265, record.into()).unwrap_err();
    assert_eq!(error.why, "too many NAL units");
}
