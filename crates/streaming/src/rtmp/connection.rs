//! One client's connection: reads messages, writes answers and frames.

use super::Shared;
use super::chunk::{ChunkReader, Message};
use super::conversation::{Conversation, Wish};
use super::handshake::Handshake;
use super::inlet::{Inlet, Refused};
use super::pack::{Packed, Packer};
use super::target::Target;
use crate::accept::Place;
use crate::fanout::{Closed, Frames, Reader};
use bytes::{Bytes, BytesMut};
use framewell_access::StreamUse;
use framewell_access::sessions::{Activity, NewSession, Protocol as Over, Session};
use framewell_ingest::publish::{Ended, Protocol};
use framewell_live::{Start, Track, Wake};
use framewell_model::{ChannelId, ErrorKind, HasKind};
use framewell_wire::rtmp::ProtocolError;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Most bytes handed to the socket at once, unless one frame has more. Together with the write time-out
/// this is the slowest reader that is kept: 256 KiB in 20 s, 100 kbit/s.
const MAX_WRITE_BYTES: usize = 256 << 10;
/// Room for each read: a publisher's key frame comes in a few of them.
const READ_BYTES: usize = 32 << 10;
/// Longest message of somebody who has shown no credential: `connect` has less than 1 KiB.
const MAX_COMMAND: usize = 16 << 10;
/// Longest message of a publisher.
const MAX_MEDIA: usize = 8 << 20;
/// How long a player of a channel that does not deliver waits for a key frame.
const MAX_START_WAIT: Duration = Duration::from_secs(5);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the client closed the connection")]
    Closed,
    #[error("the client did not begin to play or publish in time")]
    Idle,
    #[error("the client does not take data")]
    Stalled,
    #[error("the stream ended")]
    StreamEnded,
    #[error("refused: {0}")]
    Refused(String),
    #[error("the publisher ended: {0}")]
    Publisher(Ended),
    #[error("the session was ended")]
    SessionEnded,
    #[error("the server stops")]
    Stopped,
    #[error("bad input: {0}")]
    Protocol(#[from] ProtocolError),
    #[error("the connection broke")]
    Io(#[from] io::Error),
}

/// What a connection is doing.
#[derive(Debug)]
enum State {
    Idle {
        /// When it has to have begun something.
        deadline: Instant,
    },
    Playing {
        reader: Reader<Packed>,
        heard: Instant,
    },
    Publishing(Inlet),
}

impl State {
    /// The state after the client has ended what it began. One that has begun nothing has no more time
    /// than before: a stranger could keep its place for ever.
    fn stopped(&self, patience: Duration) -> Self {
        match *self {
            Self::Idle { deadline } => Self::Idle { deadline },
            Self::Playing { .. } | Self::Publishing(_) => idle(patience),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    shared: Shared,
    input: BytesMut,
    handshake: Handshake,
    chunks: ChunkReader,
    conversation: Conversation,
    state: State,
    /// While it plays or publishes.
    session: Option<Session>,
    /// For logs.
    channel: Option<ChannelId>,
    sent_bytes: metrics::Counter,
    received_bytes: metrics::Counter,
}

/// The connection's one wait for the end of the server.
type Stopped<'a, 'b> = Pin<&'a mut WaitForCancellationFuture<'b>>;

/// What a connection waits for.
enum Event {
    Read(io::Result<usize>),
    Frames(Frames<Packed>),
    StreamEnded,
    PublisherEnded(Ended),
    Idle,
    SessionEnded,
    Stopped,
}

impl Connection {
    pub(super) fn new(
        (stream, peer, place): (TcpStream, SocketAddr, Place),
        shared: Shared,
    ) -> Self {
        let state = idle(shared.config.idle);
        Self {
            stream,
            peer,
            place,
            shared,
            input: BytesMut::new(),
            handshake: Handshake::new(rand::random()),
            chunks: ChunkReader::new(MAX_COMMAND),
            conversation: Conversation::default(),
            state,
            session: None,
            channel: None,
            sent_bytes: metrics::counter!("framewell_rtmp_sent_bytes_total"),
            received_bytes: metrics::counter!("framewell_rtmp_received_bytes_total"),
        }
    }

    /// Serves the client until one side has had enough.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let end = match self.serve(&stop).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        let channel = self.channel.map(ChannelId::get);
        if let State::Publishing(inlet) = std::mem::replace(&mut self.state, idle(Duration::ZERO)) {
            inlet.end(match end {
                End::Stopped => Ended::ServerStops,
                End::SessionEnded => Ended::NotAllowed,
                End::Protocol(_) => Ended::Unusable("what is no RTMP"),
                _ => Ended::Lost,
            });
        }
        // The connection ends anyway; a client that cannot be told is not told.
        self.flush(pin!(stop.cancelled())).await.ok();
        self.stream.shutdown().await.ok();
        tracing::debug!(peer = %self.peer, channel.id = channel, reason = %end, "rtmp connection ended");
    }

    async fn serve(&mut self, stop: &CancellationToken) -> Result<std::convert::Infallible, End> {
        self.stream.set_nodelay(true)?;
        // One wait for the whole connection: a new one per frame would have all readers meet at the token's
        // lock.
        let mut stopped = pin!(stop.cancelled());
        loop {
            self.take_input(stop).await?;
            self.flush(stopped.as_mut()).await?;
            match self.wait(stopped.as_mut()).await {
                Event::Read(Ok(0)) => return Err(End::Closed),
                Event::Read(Ok(bytes)) => {
                    self.received_bytes.increment(bytes as u64);
                    if let (State::Publishing(_), Some(session)) = (&self.state, &self.session) {
                        session.add_bytes(bytes);
                    }
                    self.conversation.received(bytes);
                }
                Event::Read(Err(error)) => return Err(error.into()),
                Event::Frames(frames) => self.send(frames, stopped.as_mut()).await?,
                Event::StreamEnded => {
                    self.conversation.end_play();
                    return Err(End::StreamEnded);
                }
                Event::PublisherEnded(ended) => {
                    self.conversation
                        .refuse("NetStream.Publish.Failed", &ended.to_string());
                    return Err(End::Publisher(ended));
                }
                Event::Idle => return Err(End::Idle),
                Event::SessionEnded => {
                    self.tell_end();
                    return Err(End::SessionEnded);
                }
                Event::Stopped => return Err(End::Stopped),
            }
        }
    }

    async fn wait(&mut self, stopped: Stopped<'_, '_>) -> Event {
        self.input.reserve(READ_BYTES);
        let silence = self.shared.config.silence;
        let ended = async {
            match &mut self.state {
                State::Idle { deadline } => {
                    tokio::time::sleep_until(*deadline).await;
                    Event::Idle
                }
                State::Playing { reader, heard } => {
                    let next =
                        tokio::time::timeout_at(*heard + silence, reader.next(MAX_WRITE_BYTES));
                    match next.await {
                        Ok(Ok(frames)) => {
                            *heard = Instant::now();
                            Event::Frames(frames)
                        }
                        Ok(Err(Closed)) | Err(_) => Event::StreamEnded,
                    }
                }
                State::Publishing(inlet) => Event::PublisherEnded(inlet.publisher().ended().await),
            }
        };
        let session_ended = session_end(self.session.as_ref());
        tokio::select! {
            () = stopped => Event::Stopped,
            read = self.stream.read_buf(&mut self.input) => Event::Read(read),
            event = ended => event,
            () = session_ended => Event::SessionEnded,
        }
    }

    /// Everything that can be read of what has come.
    async fn take_input(&mut self, stop: &CancellationToken) -> Result<(), End> {
        if self.handshake != Handshake::Done {
            let output = self.conversation.output();
            if !self.handshake.advance(&mut self.input, output)? {
                return Ok(());
            }
        }
        while let Some(message) = self.chunks.next(&mut self.input)? {
            match self.conversation.take(message)? {
                None => {}
                Some(Wish::Media(message)) => self.media(&message)?,
                Some(Wish::Publish(name)) => self.publish(&name).await?,
                Some(Wish::Play(name)) => self.play(&name, stop).await?,
                Some(Wish::Stop) => self.stop(),
            }
        }
        Ok(())
    }

    fn media(&mut self, message: &Message) -> Result<(), End> {
        let State::Publishing(inlet) = &mut self.state else {
            // Behind the end of a stream there may be some on the way.
            return Ok(());
        };
        let refused = match inlet.take(message) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        self.conversation
            .refuse("NetStream.Publish.Failed", &refused.to_string());
        Err(match refused {
            Refused::Ended(ended) => End::Publisher(ended),
            Refused::Protocol(error) => End::Protocol(error),
            Refused::Parameters(error) => End::Publisher(Ended::Parameters(error)),
        })
    }

    /// What a name stands for, if the client may have it.
    async fn admit(&mut self, name: &str, stream: StreamUse) -> Result<ChannelId, String> {
        if !matches!(self.state, State::Idle { .. }) {
            return Err("one stream at a time".to_owned());
        }
        let target = Target::parse(self.conversation.app(), name)
            .ok_or("there is no stream of this name: it is CHANNEL?ticket=TICKET")?;
        let credential = target
            .credential
            .ok_or("no credential: put ?ticket= or ?token= behind the stream name")?;
        let access = &self.shared.service.access;
        let admitted = match target.channel {
            Some(channel) => {
                let admission = access.admit(&credential, channel, stream).await;
                admission.map(|admission| (channel, admission))
            }
            None => access.admit_key(&credential, stream).await,
        };
        let (channel, admission) = admitted.map_err(|error| {
            // Strangers can make as many as they like.
            tracing::debug!(peer = %self.peer, %error, "rtmp client refused");
            match error.kind() {
                ErrorKind::Unauthenticated | ErrorKind::PermissionDenied | ErrorKind::NotFound => {
                    error.to_string()
                }
                _ => "the server cannot check this now".to_owned(),
            }
        })?;
        let activity = match stream {
            StreamUse::Watch => Activity::Live,
            StreamUse::Publish => Activity::Publish,
        };
        let session = self.shared.service.sessions.open(NewSession {
            protocol: Over::Rtmp,
            activity,
            channel,
            holder: admission.holder,
            peer: Some(self.peer),
            expire: None,
            expected_bits_per_s: 0,
        });
        self.session = Some(session.map_err(|error| error.to_string())?);
        self.channel = Some(channel);
        self.place.introduce();
        Ok(channel)
    }

    async fn publish(&mut self, name: &str) -> Result<(), End> {
        let opened = match self.admit(name, StreamUse::Publish).await {
            Ok(channel) => {
                let publishers = &self.shared.service.publishers;
                publishers
                    .open(channel, Protocol::Rtmp, self.peer.ip())
                    .map_err(|error| ("NetStream.Publish.BadName", error.to_string()))
            }
            Err(why) => Err(("NetStream.Publish.Denied", why)),
        };
        match opened {
            Ok(publisher) => {
                self.chunks.set_max_message(MAX_MEDIA);
                self.conversation.accept_publish();
                self.state = State::Publishing(Inlet::new(publisher));
                Ok(())
            }
            Err((code, why)) => {
                self.conversation.refuse(code, &why);
                Err(End::Refused(why))
            }
        }
    }

    async fn play(&mut self, name: &str, stop: &CancellationToken) -> Result<(), End> {
        let opened = match self.admit(name, StreamUse::Watch).await {
            Ok(channel) => match self.open_reader(channel, stop).await {
                Some(reader) => Ok(reader),
                None => {
                    let why = format!("channel {channel} is not streaming now");
                    Err(("NetStream.Play.StreamNotFound", why))
                }
            },
            Err(why) => Err(("NetStream.Play.Failed", why)),
        };
        match opened {
            Ok(reader) => {
                self.conversation.accept_play();
                self.state = State::Playing {
                    reader,
                    heard: Instant::now(),
                };
                Ok(())
            }
            Err((code, why)) => {
                self.conversation.refuse(code, &why);
                Err(End::Refused(why))
            }
        }
    }

    /// A reader of the channel; waits a little for one that does not deliver yet.
    async fn open_reader(
        &self,
        channel: ChannelId,
        stop: &CancellationToken,
    ) -> Option<Reader<Packed>> {
        let fanouts = &self.shared.fanouts;
        let track = fanouts.registry().get(channel)?;
        let mut news = track.subscribe(Start::NextKey);
        if !is_streaming(&track) {
            let wait = tokio::time::timeout(MAX_START_WAIT, news.next(Wake::EveryUnit));
            stop.run_until_cancelled(wait).await?.ok()?;
        }
        fanouts.open(channel, &track, |_| Packer::default())
    }

    /// The client ends what it began; it may begin anew.
    fn stop(&mut self) {
        let after = self.state.stopped(self.shared.config.idle);
        let before = std::mem::replace(&mut self.state, after);
        self.session = None;
        self.chunks.set_max_message(MAX_COMMAND);
        if let State::Publishing(inlet) = before {
            inlet.end(Ended::Finished);
        }
    }

    /// Says that the session is over, and why.
    fn tell_end(&mut self) {
        let reason = self.session.as_ref().and_then(Session::end_reason);
        let why = reason.map_or_else(|| "the session was ended".to_owned(), |why| why.to_string());
        let code = match self.state {
            State::Publishing(_) => "NetStream.Publish.Denied",
            _ => "NetStream.Play.Failed",
        };
        self.conversation.refuse(code, &why);
    }

    async fn send(&mut self, frames: Frames<Packed>, stopped: Stopped<'_, '_>) -> Result<(), End> {
        if frames.missed > 0 {
            let channel = self.channel.map(ChannelId::get);
            if let Some(session) = &self.session {
                session.add_missed(frames.missed);
            }
            metrics::counter!("framewell_rtmp_missed_frames_total").increment(frames.missed);
            tracing::info!(peer = %self.peer, channel.id = channel, frames = frames.missed, "rtmp reader lagged, goes on at a key frame");
        }
        let buffers: Vec<&Bytes> = frames
            .frames
            .iter()
            .enumerate()
            .flat_map(|(index, frame)| {
                let prologue = frame.prologue(frames.begins && index == 0);
                prologue.into_iter().chain(frame.wire.iter())
            })
            .collect();
        self.write(&buffers, stopped).await
    }

    /// Writes the answers that wait.
    async fn flush(&mut self, stopped: Stopped<'_, '_>) -> Result<(), End> {
        let output = Bytes::from(self.conversation.take_output());
        if output.is_empty() {
            return Ok(());
        }
        self.write(&[&output], stopped).await
    }

    /// One vectored write, repeated until everything is taken; never longer than the time-out, nor than
    /// the session and the server go on: a client that does not read holds up neither's end.
    async fn write(&mut self, buffers: &[&Bytes], stopped: Stopped<'_, '_>) -> Result<(), End> {
        let mut slices: Vec<_> = buffers.iter().map(|bytes| IoSlice::new(bytes)).collect();
        let mut rest = slices.as_mut_slice();
        let mut total = 0;
        let writing = async {
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                let written = self.stream.write_vectored(rest).await?;
                if written == 0 {
                    return Err(io::Error::from(io::ErrorKind::WriteZero));
                }
                total += written;
                IoSlice::advance_slices(&mut rest, written);
            }
            Ok(())
        };
        let writing = tokio::time::timeout(self.shared.config.write_timeout, writing);
        let written = tokio::select! {
            // What the socket takes at once waits for nothing else.
            biased;
            written = writing => written.map_err(|_| End::Stalled),
            () = stopped => Err(End::Stopped),
            () = session_end(self.session.as_ref()) => Err(End::SessionEnded),
        };
        self.sent_bytes.increment(total as u64);
        if let (State::Playing { .. }, Some(session)) = (&self.state, &self.session) {
            session.add_bytes(total);
        }
        Ok(written??)
    }
}

/// Waits for the end of a session; for ever while there is none.
async fn session_end(session: Option<&Session>) {
    match session {
        Some(session) => session.ended().await,
        None => std::future::pending().await,
    }
}

fn idle(patience: Duration) -> State {
    State::Idle {
        deadline: Instant::now() + patience,
    }
}

/// Whether a track delivers now: its newest GOP is still open.
fn is_streaming(track: &Track) -> bool {
    track.newest_gop().is_some_and(|gop| !gop.is_closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ending_nothing_wins_no_time() {
        let deadline = Instant::now();
        let after = State::Idle { deadline }.stopped(Duration::from_secs(10));
        assert!(matches!(after, State::Idle { deadline: kept } if kept == deadline));
    }
}
