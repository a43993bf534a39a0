//! H.264 parameter sets and `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 section 5.3.3).

use crate::codec::{ParameterError, ParameterSets, Picture, picture_size};
use crate::record::{RecordReader, put_nals};
use bytes::{BufMut, Bytes, BytesMut};
use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, PicOrderCntType, SeqParameterSet};
use h264_reader::rbsp::{BitReader, ByteReader};

/// `nal_unit_type` of a sequence parameter set (ITU-T H.264 table 7-1).
const NAL_SPS: u8 = 7;
/// `nal_unit_type` of a picture parameter set.
const NAL_PPS: u8 = 8;
/// The record counts SPS in 5 bits.
const MAX_SPS: usize = 31;
/// The record counts PPS in 8 bits.
const MAX_PPS: usize = 255;
/// `lengthSizeMinusOne` of 4-byte NAL lengths.
const LENGTH_SIZE_MINUS_ONE: u8 = 3;
/// A guess for streams that do not say: a B pyramid of two levels, the deepest that cameras send.
/// Too deep only moves decode times earlier; too shallow makes the first reordered pictures late.
const GUESSED_REORDER_DEPTH: u32 = 2;
/// Most frames in a decoded picture buffer (ITU-T H.264 section A.3.1).
const MAX_DPB_FRAMES: u32 = 16;

/// Sorts NAL units by kind; refuses more than the record can count.
pub(crate) fn collect(nals: &[Bytes]) -> Result<ParameterSets, ParameterError> {
    let mut sets = ParameterSets::default();
    for nal in nals {
        match nal.first().map(|header| header & 0x1f) {
            Some(NAL_SPS) => ParameterSets::keep(&mut sets.sps, nal, MAX_SPS)?,
            Some(NAL_PPS) => ParameterSets::keep(&mut sets.pps, nal, MAX_PPS)?,
            _ => {}
        }
    }
    if sets.pps.is_empty() {
        return Err(ParameterError::new("parameter sets", "no PPS"));
    }
    sets.check_length()?;
    Ok(sets)
}

/// Writes the record.
pub(crate) fn build_record(sets: &ParameterSets) -> Result<Bytes, ParameterError> {
    let sps = sets.first_sps()?;
    let &[_, profile, compatibility, level, ..] = &sps[..] else {
        return Err(ParameterError::new(
            "SPS",
            "shorter than its profile and level",
        ));
    };
    let mut out = BytesMut::with_capacity(64 + sets.sps.iter().map(Bytes::len).sum::<usize>());
    out.put_slice(&[1, profile, compatibility, level]);
    out.put_u8(0b1111_1100 | LENGTH_SIZE_MINUS_ONE);
    out.put_u8(0b1110_0000 | narrow(sets.sps.len())?);
    put_nals(&mut out, &sets.sps)?;
    out.put_u8(narrow(sets.pps.len())?);
    put_nals(&mut out, &sets.pps)?;
    if has_chroma_fields(profile) {
        let chroma = parse(sps)?.chroma_info;
        out.put_u8(0b1111_1100 | chroma_format_idc(chroma.chroma_format));
        out.put_u8(0b1111_1000 | chroma.bit_depth_luma_minus8);
        out.put_u8(0b1111_1000 | chroma.bit_depth_chroma_minus8);
        out.put_u8(0); // no SPS extensions
    }
    Ok(out.freeze())
}

/// Profiles whose record goes on with chroma format and bit depths.
fn has_chroma_fields(profile: u8) -> bool {
    matches!(profile, 100 | 110 | 122 | 144 | 244)
}

fn chroma_format_idc(format: ChromaFormat) -> u8 {
    match format {
        ChromaFormat::Monochrome => 0,
        ChromaFormat::YUV420 | ChromaFormat::Invalid(_) => 1,
        ChromaFormat::YUV422 => 2,
        ChromaFormat::YUV444 => 3,
    }
}

fn narrow(count: usize) -> Result<u8, ParameterError> {
    u8::try_from(count).map_err(|_| ParameterError::new("parameter sets", "too many"))
}

