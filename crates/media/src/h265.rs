//! H.265 parameter sets and `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 section 8.3.3).

use crate::codec::{ParameterError, ParameterSets, Picture, picture_size};
use crate::record::{RecordReader, put_nals};
use bytes::{BufMut, Bytes, BytesMut};
use h264_reader::rbsp::{BitRead, BitReader, BitReaderError, ByteReader};
use std::num::NonZeroUsize;

/// `nal_unit_type` of a video parameter set (ITU-T H.265 table 7-1).
const NAL_VPS: u8 = 32;
/// `nal_unit_type` of a sequence parameter set.
const NAL_SPS: u8 = 33;
/// `nal_unit_type` of a picture parameter set.
const NAL_PPS: u8 = 34;
/// VPS are numbered in 4 bits (section 7.4.3.1).
const MAX_VPS: usize = 16;
/// `sps_seq_parameter_set_id` is at most 15 (section 7.4.3.2.1).
const MAX_SPS: usize = 16;
/// `pps_pic_parameter_set_id` is at most 63 (section 7.4.3.3.1).
const MAX_PPS: usize = 64;
/// Most arrays of a record: one for each kind of NAL unit (6 bits).
const MAX_ARRAYS: u8 = 64;
/// `sps_max_sub_layers_minus1` may not be more (section 7.4.3.2.1).
const MAX_SUB_LAYERS_MINUS1: u8 = 6;
/// Bytes of the profile part of `profile_tier_level`: space, tier, profile, compatibility, constraints.
const PROFILE_BYTES: usize = 11;
/// Fixed bytes of the record before the arrays.
const RECORD_HEAD: usize = 22;
/// Most pictures in a decoded picture buffer (section A.4.2).
const MAX_DPB_PICTURES: u32 = 16;

fn nal_type(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header >> 1 & 0x3f)
}

/// Sorts NAL units by kind; refuses more than can be told apart by their numbers.
pub(crate) fn collect(nals: &[Bytes]) -> Result<ParameterSets, ParameterError> {
    let mut sets = ParameterSets::default();
    for nal in nals {
        match nal_type(nal) {
            Some(NAL_VPS) => ParameterSets::keep(&mut sets.vps, nal, MAX_VPS)?,
            Some(NAL_SPS) => ParameterSets::keep(&mut sets.sps, nal, MAX_SPS)?,
            Some(NAL_PPS) => ParameterSets::keep(&mut sets.pps, nal, MAX_PPS)?,
            _ => {}
        }
    }
    for (list, why) in [(&sets.vps, "no VPS"), (&sets.pps, "no PPS")] {
        if list.is_empty() {
            return Err(ParameterError::new("parameter sets", why));
        }
    }
    sets.check_length()?;
    Ok(sets)
}

/// Writes the record. The arrays are complete: samples carry no parameter sets (`hvc1`).
pub(crate) fn build_record(sets: &ParameterSets) -> Result<Bytes, ParameterError> {
    const ARRAY_COMPLETENESS: u8 = 0x80;
    let sps = read_sps(sets.first_sps()?)?;
    let mut out = BytesMut::with_capacity(128);
    out.put_u8(1);
    out.put_slice(&sps.profile);
    out.put_u8(sps.level_idc);
    out.put_u16(0b1111_0000_0000_0000); // min_spatial_segmentation_idc unknown
    out.put_u8(0b1111_1100); // parallelismType unknown
    out.put_u8(0b1111_1100 | sps.chroma_format_idc);
    out.put_u8(0b1111_1000 | sps.bit_depth_luma_minus8);
    out.put_u8(0b1111_1000 | sps.bit_depth_chroma_minus8);
    out.put_u16(0); // avgFrameRate unknown
    let layers = sps.max_sub_layers_minus1 + 1;
    out.put_u8(layers << 3 | u8::from(sps.is_temporal_id_nested) << 2 | 0b11);
    out.put_u8(3);
    for (nal_type, nals) in [
        (NAL_VPS, &sets.vps),
        (NAL_SPS, &sets.sps),
        (NAL_PPS, &sets.pps),
    ] {
        out.put_u8(ARRAY_COMPLETENESS | nal_type);
        let count = u16::try_from(nals.len())
            .map_err(|_| ParameterError::new("parameter sets", "too many for one record"))?;
        out.put_u16(count);
        put_nals(&mut out, nals)?;
    }
    Ok(out.freeze())
}

