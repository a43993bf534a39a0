//! Pictures encoded as H.264, by libx264 through libavcodec.

use crate::planes::Planes;
use bytes::Bytes;
use ffmpeg_next::codec::packet::Packet;
use ffmpeg_next::codec::{context, encoder};
use ffmpeg_next::color::{Range, Space};
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Dictionary, Error, Rational};
use framewell_decode::Coded;
use framewell_decode::protocol::wire::Failure;

/// The encoder's name in libavcodec.
const ENCODER: &str = "libx264";
/// Fast enough for a few streams at once on one core, at a quality that shows no loss beside the source.
const PRESET: &str = "veryfast";
const CRF: &str = "21";
/// What the encoder reckons with; true times are those of the pictures. The same for all pieces of a clip,
/// as it is written into the parameter sets.
const NOMINAL_RATE: i32 = 25;
/// Ticks of times in a second.
const TIMESCALE: i32 = 90_000;
/// More than a job has: only what changes entirely gets another key picture.
const LONGEST_GOP: u32 = 1_000;

/// Whether this build of libavcodec has the encoder.
pub(crate) fn is_available() -> bool {
    encoder::find_by_name(ENCODER).is_some()
}

/// How colours are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colours {
    pub(crate) is_full_range: bool,
    pub(crate) space: Space,
}

/// One encoder for the pictures of one job.
pub(crate) struct Encoder {
    encoder: encoder::video::Encoder,
    picture: Video,
}

impl Encoder {
    /// Of pictures of this size, which is even.
    pub(crate) fn open(width: u32, height: u32, colours: Colours) -> Result<Self, Failure> {
        let codec = encoder::find_by_name(ENCODER)
            .ok_or_else(|| Failure::Invalid(format!("there is no encoder {ENCODER} here")))?;
        let failed = |error: Error| {
            Failure::Invalid(format!(
                "video of {width}x{height} cannot be encoded: {error}"
            ))
        };
        let context = context::Context::new_with_codec(codec);
        let mut video = context.encoder().video().map_err(failed)?;
        video.set_width(width);
        video.set_height(height);
        video.set_format(Pixel::YUV420P);
        video.set_time_base(Rational(1, TIMESCALE));
        video.set_frame_rate(Some(Rational(NOMINAL_RATE, 1)));
        video.set_gop(LONGEST_GOP);
        // Then pictures come out in the order in which they go in, and decode times are theirs.
        video.set_max_b_frames(0);
        video.set_colorspace(colours.space);
        video.set_color_range(if colours.is_full_range {
            Range::JPEG
        } else {
            Range::MPEG
        });
        let mut options = Dictionary::new();
        options.set("preset", PRESET);
        options.set("crf", CRF);
        // The cage starts no threads, and a pool has a worker for each core.
        options.set("threads", "1");
        Ok(Self {
            encoder: video.open_with(options).map_err(failed)?,
            picture: Video::new(Pixel::YUV420P, width, height),
        })
    }

    /// Takes a picture of the encoder's size; `draw` may draw on it. What gets ready goes to `coded`.
    pub(crate) fn encode(
        &mut self,
        planes: Planes<'_>,
        out_pts: i64,
        draw: impl FnOnce(&mut Video),
        coded: &mut Vec<Coded>,
    ) -> Result<(), Failure> {
        // The encoder may still hold the picture before: a new one, of memory that it has given back.
        self.picture = Video::new(Pixel::YUV420P, self.picture.width(), self.picture.height());
        fill(&mut self.picture, planes)?;
        draw(&mut self.picture);
        self.picture.set_pts(Some(out_pts));
        let sent = self.encoder.send_frame(&self.picture);
        sent.map_err(|error| Failure::Invalid(format!("a picture cannot be encoded: {error}")))?;
        self.receive(coded)
    }

    /// No more pictures come.
    pub(crate) fn finish(mut self, coded: &mut Vec<Coded>) -> Result<(), Failure> {
        let ended = self.encoder.send_eof();
        ended.map_err(|error| Failure::Invalid(format!("the encoder does not end: {error}")))?;
        self.receive(coded)
    }

    fn receive(&mut self, coded: &mut Vec<Coded>) -> Result<(), Failure> {
        loop {
            let mut packet = Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => coded.push(Coded {
                    pts: packet.pts().unwrap_or_default(),
                    is_key: packet.is_key(),
                    data: Bytes::copy_from_slice(packet.data().unwrap_or_default()),
                }),
                Err(Error::Eof | Error::Other { errno: EAGAIN }) => return Ok(()),
                Err(error) => {
                    return Err(Failure::Invalid(format!("encoding failed: {error}")));
                }
            }
        }
    }
}

fn fill(picture: &mut Video, planes: Planes<'_>) -> Result<(), Failure> {
    if planes.size() != (picture.width(), picture.height()) {
        let (width, height) = planes.size();
        return Err(Failure::Invalid(format!(
            "a picture of {width}x{height} among others"
        )));
    }
    let chroma = planes.chroma.map(|[cb, cr]| [Some(cb), Some(cr)]);
    let [cb, cr] = chroma.unwrap_or_default();
    for (index, plane) in [Some(planes.luma), cb, cr].into_iter().enumerate() {
        let stride = picture.stride(index);
        let to = picture.data_mut(index);
        match plane {
            Some(plane) => {
                for (row, to) in plane.rows().zip(to.chunks_mut(stride)) {
                    to[..row.len()].copy_from_slice(row);
                }
            }
            None => to.fill(128),
        }
    }
    Ok(())
}
