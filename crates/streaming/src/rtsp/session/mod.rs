//! The conversation of one connection (RFC 2326 section 10): requests in, replies out.
//!
//! One connection has at most one session of one channel. The ticket is checked at every `DESCRIBE`
//! and `SETUP`, and again at `PLAY`.

use super::fanout::{Fanouts, Reader};
use super::reply::{Reply, Then};
use super::uri::Target;
use super::{sdp, transport};
use crate::rtp::{CHANNEL_AUDIO, CHANNEL_VIDEO, Layout, TrackStart};
use framewell_access::{Access, MediaScope};
use framewell_live::{Start, Track, Wake};
use framewell_media::{StreamParameters, TrackKind};
use framewell_model::{ChannelId, ChannelStatus};
use rtsp_types::{Method, Request, StatusCode, headers};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long a client of a camera that just connected waits for the first key frame.
const MAX_START_WAIT: Duration = Duration::from_secs(5);
/// Told to clients as the session's time-out. With interleaved packets the connection itself shows
/// that the client is alive, so nothing depends on it.
const SESSION_TIMEOUT_S: u32 = 60;

/// What all sessions of the server share.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) access: Access,
    pub(super) fanouts: Arc<Fanouts>,
}

/// A track the client has set up.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) track: TrackKind,
    /// Interleaved channel of RTP; RTCP uses the next one.
    pub(super) channel: u8,
    /// For `RTP-Info`.
    url: Url,
}

#[derive(Debug)]
struct Play {
    id: String,
    channel: ChannelId,
    layout: Layout,
    ticket: String,
    chosen: Vec<Chosen>,
}

/// State of one connection.
#[derive(Debug)]
pub(super) struct Session {
    service: Service,
    play: Option<Play>,
    is_playing: bool,
}

/// A request that is refused: the status is the answer.
type Refusal = StatusCode;

impl Session {
    pub(super) const fn new(service: Service) -> Self {
        Self {
            service,
            play: None,
            is_playing: false,
        }
    }

    /// The tracks to send.
    pub(super) fn chosen(&self) -> &[Chosen] {
        self.play.as_ref().map_or(&[], |play| &play.chosen)
    }

    /// For logs.
    pub(super) fn channel(&self) -> Option<ChannelId> {
        self.play.as_ref().map(|play| play.channel)
    }

    /// Answers one request.
    pub(super) async fn handle(&mut self, request: &Request<Vec<u8>>) -> Reply {
        match self.dispatch(request).await {
            Ok(reply) => reply,
            Err(status) => Reply::refusal(status, request),
        }
        .answering(request)
    }

    async fn dispatch(&mut self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        if request.header(&headers::CSEQ).is_none() {
            return Err(StatusCode::BadRequest);
        }
        if request.header(&headers::REQUIRE).is_some() {
            return Err(StatusCode::OptionNotSupported);
        }
        match request.method() {
            Method::Options => Ok(Reply::ok().with_methods(headers::PUBLIC)),
            Method::Describe => self.describe(request).await,
            Method::Setup => self.set_up(request),
            Method::Play => self.play(request),
            Method::Pause => self.pause(request),
            Method::Teardown => self.tear_down(request),
            Method::GetParameter => Ok(self.in_session(Reply::ok())),
            Method::SetParameter if request.body().is_empty() => Ok(self.in_session(Reply::ok())),
            Method::SetParameter => Err(StatusCode::ParameterNotUnderstood),
            Method::Announce | Method::Record | Method::Redirect | Method::PlayNotify => {
                Err(StatusCode::MethodNotAllowed)
            }
            Method::Extension(_) => Err(StatusCode::NotImplemented),
        }
    }

