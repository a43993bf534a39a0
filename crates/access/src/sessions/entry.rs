//! One session: what was said when it opened, and what it counts.

use super::Shared;
use crate::places::Place;
use framewell_model::{ChannelId, Holder, WallTime};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Over what a session goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// RTSP, over TCP or UDP.
    Rtsp,
    /// RTMP.
    Rtmp,
    /// HLS; a session is what one ticket asks for.
    Hls,
    /// WebRTC.
    WebRtc,
    /// Fragmented MP4 in an HTTP answer.
    Mp4,
    /// Fragmented MP4 over a WebSocket.
    WebSocket,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Rtsp,
        Self::Rtmp,
        Self::Hls,
        Self::WebRtc,
        Self::Mp4,
        Self::WebSocket,
    ];

    /// As it is written in answers and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rtsp => "rtsp",
            Self::Rtmp => "rtmp",
            Self::Hls => "hls",
            Self::WebRtc => "webrtc",
            Self::Mp4 => "mp4",
            Self::WebSocket => "websocket",
        }
    }

    /// Reads [`Protocol::as_str`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// What a session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Activity {
    /// Watches live video.
    Live,
    /// Watches recorded video.
    Recorded,
    /// Delivers video.
    Publish,
}

impl Activity {
    /// As it is written in answers and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Recorded => "recorded",
            Self::Publish => "publish",
        }
    }
}

/// Why a session is over before its client went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Somebody ended it.
    Ended,
    /// Its ticket ended.
    Expired,
    /// Its token was revoked, or no longer opens the channel.
    Revoked,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "the session was ended by an operator",
            Self::Expired => "the ticket has expired",
            Self::Revoked => "the token does not open this channel any more",
        })
    }
}

/// Number of a session, random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for SessionId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 16 {
            return Err(());
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| ())
    }
}

/// What is known when a session begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Over what it goes.
    pub protocol: Protocol,
    /// What it does.
    pub activity: Activity,
    /// Which channel.
    pub channel: ChannelId,
    /// Who pays for it: of a ticket or a grant.
    pub holder: Holder,
    /// From where, if that is known.
    pub peer: Option<SocketAddr>,
    /// When it has to end; `None` where it may outlive its ticket.
    pub expire: Option<WallTime>,
    /// Bits per second that it will take, as far as is known; 0 if nothing is: then it counts with what others of
    /// the channel take, or a usual camera, until it is measured.
    pub expected_bits_per_s: u64,
}

/// An open session, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Key.
    pub id: SessionId,
    /// What was known when it began.
    pub new: NewSession,
    /// When it began.
    pub started: WallTime,
    /// Bytes sent to the client, or received from a publisher.
    pub bytes: u64,
    /// Bits per second in the last second.
    pub bits_per_s: u64,
    /// Pictures that were left out because the client was slow.
    pub missed_frames: u64,
}

/// What the list and the owner of a session share.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: SessionId,
    pub(super) new: NewSession,
    started: WallTime,
    bytes: AtomicU64,
    missed: AtomicU64,
    /// Of the last second.
    rate: AtomicU64,
    /// What it counts with until it is measured.
    expected: AtomicU64,
    /// Bytes when the rate was taken.
    counted: AtomicU64,
    over: CancellationToken,
    why: OnceLock<EndReason>,
    _place: Place,
}

impl Entry {
    pub(super) fn new(new: NewSession, now: WallTime, place: Place) -> Self {
        Self {
            id: SessionId(rand::random()),
            started: now,
            bytes: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            expected: AtomicU64::new(new.expected_bits_per_s),
            counted: AtomicU64::new(0),
            over: CancellationToken::new(),
            why: OnceLock::new(),
            new,
            _place: place,
        }
    }

    pub(super) fn view(&self) -> SessionView {
        SessionView {
            id: self.id,
            new: self.new.clone(),
            started: self.started,
            bytes: self.bytes.load(Relaxed),
            bits_per_s: self.rate.load(Relaxed),
            missed_frames: self.missed.load(Relaxed),
        }
    }

    /// Bits per second towards the client.
    pub(super) fn sent_bits_per_s(&self) -> u64 {
        match self.new.activity {
            Activity::Publish => 0,
            Activity::Live | Activity::Recorded => {
                self.rate.load(Relaxed).max(self.expected.load(Relaxed))
            }
        }
    }

    /// Takes the rate of the time since the last call.
    pub(super) fn measure(&self, elapsed_s: f64) {
        let bytes = self.bytes.load(Relaxed);
        let news = bytes.saturating_sub(self.counted.swap(bytes, Relaxed));
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate that is shown"
        )]
        let rate = (news as f64 * 8.0 / elapsed_s.max(0.001)) as u64;
        self.rate.store(rate, Relaxed);
        self.expected.store(0, Relaxed);
    }

    /// The first reason counts.
    pub(super) fn end(&self, why: EndReason) {
        if self.why.set(why).is_ok() {
            let (protocol, id) = (self.new.protocol.as_str(), self.id);
            tracing::info!(session.id = %id, channel.id = %self.new.channel, protocol, reason = %why, "session is being ended");
        }
        self.over.cancel();
    }

    pub(super) fn opened(&self) {
        self.gauge().increment(1.0);
        let labels = self.labels();
        metrics::counter!("framewell_sessions_opened_total", &labels).increment(1);
    }

    fn gauge(&self) -> metrics::Gauge {
        metrics::gauge!("framewell_sessions", &self.labels())
    }

    const fn labels(&self) -> [(&'static str, &'static str); 2] {
        [
            ("protocol", self.new.protocol.as_str()),
            ("activity", self.new.activity.as_str()),
        ]
    }
}

/// An open session, for its owner. Dropping it closes it.
#[derive(Debug)]
pub struct Session {
    entry: Arc<Entry>,
    shared: Arc<Shared>,
}

impl Session {
    pub(super) const fn new(entry: Arc<Entry>, shared: Arc<Shared>) -> Self {
        Self { entry, shared }
    }

    /// Key.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.entry.id
    }

    /// Who pays for it.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.entry.new.holder
    }

    /// Counts bytes that went to the client, or came from a publisher. Cheap: one addition.
    pub fn add_bytes(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.entry.bytes.fetch_add(bytes, Relaxed);
    }

    /// Counts pictures that were left out because the client was slow.
    pub fn add_missed(&self, frames: u64) {
        self.entry.missed.fetch_add(frames, Relaxed);
    }

    /// Resolves when the session has to end; [`Session::end_reason`] says why. To be pinned once for a whole
    /// connection.
    pub fn ended(&self) -> WaitForCancellationFuture<'_> {
        self.entry.over.cancelled()
    }

    /// The same, for an owner that cannot borrow.
    #[must_use]
    pub fn end_token(&self) -> CancellationToken {
        self.entry.over.clone()
    }

    /// Why it has to end, once it has.
    #[must_use]
    pub fn end_reason(&self) -> Option<EndReason> {
        self.entry.why.get().copied()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.closed(self.entry.id);
        self.entry.gauge().decrement(1.0);
        let bytes = self.entry.bytes.load(Relaxed);
        let labels = self.entry.labels();
        metrics::counter!("framewell_session_bytes_total", &labels).increment(bytes);
    }
}