/// Takes a record apart.
pub(crate) fn split_record(record: &Bytes) -> Result<ParameterSets, ParameterError> {
    let mut rest = RecordReader::new("hvcC", record);
    let head = rest.take(RECORD_HEAD)?;
    if head[0] != 1 {
        return Err(ParameterError::new("hvcC", "unknown version"));
    }
    if head[RECORD_HEAD - 1] & 0b11 != 3 {
        return Err(ParameterError::new("hvcC", "NAL lengths are not 4 bytes"));
    }
    let mut sets = ParameterSets::default();
    let arrays = rest.u8()?;
    if arrays > MAX_ARRAYS {
        return Err(ParameterError::new("hvcC", "too many arrays"));
    }
    for _ in 0..arrays {
        let nal_type = rest.u8()? & 0x3f;
        let count = usize::from(rest.u16()?);
        let nals = rest.nals(count)?;
        match nal_type {
            NAL_VPS => sets.vps.extend(nals),
            NAL_SPS => sets.sps.extend(nals),
            NAL_PPS => sets.pps.extend(nals),
            _ => {}
        }
    }
    Ok(sets)
}

/// What matters of a sequence parameter set (ITU-T H.265 section 7.3.2.2).
#[derive(Debug)]
pub(crate) struct Sps {
    /// `general_profile_space` up to the last constraint flag, as the record wants it.
    profile: [u8; PROFILE_BYTES],
    level_idc: u8,
    max_sub_layers_minus1: u8,
    is_temporal_id_nested: bool,
    /// 0 to 3.
    chroma_format_idc: u8,
    coded_width: u32,
    coded_height: u32,
    /// Left, right, top, bottom in chroma units.
    window: [u32; 4],
    bit_depth_luma_minus8: u8,
    bit_depth_chroma_minus8: u8,
    max_num_reorder_pics: u32,
}

/// Reads an SPS NAL unit up to the reorder depth.
pub(crate) fn read_sps(nal: &Bytes) -> Result<Sps, ParameterError> {
    const NAL_HEADER: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");
    if nal.len() <= NAL_HEADER.get() {
        return Err(ParameterError::new("SPS", "cut off"));
    }
    let mut bits = BitReader::new(ByteReader::skipping_bytes(&nal[..], NAL_HEADER));
    let bad = |e: BitReaderError| ParameterError::new("SPS", format!("{e:?}"));
    let head = read_head(&mut bits).map_err(bad)?;
    if head.max_sub_layers_minus1 > MAX_SUB_LAYERS_MINUS1 {
        return Err(ParameterError::new("SPS", "too many sub-layers"));
    }
    read_body(&mut bits, &head)
        .map_err(bad)?
        .ok_or_else(|| ParameterError::new("SPS", "chroma format or bit depth out of range"))
}

struct Head {
    max_sub_layers_minus1: u8,
    is_temporal_id_nested: bool,
    profile: [u8; PROFILE_BYTES],
    level_idc: u8,
}

/// Up to `general_level_idc`.
fn read_head<R: BitRead>(bits: &mut R) -> Result<Head, BitReaderError> {
    bits.skip(4, "sps_video_parameter_set_id")?;
    let max_sub_layers_minus1 = bits.read(3, "sps_max_sub_layers_minus1")?;
    let is_temporal_id_nested = bits.read_bool("sps_temporal_id_nesting_flag")?;
    let mut profile = [0; PROFILE_BYTES];
    for byte in &mut profile {
        *byte = bits.read(8, "general_profile")?;
    }
    Ok(Head {
        max_sub_layers_minus1,
        is_temporal_id_nested,
        profile,
        level_idc: bits.read(8, "general_level_idc")?,
    })
}

/// The rest of `profile_tier_level` (section 7.3.3).
fn skip_sub_layers<R: BitRead>(bits: &mut R, count: u8) -> Result<(), BitReaderError> {
    const SUB_LAYER_PROFILE_BITS: u32 = 88;
    const SUB_LAYER_LEVEL_BITS: u32 = 8;
    let mut skipped_bits = 0;
    for _ in 0..count {
        if bits.read_bool("sub_layer_profile_present_flag")? {
            skipped_bits += SUB_LAYER_PROFILE_BITS;
        }
        if bits.read_bool("sub_layer_level_present_flag")? {
            skipped_bits += SUB_LAYER_LEVEL_BITS;
        }
    }
    if count > 0 {
        bits.skip(2 * u32::from(8 - count), "reserved_zero_2bits")?;
    }
    bits.skip(skipped_bits, "sub_layer_profile_tier_level")
}

