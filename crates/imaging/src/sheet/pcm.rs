//! A finished picture as H.264 without compression: the way in which pixels that were put together here
//! get to a decode worker, which has the only encoders of the house.
//!
//! One IDR slice of `I_PCM` macroblocks (ITU-T H.264 section 7.3.5), which hold samples as they are. The
//! colours are those of JFIF: BT.601 matrix, full range.

use super::canvas::Canvas;
use bytes::Bytes;
use framewell_media::{VideoCodec, VideoParameters, nal};

/// Side of a macroblock in pixels.
const BLOCK: usize = 16;
/// Samples of a macroblock: luma, then a quarter of that for each of Cb and Cr.
const BLOCK_SAMPLES: usize = 384;
/// `mb_type` of `I_PCM` in an I slice (table 7-11).
const I_PCM: u32 = 25;

/// Parameters of a picture of this size; both sides are even.
pub(crate) fn parameters(
    width: usize,
    height: usize,
) -> Result<VideoParameters, framewell_media::ParameterError> {
    let sets = [nal_unit(0x67, &sps(width, height)), nal_unit(0x68, &pps())];
    VideoParameters::from_parameter_sets(VideoCodec::H264, &sets)
}

/// The picture, ready for a decoder.
pub(crate) fn sample(canvas: &Canvas) -> Bytes {
    let (columns, rows) = (blocks(canvas.width()), blocks(canvas.height()));
    let mut slice = Bits::with_capacity(64 + columns * rows * (BLOCK_SAMPLES + 2));
    // Slice header (section 7.3.3): first macroblock, I slices only, picture parameter set.
    slice.ue(0);
    slice.ue(7);
    slice.ue(0);
    // frame_num, idr_pic_id, no_output_of_prior_pics_flag and long_term_reference_flag.
    slice.bits(0, 4);
    slice.ue(0);
    slice.bits(0, 2);
    // slice_qp_delta; the deblocking filter is off.
    slice.ue(0);
    slice.ue(1);
    let mut samples = [0; BLOCK_SAMPLES];
    for row in 0..rows {
        for column in 0..columns {
            slice.ue(I_PCM);
            slice.align();
            canvas.block(column * BLOCK, row * BLOCK, &mut samples);
            slice.bytes(&samples);
        }
    }
    slice.end();
    nal::join_length_prefixed(&[nal_unit(0x65, &slice.data)])
}

const fn blocks(pixels: usize) -> usize {
    pixels.div_ceil(BLOCK)
}

/// Sequence parameter set (section 7.3.2.1.1) of the baseline profile.
fn sps(width: usize, height: usize) -> Vec<u8> {
    let mut sps = Bits::default();
    let count = |pixels: usize| u32::try_from(blocks(pixels)).unwrap_or(u32::MAX);
    let cropped = |pixels: usize| u32::try_from((blocks(pixels) * BLOCK - pixels) / 2).unwrap_or(0);
    // Profile 66, constrained, level 6.2.
    sps.bits(66, 8);
    sps.bits(0b1100_0000, 8);
    sps.bits(62, 8);
    // Identity 0, 4 bits of frame_num, output in decoding order, one reference frame, no gaps.
    sps.ue(0);
    sps.ue(0);
    sps.ue(2);
    sps.ue(1);
    sps.bits(0, 1);
    sps.ue(count(width) - 1);
    sps.ue(count(height) - 1);
    // Frames only; direct_8x8_inference; cropping on the right and at the bottom, in pairs of pixels.
    sps.bits(0b11, 2);
    sps.bits(1, 1);
    for edge in [0, cropped(width), 0, cropped(height)] {
        sps.ue(edge);
    }
    vui(&mut sps);
    sps.end();
    sps.data
}

