//! `ANNOUNCE` and `RECORD` (RFC 2326 sections 10.3 and 10.11): encoders that push into a channel.
//!
//! `rtsp://host[:port]/publish/<channel>?ticket=…` (or `token=`). Packets come interleaved in the
//! connection; UDP is refused with 461, upon which encoders fall back to TCP. The credential is checked at
//! `ANNOUNCE`, whose connection it is good for.

mod inlet;

use super::reply::{Refusal, Reply};
use super::transport;
use bytes::Bytes;
use framewell_access::sessions::{Activity, NewSession, Protocol as Over, Session, Sessions};
use framewell_access::{Access, StreamUse};
use framewell_ingest::publish::{Ended, Protocol, PublishError, Publishers};
use framewell_model::{ChannelId, ErrorKind, HasKind, Secret};
use framewell_wire::rtsp::announced::{self, Stream};
use inlet::Inlet;
use rtsp_types::{Method, Request, StatusCode, headers};
use std::net::SocketAddr;
use url::Url;

/// What publishers over RTSP use.
#[derive(Debug, Clone)]
pub(super) struct RecordService {
    pub(super) access: Access,
    pub(super) sessions: Sessions,
    pub(super) publishers: Publishers,
}

/// The publishing side of one connection.
#[derive(Debug)]
pub(super) struct Recorder {
    service: RecordService,
    peer: SocketAddr,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Nothing,
    Announced(Announced),
    Recording {
        inlet: Inlet,
        session: Session,
        id: String,
        channel: ChannelId,
    },
}

#[derive(Debug)]
struct Announced {
    id: String,
    channel: ChannelId,
    session: Session,
    streams: Vec<Stream>,
    /// Those that were set up, under their channel numbers.
    chosen: Vec<(Stream, u8)>,
}

impl Recorder {
    pub(super) const fn new(service: RecordService, peer: SocketAddr) -> Self {
        Self {
            service,
            peer,
            state: State::Nothing,
        }
    }

    /// Whether a request is for the publishing side: it begins it, or it has begun.
    pub(super) fn takes(&self, method: &Method) -> bool {
        matches!(method, Method::Announce | Method::Record) || self.channel().is_some()
    }

    /// The channel that is, or will be, published to.
    pub(super) const fn channel(&self) -> Option<ChannelId> {
        match &self.state {
            State::Nothing => None,
            State::Announced(announced) => Some(announced.channel),
            State::Recording { channel, .. } => Some(*channel),
        }
    }

    pub(super) const fn is_recording(&self) -> bool {
        matches!(self.state, State::Recording { .. })
    }

    /// Answers one request.
    pub(super) async fn handle(&mut self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        if request.header(&headers::CSEQ).is_none() {
            return Err(StatusCode::BadRequest.into());
        }
        match request.method() {
            Method::Announce => self.announce(request).await,
            Method::Setup => self.set_up(request),
            Method::Record => self.record(),
            Method::Teardown => {
                let reply = self.in_session(Reply::ok());
                self.end(Ended::Finished);
                Ok(reply)
            }
            Method::Options | Method::GetParameter | Method::SetParameter => {
                Ok(self.in_session(Reply::ok().with_methods(headers::PUBLIC)))
            }
            _ => Err(StatusCode::MethodNotValidInThisState.into()),
        }
    }

    /// Hands on an interleaved packet.
    pub(super) fn packet(&mut self, channel: u8, data: &Bytes) -> Result<(), Ended> {
        let State::Recording { inlet, session, .. } = &mut self.state else {
            return Ok(());
        };
        session.add_bytes(data.len());
        inlet.take(channel, data)
    }

    /// Waits until the publisher has to go; never returns while there is none. Cancel-safe.
    pub(super) async fn ended(&self) -> Ended {
        match &self.state {
            State::Recording { inlet, session, .. } => tokio::select! {
                ended = inlet.publisher().ended() => ended,
                () = session.ended() => Ended::NotAllowed,
            },
            _ => std::future::pending().await,
        }
    }

    /// The publisher is over.
    pub(super) fn end(&mut self, ended: Ended) {
        if let State::Recording { inlet, .. } = std::mem::take(&mut self.state) {
            inlet.end(ended);
        }
    }

    async fn announce(&mut self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        if self.channel().is_some() {
            return Err(StatusCode::MethodNotValidInThisState.into());
        }
        let url = request.request_uri().ok_or(StatusCode::NotFound)?;
        let (channel, credential) = target(url).ok_or(StatusCode::NotFound)?;
        let credential = credential.ok_or(StatusCode::Unauthorized)?;
        let access = &self.service.access;
        let admitted = access.admit(&credential, channel, StreamUse::Publish).await;
        let admission = admitted.map_err(|error| {
            // Strangers can make as many as they like.
            tracing::debug!(channel.id = %channel, %error, "rtsp publisher refused");
            match error.kind() {
                ErrorKind::Unauthenticated | ErrorKind::NotFound => StatusCode::Unauthorized.into(),
                ErrorKind::PermissionDenied => {
                    Refusal::because(StatusCode::Forbidden, error.to_string())
                }
                _ => Refusal::from(StatusCode::ServiceUnavailable),
            }
        })?;
        let streams = announced::read(request.body()).ok_or_else(|| {
            let why = "No H.264 or H.265 video in the description";
            Refusal::because(StatusCode::UnsupportedMediaType, why)
        })?;
        let session = self.service.sessions.open(NewSession {
            protocol: Over::Rtsp,
            activity: Activity::Publish,
            channel,
            holder: admission.holder,
            peer: Some(self.peer),
            expire: None,
            expected_bits_per_s: 0,
        });
        let session = session
            .map_err(|error| Refusal::because(StatusCode::NotEnoughBandwidth, error.to_string()))?;
        self.state = State::Announced(Announced {
            id: format!("{:016x}", rand::random::<u64>()),
            channel,
            session,
            streams,
            chosen: Vec::new(),
        });
        Ok(Reply::ok())
    }