    async fn describe(&self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        if let Some(accept) = request.header(&headers::ACCEPT) {
            let accept = accept.as_str().to_ascii_lowercase();
            if !accept.contains("application/sdp") && !accept.contains('*') {
                return Err(StatusCode::NotAcceptable);
            }
        }
        let (url, target) = target(request)?;
        self.authorise(&target)?;
        let (_, parameters) = self.live(target.channel).await?;
        let body = sdp::describe(url, &parameters);
        Ok(Reply::ok()
            .with(headers::CONTENT_BASE, url.as_str())
            .with(headers::CONTENT_TYPE, "application/sdp")
            .with_body(body))
    }

    fn set_up(&mut self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        if self.is_playing {
            return Err(StatusCode::MethodNotValidInThisState);
        }
        self.check_session(request)?;
        let (url, target) = target(request)?;
        let ticket = self.authorise(&target)?;
        let track = target.track.unwrap_or(TrackKind::Video);
        let layout = self.layout_of(&target)?;
        if track == TrackKind::Audio && layout.audio.is_none() {
            return Err(StatusCode::NotFound);
        }
        let wanted = request
            .header(&headers::TRANSPORT)
            .and_then(|header| transport::choose(header.as_str()))
            .ok_or(StatusCode::UnsupportedTransport)?;
        let play = self.play.get_or_insert_with(|| Play {
            id: format!("{:016x}", rand::random::<u64>()),
            channel: target.channel,
            layout: layout.clone(),
            ticket,
            chosen: Vec::new(),
        });
        if play.channel != target.channel || play.layout != layout {
            return Err(StatusCode::AggregateOperationNotAllowed);
        }
        let channel = play.choose(track, wanted.channel, url)?;
        let transport = format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel + 1);
        Ok(self.in_session(Reply::ok().with(headers::TRANSPORT, &transport)))
    }

    fn play(&mut self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        self.check_session(request)?;
        let Some(play) = &self.play else {
            return Err(StatusCode::MethodNotValidInThisState);
        };
        if self.is_playing {
            return Ok(self.in_session(Reply::ok()));
        }
        self.check_ticket(&play.ticket, play.channel)?;
        let reader = self.open_reader(play)?;
        let mut reply = Reply::ok().with(headers::RANGE, "npt=now-");
        if let Some(starts) = reader.starts() {
            reply = reply.with(headers::RTP_INFO, &rtp_info(&play.chosen, starts));
        }
        self.is_playing = true;
        Ok(self.in_session(reply).then(Then::Play(reader)))
    }

    fn pause(&mut self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        self.check_session(request)?;
        if !self.is_playing {
            return Err(StatusCode::MethodNotValidInThisState);
        }
        self.is_playing = false;
        Ok(self.in_session(Reply::ok()).then(Then::Stop))
    }

    fn tear_down(&mut self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        self.check_session(request)?;
        let reply = self.in_session(Reply::ok()).then(Then::Stop);
        self.is_playing = false;
        self.play = None;
        Ok(reply)
    }

    /// Adds the session header, if there is a session.
    fn in_session(&self, reply: Reply) -> Reply {
        match &self.play {
            Some(play) => reply.with(
                headers::SESSION,
                &format!("{};timeout={SESSION_TIMEOUT_S}", play.id),
            ),
            None => reply,
        }
    }

    /// A session header must name this connection's session (RFC 2326 section 12.37).
    fn check_session(&self, request: &Request<Vec<u8>>) -> Result<(), Refusal> {
        let named = request
            .header(&headers::SESSION)
            .map(|value| value.as_str().split(';').next().unwrap_or_default().trim());
        let own = self.play.as_ref().map(|play| play.id.as_str());
        match (named, own) {
            (None, None) => Ok(()),
            // Some clients leave the header out of a second SETUP.
            (None, Some(_)) if *request.method() == Method::Setup => Ok(()),
            (named, own) if named == own => Ok(()),
            _ => Err(StatusCode::SessionNotFound),
        }
    }

    fn authorise(&self, target: &Target) -> Result<String, Refusal> {
        let ticket = target.ticket.clone().ok_or(StatusCode::Unauthorized)?;
        self.check_ticket(&ticket, target.channel)?;
        Ok(ticket)
    }

    fn check_ticket(&self, ticket: &str, channel: ChannelId) -> Result<(), Refusal> {
        let scope = MediaScope::Live(channel);
        self.service
            .access
            .check_ticket(ticket, &scope)
            .map(|_| ())
            .map_err(|error| {
                // Strangers can make as many as they like.
                tracing::debug!(channel.id = %channel, %error, "rtsp ticket refused");
                StatusCode::Unauthorized
            })
    }

    fn track(&self, channel: ChannelId) -> Result<Track, Refusal> {
        let registry = self.service.fanouts.registry();
        registry.get(channel).ok_or(StatusCode::NotFound)
    }

    /// The track and what it sends now; waits a little for a camera that just connected.
    async fn live(&self, channel: ChannelId) -> Result<(Track, Arc<StreamParameters>), Refusal> {
        let track = self.track(channel)?;
        let mut news = track.subscribe(Start::NextKey);
        if let Some(parameters) = streaming(&track) {
            return Ok((track, parameters));
        }
        let status = track.source_state().borrow().status;
        if status == ChannelStatus::Active {
            let wait = tokio::time::timeout(MAX_START_WAIT, news.next(Wake::EveryUnit));
            if let Ok(batch) = wait.await {
                return Ok((track, batch.parameters));
            }
        }
        Err(StatusCode::ServiceUnavailable)
    }

    fn layout_of(&self, target: &Target) -> Result<Layout, Refusal> {
        let track = self.track(target.channel)?;
        let parameters = streaming(&track).ok_or(StatusCode::ServiceUnavailable)?;
        Ok(Layout::of(&parameters))
    }

    fn open_reader(&self, play: &Play) -> Result<Reader, Refusal> {
        let track = self.track(play.channel)?;
        if streaming(&track).is_none() {
            return Err(StatusCode::ServiceUnavailable);
        }
        // A layout that changed since SETUP needs another DESCRIBE.
        self.service
            .fanouts
            .open(play.channel, &track)
            .filter(|reader| *reader.layout() == play.layout)
            .ok_or(StatusCode::ServiceUnavailable)
    }
}

