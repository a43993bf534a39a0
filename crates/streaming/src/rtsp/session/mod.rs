//! The conversation of one connection (RFC 2326 section 10): requests in, replies out.
//!
//! One connection has at most one session of one channel, live ([`live`]) or recorded ([`recorded`]).
//! The right to it ([`authority`]) is checked at every `DESCRIBE` and `SETUP`, and again at `PLAY`.

mod authority;
mod carrier;
mod live;
mod recorded;

use super::player::Player;
use super::record::RecordService;
use super::reply::{Refusal, Reply};
use super::transport;
use super::udp::{Sign, Udp};
use super::uri::{Kind, Target};
use crate::fanout::{Fanouts, Reader};
use crate::rtp::{Layout, Packed, TrackStart};
use authority::Authority;
pub(super) use carrier::{Carrier, Chosen};
use framewell_access::Access;
use framewell_access::sessions::{self, Activity, NewSession, Protocol, SessionRefused, Sessions};
use framewell_media::TrackKind;
use framewell_model::ChannelId;
use framewell_playback::Playback;
use framewell_playback::replay::ReplayError;
use parking_lot::Mutex;
use recorded::{Presentation, Style};
use rtsp_types::{HeaderName, Method, Request, StatusCode, headers};
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// The only option of `Require` that is known (ONVIF Streaming Specification section 6.2).
const REPLAY_OPTION: &str = "onvif-replay";

/// What all sessions of the server share.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) access: Access,
    pub(super) fanouts: Arc<Fanouts<Packed>>,
    pub(super) playback: Playback,
    pub(super) record: RecordService,
    pub(super) sessions: Sessions,
    pub(super) session_timeout: Duration,
    /// `None` if UDP is not served.
    pub(super) udp: Option<Arc<Udp>>,
}

#[derive(Debug)]
struct Play {
    id: String,
    target: Target,
    layout: Layout,
    authority: Authority,
    chosen: Vec<Chosen>,
    /// Its entry in the list of sessions, from the first PLAY on.
    listed: Option<sessions::Session>,
}

/// Where packets come from.
#[derive(Debug)]
enum Feed {
    Live(Reader<Packed>),
    Recorded(Box<Player>),
}

/// What is to be sent next, with one write.
#[derive(Debug)]
pub(super) struct Packets {
    pub(super) frames: Vec<Packed>,
    /// Frames that the client was too slow for.
    pub(super) missed: u64,
}

/// Why there are no more packets, and the connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum FeedError {
    #[error("the stream ended or changed its tracks")]
    LiveEnded,
    #[error("the recording cannot be read")]
    Replay(#[from] ReplayError),
}

/// State of one connection.
#[derive(Debug)]
pub(super) struct Session {
    service: Service,
    peer: SocketAddr,
    play: Option<Play>,
    feed: Option<Feed>,
    is_playing: bool,
    /// What of a recording was described or set up last.
    presentation: Option<Presentation>,
    /// How a recording is played.
    style: Style,
    /// Of the Digest challenges of this connection.
    nonce: String,
    failed_logins: u32,
    /// Whether the client wants the replay extension of ONVIF.
    is_onvif_replay: bool,
    /// When the client was last heard of over UDP.
    sign: Sign,
}

