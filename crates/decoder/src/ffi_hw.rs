//! Hardware decoders through FFmpeg.
#![expect(
    unsafe_code,
    reason = "ffmpeg-next has no functions for hardware devices"
)]

use ffmpeg_next::Error;
use ffmpeg_next::codec::Context;
use ffmpeg_next::ffi::{
    AVBufferRef, AVCodecContext, AVHWDeviceType, AVPixelFormat, av_buffer_ref, av_buffer_unref,
    av_frame_copy_props, av_hwdevice_ctx_create, av_hwframe_transfer_data,
    avcodec_default_get_format,
};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use framewell_decode::protocol::setup::Hwaccel;
use std::ffi::{CString, c_int};

/// An open device; decoders that use it keep a reference of their own.
pub(crate) struct HwDevice {
    reference: *mut AVBufferRef,
}

impl HwDevice {
    /// Opens the device, or the first one if none is named; `None` if no hardware is asked for.
    pub(crate) fn open(hwaccel: Hwaccel, device: Option<&str>) -> Result<Option<Self>, String> {
        let kind = match hwaccel {
            Hwaccel::None => return Ok(None),
            Hwaccel::Vaapi => AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI,
            Hwaccel::Cuda => AVHWDeviceType::AV_HWDEVICE_TYPE_CUDA,
        };
        let name = device.map(CString::new).transpose();
        let name = name.map_err(|_| "the device's name has a zero byte".to_owned())?;
        let name = name.as_ref().map_or(std::ptr::null(), |name| name.as_ptr());
        let mut reference = std::ptr::null_mut();
        // SAFETY: `reference` is a place for the result; `name` is null or a string that lives on; no
        // options, no flags.
        let result = unsafe {
            av_hwdevice_ctx_create(&raw mut reference, kind, name, std::ptr::null_mut(), 0)
        };
        if result < 0 {
            let device = device.unwrap_or("the default device");
            return Err(format!("{hwaccel} on {device}: {}", Error::from(result)));
        }
        Ok(Some(Self { reference }))
    }

    /// Has a decoder that is not open yet use the device for streams that it can decode.
    pub(crate) fn attach(&self, context: &mut Context) {
        // SAFETY: the reference is valid; the context is valid and owns the new reference from here on.
        unsafe {
            let context = context.as_mut_ptr();
            (*context).hw_device_ctx = av_buffer_ref(self.reference);
            (*context).get_format = Some(choose);
        }
    }
}

impl Drop for HwDevice {
    fn drop(&mut self) {
        // SAFETY: the reference is valid and ours.
        unsafe { av_buffer_unref(&raw mut self.reference) };
    }
}

/// The hardware's format where the decoder offers it, else what software would use. FFmpeg asks again
/// without the first if the hardware refuses the stream.
///
/// # Safety
///
/// Called by FFmpeg only, with a list that ends with `AV_PIX_FMT_NONE`.
unsafe extern "C" fn choose(
    context: *mut AVCodecContext,
    formats: *const AVPixelFormat,
) -> AVPixelFormat {
    let mut next = formats;
    // SAFETY: as the caller promises.
    unsafe {
        while *next != AVPixelFormat::AV_PIX_FMT_NONE {
            if matches!(
                *next,
                AVPixelFormat::AV_PIX_FMT_VAAPI | AVPixelFormat::AV_PIX_FMT_CUDA
            ) {
                return *next;
            }
            next = next.add(1);
        }
        avcodec_default_get_format(context, formats)
    }
}

/// The picture in system memory: copied there if the hardware has it.
pub(crate) fn in_system_memory(picture: Video) -> Result<Video, Error> {
    if !matches!(picture.format(), Pixel::VAAPI | Pixel::CUDA) {
        return Ok(picture);
    }
    let mut copy = Video::empty();
    // SAFETY: both frames are valid; FFmpeg allocates the planes of the empty one.
    let result: c_int = unsafe {
        match av_hwframe_transfer_data(copy.as_mut_ptr(), picture.as_ptr(), 0) {
            0 => av_frame_copy_props(copy.as_mut_ptr(), picture.as_ptr()),
            error => error,
        }
    };
    if result < 0 {
        return Err(Error::from(result));
    }
    Ok(copy)
}
