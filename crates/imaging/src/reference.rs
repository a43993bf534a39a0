//! Which pictures others need.

use bytes::Bytes;
use framewell_footage::CompressedGop;
use framewell_media::VideoCodec;
use framewell_media::nal::{self, NalKind};
use std::collections::BTreeSet;

/// Whether no other picture refers to this one: H.264 `nal_ref_idc` is 0 (ITU-T H.264 section
/// 7.4.1). H.265 marks that per temporal layer only, so its pictures all count as referred to.
pub(crate) fn is_unreferenced(codec: VideoCodec, data: &Bytes) -> bool {
    const REF_IDC: u8 = 0b0110_0000;
    let is_slice = |nal: &Bytes| nal::kind(codec, nal) == NalKind::Slice;
    let slice = nal::split_length_prefixed(data).find(is_slice);
    codec == VideoCodec::H264
        && slice.is_some_and(|nal| nal.first().is_some_and(|header| header & REF_IDC == 0))
}

/// Whether no other picture of a GOP needs this one: nothing refers to it, or it refers to the GOP before,
/// which the decoder has not seen.
pub(crate) fn is_needless(gop: &CompressedGop, index: usize) -> bool {
    let sample = &gop.samples[index];
    let is_leading = index < gop.own && sample.pts < gop.samples[0].pts;
    is_leading || is_unreferenced(gop.video.codec, &sample.data)
}

/// How many pictures of a GOP have to be decoded for these, from the key frame on.
pub(crate) fn cost(gop: &CompressedGop, wanted: &[usize]) -> usize {
    let wanted: BTreeSet<usize> = wanted.iter().copied().collect();
    let end = wanted.last().map_or(0, |last| last + 1);
    let is_decoded = |index: &usize| wanted.contains(index) || !is_needless(gop, *index);
    (0..end).filter(is_decoded).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(header: &[u8]) -> Bytes {
        let length = u32::try_from(header.len()).unwrap().to_be_bytes();
        Bytes::from([&length[..], header].concat())
    }

    #[test]
    fn the_first_slice_tells_whether_a_picture_is_referred_to() {
        let (idr, p, b) = (sample(&[0x65, 1]), sample(&[0x41, 2]), sample(&[0x01, 3]));
        let sei_then_b = Bytes::from([sample(&[0x06, 9]), b.clone()].concat());
        let is_b = |data| is_unreferenced(VideoCodec::H264, data);
        assert_eq!(
            [&idr, &p, &b, &sei_then_b].map(is_b),
            [false, false, true, true]
        );
        assert!(!is_unreferenced(VideoCodec::H265, &b));
    }
}