impl Session {
    pub(super) fn new(service: Service, peer: SocketAddr) -> Self {
        Self {
            service,
            peer,
            play: None,
            feed: None,
            is_playing: false,
            presentation: None,
            style: Style::default(),
            nonce: format!("{:032x}", rand::random::<u128>()),
            failed_logins: 0,
            is_onvif_replay: false,
            sign: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// The tracks to send.
    pub(super) fn chosen(&self) -> &[Chosen] {
        self.play.as_ref().map_or(&[], |play| &play.chosen)
    }

    /// What a client has to answer in a Digest.
    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// For logs.
    pub(super) fn channel(&self) -> Option<ChannelId> {
        self.play.as_ref().map(|play| play.target.channel)
    }

    /// Its entry in the list of sessions, from the first PLAY on.
    pub(super) fn listed(&self) -> Option<&sessions::Session> {
        self.play.as_ref().and_then(|play| play.listed.as_ref())
    }

    /// When the client showed over UDP that it is there; `None` if the connection shows it.
    pub(super) fn sign_of_life(&self) -> Option<Instant> {
        let has_udp = |one: &Chosen| matches!(one.carrier, Carrier::Udp(_));
        let is_udp = self.chosen().iter().any(has_udp);
        is_udp.then(|| *self.sign.lock())
    }

    pub(super) const fn is_playing(&self) -> bool {
        self.is_playing
    }

    /// Waits for packets of what is played: whole frames, up to `max_bytes` if there is more than one.
    /// `None` at the end of a recording; never returns while nothing is played. Cancel-safe.
    pub(super) async fn next(&mut self, max_bytes: usize) -> Result<Option<Packets>, FeedError> {
        if self.is_playing {
            match &mut self.feed {
                Some(Feed::Live(reader)) => {
                    let next = reader.next(max_bytes).await;
                    let next = next.map_err(|_| FeedError::LiveEnded)?;
                    return Ok(Some(Packets {
                        frames: next.frames,
                        missed: next.missed,
                    }));
                }
                Some(Feed::Recorded(player)) => {
                    let frames = player.next(max_bytes).await?;
                    // The session remains, for a seek.
                    self.is_playing = frames.is_some();
                    return Ok(frames.map(|frames| Packets { frames, missed: 0 }));
                }
                None => {}
            }
        }
        std::future::pending().await
    }

    /// Answers one request.
    pub(super) async fn handle(&mut self, request: &Request<Vec<u8>>) -> Reply {
        match self.dispatch(request).await {
            Ok(reply) => reply,
            Err(refusal) => Reply::refusal(refusal, &self.nonce),
        }
        .answering(request)
    }

    async fn dispatch(&mut self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        if request.header(&headers::CSEQ).is_none() {
            return Err(StatusCode::BadRequest.into());
        }
        self.check_required(request)?;
        match request.method() {
            Method::Options => Ok(Reply::ok().with_methods(headers::PUBLIC)),
            Method::Describe => self.describe(request).await,
            Method::Setup => self.set_up(request).await,
            Method::Play => self.play(request).await,
            Method::Pause => self.pause(request),
            Method::Teardown => self.tear_down(request),
            Method::GetParameter => Ok(self.in_session(Reply::ok())),
            Method::SetParameter if request.body().is_empty() => Ok(self.in_session(Reply::ok())),
            Method::SetParameter => Err(StatusCode::ParameterNotUnderstood.into()),
            Method::Announce | Method::Record | Method::Redirect | Method::PlayNotify => {
                Err(StatusCode::MethodNotAllowed.into())
            }
            Method::Extension(_) => Err(StatusCode::NotImplemented.into()),
        }
    }

    /// Refuses options that are not there; remembers those that are.
    fn check_required(&mut self, request: &Request<Vec<u8>>) -> Result<(), Refusal> {
        let Some(required) = request.header(&headers::REQUIRE) else {
            return Ok(());
        };
        let is_live = target(request).is_ok_and(|(_, target)| target.kind == Kind::Live);
        let is_known = |option: &str| !is_live && option.eq_ignore_ascii_case(REPLAY_OPTION);
        let options = required.as_str().split(',').map(str::trim);
        let unknown: Vec<String> = options
            .filter(|option| !is_known(option))
            .map(str::to_owned)
            .collect();
        if !unknown.is_empty() {
            return Err(Refusal::unsupported(unknown));
        }
        self.is_onvif_replay = true;
        Ok(())
    }

    async fn describe(&mut self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        if let Some(accept) = request.header(&headers::ACCEPT) {
            let accept = accept.as_str().to_ascii_lowercase();
            if !accept.contains("application/sdp") && !accept.contains('*') {
                return Err(StatusCode::NotAcceptable.into());
            }
        }
        let (url, target) = target(request)?;
        self.authorise(&target, request).await?;
        let body = match target.kind {
            Kind::Live => self.describe_live(url, target.channel).await?,
            kind @ Kind::Recorded { .. } => {
                self.describe_recorded(url, target.channel, kind).await?
            }
        };
        Ok(Reply::ok()
            .with(headers::CONTENT_BASE, url.as_str())
            .with(headers::CONTENT_TYPE, "application/sdp")
            .with_body(body))
    }

    async fn set_up(&mut self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        if self.feed.is_some() {
            return Err(StatusCode::MethodNotValidInThisState.into());
        }
        self.check_session(request)?;
        let (url, target) = target(request)?;
        let authority = self.authorise(&target, request).await?;
        let track = target.track.unwrap_or(TrackKind::Video);
        let layout = match target.kind {
            Kind::Live => self.live_layout(target.channel)?,
            kind @ Kind::Recorded { .. } => self.recorded_layout(target.channel, kind).await?,
        };
        if track == TrackKind::Audio && layout.audio.is_none() {
            return Err(StatusCode::NotFound.into());
        }
        let has_udp = self.service.udp.is_some();
        let wanted = request
            .header(&headers::TRANSPORT)
            .and_then(|header| transport::choose(header.as_str(), has_udp))
            .ok_or(StatusCode::UnsupportedTransport)?;
        let of_channel = Target {
            track: None,
            ticket: None,
            ..target
        };
        let play = self.play.get_or_insert_with(|| Play {
            id: format!("{:016x}", rand::random::<u64>()),
            target: of_channel.clone(),
            layout: layout.clone(),
            authority,
            chosen: Vec::new(),
            listed: None,
        });
        if play.target != of_channel || play.layout != layout {
            return Err(StatusCode::AggregateOperationNotAllowed.into());
        }
        let transport = self.carry(track, wanted, url)?;
        Ok(self.in_session(Reply::ok().with(headers::TRANSPORT, &transport)))
    }

    async fn play(&mut self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        self.check_session(request)?;
        let Some(play) = &self.play else {
            return Err(StatusCode::MethodNotValidInThisState.into());
        };
        self.check_authority(play).await?;
        self.list()?;
        *self.sign.lock() = Instant::now();
        let reply = match self.play.as_ref().map(|play| play.target.kind) {
            Some(Kind::Recorded { .. }) => self.play_recorded(request).await?,
            _ => self.play_live()?,
        };
        Ok(self.in_session(reply))
    }

    /// Enters the session into the list, if there is room. It may outlive its ticket: engines watch for
    /// longer than an hour, and are sent away when their token is revoked.
    fn list(&mut self) -> Result<(), Refusal> {
        let Some(play) = self.play.as_mut().filter(|play| play.listed.is_none()) else {
            return Ok(());
        };
        let new = NewSession {
            protocol: Protocol::Rtsp,
            activity: match play.target.kind {
                Kind::Live => Activity::Live,
                Kind::Recorded { .. } => Activity::Recorded,
            },
            channel: play.target.channel,
            holder: play.authority.holder(),
            peer: Some(self.peer),
            expire: None,
            expected_bits_per_s: 0,
        };
        let listed = self.service.sessions.open(new).map_err(|error| {
            let status = match error {
                SessionRefused::Ended => StatusCode::Forbidden,
                SessionRefused::NoPlace(_) => StatusCode::ServiceUnavailable,
                _ => StatusCode::NotEnoughBandwidth,
            };
            Refusal::because(status, error.to_string())
        })?;
        play.listed = Some(listed);
        Ok(())
    }

    fn pause(&mut self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        self.check_session(request)?;
        match &self.feed {
            None => return Err(StatusCode::MethodNotValidInThisState.into()),
            // It begins anew at the newest picture.
            Some(Feed::Live(_)) => self.feed = None,
            Some(Feed::Recorded(_)) => {}
        }
        self.is_playing = false;
        Ok(self.in_session(Reply::ok()))
    }

    fn tear_down(&mut self, request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
        self.check_session(request)?;
        let reply = self.in_session(Reply::ok());
        self.end();
        Ok(reply)
    }

    fn end(&mut self) {
        self.is_playing = false;
        self.feed = None;
        self.style = Style::default();
        let play = self.play.take();
        let chosen = play.iter().flat_map(|play| &play.chosen);
        for from in chosen.filter_map(Chosen::reports_from) {
            self.forget(from);
        }
    }

    /// Adds the session header, if there is a session.
    fn in_session(&self, reply: Reply) -> Reply {
        match &self.play {
            Some(play) => reply.with(
                headers::SESSION,
                &format!(
                    "{};timeout={}",
                    play.id,
                    self.service.session_timeout.as_secs()
                ),
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
            _ => Err(StatusCode::SessionNotFound.into()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

impl Play {
    /// RFC 2326 section 12.33.
    fn rtp_info(&self, [video, audio]: [TrackStart; 2]) -> String {
        let mut text = String::new();
        for one in &self.chosen {
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
}

fn target(request: &Request<Vec<u8>>) -> Result<(&Url, Target), Refusal> {
    let url = request.request_uri().ok_or(StatusCode::NotFound)?;
    let target = Target::parse(url).ok_or(StatusCode::NotFound)?;
    Ok((url, target))
}

/// A header's text.
fn header<'a>(request: &'a Request<Vec<u8>>, name: &HeaderName) -> Option<&'a str> {
    request.header(name).map(|value| value.as_str().trim())
}
