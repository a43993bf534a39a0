//! Jobs of one worker, with a decoder kept warm between them.

use crate::ffi;
use crate::finish::Finisher;
use ffmpeg_next::Error;
use ffmpeg_next::codec::decoder;
use ffmpeg_next::codec::packet::Packet;
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::frame::Video;
use framewell_decode::protocol::wire::{Codec, Failure, Reply, Request};
use framewell_decode::{Pick, Want};
use framewell_media::nal::{self, NalKind};
use std::io::{self, Read};

/// Sends a finished picture.
pub(crate) type Emit<'a> = dyn FnMut(&Reply, &[u8]) -> io::Result<()> + 'a;

/// Why a job ended early.
#[derive(Debug)]
pub(crate) enum JobError {
    /// The job cannot be done.
    Failed(Failure),
    /// The pool is gone, or out of step.
    Socket(io::Error),
}

impl From<io::Error> for JobError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl From<Failure> for JobError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Does jobs, one after the other.
pub(crate) struct Session {
    warm: Option<Warm>,
    finisher: Finisher,
}

/// An open decoder that the next job may use if it has the same parameters: flushing drops all
/// pictures and references, as for a seek, so nothing of one job reaches the next.
struct Warm {
    codec: Codec,
    config: Vec<u8>,
    reorder_depth: u8,
    decoder: decoder::Video,
}

impl Session {
    pub(crate) fn new() -> turbojpeg::Result<Self> {
        Ok(Self {
            warm: None,
            finisher: Finisher::new()?,
        })
    }

    /// Decodes the payload until all wanted pictures are out, and emits each as it gets ready. May
    /// leave the rest of the payload unread.
    pub(crate) fn run(
        &mut self,
        request: &Request,
        payload: &mut impl Read,
        emit: &mut Emit<'_>,
    ) -> Result<(), JobError> {
        let mut config = vec![0; usize::try_from(request.config_len).unwrap_or(usize::MAX)];
        payload.read_exact(&mut config)?;
        let mut warm = self.decoder_for(request, config)?;
        let mut run = Run {
            request,
            missing: request.wanted.clone(),
            damage: None,
            finisher: &mut self.finisher,
            emit,
        };
        run.decode(&mut warm.decoder, payload)?;
        self.warm = Some(warm);
        Ok(())
    }

    /// The warm decoder if it fits, else a new one. It is taken out, so that a job that fails drops it.
    fn decoder_for(&mut self, request: &Request, config: Vec<u8>) -> Result<Warm, Failure> {
        let (codec, reorder_depth) = (request.codec, request.reorder_depth);
        let fits = |warm: &Warm| {
            (warm.codec, &warm.config, warm.reorder_depth) == (codec, &config, reorder_depth)
        };
        if let Some(mut warm) = self.warm.take().filter(fits) {
            warm.decoder.flush();
            return Ok(warm);
        }
        let decoder = ffi::open_decoder(codec.into(), &config, reorder_depth)
            .map_err(|error| Failure::Bitstream(format!("decoder does not open: {error}")))?;
        Ok(Warm {
            codec,
            config,
            reorder_depth,
            decoder,
        })
    }
}

/// One job in progress.
struct Run<'a> {
    request: &'a Request,
    /// Pictures still to come.
    missing: Vec<Want>,
    /// The first thing that went wrong. Pictures after it may refer to what is broken, so they are
    /// refused: a picture is right or it is an error.
    damage: Option<String>,
    finisher: &'a mut Finisher,
    emit: &'a mut Emit<'a>,
}

impl Run<'_> {
    fn decode(
        &mut self,
        decoder: &mut decoder::Video,
        payload: &mut impl Read,
    ) -> Result<(), JobError> {
        for (pts, len) in &self.request.samples {
            if self.missing.is_empty() {
                return Ok(());
            }
            let packet = read_packet(payload, *pts, *len)?;
            if has_slice(self.request.codec, packet.data().unwrap_or_default()) {
                self.feed(decoder, &packet, *pts)?;
            }
        }
        if let Err(error) = decoder.send_eof() {
            self.note(format!("end of stream: {error}"));
        }
        self.drain(decoder)?;
        match (self.missing.first(), self.damage.take()) {
            (None, _) => Ok(()),
            (Some(_), Some(damage)) => Err(Failure::Bitstream(damage).into()),
            (Some(want), None) => {
                let text = format!("the decoder gives no picture for {:?}", want.pick);
                Err(Failure::Bitstream(text).into())
            }
        }
    }

    fn feed(
        &mut self,
        decoder: &mut decoder::Video,
        packet: &Packet,
        pts: i64,
    ) -> Result<(), JobError> {
        let mut sent = decoder.send_packet(packet);
        if sent == Err(Error::Other { errno: EAGAIN }) {
            self.drain(decoder)?;
            sent = decoder.send_packet(packet);
        }
        if let Err(error) = sent {
            self.note(format!("the sample at presentation time {pts}: {error}"));
        }
        self.drain(decoder)
    }

    /// Takes all pictures that are ready.
    fn drain(&mut self, decoder: &mut decoder::Video) -> Result<(), JobError> {
        loop {
            let mut picture = Video::empty();
            match decoder.receive_frame(&mut picture) {
                Ok(()) => self.take(picture)?,
                Err(Error::Eof | Error::Other { errno: EAGAIN }) => return Ok(()),
                Err(error) => {
                    self.note(error.to_string());
                    return Ok(());
                }
            }
        }
    }

    fn take(&mut self, mut picture: Video) -> Result<(), JobError> {
        let pts = picture.pts().unwrap_or(i64::MIN);
        if picture.is_corrupt() || picture.has_decode_errors() {
            self.note(format!("the picture at presentation time {pts} is damaged"));
        }
        let (now, later): (Vec<Want>, Vec<Want>) = self
            .missing
            .iter()
            .partition(|want| want.pick == Pick::Pts(pts));
        if now.is_empty() {
            return Ok(());
        }
        if let Some(damage) = self.damage.take() {
            return Err(Failure::Bitstream(damage).into());
        }
        self.missing = later;
        for want in now {
            let file = self.finisher.finish(&mut picture, &want.output)?;
            let reply = Reply::Picture {
                tag: want.tag,
                pts,
                width: file.width,
                height: file.height,
                format: want.output.format,
                change: None,
            };
            (self.emit)(&reply, &file.bytes)?;
        }
        Ok(())
    }

    fn note(&mut self, damage: String) {
        self.damage.get_or_insert(damage);
    }
}

/// Reads a sample from the socket straight into the memory that the decoder reads.
fn read_packet(payload: &mut impl Read, pts: i64, len: u32) -> Result<Packet, JobError> {
    let too_big = || Failure::Invalid(format!("a sample of {len} bytes does not fit in memory"));
    let size = usize::try_from(len).map_err(|_| too_big())?;
    let mut packet = Packet::new(size);
    payload.read_exact(packet.data_mut().ok_or_else(too_big)?)?;
    packet.set_pts(Some(pts));
    Ok(packet)
}

/// Whether length-prefixed data has a coded picture; the decoder takes data without one for damage.
fn has_slice(codec: Codec, data: &[u8]) -> bool {
    let mut rest = data;
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let nal = &tail[..length.min(tail.len())];
        if matches!(
            nal::kind(codec.into(), nal),
            NalKind::KeySlice | NalKind::Slice
        ) {
            return true;
        }
        rest = &tail[nal.len()..];
    }
    false
}
