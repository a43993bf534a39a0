//! One client's connection: reads requests, writes replies and packets.

use super::RtspConfig;
use super::record::Recorder;
use super::reply::Reply;
use super::session::{Carrier, Chosen, FeedError, Packets, Service, Session};
use super::udp::{Ports, Sent, Udp};
use super::wire::{Decoder, Incoming, WireError};
use crate::accept::Place;
use crate::rtp::{CHANNEL_AUDIO, CHANNEL_VIDEO, Packed, with_channel};
use bytes::Bytes;
use framewell_access::sessions::EndReason;
use framewell_ingest::publish::Ended;
use framewell_media::TrackKind;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Most bytes handed to the socket at once, unless one frame has more. Together with the write
/// time-out this is the slowest reader that is kept: 256 KiB in 20 s, 100 kbit/s.
const MAX_WRITE_BYTES: usize = 256 << 10;
/// A reader that asks for this much room per read gets requests and reports in one go.
const READ_BYTES: usize = 4 << 10;
/// The same of a publisher, whose key frames come in many packets.
const PUBLISHED_BYTES: usize = 32 << 10;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the client closed the connection")]
    Closed,
    #[error("no complete request in time")]
    Idle,
    #[error("the client does not take data")]
    Stalled,
    #[error(transparent)]
    Feed(#[from] FeedError),
    #[error("the client has no right password")]
    Guessing,
    #[error("the publisher ended: {0}")]
    Publisher(Ended),
    #[error("the server stops")]
    Stopped,
    /// By the list of sessions.
    #[error("{0}")]
    Over(EndReason),
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
    place: Place,
    config: RtspConfig,
    decoder: Decoder,
    session: Session,
    recorder: Recorder,
    udp: Option<Arc<Udp>>,
    /// Says when the session has to end.
    over: Option<CancellationToken>,
    /// When a connection is given up that does not play, or plays over UDP without a sign of life.
    /// Requests move it once a ticket was shown: strangers must not hold a place by asking for nothing.
    deadline: Instant,
    sent_bytes: metrics::Counter,
}

/// The connection's one wait for the end of the server.
type Stopped<'a, 'b> = Pin<&'a mut WaitForCancellationFuture<'b>>;

/// What a connection waits for.
enum Event {
    Read(io::Result<usize>),
    Packets(Packets),
    PlayEnded,
    FeedEnded(FeedError),
    PublisherEnded(Ended),
    Idle,
    Stopped,
    Over,
}

impl Connection {
    pub(super) fn new(
        (stream, peer, place): (TcpStream, SocketAddr, Place),
        config: RtspConfig,
        service: Service,
    ) -> Self {
        Self {
            stream,
            peer,
            place,
            deadline: Instant::now() + config.idle,
            config,
            decoder: Decoder::default(),
            udp: service.udp.clone(),
            over: None,
            recorder: Recorder::new(service.record.clone(), peer),
            session: Session::new(service, peer),
            sent_bytes: metrics::counter!("framewell_rtsp_sent_bytes_total"),
        }
    }

