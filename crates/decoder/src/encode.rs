//! From planes to files, and to raw pixels.

use crate::colour::{self, Conversion, Encoding, JFIF, WEBP};
use crate::ffi_shared::SharedMemory;
use crate::ffi_webp;
use crate::planes::{Canvas, Planes};
use crate::rgb;
use framewell_decode::PictureFormat;
use framewell_decode::protocol::wire::{Failure, MAX_PAYLOAD, SharedRange};
use turbojpeg::{Compressor, OutputBuf, OwnedBuf, Subsamp, YuvPlanesImage};

/// Quality below which a picture gets smaller instead of worse.
const LOWEST_QUALITY: u8 = 25;

/// A file or raw pixels, where they are.
pub(crate) enum Payload {
    Jpeg(OwnedBuf),
    Bytes(Vec<u8>),
    /// In the memory that the pool reads.
    Shared(SharedRange),
}

impl Payload {
    /// What goes over the socket.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Jpeg(file) => file,
            Self::Bytes(bytes) => bytes,
            Self::Shared(_) => &[],
        }
    }

    pub(crate) const fn shared(&self) -> Option<SharedRange> {
        match self {
            Self::Shared(range) => Some(*range),
            Self::Jpeg(_) | Self::Bytes(_) => None,
        }
    }
}

/// What came of trying to stay within a number of bytes.
pub(crate) enum Outcome {
    Fits(PictureFormat, Payload),
    /// The smallest that can be done at this size.
    TooBig(usize),
}

/// Makes files; keeps its buffers from one to the next.
pub(crate) struct Encoder {
    compressor: Compressor,
    converted: Canvas,
    rgb: Vec<u8>,
    /// Where raw pictures go.
    pub(crate) shared: Option<SharedMemory>,
}

impl Encoder {
    pub(crate) fn new(shared: Option<SharedMemory>) -> turbojpeg::Result<Self> {
        Ok(Self {
            shared,
            compressor: Compressor::new()?,
            converted: Canvas::default(),
            rgb: Vec::new(),
        })
    }

    /// The file in this format, of at most `limit` bytes if there is a way by quality alone.
    pub(crate) fn encode(
        &mut self,
        planes: Planes<'_>,
        encoding: Encoding,
        format: PictureFormat,
        limit: usize,
    ) -> Result<Outcome, Failure> {
        let failed = || {
            Failure::Invalid(format!(
                "encoding {}x{} failed",
                planes.width(),
                planes.height()
            ))
        };
        match format {
            PictureFormat::Jpeg { quality } => {
                let source = in_colours(planes, encoding, JFIF, &mut self.converted);
                let compressor = &mut self.compressor;
                best(quality, limit, |quality| {
                    let file = jpeg(compressor, source, quality).map(Payload::Jpeg);
                    Ok((PictureFormat::Jpeg { quality }, file.ok_or_else(failed)?))
                })
            }
            PictureFormat::WebP { quality } => {
                let source = in_colours(planes, encoding, WEBP, &mut self.converted);
                best(quality, limit, |quality| {
                    let file = source
                        .chroma
                        .and_then(|chroma| ffi_webp::encode(source.luma, chroma, quality));
                    let file = file.map(Payload::Bytes).ok_or_else(failed)?;
                    Ok((PictureFormat::WebP { quality }, file))
                })
            }
            PictureFormat::Png => {
                let file = self.png(planes, encoding).map_err(|_| failed())?;
                Ok(outcome((format, Payload::Bytes(file)), limit))
            }
            PictureFormat::Nv12 | PictureFormat::Rgb24 => {
                let payload = self.raw(planes, encoding, format)?;
                Ok(Outcome::Fits(format, payload))
            }
        }
    }

    /// Straight into shared memory if there is room.
    fn raw(
        &mut self,
        planes: Planes<'_>,
        encoding: Encoding,
        format: PictureFormat,
    ) -> Result<Payload, Failure> {
        let len = raw_len(planes, format);
        if let Some((range, to)) = self.shared.as_mut().and_then(|shared| shared.take(len)) {
            write_raw(planes, encoding, format, to);
            return Ok(Payload::Shared(range));
        }
        if len > MAX_PAYLOAD {
            let text = format!("raw pixels of {len} bytes are more than {MAX_PAYLOAD}");
            return Err(Failure::Invalid(text));
        }
        let mut pixels = vec![0; len];
        write_raw(planes, encoding, format, &mut pixels);
        Ok(Payload::Bytes(pixels))
    }

