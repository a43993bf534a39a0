//! The few things that `ffmpeg-next` has no safe function for. All `unsafe` of the house is here.
#![expect(
    unsafe_code,
    reason = "codec parameters and picture planes are raw memory of FFmpeg's libraries"
)]

use crate::ffi_hw::HwDevice;
use crate::planes::{Plane, Planes};
use ffmpeg_next::codec::{self, Id, Parameters, threading};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Error, ffi, frame, media};
use framewell_media::VideoCodec;

/// Most pixels of a picture; a decoder refuses more before it allocates anything.
const MAX_PIXELS: i64 = 8192 * 8192;

/// The decoder for a configuration record (`avcC` or `hvcC`), one thread.
///
/// `reorder_depth` keeps the H.264 decoder from dropping B pictures at the start of streams whose
/// parameter sets do not state their reordering.
pub(crate) fn open_decoder(
    codec: VideoCodec,
    config: &[u8],
    reorder_depth: u8,
    device: Option<&HwDevice>,
) -> Result<codec::decoder::Video, Error> {
    let mut parameters = Parameters::new();
    parameters.set_medium(media::Type::Video);
    parameters.set_id(match codec {
        VideoCodec::H264 => Id::H264,
        VideoCodec::H265 => Id::HEVC,
    });
    set_extradata(&mut parameters, config)?;
    // SAFETY: `parameters` owns a valid AVCodecParameters, and nobody else has a pointer to it.
    unsafe { (*parameters.as_mut_ptr()).video_delay = i32::from(reorder_depth) };
    let mut context = codec::Context::from_parameters(parameters)?;
    context.set_threading(threading::Config {
        count: 1,
        ..threading::Config::default()
    });
    // SAFETY: `context` owns a valid AVCodecContext that is not open yet.
    unsafe { (*context.as_mut_ptr()).max_pixels = MAX_PIXELS };
    if let Some(device) = device {
        device.attach(&mut context);
    }
    context.decoder().video()
}

pub(crate) fn set_extradata(parameters: &mut Parameters, config: &[u8]) -> Result<(), Error> {
    const PADDING: usize = ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
    let size = i32::try_from(config.len()).map_err(|_| Error::InvalidData)?;
    // SAFETY: a plain allocation; null is checked below.
    let copy: *mut u8 = unsafe { ffi::av_mallocz(config.len() + PADDING) }.cast();
    if copy.is_null() {
        return Err(Error::Other {
            errno: ffmpeg_next::error::ENOMEM,
        });
    }
    // SAFETY: `copy` has room for `config` and the zeroed padding that FFmpeg asks for; `parameters`
    // is valid, has no extradata yet, and frees this with av_free when it goes.
    unsafe {
        copy.copy_from_nonoverlapping(config.as_ptr(), config.len());
        let parameters = parameters.as_mut_ptr();
        (*parameters).extradata = copy;
        (*parameters).extradata_size = size;
    }
    Ok(())
}

/// The planes of a picture of 8-bit 4:2:0 or grey samples; `None` for any other, and for one without
/// samples.
pub(crate) fn planes(picture: &frame::Video) -> Option<Planes<'_>> {
    Some(Planes {
        luma: plane(picture, 0)?,
        chroma: match picture.format() {
            Pixel::GRAY8 => None,
            _ => Some([plane(picture, 1)?, plane(picture, 2)?]),
        },
    })
}

fn plane(picture: &frame::Video, index: usize) -> Option<Plane<'_>> {
    let is_8_bit = matches!(picture.format(), Pixel::YUV420P | Pixel::GRAY8);
    if !is_8_bit || index >= picture.planes() {
        return None;
    }
    let width = usize::try_from(picture.plane_width(index)).ok()?;
    let height = usize::try_from(picture.plane_height(index)).ok()?;
    // SAFETY: `picture` owns a valid AVFrame.
    let (data, stride) = unsafe {
        let frame = picture.as_ptr();
        ((*frame).data[index], (*frame).linesize[index])
    };
    let stride = usize::try_from(stride)
        .ok()
        .filter(|stride| *stride >= width)?;
    if data.is_null() || width == 0 {
        return None;
    }
    let len = stride
        .checked_mul(height.checked_sub(1)?)?
        .checked_add(width)?;
    // SAFETY: FFmpeg allocates at least `stride` bytes for each row but the last, and `width` bytes
    // for that one; the memory lives as long as the frame is not written or released, which the
    // borrow of `picture` prevents.
    let bytes = unsafe { std::slice::from_raw_parts(data, len) };
    Some(Plane {
        bytes,
        stride,
        width,
        height,
    })
}

/// Whether pictures of this format take at most one and a half bytes a pixel; unknown ones do not.
pub(crate) fn has_small_samples(format: Pixel) -> bool {
    matches!(
        format,
        Pixel::None | Pixel::YUV420P | Pixel::YUVJ420P | Pixel::GRAY8
    )
}

/// Versions of the libraries, for the log.
pub(crate) fn libraries() -> String {
    let text = |version: u32| {
        format!(
            "{}.{}.{}",
            version >> 16,
            (version >> 8) & 255,
            version & 255
        )
    };
    format!(
        "libavcodec {} libswscale {}",
        text(codec::version()),
        text(ffmpeg_next::software::scaling::version())
    )
}