impl Play {
    /// Remembers a track and gives it the channels the client asked for, or its own.
    fn choose(&mut self, track: TrackKind, wanted: Option<u8>, url: &Url) -> Result<u8, Refusal> {
        let own = match track {
            TrackKind::Video => CHANNEL_VIDEO,
            TrackKind::Audio => CHANNEL_AUDIO,
        };
        let channel = wanted.unwrap_or(own);
        self.chosen.retain(|other| other.track != track);
        if self
            .chosen
            .iter()
            .any(|other| other.channel.abs_diff(channel) < 2)
        {
            return Err(StatusCode::UnsupportedTransport);
        }
        self.chosen.push(Chosen {
            track,
            channel,
            url: url.clone(),
        });
        Ok(channel)
    }
}

/// Parameters of a track that delivers now: its newest GOP is still open.
fn streaming(track: &Track) -> Option<Arc<StreamParameters>> {
    track
        .newest_gop()
        .filter(|gop| !gop.is_closed)
        .map(|gop| gop.parameters)
}

fn target(request: &Request<Vec<u8>>) -> Result<(&Url, Target), Refusal> {
    let url = request.request_uri().ok_or(StatusCode::NotFound)?;
    let target = Target::parse(url).ok_or(StatusCode::NotFound)?;
    Ok((url, target))
}

/// RFC 2326 section 12.33.
fn rtp_info(chosen: &[Chosen], [video, audio]: [TrackStart; 2]) -> String {
    let mut text = String::new();
    for one in chosen {
        let start = match one.track {
            TrackKind::Video => video,
            TrackKind::Audio => audio,
        };
        let separator = if text.is_empty() { "" } else { "," };
        write!(
            text,
            "{separator}url={};seq={};rtptime={}",
            one.url, start.sequence, start.timestamp
        )
        .expect("writing into a string does not fail");
    }
    text
}