    fn set_up(&mut self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        let State::Announced(announced) = &mut self.state else {
            return Err(StatusCode::MethodNotValidInThisState.into());
        };
        let url = request.request_uri().ok_or(StatusCode::NotFound)?.as_str();
        let wanted = announced.streams.iter().find(|stream| {
            let control = stream.control.as_str();
            !control.is_empty() && url.ends_with(control)
        });
        let stream = wanted.cloned().ok_or(StatusCode::NotFound)?;
        let transport = request
            .header(&headers::TRANSPORT)
            .and_then(|header| transport::choose_record(header.as_str()))
            .ok_or(StatusCode::UnsupportedTransport)?;
        announced.chosen.retain(|(other, _)| *other != stream);
        let free = || 2 * u8::try_from(announced.chosen.len()).unwrap_or(0);
        let channel = transport.unwrap_or_else(free);
        let taken = announced
            .chosen
            .iter()
            .any(|(_, other)| other.abs_diff(channel) < 2);
        if taken || channel == u8::MAX {
            return Err(StatusCode::UnsupportedTransport.into());
        }
        announced.chosen.push((stream, channel));
        let next = channel + 1;
        let transport = format!("RTP/AVP/TCP;unicast;interleaved={channel}-{next};mode=record");
        Ok(self.in_session(Reply::ok().with(headers::TRANSPORT, &transport)))
    }

    /// Who is refused keeps what was announced, and may ask again.
    fn record(&mut self) -> Result<Reply, Refusal> {
        let announced = match &self.state {
            State::Nothing => return Err(StatusCode::MethodNotValidInThisState.into()),
            // RFC 2326 appendix A.2: the state remains.
            State::Recording { .. } => return Ok(self.in_session(Reply::ok())),
            State::Announced(announced) => announced,
        };
        let is_video =
            |(stream, _): &(Stream, u8)| matches!(stream.coding, announced::Coding::Video(..));
        if !announced.chosen.iter().any(is_video) {
            return Err(StatusCode::MethodNotValidInThisState.into());
        }
        let publisher = self
            .service
            .publishers
            .open(announced.channel, Protocol::Rtsp, self.peer.ip())
            .map_err(|error| {
                let status = match error {
                    PublishError::Stopping => StatusCode::ServiceUnavailable,
                    _ => StatusCode::MethodNotValidInThisState,
                };
                Refusal::because(status, error.to_string())
            })?;
        let inlet = Inlet::new(publisher, announced.chosen.clone())
            .map_err(|ended| Refusal::because(StatusCode::ServiceUnavailable, ended.to_string()))?;
        if let State::Announced(announced) = std::mem::take(&mut self.state) {
            self.state = State::Recording {
                inlet,
                session: announced.session,
                id: announced.id,
                channel: announced.channel,
            };
        }
        Ok(self.in_session(Reply::ok()))
    }

    fn in_session(&self, reply: Reply) -> Reply {
        match &self.state {
            State::Nothing => reply,
            State::Announced(Announced { id, .. }) | State::Recording { id, .. } => {
                reply.with(headers::SESSION, id)
            }
        }
    }
}

/// The channel of a URL, and what shall open it. Encoders put the control text behind the query.
fn target(url: &Url) -> Option<(ChannelId, Option<Secret<String>>)> {
    let mut segments = url.path_segments()?.filter(|segment| !segment.is_empty());
    if segments.next()? != "publish" {
        return None;
    }
    let channel = segments.next()?.parse().ok()?;
    let mut pairs = url.query_pairs();
    let credential = pairs.find(|(name, _)| name == "ticket" || name == "token");
    Some((
        channel,
        credential.map(|(_, text)| Secret::new(text.into_owned())),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_names_channel_and_credential() {
        let parse = |text: &str| target(&Url::parse(text).unwrap());
        let (channel, credential) = parse("rtsp://h:8554/publish/7?ticket=media.x").unwrap();
        assert_eq!(channel.get(), 7);
        assert_eq!(credential.unwrap().expose(), "media.x");
        assert!(parse("rtsp://h/publish/7").unwrap().1.is_none());
        for other in [
            "rtsp://h/live/7?ticket=x",
            "rtsp://h/publish/x",
            "rtsp://h/publish",
        ] {
            assert!(parse(other).is_none(), "{other}");
        }
    }
}