/// Takes a record apart.
pub(crate) fn split_record(record: &Bytes) -> Result<ParameterSets, ParameterError> {
    let mut rest = RecordReader::new("avcC", record);
    let head = rest.take(5)?;
    if head[0] != 1 {
        return Err(ParameterError::new("avcC", "unknown version"));
    }
    if head[4] & 0b11 != LENGTH_SIZE_MINUS_ONE {
        return Err(ParameterError::new("avcC", "NAL lengths are not 4 bytes"));
    }
    let sps_count = usize::from(rest.u8()? & 0x1f);
    let sps = rest.nals(sps_count)?;
    let pps_count = usize::from(rest.u8()?);
    let pps = rest.nals(pps_count)?;
    Ok(ParameterSets {
        vps: Vec::new(),
        sps,
        pps,
    })
}

/// Reads what matters from an SPS NAL unit.
pub(crate) fn read_sps(nal: &Bytes) -> Result<Picture, ParameterError> {
    let &[_, profile, compatibility, level, ..] = &nal[..] else {
        return Err(ParameterError::new(
            "SPS",
            "shorter than its profile and level",
        ));
    };
    let sps = parse(nal)?;
    let (width, height) = cropped_size(&sps)?;
    Ok(Picture {
        width,
        height,
        reorder_depth: reorder_depth(&sps),
        rfc6381: format!("avc1.{profile:02x}{compatibility:02x}{level:02x}"),
    })
}

fn parse(nal: &Bytes) -> Result<SeqParameterSet, ParameterError> {
    let bits = BitReader::new(ByteReader::skipping_h264_header(&nal[..]));
    SeqParameterSet::from_bits(bits).map_err(|e| ParameterError::new("SPS", format!("{e:?}")))
}

/// Width and height less the cropping rectangle (ITU-T H.264 section 7.4.2.1.1).
fn cropped_size(sps: &SeqParameterSet) -> Result<(u16, u16), ParameterError> {
    let fields = match sps.frame_mbs_flags {
        FrameMbsFlags::Frames => 1,
        FrameMbsFlags::Fields { .. } => 2,
    };
    let (sub_width, sub_height) = match sps.chroma_info.chroma_format {
        ChromaFormat::YUV420 => (2, 2),
        ChromaFormat::YUV422 => (2, 1),
        _ => (1, 1),
    };
    let side = |units_minus1: u32, unit: u32, crop: Option<(u32, u32)>, step: u32| {
        let (before, after) = crop.unwrap_or_default();
        units_minus1
            .checked_add(1)?
            .checked_mul(unit)?
            .checked_sub(before.checked_mul(step)?)?
            .checked_sub(after.checked_mul(step)?)
    };
    let crop = sps.frame_cropping.as_ref();
    picture_size(
        "SPS",
        side(
            sps.pic_width_in_mbs_minus1,
            16,
            crop.map(|c| (c.left_offset, c.right_offset)),
            sub_width,
        ),
        side(
            sps.pic_height_in_map_units_minus1,
            16 * fields,
            crop.map(|c| (c.top_offset, c.bottom_offset)),
            sub_height * fields,
        ),
    )
}

/// `max_num_reorder_frames`, or what it is inferred to be (ITU-T H.264 section E.2.1).
fn reorder_depth(sps: &SeqParameterSet) -> u8 {
    let stated = sps
        .vui_parameters
        .as_ref()
        .and_then(|vui| vui.bitstream_restrictions.as_ref())
        .map(|restrictions| restrictions.max_num_reorder_frames);
    let depth = stated.unwrap_or_else(|| {
        if cannot_reorder(sps) {
            0
        } else {
            GUESSED_REORDER_DEPTH
        }
    });
    u8::try_from(depth.min(MAX_DPB_FRAMES)).expect("at most 16")
}

/// Streams whose output order is their decoding order by rule.
fn cannot_reorder(sps: &SeqParameterSet) -> bool {
    const BASELINE: u8 = 66;
    let profile = u8::from(sps.profile_idc);
    let is_baseline = profile == BASELINE || sps.constraint_flags.flag0();
    // constraint_set3_flag marks the intra profiles among these (section A.2.8 and on).
    let is_intra =
        matches!(profile, 44 | 86 | 100 | 110 | 122 | 244) && sps.constraint_flags.flag3();
    // A picture that looks both ways needs two references.
    let has_one_reference = sps.max_num_ref_frames <= 1;
    is_baseline || is_intra || has_one_reference || sps.pic_order_cnt == PicOrderCntType::TypeTwo
}
