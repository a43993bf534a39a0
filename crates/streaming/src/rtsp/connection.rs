//! One client's connection: reads requests, writes replies and packets.

use super::RtspConfig;
use super::fanout::{Packets, Reader};
use super::reply::Then;
use super::session::{Chosen, Service, Session};
use super::wire::{Decoder, Incoming, WireError};
use crate::rtp::{CHANNEL_AUDIO, CHANNEL_VIDEO, with_channel};
use bytes::Bytes;
use framewell_media::TrackKind;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Most bytes handed to the socket at once, unless one frame has more. Together with the write
/// time-out this is the slowest reader that is kept: 256 KiB in 20 s, 100 kbit/s.
const MAX_WRITE_BYTES: usize = 256 << 10;
/// A reader that asks for this much room per read gets requests and reports in one go.
const READ_BYTES: usize = 4 << 10;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the client closed the connection")]
    Closed,
    #[error("no complete request in time")]
    Idle,
    #[error("the client does not take data")]
    Stalled,
    #[error("the stream ended or changed its tracks")]
    StreamEnded,
    #[error("the server stops")]
    Stopped,
    #[error("bad request: {0}")]
    Wire(#[from] WireError),
    #[error("the connection broke")]
    Io(#[from] io::Error),
}

/// A connection and its session.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    config: RtspConfig,
    decoder: Decoder,
    session: Session,
    reader: Option<Reader>,
    /// When a connection that does not play is given up. Requests move it once a ticket was shown:
    /// strangers must not hold a place by asking for nothing.
    deadline: Instant,
    sent_bytes: metrics::Counter,
}

/// What a connection waits for.
enum Event {
    Read(io::Result<usize>),
    Packets(Packets),
    StreamEnded,
    Idle,
    Stopped,
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        config: RtspConfig,
        service: Service,
    ) -> Self {
        Self {
            stream,
            peer,
            deadline: Instant::now() + config.idle,
            config,
            decoder: Decoder::default(),
            session: Session::new(service),
            reader: None,
            sent_bytes: metrics::counter!("framewell_rtsp_sent_bytes_total"),
        }
    }

    /// Serves the client until one side has had enough.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let end = match self.serve(&stop).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        if let End::Wire(error) = &end {
            let refusal = format!("RTSP/1.0 400 {error}\r\n\r\n");
            // The connection ends anyway; a client that cannot be told is not told.
            self.write(&[Bytes::from(refusal)]).await.ok();
        }
        let channel = self.session.channel().map(framewell_model::ChannelId::get);
        tracing::debug!(peer = %self.peer, channel.id = channel, reason = %end, "rtsp connection ended");
    }

    async fn serve(&mut self, stop: &CancellationToken) -> Result<std::convert::Infallible, End> {
        self.stream.set_nodelay(true)?;
        // One wait for the whole connection: a new one per frame would have all readers meet at the
        // token's lock.
        let mut stopped = pin!(stop.cancelled());
        loop {
            while let Some(incoming) = self.decoder.next()? {
                if let Incoming::Request(request) = incoming {
                    self.answer(&request).await?;
                }
            }
            match self.wait(stopped.as_mut()).await {
                Event::Read(Ok(0)) => return Err(End::Closed),
                Event::Read(Ok(_)) => {}
                Event::Read(Err(error)) => return Err(error.into()),
                Event::Packets(packets) => self.send(packets).await?,
                Event::StreamEnded => return Err(End::StreamEnded),
                Event::Idle => return Err(End::Idle),
                Event::Stopped => return Err(End::Stopped),
            }
        }
    }

    async fn wait(&mut self, stopped: Pin<&mut WaitForCancellationFuture<'_>>) -> Event {
        self.decoder.buffer().reserve(READ_BYTES);
        let is_playing = self.reader.is_some();
        let packets = async {
            match &mut self.reader {
                Some(reader) => reader.next(MAX_WRITE_BYTES).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopped => Event::Stopped,
            read = self.stream.read_buf(self.decoder.buffer()) => Event::Read(read),
            packets = packets => packets.map_or(Event::StreamEnded, Event::Packets),
            () = tokio::time::sleep_until(self.deadline), if !is_playing => Event::Idle,
        }
    }

    async fn answer(&mut self, request: &rtsp_types::Request<Vec<u8>>) -> Result<(), End> {
        let had_session = self.session.channel().is_some();
        let reply = self.session.handle(request).await;
        tracing::debug!(peer = %self.peer, method = ?request.method(), status = u16::from(reply.status()), "rtsp request");
        let (bytes, then) = reply.into_parts();
        self.write(&[bytes.into()]).await?;
        if had_session || self.session.channel().is_some() {
            self.deadline = Instant::now() + self.config.idle;
        }
        match then {
            Then::Continue => {}
            Then::Play(reader) => self.reader = Some(reader),
            Then::Stop => self.reader = None,
        }
        Ok(())
    }

    async fn send(&mut self, packets: Packets) -> Result<(), End> {
        if packets.missed > 0 {
            let channel = self.session.channel().map(framewell_model::ChannelId::get);
            metrics::counter!("framewell_rtsp_missed_frames_total").increment(packets.missed);
            tracing::info!(peer = %self.peer, channel.id = channel, frames = packets.missed, "rtsp reader lagged, goes on at a key frame");
        }
        let buffers = address(&packets, self.session.chosen());
        self.write(&buffers).await
    }

    /// One vectored write, repeated until everything is taken; never longer than the time-out.
    async fn write(&mut self, buffers: &[Bytes]) -> Result<(), End> {
        let mut slices: Vec<_> = buffers.iter().map(|bytes| IoSlice::new(bytes)).collect();
        let mut rest = slices.as_mut_slice();
        let writing = async {
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                let written = self.stream.write_vectored(rest).await?;
                if written == 0 {
                    return Err(io::Error::from(io::ErrorKind::WriteZero));
                }
                self.sent_bytes.increment(written as u64);
                IoSlice::advance_slices(&mut rest, written);
            }
            Ok(())
        };
        match tokio::time::timeout(self.config.write_timeout, writing).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(End::Stalled),
        }
    }
}

/// The packets of the chosen tracks, under the channel numbers the client asked for.
fn address(packets: &Packets, chosen: &[Chosen]) -> Vec<Bytes> {
    let find = |track: TrackKind| chosen.iter().find(|one| one.track == track);
    packets
        .frames
        .iter()
        .filter_map(|(track, wire)| {
            let channel = find(*track)?.channel;
            let own = match track {
                TrackKind::Video => CHANNEL_VIDEO,
                TrackKind::Audio => CHANNEL_AUDIO,
            };
            Some(if channel == own {
                wire.clone()
            } else {
                with_channel(wire, *track, channel)
            })
        })
        .collect()
}
