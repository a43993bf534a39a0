//! A decoded picture.

use crate::colour::{Encoding, Matrix};
use crate::orientation::Orientation;
use ffmpeg_next::color::{Range, Space};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::frame::side_data::Type as SideData;
use framewell_decode::protocol::wire::Failure;
use std::sync::atomic::{AtomicU64, Ordering};

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// A picture that a decoder gave out.
pub(crate) struct Decoded {
    /// Its planes; never in one of FFmpeg's old full-range formats, see [`Decoded::encoding`].
    pub(crate) frame: Video,
    /// Presentation time.
    pub(crate) pts: i64,
    /// No other picture of this process has it.
    pub(crate) serial: u64,
    /// How it is turned upright.
    pub(crate) orientation: Orientation,
    /// What its samples mean, or why that is unknown.
    encoding: Result<Encoding, String>,
}

impl Decoded {
    /// A picture that does not say how it is turned is turned as the one before it, up to the next key
    /// frame: FFmpeg's H.264 decoder tells it only with pictures whose sample has the SEI message, which
    /// holds until the next sequence starts.
    pub(crate) fn new(mut frame: Video, before: Orientation) -> Self {
        let encoding = encoding(&frame);
        let matrix = frame.side_data(SideData::DisplayMatrix);
        let orientation = matrix.and_then(|matrix| Orientation::from_matrix(matrix.data()));
        let inherited = if frame.is_key() {
            Orientation::default()
        } else {
            before
        };
        frame.set_format(without_range(frame.format()));
        Self {
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            pts: frame.pts().unwrap_or(i64::MIN),
            orientation: orientation.unwrap_or(inherited),
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