    /// Serves the client until one side has had enough.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let end = match self.serve(&stop).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        self.recorder.end(match end {
            End::Stopped => Ended::ServerStops,
            _ => Ended::Lost,
        });
        if let End::Wire(error) = &end {
            let refusal = format!("RTSP/1.0 400 {error}\r\n\r\n");
            // The connection ends anyway; a client that cannot be told is not told.
            let refusal = [Bytes::from(refusal)];
            self.write(&refusal, pin!(stop.cancelled())).await.ok();
        }
        let channel = self.channel().map(framewell_model::ChannelId::get);
        tracing::debug!(peer = %self.peer, channel.id = channel, reason = %end, "rtsp connection ended");
    }

    async fn serve(&mut self, stop: &CancellationToken) -> Result<std::convert::Infallible, End> {
        self.stream.set_nodelay(true)?;
        // One wait for the whole connection: a new one per frame would have all readers meet at the
        // token's lock.
        let mut stopped = pin!(stop.cancelled());
        loop {
            while let Some(incoming) = self.decoder.take()? {
                match incoming {
                    Incoming::Request(request) => self.answer(&request, stopped.as_mut()).await?,
                    Incoming::Packet { channel, data } => {
                        let taken = self.recorder.packet(channel, &data);
                        taken.map_err(End::Publisher)?;
                    }
                    Incoming::Ignored => {}
                }
            }
            match self.wait(stopped.as_mut()).await {
                Event::Read(Ok(0)) => return Err(End::Closed),
                Event::Read(Ok(_)) => {}
                Event::Read(Err(error)) => return Err(error.into()),
                Event::Packets(packets) => self.send(packets, stopped.as_mut()).await?,
                Event::PlayEnded => self.deadline = Instant::now() + self.config.session_timeout,
                Event::FeedEnded(error) => return Err(error.into()),
                Event::PublisherEnded(ended) => return Err(End::Publisher(ended)),
                Event::Idle => self.check_signs()?,
                Event::Stopped => return Err(End::Stopped),
                Event::Over => return Err(End::Over(self.end_reason())),
            }
        }
    }

    async fn wait(&mut self, stopped: Stopped<'_, '_>) -> Event {
        let is_recording = self.recorder.is_recording();
        let room = if is_recording {
            PUBLISHED_BYTES
        } else {
            READ_BYTES
        };
        self.decoder.buffer().reserve(room);
        let over = self.over.clone();
        let over = ended(over.as_ref());
        // Silent publishers are ended where all of them are.
        let is_alive =
            is_recording || self.session.is_playing() && self.session.sign_of_life().is_none();
        tokio::select! {
            () = stopped => Event::Stopped,
            () = over => Event::Over,
            read = self.stream.read_buf(self.decoder.buffer()) => Event::Read(read),
            packets = self.session.next(MAX_WRITE_BYTES) => {
                match packets {
                    Ok(Some(packets)) => Event::Packets(packets),
                    Ok(None) => Event::PlayEnded,
                    Err(error) => Event::FeedEnded(error),
                }
            }
            ended = self.recorder.ended(), if is_recording => Event::PublisherEnded(ended),
            () = tokio::time::sleep_until(self.deadline), if !is_alive => Event::Idle,
        }
    }

    fn end_reason(&self) -> EndReason {
        let listed = self.session.listed();
        let reason = listed.and_then(framewell_access::sessions::Session::end_reason);
        reason.unwrap_or(EndReason::Ended)
    }

    /// The deadline has passed; who plays over UDP may have shown otherwise that it is there.
    fn check_signs(&mut self) -> Result<(), End> {
        let timeout = self.config.session_timeout;
        let sign = self.session.sign_of_life();
        let deadline = sign.filter(|_| self.session.is_playing());
        match deadline.map(|sign| sign + timeout) {
            Some(deadline) if deadline > Instant::now() => {
                self.deadline = deadline;
                Ok(())
            }
            _ => Err(End::Idle),
        }
    }

    async fn answer(
        &mut self,
        request: &rtsp_types::Request<Vec<u8>>,
        stopped: Stopped<'_, '_>,
    ) -> Result<(), End> {
        let had_session = self.channel().is_some();
        let is_player = self.session.channel().is_some();
        let reply = if !is_player && self.recorder.takes(request.method()) {
            let recorded = self.recorder.handle(request).await;
            let nonce = self.session.nonce();
            recorded
                .unwrap_or_else(|refusal| Reply::refusal(refusal, nonce))
                .answering(request)
        } else {
            self.session.handle(request).await
        };
        self.over = self.session.listed().map(|listed| listed.end_token());
        tracing::debug!(peer = %self.peer, method = ?request.method(), status = u16::from(reply.status()), "rtsp request");
        self.write(&[reply.into_bytes().into()], stopped).await?;
        if self.session.has_guessed_enough() {
            return Err(End::Guessing);
        }
        if self.channel().is_some() {
            self.place.introduce();
        }
        if had_session || self.channel().is_some() {
            // What a session's clients are told.
            let patience = match self.channel() {
                Some(_) => self.config.session_timeout,
                None => self.config.idle,
            };
            self.deadline = Instant::now() + patience;
        }
        Ok(())
    }

    /// The channel that is played or published to.
    fn channel(&self) -> Option<framewell_model::ChannelId> {
        self.session.channel().or(self.recorder.channel())
    }

    async fn send(&mut self, packets: Packets, stopped: Stopped<'_, '_>) -> Result<(), End> {
        if packets.missed > 0 {
            let channel = self.session.channel().map(framewell_model::ChannelId::get);
            metrics::counter!("framewell_rtsp_missed_frames_total").increment(packets.missed);
            if let Some(listed) = self.session.listed() {
                listed.add_missed(packets.missed);
            }
            tracing::info!(peer = %self.peer, channel.id = channel, frames = packets.missed, "rtsp reader lagged, goes on at a key frame");
        }
        let (buffers, datagrams) = address(&packets, self.session.chosen());
        if !datagrams.is_empty() {
            self.send_datagrams(&datagrams).await;
        }
        if buffers.is_empty() {
            return Ok(());
        }
        let bytes = buffers.iter().map(Bytes::len).sum();
        self.write(&buffers, stopped).await?;
        if let Some(listed) = self.session.listed() {
            listed.add_bytes(bytes);
        }
        Ok(())
    }

    /// What cannot be sent at once is lost, as anything may be over UDP.
    async fn send_datagrams(&self, datagrams: &[(TrackKind, Ports, Bytes)]) {
        let Some(udp) = &self.udp else { return };
        let mut sent = Sent::default();
        for (track, to, wire) in datagrams {
            udp.send(wire, *track, *to, &mut sent).await;
        }
        self.sent_bytes.increment(sent.bytes);
        if let Some(listed) = self.session.listed() {
            listed.add_bytes(usize::try_from(sent.bytes).unwrap_or(usize::MAX));
        }
        if sent.dropped > 0 {
            metrics::counter!("framewell_rtsp_udp_dropped_packets_total").increment(sent.dropped);
            tracing::debug!(peer = %self.peer, packets = sent.dropped, "rtsp packets could not be sent over udp");
        }
    }

    /// One vectored write, repeated until everything is taken; never longer than the time-out, nor than
    /// the session and the server go on: a client that does not read holds up neither's end.
    async fn write(&mut self, buffers: &[Bytes], stopped: Stopped<'_, '_>) -> Result<(), End> {
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
        let writing = tokio::time::timeout(self.config.write_timeout, writing);
        tokio::select! {
            // What the socket takes at once waits for nothing else.
            biased;
            written = writing => Ok(written.map_err(|_| End::Stalled)??),
            () = stopped => Err(End::Stopped),
            () = ended(self.over.as_ref()) => Err(End::Over(self.end_reason())),
        }
    }
}

