//! Bytes on the socket between the pool and one worker.
//!
//! Every message is a prefix of two big-endian `u32` (length of the header, length of the payload),
//! a JSON header and a raw payload. The worker speaks first: [`Reply::Hello`]. Then, job by job, the
//! pool sends a [`Request`] and the worker answers with any number of [`Reply::Picture`] and
//! [`Reply::Refused`], ended by [`Reply::Done`] or [`Reply::Failed`]. A worker may answer while the request is still being
//! written, so the pool reads and writes at the same time.

use super::render::Render;
use super::setup::{Hardware, SandboxReport};
use super::{Change, Changes, Job, PictureFormat, Want};
use framewell_media::VideoCodec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

/// Version of this protocol; the pool refuses a worker that speaks another one.
pub const VERSION: u32 = 6;
/// Bytes of the two lengths before each message.
pub const PREFIX_LEN: usize = 8;
/// Longest JSON header: about 40,000 samples.
pub const MAX_HEADER: usize = 1 << 20;
/// Longest payload: twice the largest GOP that the live ring keeps.
pub const MAX_PAYLOAD: usize = 128 << 20;

/// Coding of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    H265,
}

impl From<VideoCodec> for Codec {
    fn from(codec: VideoCodec) -> Self {
        match codec {
            VideoCodec::H264 => Self::H264,
            VideoCodec::H265 => Self::H265,
        }
    }
}

impl From<Codec> for VideoCodec {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::H264 => Self::H264,
            Codec::H265 => Self::H265,
        }
    }
}

/// Header of a job. The payload is the configuration record, then the samples in decoding order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Coding.
    pub codec: Codec,
    /// See [`framewell_media::VideoParameters::reorder_depth`].
    pub reorder_depth: u8,
    /// Bytes of the configuration record.
    pub config_len: u32,
    /// PTS and byte length of each sample.
    pub samples: Vec<(i64, u32)>,
    /// The pictures wanted.
    pub wanted: Vec<Want>,
    /// See [`Job::changes`].
    pub changes: Option<Changes>,
    /// The decoder position that the job uses; without one the samples begin with a key frame and all
    /// pictures come out.
    pub session: Option<SessionUse>,
    /// See [`Job::render`].
    pub render: Option<Arc<Render>>,
}

/// A job's part in a session: a decoder that keeps its position from job to job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionUse {
    /// Chosen by the pool, never used twice on one worker.
    pub id: u64,
    /// Where the job starts.
    pub entry: Entry,
    /// How it ends.
    pub exit: Exit,
}

/// Where a job of a session starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// Its samples begin with a key frame; what the decoder held is dropped, wants that are still open
    /// too.
    Key,
    /// Its samples follow those of the last job.
    Continue,
}

/// How a job of a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// The decoder keeps its position. Wanted pictures that it has not given out yet (it reorders)
    /// stay wanted and come with a later job.
    Keep,
    /// All pictures come out; the next job has to start at a key frame.
    Drain,
    /// The decoder is freed and the session over; samples and wants are ignored.
    Close,
}

impl Request {
    /// The header of a job that passed [`Job::check`].
    #[must_use]
    pub fn of(job: &Job, session: Option<SessionUse>) -> Self {
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self {
            codec: job.video.codec.into(),
            reorder_depth: job.video.reorder_depth,
            config_len: len(&job.video.config),
            samples: job.samples.iter().map(|s| (s.pts, len(&s.data))).collect(),
            wanted: job.wanted.clone(),
            changes: job.changes.clone(),
            session,
            render: job.render.clone(),
        }
    }

    /// The job that ends a session: no configuration, no samples, no wants.
    #[must_use]
    pub const fn close(id: u64) -> Self {
        Self {
            codec: Codec::H264,
            reorder_depth: 0,
            config_len: 0,
            samples: Vec::new(),
            wanted: Vec::new(),
            changes: None,
            session: Some(SessionUse {
                id,
                entry: Entry::Continue,
                exit: Exit::Close,
            }),
            render: None,
        }
    }

    /// Bytes that the header announces.
    #[must_use]
    pub fn payload_len(&self) -> u64 {
        let samples: u64 = self.samples.iter().map(|(_, len)| u64::from(*len)).sum();
        u64::from(self.config_len) + samples
    }
}

