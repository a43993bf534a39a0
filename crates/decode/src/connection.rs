//! The pool's end of the socket to one worker.

use crate::protocol::render::Coded;
use crate::protocol::setup::{Hardware, SandboxReport};
use crate::protocol::sound;
use crate::protocol::wire::{
    self, Failure, PREFIX_LEN, Prefix, Reply, Request, SessionUse, VERSION,
};
use crate::protocol::{Job, Made, Picture, Refusal, Want};
use crate::shared::SharedMemory;
use bytes::{Buf, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A worker's answer to a job: pictures in the order wanted, or why not.
pub(crate) type Answer = Result<Made, Failure>;

/// What a worker says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Libraries inside and their versions.
    pub libraries: String,
    /// How far it is locked in.
    pub sandbox: SandboxReport,
    /// What it decodes with.
    pub hardware: Hardware,
    /// Whether it can encode video ([`crate::Pool::render`]).
    pub has_encoder: bool,
}

/// Speaks [`wire`] with a worker. Any error, or a call dropped half-way, leaves the stream in an
/// unknown state: the worker behind it must go.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    /// Where the worker leaves raw pixels.
    shared: SharedMemory,
}

impl Connection {
    pub(crate) const fn new(stream: UnixStream, shared: SharedMemory) -> Self {
        Self { stream, shared }
    }

    /// Waits until the worker is ready; returns what it says about itself.
    pub(crate) async fn greet(&mut self) -> io::Result<Greeting> {
        match receive::<Reply>(&mut self.stream).await?.0 {
            Reply::Hello {
                version: VERSION,
                libraries,
                sandbox,
                hardware,
                has_encoder,
            } => Ok(Greeting {
                libraries,
                sandbox,
                hardware,
                has_encoder,
            }),
            other => Err(protocol_error(&format!(
                "expected a hello of version {VERSION}, got {other:?}"
            ))),
        }
    }

    /// Sends a job and collects its pictures.
    pub(crate) async fn run(
        &mut self,
        job: &Job,
        session: Option<SessionUse>,
    ) -> io::Result<Answer> {
        let head = wire::head(&Request::of(job, session), job.payload_len())?;
        let samples = job.samples.iter().map(|sample| sample.data.clone());
        let parts = Parts::new([head.into(), job.video.config.clone()], samples);
        let answer = self.exchange(parts).await?;
        match &answer {
            Ok(made) if session.is_none() && !has_all(job, made) => {
                Err(protocol_error("a wanted picture did not come"))
            }
            _ => Ok(answer),
        }
    }

    /// Sends frames of sound and waits for what comes of them.
    pub(crate) async fn transcode(
        &mut self,
        request: &sound::Request,
        config: Bytes,
        frames: impl IntoIterator<Item = Bytes>,
    ) -> io::Result<(sound::Reply, Bytes)> {
        let len = usize::try_from(request.payload_len()).unwrap_or(usize::MAX);
        let head = wire::head(request, len)?;
        let mut parts = Parts::new([head.into(), config], frames);
        let (mut reader, mut writer) = self.stream.split();
        let send = writer.write_all_buf(&mut parts);
        let ((), answer) = tokio::try_join!(send, receive(&mut reader))?;
        Ok(answer)
    }

    /// Has the worker free the decoder of a session.
    pub(crate) async fn close(&mut self, session: u64) -> io::Result<Answer> {
        let head = wire::head(&Request::close(session), 0)?;
        self.exchange(Parts::new([head.into(), Bytes::new()], []))
            .await
    }

    async fn exchange(&mut self, mut parts: Parts) -> io::Result<Answer> {
        let (mut reader, mut writer) = self.stream.split();
        let send = writer.write_all_buf(&mut parts);
        let collect = collect(&mut reader, &self.shared);
        let ((), answer) = tokio::try_join!(send, collect)?;
        Ok(answer)
    }
}

/// Most bytes of pictures in one answer: a worker that somebody took over sends no more into our memory.
const MAX_ANSWER: usize = 512 << 20;

fn has_all(job: &Job, made: &Made) -> bool {
    let came = |want: &Want| {
        let mut pictures = made.pictures.iter().map(|picture| picture.tag);
        let mut refused = made.refused.iter().map(|refusal| refusal.tag);
        pictures.any(|tag| tag == want.tag) || refused.any(|tag| tag == want.tag)
    };
    job.wanted.iter().all(came)
}

