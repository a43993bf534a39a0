//! libwebp's encoder.
#![expect(unsafe_code, reason = "libwebp is a C library")]

use crate::planes::Plane;
use libwebp_sys::{WebPConfig, WebPEncode, WebPPicture};
use std::ffi::c_int;

/// Longest side of a WebP picture (RFC 9649 section 2.3).
const MAX_SIDE: usize = 16_383;

/// Encodes planes of 4:2:0 in WebP's colours at a quality of 1 to 100; `None` if libwebp refuses, for
/// want of memory or because a side is too long.
///
/// Method 2 of 0 to 6: three times as fast as the default for files a few per cent larger.
pub(crate) fn encode(luma: Plane<'_>, chroma: [Plane<'_>; 2], quality: u8) -> Option<Vec<u8>> {
    if luma.width > MAX_SIDE || luma.height > MAX_SIDE || !matches(luma, chroma) {
        return None;
    }
    let mut config = WebPConfig::new().ok()?;
    config.quality = f32::from(quality);
    config.method = 2;
    let mut picture = WebPPicture::new().ok()?;
    let mut file: Vec<u8> = Vec::new();
    picture.width = c_int::try_from(luma.width).ok()?;
    picture.height = c_int::try_from(luma.height).ok()?;
    picture.y = luma.bytes.as_ptr().cast_mut();
    picture.u = chroma[0].bytes.as_ptr().cast_mut();
    picture.v = chroma[1].bytes.as_ptr().cast_mut();
    picture.y_stride = c_int::try_from(luma.stride).ok()?;
    picture.uv_stride = c_int::try_from(chroma[0].stride).ok()?;
    picture.writer = Some(append);
    picture.custom_ptr = (&raw mut file).cast();
    // SAFETY: both structures are initialised. The planes have the sizes that `matches` checks, and
    // without alpha the encoder only reads them. `append` gets back the vector that it expects, which
    // outlives the call. Nothing in `picture` was allocated by libwebp.
    let is_done = unsafe { WebPEncode(&raw const config, &raw mut picture) };
    (is_done != 0).then_some(file)
}

/// Whether chroma planes are those of 4:2:0 for this luma, with one stride.
fn matches(luma: Plane<'_>, chroma: [Plane<'_>; 2]) -> bool {
    chroma[0].stride == chroma[1].stride
        && chroma.iter().all(|plane| {
            (plane.width, plane.height) == (luma.width.div_ceil(2), luma.height.div_ceil(2))
        })
}

/// Takes a piece of the file.
///
/// # Safety
///
/// Called by libwebp only, with `size` readable bytes at `data`, and the picture that `encode` made.
unsafe extern "C" fn append(data: *const u8, size: usize, picture: *const WebPPicture) -> c_int {
    // SAFETY: as the caller promises; `custom_ptr` is the vector of `encode`, borrowed by nobody else
    // while libwebp runs.
    unsafe {
        let file = &mut *(*picture).custom_ptr.cast::<Vec<u8>>();
        file.extend_from_slice(std::slice::from_raw_parts(data, size));
    }
    1
}
