//! What the routes of WebRTC need of whoever makes its sessions. The server joins it to the engine:
//! services of one level do not know each other.

use framewell_model::{ChannelId, ErrorKind, Holder};
use futures::future::BoxFuture;
use std::fmt;
use std::net::SocketAddr;

/// Makes sessions.
pub trait WebRtc: fmt::Debug + Send + Sync {
    /// Answers the offer of a client that wants to watch.
    fn play(
        &self,
        wanted: WebRtcWanted,
        offer: String,
    ) -> BoxFuture<'_, Result<WebRtcSession, WebRtcRefusal>>;

    /// Answers the offer of a client that wants to publish.
    fn publish(&self, wanted: WebRtcWanted, offer: &str) -> Result<WebRtcSession, WebRtcRefusal>;

    /// Opens a session with an offer of ours; [`Self::accept`] is to follow.
    fn offer(&self, wanted: WebRtcWanted) -> BoxFuture<'_, Result<WebRtcSession, WebRtcRefusal>>;

    /// The client's answer to our offer.
    fn accept(&self, id: String, answer: String) -> BoxFuture<'_, Result<(), WebRtcRefusal>>;

    /// Whether a session goes on.
    fn is_open(&self, id: &str) -> bool;

    /// Waits until a session has ended.
    fn closed(&self, id: String) -> BoxFuture<'_, ()>;

    /// Ends a session; false if there is none.
    fn end(&self, id: String) -> BoxFuture<'_, bool>;
}

/// What a client wants to watch.
#[derive(Debug, Clone, Copy)]
pub struct WebRtcWanted {
    /// The channel.
    pub channel: ChannelId,
    /// Whether it may see recorded footage, too.
    pub has_recorded: bool,
    /// Whether sound that browsers do not take is to become Opus.
    pub wants_opus: bool,
    /// Who pays for it.
    pub holder: Holder,
    /// From where it was asked for.
    pub peer: Option<SocketAddr>,
}

/// A session that has been opened.
#[derive(Debug, Clone)]
pub struct WebRtcSession {
    /// Names it, and is the right to end it: nobody guesses it.
    pub id: String,
    /// Our session description.
    pub description: String,
    /// Why the channel's sound is not sent, if it has some, and what carries it.
    pub left_out: Option<String>,
}

/// Why there is no session.
#[derive(Debug, Clone)]
pub struct WebRtcRefusal {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// In words, for the client.
    pub message: String,
    /// Protocols that play the channel, where WebRTC cannot.
    pub instead: &'static [&'static str],
}