/// Video usability information (section E.1.1): the colours, nothing else.
fn vui(sps: &mut Bits) {
    sps.bits(1, 1);
    // No aspect ratio, no overscan; video_signal_type of unspecified format, full range, with a
    // description: primaries of BT.709, transfer of sRGB, matrix of BT.601 (tables E-3 to E-5).
    sps.bits(0b00, 2);
    sps.bits(1, 1);
    sps.bits(5, 3);
    sps.bits(1, 1);
    sps.bits(1, 1);
    sps.bits(1, 8);
    sps.bits(13, 8);
    sps.bits(6, 8);
    // No chroma location, timing, HRD parameters, pic_struct, bitstream restrictions.
    sps.bits(0, 6);
}

/// Picture parameter set (section 7.3.2.2): CAVLC, one slice group, control over the deblocking filter.
fn pps() -> Vec<u8> {
    let mut pps = Bits::default();
    pps.ue(0);
    pps.ue(0);
    pps.bits(0, 2);
    for value in [0, 0, 0] {
        pps.ue(value);
    }
    pps.bits(0, 3);
    // Initial quantisers and chroma offset, all 0.
    for value in [0, 0, 0] {
        pps.ue(value);
    }
    pps.bits(0b100, 3);
    pps.end();
    pps.data
}

/// Puts the header byte in front, and emulation prevention bytes inside (section 7.4.1).
fn nal_unit(header: u8, payload: &[u8]) -> Bytes {
    let mut unit = Vec::with_capacity(payload.len() + payload.len() / 64 + 1);
    unit.push(header);
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        unit.push(byte);
    }
    unit.into()
}

/// Writes bits, most significant first.
#[derive(Debug, Default)]
struct Bits {
    data: Vec<u8>,
    /// Bits used of the last byte; 0 if it is full.
    used: u32,
}

impl Bits {
    fn with_capacity(bytes: usize) -> Self {
        Self {
            data: Vec::with_capacity(bytes),
            used: 0,
        }
    }

    fn bits(&mut self, value: u32, count: u32) {
        for place in (0..count).rev() {
            if self.used == 0 {
                self.data.push(0);
            }
            let bit = u8::from(value >> place & 1 == 1);
            if let Some(last) = self.data.last_mut() {
                *last |= bit << (7 - self.used);
            }
            self.used = (self.used + 1) % 8;
        }
    }

    /// Exponential Golomb code (section 9.1); for 0 it is that of a signed value too.
    fn ue(&mut self, value: u32) {
        let code = value + 1;
        let length = 32 - code.leading_zeros();
        self.bits(0, length - 1);
        self.bits(code, length);
    }

    /// Zeros up to a whole byte.
    fn align(&mut self) {
        self.used = 0;
    }

    /// Whole bytes; aligned.
    fn bytes(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }

    /// `rbsp_trailing_bits`.
    fn end(&mut self) {
        self.bits(1, 1);
        self.align();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_sets_say_the_size() {
        for (width, height) in [(64, 48), (642, 362), (1_920, 1_080), (8_192, 8_192)] {
            let video = parameters(width, height).unwrap();
            assert_eq!(
                (video.width as usize, video.height as usize),
                (width, height)
            );
            assert_eq!(video.reorder_depth, 0);
        }
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        let mut bits = Bits::default();
        // 1, 010, 011, 00100, 000011010 (table 9-1).
        for value in [0, 1, 2, 3, I_PCM] {
            bits.ue(value);
        }
        assert_eq!(bits.data, [0b1010_0110, 0b0100_0000, 0b1101_0000]);
    }

    #[test]
    fn no_start_code_appears_inside_of_a_unit() {
        let unit = nal_unit(0x65, &[0, 0, 0, 0, 0, 1, 0, 0, 3, 7]);
        assert_eq!(&unit[..], [0x65, 0, 0, 3, 0, 0, 3, 0, 1, 0, 0, 3, 3, 7]);
    }

    #[test]
    fn a_picture_has_all_its_macroblocks() {
        let canvas = Canvas::new(34, 18);
        let sample = sample(&canvas);
        // Three columns and two rows.
        assert!(sample.len() > 6 * (BLOCK_SAMPLES + 2));
    }
}
