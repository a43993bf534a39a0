//! From a decoded picture to a finished file: scale, colours, JPEG.

use crate::colour::{Canvas, Conversion, Encoding};
use crate::decoded::Decoded;
use crate::ffi::{self, Plane};
use crate::size::output_size;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::software::scaling::{Context as Scaler, Flags};
use framewell_decode::protocol::wire::Failure;
use framewell_decode::{Output, PictureFormat};
use turbojpeg::{Compressor, OutputBuf, OwnedBuf, Subsamp, YuvPlanesImage};

/// A finished file.
pub(crate) struct File {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bytes: OwnedBuf,
}

/// Finishes pictures; keeps its scaler and buffers from one to the next.
pub(crate) struct Finisher {
    compressor: Compressor,
    scaler: Option<(Scaler, Flags)>,
    canvas: Canvas,
}

impl Finisher {
    pub(crate) fn new() -> turbojpeg::Result<Self> {
        Ok(Self {
            compressor: Compressor::new()?,
            scaler: None,
            canvas: Canvas::default(),
        })
    }

    /// Makes the file.
    pub(crate) fn finish(&mut self, decoded: &Decoded, output: &Output) -> Result<File, Failure> {
        let picture = &decoded.frame;
        let source = (picture.width(), picture.height());
        let size = output_size(source, output).map_err(Failure::Invalid)?;
        let encoding = decoded.encoding()?;
        let planar = planar(picture.format());
        if size == source && planar == picture.format() {
            return self.compress(picture, encoding, output);
        }
        let scaled = self.scale(picture, planar, size)?;
        self.compress(&scaled, encoding, output)
    }

    /// Scales, and converts to 8-bit 4:2:0 or grey, without touching range or matrix: source and
    /// destination have the same for swscale.
    fn scale(
        &mut self,
        picture: &Video,
        format: Pixel,
        size: (u32, u32),
    ) -> Result<Video, Failure> {
        let shrinks = size.0 <= picture.width() && size.1 <= picture.height();
        let kernel = if shrinks { Flags::AREA } else { Flags::BICUBIC };
        let flags = kernel | Flags::ACCURATE_RND;
        let (width, height) = size;
        let fits = |(scaler, used): &(Scaler, Flags)| {
            let (from, to) = (scaler.input(), scaler.output());
            (from.format, from.width, from.height)
                == (picture.format(), picture.width(), picture.height())
                && (to.format, to.width, to.height) == (format, width, height)
                && *used == flags
        };
        let failed = |error| Failure::Invalid(format!("scaling to {width}x{height}: {error}"));
        let mut scaler = match self.scaler.take().filter(fits) {
            Some((scaler, _)) => scaler,
            None => Scaler::get(
                picture.format(),
                picture.width(),
                picture.height(),
                format,
                width,
                height,
                flags,
            )
            .map_err(failed)?,
        };
        let mut scaled = Video::empty();
        scaler.run(picture, &mut scaled).map_err(failed)?;
        self.scaler = Some((scaler, flags));
        Ok(scaled)
    }

    fn compress(
        &mut self,
        picture: &Video,
        encoding: Encoding,
        output: &Output,
    ) -> Result<File, Failure> {
        let missing = || Failure::Bitstream("the picture has no samples".into());
        let luma = ffi::plane(picture, 0).ok_or_else(missing)?;
        let chroma = match picture.format() {
            Pixel::GRAY8 => None,
            _ => Some([
                ffi::plane(picture, 1).ok_or_else(missing)?,
                ffi::plane(picture, 2).ok_or_else(missing)?,
            ]),
        };
        let PictureFormat::Jpeg { quality } = output.format else {
            let name = output.format.name();
            return Err(Failure::Invalid(format!(
                "format {name} is not supported yet"
            )));
        };
        let (width, height) = (luma.width, luma.height);
        let is_even = width % 2 == 0 && height % 2 == 0;
        let conversion = Conversion::to_jfif(encoding);
        let image = match (chroma, conversion) {
            (Some([cb, cr]), None) if is_even => yuv(luma, cb, cr),
            (chroma, conversion) => {
                let conversion = conversion.unwrap_or_else(Conversion::identity);
                self.canvas.fill(luma, chroma, &conversion);
                canvas_image(&self.canvas, width, height)
            }
        };
        let failed = |error| Failure::Invalid(format!("encoding {width}x{height}: {error}"));
        self.compressor
            .set_quality(i32::from(quality))
            .map_err(failed)?;
        let mut file = OutputBuf::new_owned();
        self.compressor
            .compress_yuv_planes(&image, &mut file)
            .map_err(failed)?;
        Ok(File {
            width: picture.width(),
            height: picture.height(),
            bytes: file.into_owned(),
        })
    }
}

fn yuv<'a>(luma: Plane<'a>, cb: Plane<'a>, cr: Plane<'a>) -> YuvPlanesImage<&'a [u8]> {
    YuvPlanesImage {
        y_plane: luma.bytes,
        u_plane: cb.bytes,
        v_plane: cr.bytes,
        width: luma.width,
        height: luma.height,
        y_stride: luma.stride,
        u_stride: cb.stride,
        v_stride: cr.stride,
        subsamp: Subsamp::Sub2x2,
    }
}

fn canvas_image(canvas: &Canvas, width: usize, height: usize) -> YuvPlanesImage<&[u8]> {
    YuvPlanesImage {
        y_plane: &canvas.luma,
        u_plane: &canvas.cb,
        v_plane: &canvas.cr,
        width,
        height,
        y_stride: canvas.stride,
        u_stride: canvas.stride / 2,
        v_stride: canvas.stride / 2,
        subsamp: Subsamp::Sub2x2,
    }
}

/// The format to finish from.
fn planar(format: Pixel) -> Pixel {
    match format {
        Pixel::GRAY8 | Pixel::GRAY10LE | Pixel::GRAY12LE => Pixel::GRAY8,
        _ => Pixel::YUV420P,
    }
}