/// Header of a worker's message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The worker is ready; sent once, first.
    Hello {
        /// [`VERSION`] of the worker.
        version: u32,
        /// Libraries inside, for the log.
        libraries: String,
        /// The sandbox that it is in.
        sandbox: SandboxReport,
        /// The hardware that it decodes with.
        hardware: Hardware,
        /// Whether it can encode video ([`Job::render`]).
        has_encoder: bool,
    },
    /// A finished picture; the payload is the encoded file or the raw pixels, unless they are shared.
    Picture {
        /// See [`super::Picture::tag`].
        tag: u64,
        /// Presentation time.
        pts: i64,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Encoding, with the quality that was used.
        format: PictureFormat,
        /// See [`super::Picture::change`].
        change: Option<Change>,
        /// Where the pixels are, if not in the payload (which is empty then).
        shared: Option<SharedRange>,
    },
    /// The picture is there and cannot be had in this form; the others are not affected.
    Refused {
        /// See [`Want::tag`].
        tag: u64,
        /// What is wrong with the form.
        why: String,
    },
    /// A picture encoded anew; the payload is its NAL units.
    Coded {
        /// See [`super::render::Coded::pts`].
        pts: i64,
        /// Whether decoding may start here.
        is_key: bool,
    },
    /// All wanted pictures were sent.
    Done,
    /// The job cannot be done; the worker is fit for the next one.
    Failed(Failure),
}

/// A part of the memory file that worker and pool share ([`super::setup`]). It keeps its content until
/// the pool sends the next request; a picture that finds no room in the file travels as payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedRange {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// Why a worker gave up on a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The samples do not decode.
    Bitstream(String),
    /// The job asks for something that does not exist or is not allowed.
    Invalid(String),
    /// The session has no position to continue from: it is new, its last job failed, or its decoder
    /// was given up for lack of room.
    PositionLost,
}

/// Lengths of the message that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// Bytes of the header.
    pub header_len: usize,
    /// Bytes of the payload.
    pub payload_len: usize,
}

impl Prefix {
    /// Reads the prefix; lengths beyond the limits are an error, so no peer makes us allocate much.
    pub fn parse(bytes: [u8; PREFIX_LEN]) -> io::Result<Self> {
        let value = u64::from_be_bytes(bytes);
        let lengths = (
            usize::try_from(value >> 32),
            usize::try_from(value & 0xffff_ffff),
        );
        match lengths {
            (Ok(header_len), Ok(payload_len))
                if header_len <= MAX_HEADER && payload_len <= MAX_PAYLOAD =>
            {
                Ok(Self {
                    header_len,
                    payload_len,
                })
            }
            _ => Err(invalid(format!("message lengths {value:#018x} too big"))),
        }
    }
}

/// Prefix and header of a message, ready to be written before its payload.
pub fn head<T: Serialize>(header: &T, payload_len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; PREFIX_LEN];
    serde_json::to_writer(&mut bytes, header)?;
    let header_len = bytes.len() - PREFIX_LEN;
    if header_len > MAX_HEADER || payload_len > MAX_PAYLOAD {
        return Err(invalid(format!(
            "message of {header_len} + {payload_len} bytes is too long"
        )));
    }
    let prefix = ((header_len as u64) << 32) | payload_len as u64;
    bytes[..PREFIX_LEN].copy_from_slice(&prefix.to_be_bytes());
    Ok(bytes)
}

/// Whether the header of a job is short enough to be sent, in whatever session. What is too long to be sent
/// counts as the death of the worker, so it is refused before.
pub(crate) fn fits(job: &Job) -> bool {
    let session = SessionUse {
        id: u64::MAX,
        entry: Entry::Continue,
        exit: Exit::Drain,
    };
    let mut counter = Counter(0);
    let counted = serde_json::to_writer(&mut counter, &Request::of(job, Some(session)));
    counted.is_ok() && counter.0 <= MAX_HEADER
}

/// Counts what is written.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a header.
pub fn parse_header<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(|error| invalid(format!("bad header: {error}")))
}

