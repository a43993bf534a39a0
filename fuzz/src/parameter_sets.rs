//! NAL units and codec parameters, which cameras and publishers send. The first byte of an input chooses the coding.

use crate::within;
use bytes::Bytes;
use framewell_media::{AudioParameters, VideoCodec, VideoParameters, nal, opus};

pub fn run(data: &[u8]) {
    let Some((&coding, rest)) = data.split_first() else {
        return;
    };
    let codec = [VideoCodec::H264, VideoCodec::H265][usize::from(coding % 2)];
    let bytes = Bytes::copy_from_slice(rest);
    let most = (256 << 10) + 64 * data.len();
    let nals = nal::split_annex_b(&bytes);
    check_nals(codec, &nals);
    if let Ok(video) = within(most, || VideoParameters::from_parameter_sets(codec, &nals)) {
        check_video(&video);
    }
    if let Ok(video) = within(most, || VideoParameters::from_config(codec, bytes.clone())) {
        assert_eq!(video.config, bytes);
        // The record may hold more than the sets that ours is made from, but those it has.
        if let Ok(own) = VideoParameters::from_parameter_sets(codec, &video.parameter_sets()) {
            check_video(&own);
        }
    }
    if let Ok(audio) = AudioParameters::from_aac_config(bytes.clone()) {
        assert!((1_000..=192_000).contains(&audio.sample_rate));
        assert!((1..=8).contains(&audio.channels));
        assert!(!audio.rfc6381().is_empty());
    }
    // A packet of Opus is at most 120 ms long (RFC 6716 section 3.2.5).
    assert!(opus::samples(rest).is_none_or(|samples| samples <= 5_760));
}

/// Units come back out of the form with lengths, and say what they are.
fn check_nals(codec: VideoCodec, nals: &[Bytes]) {
    let joined = nal::join_length_prefixed(nals);
    let again: Vec<Bytes> = nal::split_length_prefixed(&joined).collect();
    assert_eq!(again, nals);
    let has_key = nals
        .iter()
        .any(|unit| nal::kind(codec, unit) == nal::NalKind::KeySlice);
    assert!(!has_key || nal::is_key(codec, &joined));
}

/// The record that was made is read as what it was made from.
fn check_video(video: &VideoParameters) {
    assert!(video.width > 0 && video.height > 0);
    let again = VideoParameters::from_config(video.codec, video.config.clone());
    assert_eq!(again.as_ref(), Ok(video));
    let sets = video.parameter_sets();
    let again = VideoParameters::from_parameter_sets(video.codec, &sets);
    assert_eq!(again.as_ref(), Ok(video));
}
