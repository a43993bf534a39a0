//! Pictures encoded anew: decode, scale, draw, encode, in one job.
//!
//! A job is a piece of a rendered clip that stands for itself: its samples begin with a key frame, and so
//! does what comes out. Pieces of one clip that are made with the same size and the same colours have the same
//! parameter sets, so that they follow each other in one track, whichever workers made them.

use super::{Fit, JobSample, Output, PictureFormat, Priority};
use bytes::Bytes;
use framewell_media::VideoParameters;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most pictures that one job encodes.
pub const MAX_RENDERED: usize = 256;
/// Most boxes on one picture, and on all pictures of a job.
pub const MAX_BOXES: usize = 1_000;
const MAX_JOB_BOXES: usize = 8_000;
/// Longest text on a picture, in bytes.
pub const MAX_TEXT_BYTES: usize = 64;

/// What is made of the samples of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Render {
    /// Width of the video in pixels, even.
    pub width: u32,
    /// Height of the video in pixels, even. Pictures of another shape get black bars.
    pub height: u32,
    /// The pictures that are encoded, in presentation order.
    pub frames: Vec<RenderFrame>,
}

/// One picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RenderFrame {
    /// Presentation time of the decoded picture, in the samples' time.
    pub pts: i64,
    /// Its presentation time in what comes out, in 90,000ths of a second; rising.
    pub out_pts: i64,
    /// Text in the upper left corner, printable ASCII. What is not a digit, a letter or one of `-:./%#_` is blank.
    pub text: Option<String>,
    /// Rectangles.
    pub boxes: Vec<RenderBox>,
}

/// A rectangle drawn onto a picture, with its name above it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RenderBox {
    /// Left, top, width and height as parts of the picture, 0 to 1.
    pub place: [f32; 4],
    /// As [`RenderFrame::text`].
    pub label: String,
}

impl RenderFrame {
    /// The picture as it is.
    #[must_use]
    pub const fn plain(pts: i64, out_pts: i64) -> Self {
        Self {
            pts,
            out_pts,
            text: None,
            boxes: Vec::new(),
        }
    }
}

impl Render {
    /// How each picture is scaled.
    #[must_use]
    pub const fn output(&self) -> Output {
        Output {
            format: PictureFormat::Nv12,
            width: Some(self.width),
            height: Some(self.height),
            fit: Fit::Pad,
            crop: None,
            max_bytes: None,
        }
    }

    /// Says what is wrong, if anything is.
    pub fn check(&self) -> Result<(), String> {
        self.output().check()?;
        if !self.width.is_multiple_of(2) || !self.height.is_multiple_of(2) {
            return Err(format!("{}x{} is not even", self.width, self.height));
        }
        if self.frames.is_empty() || self.frames.len() > MAX_RENDERED {
            let count = self.frames.len();
            return Err(format!(
                "{count} pictures to be encoded, not 1 to {MAX_RENDERED}"
            ));
        }
        let is_rising = |pair: &[RenderFrame]| pair[0].out_pts < pair[1].out_pts;
        if !self.frames.windows(2).all(is_rising) {
            return Err("the times of what is encoded do not rise".into());
        }
        let boxes = self.frames.iter().map(|frame| frame.boxes.len());
        if boxes.clone().any(|count| count > MAX_BOXES) || boxes.sum::<usize>() > MAX_JOB_BOXES {
            return Err("too many boxes".into());
        }
        let labels = self.frames.iter().flat_map(|frame| &frame.boxes);
        let mut texts = labels
            .map(|one| &one.label)
            .chain(self.frames.iter().filter_map(|frame| frame.text.as_ref()));
        // A control character is six bytes on the wire.
        let is_printable = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if texts.any(|text| text.len() > MAX_TEXT_BYTES || !is_printable(text)) {
            return Err(format!(
                "a text is longer than {MAX_TEXT_BYTES} bytes, or not all printable ASCII"
            ));
        }
        Ok(())
    }
}

/// A job of rendering; always [`Priority::Batch`].
#[derive(Debug, Clone, PartialEq)]
pub struct RenderJob {
    /// Codec and decoder configuration record.
    pub video: Arc<VideoParameters>,
    /// From a key frame on, decoding order; as far as the wanted pictures need them.
    pub samples: Vec<JobSample>,
    /// What is made of them.
    pub render: Render,
}

impl RenderJob {
    /// As all jobs travel.
    pub(crate) fn into_job(self) -> super::Job {
        super::Job {
            video: self.video,
            samples: self.samples,
            wanted: Vec::new(),
            changes: None,
            priority: Priority::Batch,
            render: Some(Arc::new(self.render)),
        }
    }
}

/// An encoded picture of H.264.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coded {
    /// See [`RenderFrame::out_pts`]; also its decode time.
    pub pts: i64,
    /// Whether decoding may start here; the first one of a job is always.
    pub is_key: bool,
    /// NAL units behind start codes (ITU-T H.264 annex B); a key picture has its parameter sets with it.
    pub data: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(frames: Vec<RenderFrame>) -> Render {
        Render {
            width: 640,
            height: 360,
            frames,
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let plain = |times: &[i64]| {
            let frames = times.iter().map(|at| RenderFrame::plain(*at, *at));
            render(frames.collect())
        };
        assert_eq!(plain(&[0, 3_600]).check(), Ok(()));
        assert!(plain(&[]).check().is_err());
        assert!(plain(&[0, 0]).check().is_err());
        assert!(plain(&(0..300).collect::<Vec<_>>()).check().is_err());
        let odd = Render {
            width: 641,
            ..plain(&[0])
        };
        assert!(odd.check().is_err());
        let mut long = plain(&[0]);
        long.frames[0].text = Some("x".repeat(65));
        assert!(long.check().is_err());
        for text in ["\u{1}", "\n", "ä", "\u{7f}"] {
            long.frames[0].text = Some(text.into());
            assert!(long.check().is_err(), "{text:?}");
        }
        let one = RenderBox {
            place: [0.0; 4],
            label: String::new(),
        };
        let mut many = plain(&[0]);
        many.frames[0].boxes = vec![one; 1_001];
        assert!(many.check().is_err());
    }

    #[test]
    fn a_job_whose_header_is_too_long_is_refused_and_not_sent() {
        let job = |label: &str| {
            let one = RenderBox {
                place: [0.123_456_79; 4],
                label: label.into(),
            };
            let mut frames: Vec<_> = (0..240).map(|at| RenderFrame::plain(at, at)).collect();
            for frame in &mut frames {
                frame.boxes = vec![one.clone(); 30];
            }
            let video = VideoParameters {
                codec: framewell_media::VideoCodec::H264,
                width: 640,
                height: 360,
                config: Bytes::new(),
                reorder_depth: 0,
                rfc6381: String::new(),
            };
            RenderJob {
                video: Arc::new(video),
                samples: Vec::new(),
                render: render(frames),
            }
            .into_job()
        };
        assert_eq!(job(&"a".repeat(32)).check(), Ok(()));
        let long = job(&"\"".repeat(64));
        assert!(long.render.as_ref().unwrap().check().is_ok());
        assert!(long.check().unwrap_err().contains("too long"));
        assert!(
            super::super::wire::head(&super::super::wire::Request::of(&long, None), 0).is_err()
        );
    }
}