/// From the sub-layers on; `None` for values that the standard forbids.
fn read_body<R: BitRead>(bits: &mut R, head: &Head) -> Result<Option<Sps>, BitReaderError> {
    skip_sub_layers(bits, head.max_sub_layers_minus1)?;
    bits.read_ue("sps_seq_parameter_set_id")?;
    let chroma_format_idc = bits.read_ue("chroma_format_idc")?;
    if chroma_format_idc == 3 {
        bits.skip(1, "separate_colour_plane_flag")?;
    }
    let coded_width = bits.read_ue("pic_width_in_luma_samples")?;
    let coded_height = bits.read_ue("pic_height_in_luma_samples")?;
    let mut window = [0; 4];
    if bits.read_bool("conformance_window_flag")? {
        for offset in &mut window {
            *offset = bits.read_ue("conf_win_offset")?;
        }
    }
    let luma = bits.read_ue("bit_depth_luma_minus8")?;
    let chroma = bits.read_ue("bit_depth_chroma_minus8")?;
    bits.read_ue("log2_max_pic_order_cnt_lsb_minus4")?;
    let max_num_reorder_pics = read_reorder(bits, head.max_sub_layers_minus1)?;
    // Bit depths are at most 16 (section 7.4.3.2.1), but the record has 3 bits for each.
    let small = |value: u32, max: u8| u8::try_from(value).ok().filter(|v| *v <= max);
    let (Some(chroma_format_idc), Some(bit_depth_luma_minus8), Some(bit_depth_chroma_minus8)) = (
        small(chroma_format_idc, 3),
        small(luma, 7),
        small(chroma, 7),
    ) else {
        return Ok(None);
    };
    Ok(Some(Sps {
        profile: head.profile,
        level_idc: head.level_idc,
        max_sub_layers_minus1: head.max_sub_layers_minus1,
        is_temporal_id_nested: head.is_temporal_id_nested,
        chroma_format_idc,
        coded_width,
        coded_height,
        window,
        bit_depth_luma_minus8,
        bit_depth_chroma_minus8,
        max_num_reorder_pics,
    }))
}

/// `sps_max_num_reorder_pics` of the highest sub-layer.
fn read_reorder<R: BitRead>(
    bits: &mut R,
    max_sub_layers_minus1: u8,
) -> Result<u32, BitReaderError> {
    let first = if bits.read_bool("sps_sub_layer_ordering_info_present_flag")? {
        0
    } else {
        max_sub_layers_minus1
    };
    let mut reorder = 0;
    for _ in first..=max_sub_layers_minus1 {
        bits.read_ue("sps_max_dec_pic_buffering_minus1")?;
        reorder = bits.read_ue("sps_max_num_reorder_pics")?;
        bits.read_ue("sps_max_latency_increase_plus1")?;
    }
    Ok(reorder)
}

impl Sps {
    pub(crate) fn picture(&self) -> Result<Picture, ParameterError> {
        let (sub_width, sub_height) = match self.chroma_format_idc {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let [left, right, top, bottom] = self.window;
        let side = |coded: u32, before: u32, after: u32, step: u32| {
            coded
                .checked_sub(before.checked_mul(step)?)?
                .checked_sub(after.checked_mul(step)?)
        };
        let (width, height) = picture_size(
            "SPS",
            side(self.coded_width, left, right, sub_width),
            side(self.coded_height, top, bottom, sub_height),
        )?;
        Ok(Picture {
            width,
            height,
            reorder_depth: u8::try_from(self.max_num_reorder_pics.min(MAX_DPB_PICTURES))
                .expect("at most 16"),
            rfc6381: self.rfc6381(),
        })
    }

    /// Codec string (ISO/IEC 14496-15 section E.3).
    fn rfc6381(&self) -> String {
        let [head, c0, c1, c2, c3, constraints @ ..] = self.profile;
        let space = ["", "A", "B", "C"][usize::from(head >> 6)];
        let tier = if head & 0x20 == 0 { 'L' } else { 'H' };
        let compatibility = u32::from_be_bytes([c0, c1, c2, c3]).reverse_bits();
        let mut text = format!(
            "hvc1.{space}{}.{compatibility:X}.{tier}{}",
            head & 0x1f,
            self.level_idc
        );
        let used = constraints.iter().rposition(|byte| *byte != 0);
        for byte in constraints.iter().take(used.map_or(0, |last| last + 1)) {
            text.push_str(&format!(".{byte:X}"));
        }
        text
    }
}