/// The pictures as they get ready.
async fn collect(
    reader: &mut (impl AsyncRead + Unpin),
    memory: &SharedMemory,
) -> io::Result<Answer> {
    let mut found = Made::default();
    let mut room = MAX_ANSWER;
    loop {
        let (reply, payload) = receive(reader).await?;
        match reply {
            Reply::Picture {
                tag,
                pts,
                width,
                height,
                format,
                change,
                shared: place,
            } => {
                let data = match place {
                    None => payload,
                    Some(place) => memory.read(place)?.into(),
                };
                // A picture without bytes takes memory too.
                room = room
                    .checked_sub(data.len() + size_of::<Picture>())
                    .ok_or_else(|| protocol_error("the answer is too long"))?;
                found.pictures.push(Picture {
                    tag,
                    pts,
                    width,
                    height,
                    format,
                    data,
                    change,
                });
            }
            Reply::Coded { pts, is_key } => {
                room = room
                    .checked_sub(payload.len() + size_of::<Coded>())
                    .ok_or_else(|| protocol_error("the answer is too long"))?;
                let data = payload;
                found.coded.push(Coded { pts, is_key, data });
            }
            Reply::Refused { tag, why } => {
                room = room
                    .checked_sub(why.len() + size_of::<Refusal>())
                    .ok_or_else(|| protocol_error("the answer is too long"))?;
                found.refused.push(Refusal { tag, why });
            }
            Reply::Done => return Ok(Ok(found)),
            Reply::Failed(failure) => return Ok(Err(failure)),
            Reply::Hello { .. } => return Err(protocol_error("did not expect a second hello")),
        }
    }
}

async fn receive<T: DeserializeOwned>(
    reader: &mut (impl AsyncRead + Unpin),
) -> io::Result<(T, Bytes)> {
    let mut prefix = [0; PREFIX_LEN];
    reader.read_exact(&mut prefix).await?;
    let prefix = Prefix::parse(prefix)?;
    let mut bytes = read_bytes(reader, prefix.header_len + prefix.payload_len).await?;
    let header = bytes.split_to(prefix.header_len);
    Ok((wire::parse_header(&header)?, bytes))
}

async fn read_bytes(reader: &mut (impl AsyncRead + Unpin), len: usize) -> io::Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(len);
    let mut limited = reader.take(len as u64);
    while bytes.len() < len {
        if limited.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(bytes.freeze())
}

fn protocol_error(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Payload pieces written with few system calls and no copy.
struct Parts {
    parts: VecDeque<Bytes>,
}

impl Parts {
    fn new(first: [Bytes; 2], rest: impl IntoIterator<Item = Bytes>) -> Self {
        let parts = first.into_iter().chain(rest);
        Self {
            parts: parts.filter(|part| !part.is_empty()).collect(),
        }
    }
}

impl Buf for Parts {
    fn remaining(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    fn has_remaining(&self) -> bool {
        !self.parts.is_empty()
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.len().min(self.parts.len());
        for (slice, part) in slices.iter_mut().zip(&self.parts) {
            *slice = IoSlice::new(part);
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(part) = self.parts.front_mut() {
            if count < part.len() {
                part.advance(count);
                return;
            }
            count -= part.len();
            self.parts.pop_front();
        }
        assert_eq!(count, 0, "advanced past the end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_back_in_order_whatever_the_step() {
        for step in 1..8 {
            let rest = ["", "cde", "f"].map(Bytes::from_static_str);
            let first = ["a", "b"].map(Bytes::from_static_str);
            let mut parts = Parts::new(first, rest);
            let mut seen = Vec::new();
            while parts.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 2];
                let filled = parts.chunks_vectored(&mut slices);
                let all: Vec<u8> = slices[..filled].iter().flat_map(|s| s.to_vec()).collect();
                let taken = step.min(all.len());
                seen.extend_from_slice(&all[..taken]);
                parts.advance(taken);
            }
            assert_eq!(seen, b"abcdef");
        }
    }

    trait FromStaticStr {
        fn from_static_str(text: &'static str) -> Self;
    }

    impl FromStaticStr for Bytes {
        fn from_static_str(text: &'static str) -> Self {
            Self::from_static(text.as_bytes())
        }
    }
}