    fn png(
        &mut self,
        planes: Planes<'_>,
        encoding: Encoding,
    ) -> Result<Vec<u8>, png::EncodingError> {
        self.rgb.resize(raw_len(planes, PictureFormat::Rgb24), 0);
        rgb::write(planes, encoding, &mut self.rgb);
        let mut file = Vec::with_capacity(self.rgb.len() / 2);
        let mut encoder = png::Encoder::new(&mut file, planes.width(), planes.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        writer.finish()?;
        Ok(file)
    }
}

/// Bytes of raw pixels.
pub(crate) fn raw_len(planes: Planes<'_>, format: PictureFormat) -> usize {
    let (width, height) = (planes.luma.width, planes.luma.height);
    match format {
        PictureFormat::Rgb24 => width * height * 3,
        _ => width * height + width.div_ceil(2) * height.div_ceil(2) * 2,
    }
}

/// Writes raw pixels; `to` has [`raw_len`] bytes.
pub(crate) fn write_raw(
    planes: Planes<'_>,
    encoding: Encoding,
    format: PictureFormat,
    to: &mut [u8],
) {
    if format == PictureFormat::Rgb24 {
        return rgb::write(planes, encoding, to);
    }
    let width = planes.luma.width;
    let (luma, chroma) = to.split_at_mut(width * planes.luma.height);
    for (to, from) in luma.chunks_exact_mut(width).zip(planes.luma.rows()) {
        to.copy_from_slice(from);
    }
    let Some([cb, cr]) = planes.chroma else {
        return chroma.fill(128);
    };
    let rows = chroma.chunks_exact_mut(width.div_ceil(2) * 2);
    for (to, (cb, cr)) in rows.zip(cb.rows().zip(cr.rows())) {
        for (to, (cb, cr)) in to.as_chunks_mut::<2>().0.iter_mut().zip(cb.iter().zip(cr)) {
            *to = [*cb, *cr];
        }
    }
}

/// The picture in the colours of a file format, with chroma and even rows and columns.
fn in_colours<'a>(
    planes: Planes<'a>,
    from: Encoding,
    to: Encoding,
    canvas: &'a mut Canvas,
) -> Planes<'a> {
    let is_even = planes.luma.width.is_multiple_of(2) && planes.luma.height.is_multiple_of(2);
    let conversion = Conversion::between(from, to);
    if conversion.is_none() && is_even && planes.chroma.is_some() {
        return planes;
    }
    let conversion = conversion.unwrap_or_else(Conversion::identity);
    colour::convert(planes, &conversion, canvas);
    canvas.planes()
}

/// `planes` may be odd if they are those of a canvas that was made even.
fn jpeg(compressor: &mut Compressor, planes: Planes<'_>, quality: u8) -> Option<OwnedBuf> {
    let [cb, cr] = planes.chroma?;
    let image = YuvPlanesImage {
        y_plane: planes.luma.bytes,
        u_plane: cb.bytes,
        v_plane: cr.bytes,
        width: planes.luma.width,
        height: planes.luma.height,
        y_stride: planes.luma.stride,
        u_stride: cb.stride,
        v_stride: cr.stride,
        subsamp: Subsamp::Sub2x2,
    };
    compressor.set_quality(i32::from(quality)).ok()?;
    let mut file = OutputBuf::new_owned();
    compressor.compress_yuv_planes(&image, &mut file).ok()?;
    Some(file.into_owned())
}

type Encoded = (PictureFormat, Payload);

/// The file of the highest quality up to `asked` that fits, or nearly: the search ends when nine tenths
/// of the limit are used.
fn best(
    asked: u8,
    limit: usize,
    mut encode: impl FnMut(u8) -> Result<Encoded, Failure>,
) -> Result<Outcome, Failure> {
    let first = outcome(encode(asked)?, limit);
    let mut low = LOWEST_QUALITY.min(asked);
    if matches!(first, Outcome::Fits(..)) || low == asked {
        return Ok(first);
    }
    let mut found = encode(low)?;
    let mut high = asked;
    let enough = limit - limit / 10;
    while found.1.bytes().len() < enough && high - low > 1 {
        let middle = low + (high - low) / 2;
        let file = encode(middle)?;
        if file.1.bytes().len() <= limit {
            (low, found) = (middle, file);
        } else {
            high = middle;
        }
    }
    Ok(outcome(found, limit))
}

fn outcome((format, payload): Encoded, limit: usize) -> Outcome {
    match payload.bytes().len() {
        len if len <= limit => Outcome::Fits(format, payload),
        len => Outcome::TooBig(len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planes::tests::numbered;

    #[test]
    fn nv12_is_luma_then_pairs_of_chroma_rounded_up() {
        let canvas = numbered(3, 3);
        let planes = canvas.planes();
        let mut pixels = vec![7; raw_len(planes, PictureFormat::Nv12)];
        write_raw(planes, JFIF, PictureFormat::Nv12, &mut pixels);
        let luma = [0, 1, 2, 16, 17, 18, 32, 33, 34];
        let chroma = [0, 255, 1, 254, 16, 239, 17, 238];
        assert_eq!(pixels, [&luma[..], &chroma].concat());
        let grey = Planes {
            chroma: None,
            ..planes
        };
        write_raw(grey, JFIF, PictureFormat::Nv12, &mut pixels);
        assert_eq!(pixels[9..], [128; 8]);
    }

    /// A file has as many bytes as its quality times ten.
    fn ten_times(quality: u8) -> Result<Encoded, Failure> {
        let payload = Payload::Bytes(vec![0; usize::from(quality) * 10]);
        Ok((PictureFormat::Jpeg { quality }, payload))
    }

    #[test]
    fn quality_goes_down_as_far_as_it_must() {
        let quality = |asked, limit| match best(asked, limit, ten_times).unwrap() {
            Outcome::Fits(PictureFormat::Jpeg { quality }, _) => Ok(quality),
            Outcome::Fits(..) => panic!("another format"),
            Outcome::TooBig(len) => Err(len),
        };
        assert_eq!(quality(80, 800), Ok(80));
        let found = quality(80, 600).unwrap();
        assert!((54..=60).contains(&found), "{found}");
        assert_eq!(quality(80, 250), Ok(25));
        assert_eq!(quality(80, 249), Err(250));
        assert_eq!(quality(10, 99), Err(100));
    }
}