/// Worker: waits for the next job's header; `None` when the pool hung up. The payload is still on
/// the socket: [`Request::payload_len`] bytes.
pub fn read_request(stream: &mut impl Read) -> io::Result<Option<Request>> {
    let mut prefix = [0; PREFIX_LEN];
    match stream.read_exact(&mut prefix) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let prefix = Prefix::parse(prefix)?;
    let mut header = vec![0; prefix.header_len];
    stream.read_exact(&mut header)?;
    let request: Request = parse_header(&header)?;
    if request.payload_len() == prefix.payload_len as u64 {
        Ok(Some(request))
    } else {
        Err(invalid(format!(
            "payload of {} bytes, header says {}",
            prefix.payload_len,
            request.payload_len()
        )))
    }
}

/// Worker: sends a message, with one system call if the socket has room for it: the pool then wakes once.
pub fn write_reply(stream: &mut impl Write, reply: &Reply, payload: &[u8]) -> io::Result<()> {
    let head = head(reply, payload.len())?;
    let written = loop {
        match stream.write_vectored(&[IoSlice::new(&head), IoSlice::new(payload)]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    stream.write_all(head.get(written..).unwrap_or_default())?;
    let sent = written.saturating_sub(head.len());
    stream.write_all(&payload[sent..])
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Output, Pick};

    fn request() -> Request {
        Request {
            codec: Codec::H265,
            reorder_depth: 2,
            config_len: 3,
            samples: vec![(-3600, 4), (0, 5)],
            wanted: vec![Want {
                tag: 3,
                pick: Pick::Pts(0),
                output: Output {
                    width: Some(640),
                    ..Output::jpeg(80)
                },
            }],
            changes: None,
            session: Some(SessionUse {
                id: 9,
                entry: Entry::Continue,
                exit: Exit::Keep,
            }),
            render: None,
        }
    }

    #[test]
    fn a_request_survives_the_socket() {
        let mut bytes = head(&request(), 12).unwrap();
        bytes.extend([7; 12]);
        let mut stream = &bytes[..];
        assert_eq!(read_request(&mut stream).unwrap(), Some(request()));
        assert_eq!(stream, [7; 12]);
        assert_eq!(read_request(&mut &[][..]).unwrap(), None);
    }

    #[test]
    fn a_payload_that_contradicts_its_header_is_refused() {
        let bytes = head(&request(), 13).unwrap();
        assert!(read_request(&mut &bytes[..]).is_err());
    }

    #[test]
    fn absurd_lengths_are_refused_before_anything_is_allocated() {
        assert!(Prefix::parse([0xff; 8]).is_err());
        assert!(Prefix::parse([0, 0, 0, 9, 0xff, 0, 0, 0]).is_err());
        let prefix = Prefix::parse([0, 0, 0, 9, 0, 0, 1, 0]).unwrap();
        assert_eq!((prefix.header_len, prefix.payload_len), (9, 256));
    }

    /// Takes this many bytes at a time.
    struct Slow(usize, Vec<u8>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.1.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let all: Vec<u8> = slices.iter().flat_map(|s| s.to_vec()).collect();
            self.write(&all)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reply_is_the_same_however_much_the_socket_takes() {
        let mut whole = Vec::new();
        write_reply(&mut whole, &Reply::Done, b"payload").unwrap();
        for step in 1..=whole.len() {
            let mut slow = Slow(step, Vec::new());
            write_reply(&mut slow, &Reply::Done, b"payload").unwrap();
            assert_eq!(slow.1, whole, "{step}");
        }
    }

    #[test]
    fn a_reply_is_one_prefix_one_header_one_payload() {
        let mut bytes = Vec::new();
        let reply = Reply::Picture {
            tag: 1,
            pts: 9,
            width: 4,
            height: 2,
            format: PictureFormat::Png,
            change: None,
            shared: None,
        };
        write_reply(&mut bytes, &reply, b"jpeg").unwrap();
        let prefix = Prefix::parse(bytes[..8].try_into().unwrap()).unwrap();
        let (header, payload) = bytes[8..].split_at(prefix.header_len);
        assert_eq!(parse_header::<Reply>(header).unwrap(), reply);
        assert_eq!(payload, b"jpeg");
    }
}
