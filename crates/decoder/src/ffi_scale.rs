//! swscale from and to memory of our own.
#![expect(unsafe_code, reason = "swscale takes raw pointers to planes")]

use crate::planes::{Canvas, Planes};
use ffmpeg_next::ffi::sws_scale;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::software::scaling::{Context, Flags};
use std::ffi::c_int;

/// Scales pictures of one size and format to another, and to 8-bit 4:2:0 or grey. Range and matrix stay
/// as they are: source and destination have the same for swscale.
pub(crate) struct Scaler {
    context: Context,
}

impl Scaler {
    /// `None` if swscale cannot do that.
    pub(crate) fn new(
        from: (Pixel, u32, u32),
        to: (Pixel, u32, u32),
        flags: Flags,
    ) -> Option<Self> {
        let context = Context::get(from.0, from.1, from.2, to.0, to.1, to.2, flags).ok()?;
        Some(Self { context })
    }

    /// Scales planes into a canvas; `None` if they are not what the scaler was made for.
    pub(crate) fn run(&mut self, source: Planes<'_>, canvas: &mut Canvas) -> Option<()> {
        let input = *self.context.input();
        if (input.format, input.width, input.height)
            != (
                planar(source.chroma.is_none()),
                source.width(),
                source.height(),
            )
        {
            return None;
        }
        let mut data = [
            source.luma.bytes.as_ptr(),
            std::ptr::null(),
            std::ptr::null(),
            std::ptr::null(),
        ];
        let mut strides = [c_int::try_from(source.luma.stride).ok()?, 0, 0, 0];
        if let Some(chroma) = source.chroma {
            for (index, plane) in chroma.iter().enumerate() {
                data[index + 1] = plane.bytes.as_ptr();
                strides[index + 1] = c_int::try_from(plane.stride).ok()?;
            }
        }
        // SAFETY: the planes have `input.height` rows (chroma half of that) of `input.width` samples at
        // these strides, as the comparison above and the invariant of `Planes` say.
        unsafe { self.scale(data, strides, canvas) }
    }

    /// Scales a picture of any format into a canvas; `None` if it is not what the scaler was made for.
    pub(crate) fn run_picture(&mut self, source: &Video, canvas: &mut Canvas) -> Option<()> {
        let input = *self.context.input();
        if (input.format, input.width, input.height)
            != (source.format(), source.width(), source.height())
        {
            return None;
        }
        // SAFETY: `source` owns a valid AVFrame.
        let (data, strides) = unsafe { ((*source.as_ptr()).data, (*source.as_ptr()).linesize) };
        if data[0].is_null() {
            return None;
        }
        let data = [0, 1, 2, 3].map(|index| data[index].cast_const());
        let strides = [0, 1, 2, 3].map(|index| strides[index]);
        // SAFETY: the frame has the format and size that the scaler was made for.
        unsafe { self.scale(data, strides, canvas) }
    }

    /// # Safety
    ///
    /// `data` and `strides` describe a picture of the scaler's input format and size.
    unsafe fn scale(
        &mut self,
        data: [*const u8; 4],
        strides: [c_int; 4],
        canvas: &mut Canvas,
    ) -> Option<()> {
        let (input, output) = (*self.context.input(), *self.context.output());
        let (width, height) = (
            usize::try_from(output.width).ok()?,
            usize::try_from(output.height).ok()?,
        );
        canvas.shape(width, height, output.format == Pixel::GRAY8);
        let is_grey = canvas.is_grey();
        let mut target = [std::ptr::null_mut(); 4];
        let mut target_strides = [0; 4];
        let planes = canvas
            .planes_mut()
            .into_iter()
            .take(if is_grey { 1 } else { 3 });
        for (index, (plane, stride)) in planes.enumerate() {
            target[index] = plane.as_mut_ptr();
            target_strides[index] = c_int::try_from(stride).ok()?;
        }
        let height = c_int::try_from(input.height).ok()?;
        // SAFETY: the source is as the caller promises; the canvas was shaped for the output's format
        // and size, with rows rounded up to what swscale may write; the context is valid.
        let rows = unsafe {
            sws_scale(
                self.context.as_mut_ptr(),
                data.as_ptr(),
                strides.as_ptr(),
                0,
                height,
                target.as_ptr(),
                target_strides.as_ptr(),
            )
        };
        (rows >= 0).then_some(())
    }
}

/// FFmpeg's name for what a canvas holds.
pub(crate) const fn planar(is_grey: bool) -> Pixel {
    if is_grey {
        Pixel::GRAY8
    } else {
        Pixel::YUV420P
    }
}