/// Waits for the end of a session; for ever while there is none.
async fn ended(over: Option<&CancellationToken>) {
    match over {
        Some(over) => over.cancelled().await,
        None => std::future::pending().await,
    }
}

/// Packets for the connection, and those for UDP.
type Addressed = (Vec<Bytes>, Vec<(TrackKind, Ports, Bytes)>);

/// The packets of the chosen tracks, under the channel numbers that the client asked for, or with where
/// they go.
fn address(packets: &Packets, chosen: &[Chosen]) -> Addressed {
    let (mut buffers, mut datagrams) = (Vec::new(), Vec::new());
    for Packed { track, wire, .. } in &packets.frames {
        let one = chosen.iter().find(|one| one.track == *track);
        match one.map(|one| one.carrier) {
            Some(Carrier::Udp(ports)) => datagrams.push((*track, ports, wire.clone())),
            Some(Carrier::Tcp(channel)) if channel == own_channel(*track) => {
                buffers.push(wire.clone());
            }
            Some(Carrier::Tcp(channel)) => buffers.push(with_channel(wire, *track, channel)),
            None => {}
        }
    }
    (buffers, datagrams)
}

const fn own_channel(track: TrackKind) -> u8 {
    match track {
        TrackKind::Video => CHANNEL_VIDEO,
        TrackKind::Audio => CHANNEL_AUDIO,
    }
}
