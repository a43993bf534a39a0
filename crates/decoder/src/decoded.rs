//! A decoded picture.

use crate::colour::{Encoding, Matrix};
use ffmpeg_next::color::{Range, Space};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use framewell_decode::protocol::wire::Failure;

/// A picture that a decoder gave out.
pub(crate) struct Decoded {
    /// Its planes; never in one of FFmpeg's old full-range formats, see [`Decoded::encoding`].
    pub(crate) frame: Video,
    /// Presentation time.
    pub(crate) pts: i64,
    /// What its samples mean, or why that is unknown.
    encoding: Result<Encoding, String>,
}

impl Decoded {
    pub(crate) fn new(mut frame: Video) -> Self {
        let encoding = encoding(&frame);
        frame.set_format(without_range(frame.format()));
        Self {
            pts: frame.pts().unwrap_or(i64::MIN),
            encoding,
            frame,
        }
    }

    pub(crate) fn encoding(&self) -> Result<Encoding, Failure> {
        self.encoding.clone().map_err(Failure::Bitstream)
    }
}

/// FFmpeg's old full-range formats are the plain ones with a note. swscale would take the note as an
/// order to convert.
fn without_range(format: Pixel) -> Pixel {
    match format {
        Pixel::YUVJ420P => Pixel::YUV420P,
        Pixel::YUVJ422P => Pixel::YUV422P,
        Pixel::YUVJ444P => Pixel::YUV444P,
        Pixel::YUVJ440P => Pixel::YUV440P,
        other => other,
    }
}

/// What the picture's samples mean. A stream that does not say has limited range and the BT.601
/// matrix, which is what FFmpeg's own tools, OpenCV and PyAV assume.
fn encoding(picture: &Video) -> Result<Encoding, String> {
    let has_full_format = without_range(picture.format()) != picture.format();
    let matrix = match picture.color_space() {
        Space::Unspecified | Space::Reserved | Space::BT470BG | Space::SMPTE170M => Matrix::BT601,
        Space::BT709 => Matrix::BT709,
        Space::BT2020NCL | Space::BT2020CL => Matrix::BT2020,
        Space::SMPTE240M => Matrix::SMPTE240M,
        Space::FCC => Matrix::FCC,
        // swscale makes limited-range BT.601 of RGB planes.
        Space::RGB if is_rgb(picture.format()) => {
            return Ok(Encoding {
                is_full_range: false,
                matrix: Matrix::BT601,
            });
        }
        other => {
            let name = other.name().unwrap_or("unknown");
            return Err(format!("colour matrix {name} is not supported"));
        }
    };
    Ok(Encoding {
        is_full_range: has_full_format || picture.color_range() == Range::JPEG,
        matrix,
    })
}

fn is_rgb(format: Pixel) -> bool {
    matches!(format, Pixel::GBRP | Pixel::GBRP10LE | Pixel::GBRP12LE)
}
