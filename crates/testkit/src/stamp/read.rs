//! Reads stamps out of compressed pictures and videos with the `ffmpeg` command line.

use super::{GrayImage, Stamp, read_stamp};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Why no stamps came out.
#[derive(Debug)]
#[non_exhaustive]
pub enum StampError {
    /// `ffmpeg` could not be started or talked to.
    Io(io::Error),
    /// `ffmpeg` failed; its last words.
    Decoder(String),
    /// The picture with this index (in display order) has no readable stamp.
    NoStamp {
        /// Counted from 0.
        index: usize,
        /// Its width and height.
        size: (usize, usize),
    },
}

impl std::fmt::Display for StampError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "running ffmpeg failed: {error}"),
            Self::Decoder(text) => write!(f, "ffmpeg could not decode: {text}"),
            Self::NoStamp { index, size } => {
                write!(
                    f,
                    "picture {index} ({}x{}) has no readable stamp",
                    size.0, size.1
                )
            }
        }
    }
}

impl std::error::Error for StampError {}

impl From<io::Error> for StampError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A video for `ffmpeg` to decode: a file or any URL that it can open.
///
/// Decoding blocks the thread. If the input is served by the same Tokio runtime, call it inside
/// `tokio::task::spawn_blocking`.
#[derive(Debug, Clone)]
pub struct VideoInput {
    input: OsString,
    options: Vec<OsString>,
    max_frames: Option<usize>,
}

impl VideoInput {
    /// A path or URL.
    pub fn new(input: impl Into<OsString>) -> Self {
        Self {
            input: input.into(),
            options: Vec::new(),
            max_frames: None,
        }
    }

    /// An input option of `ffmpeg` with its value, for example `-rtsp_transport` and `tcp`.
    #[must_use]
    pub fn option(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.options.extend([name.into(), value.into()]);
        self
    }

    /// An input option without a value.
    #[must_use]
    pub fn flag(mut self, name: impl Into<OsString>) -> Self {
        self.options.push(name.into());
        self
    }

    /// Stop after this many pictures.
    #[must_use]
    pub const fn max_frames(mut self, frames: usize) -> Self {
        self.max_frames = Some(frames);
        self
    }

    /// Luma of every picture in display order, none repeated or dropped.
    pub fn read_images(&self) -> Result<Vec<GrayImage>, StampError> {
        let mut command = decoder(&self.options);
        command.arg("-i").arg(&self.input).args(["-map", "0:v:0"]);
        if let Some(frames) = self.max_frames {
            command.args(["-frames:v", &frames.to_string()]);
        }
        run(command, Vec::new())
    }

    /// The stamp of every picture in display order; an error if one has none.
    pub fn read_stamps(&self) -> Result<Vec<Stamp>, StampError> {
        stamps(&self.read_images()?)
    }
}

/// The stamp of a JPEG (or of any other single picture that `ffmpeg` recognises).
pub fn read_stamp_jpeg(jpeg: &[u8]) -> Result<Stamp, StampError> {
    let mut command = decoder(&[]);
    command.args(["-f", "image2pipe", "-i", "-", "-frames:v", "1"]);
    let images = run(command, jpeg.to_vec())?;
    let found = stamps(&images)?;
    found
        .first()
        .copied()
        .ok_or_else(|| StampError::Decoder("no picture in the input".to_owned()))
}

/// The stamps of all pictures of a video file, in display order.
pub fn read_stamps_video(path: impl AsRef<Path>) -> Result<Vec<Stamp>, StampError> {
    VideoInput::new(path.as_ref().as_os_str()).read_stamps()
}

/// The stamps of all pictures of a video in memory, in display order.
pub fn read_stamps_video_bytes(video: &[u8]) -> Result<Vec<Stamp>, StampError> {
    // A file and not a pipe: MP4 may have its index at the end.
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(video)?;
    read_stamps_video(file.path())
}

fn stamps(images: &[GrayImage]) -> Result<Vec<Stamp>, StampError> {
    let with_index = images.iter().enumerate();
    with_index
        .map(|(index, image)| {
            read_stamp(image).ok_or(StampError::NoStamp {
                index,
                size: (image.width, image.height),
            })
        })
        .collect()
}

fn decoder(options: &[OsString]) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin"]);
    command.args(options);
    command
}

/// Feeds `input`, collects the pictures that come out as binary PGM.
fn run(mut command: Command, input: Vec<u8>) -> Result<Vec<GrayImage>, StampError> {
    let mut child = command
        .args(["-fps_mode", "passthrough", "-pix_fmt", "gray"])
        .args(["-c:v", "pgm", "-f", "image2pipe", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let images = std::thread::scope(|scope| {
        let mut stdin = child.stdin.take();
        let writer = scope.spawn(move || stdin.as_mut().map(|pipe| pipe.write_all(&input)));
        let mut stderr = child.stderr.take();
        let listener = scope.spawn(move || {
            let mut text = String::new();
            stderr.as_mut().map(|pipe| pipe.read_to_string(&mut text));
            text
        });
        let images = child.stdout.take().map(read_images).transpose();
        // A decoder that has seen enough closes its input early: a failed write says nothing.
        drop(writer.join());
        let words = listener.join().unwrap_or_default();
        images.map(|images| (images.unwrap_or_default(), words))
    });
    finish(child, images?)
}

fn finish(
    mut child: Child,
    (images, words): (Vec<GrayImage>, String),
) -> Result<Vec<GrayImage>, StampError> {
    let status = child.wait()?;
    if status.success() && !images.is_empty() {
        return Ok(images);
    }
    let last = words.lines().last().unwrap_or("it gave no picture");
    Err(StampError::Decoder(format!("{status}: {last}")))
}

fn read_images(stdout: ChildStdout) -> Result<Vec<GrayImage>, StampError> {
    let mut reader = BufReader::with_capacity(1 << 20, stdout);
    let mut images = Vec::new();
    while let Some(image) = read_pgm(&mut reader)? {
        images.push(image);
    }
    Ok(images)
}

/// One binary PGM as `ffmpeg` writes it: `P5`, size and maximum on lines of their own.
fn read_pgm(reader: &mut impl BufRead) -> io::Result<Option<GrayImage>> {
    let mut header = String::new();
    for _ in 0..3 {
        reader.read_line(&mut header)?;
    }
    if header.is_empty() {
        return Ok(None);
    }
    let mut words = header.split_ascii_whitespace();
    let mut number = |expected: Option<&str>| {
        let word = words.next().filter(|w| expected.is_none_or(|e| e == *w));
        word.ok_or(io::ErrorKind::InvalidData)
    };
    number(Some("P5"))?;
    let size = [number(None)?, number(None)?].map(str::parse::<usize>);
    let [Ok(width), Ok(height)] = size else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut data = vec![0; width * height];
    reader.read_exact(&mut data)?;
    Ok(Some(GrayImage {
        width,
        height,
        data,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::Painter;
    use super::*;
    use framewell_model::WallTime;

    const STAMP: Stamp = Stamp {
        frame: 77,
        capture: WallTime::from_micros(1_795_000_000_123_456),
    };

    /// A JPEG of a stamped picture made by ffmpeg; quality as its `-q:v` (2 best, 31 worst).
    fn jpeg(size: (usize, usize), scaled: (usize, usize), quality: u32) -> Vec<u8> {
        let frame = Painter::new(size.0, size.1, "test").paint(STAMP).to_vec();
        let mut child = Command::new("ffmpeg")
            .args([
                "-loglevel",
                "error",
                "-f",
                "rawvideo",
                "-pix_fmt",
                "yuv420p",
            ])
            .args(["-s", &format!("{}x{}", size.0, size.1), "-i", "-"])
            .args(["-vf", &format!("scale={}:{}", scaled.0, scaled.1)])
            .args(["-q:v", &quality.to_string(), "-f", "mjpeg", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&frame).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    #[test]
    fn a_jpeg_keeps_the_stamp_even_when_small_and_coarse() {
        for (size, scaled) in [
            ((640, 360), (640, 360)),
            ((640, 360), (160, 90)),
            ((1920, 1080), (480, 270)),
            ((320, 240), (80, 60)),
        ] {
            // Quantiser scale 10 of ffmpeg is coarser than libjpeg's quality 50.
            let jpeg = jpeg(size, scaled, 10);
            assert_eq!(
                read_stamp_jpeg(&jpeg).unwrap(),
                STAMP,
                "{size:?} {scaled:?}"
            );
        }
    }

    #[test]
    fn a_jpeg_without_a_stamp_is_an_error_that_says_so() {
        let out = Command::new("ffmpeg")
            .args([
                "-loglevel",
                "error",
                "-f",
                "lavfi",
                "-i",
                "color=gray:s=320x240",
            ])
            .args(["-frames:v", "1", "-f", "mjpeg", "-"])
            .output()
            .unwrap();
        let error = read_stamp_jpeg(&out.stdout).unwrap_err();
        assert_eq!(
            error.to_string(),
            "picture 0 (320x240) has no readable stamp"
        );
    }

    #[test]
    fn bytes_that_are_no_picture_are_a_decoder_error() {
        let error = read_stamp_jpeg(b"this is no picture").unwrap_err();
        assert!(matches!(error, StampError::Decoder(_)), "{error}");
    }
}
