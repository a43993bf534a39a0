//! Sessions of video: who reads or publishes which channel, over which protocol, since when and how much.
//!
//! Every protocol opens one ([`Sessions::open`]) for as long as it sends or receives, counts into it, and goes
//! when [`Session::ended`] says so: the ticket ended, the token was revoked, or somebody ended the session. A
//! session is over when it is dropped. HLS, which has none of its own, is counted by [`Sessions::visit`].
//! What does not belong here: sockets, and which route needs which right.

mod entry;
mod visits;
mod watch;

pub use entry::{Activity, EndReason, NewSession, Protocol, Session, SessionId, SessionView};

use crate::places::{NoPlace, Places};
use entry::Entry;
use framewell_model::{ChannelId, ErrorKind, HasKind, WallClock};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use visits::Visits;

/// What a camera usually takes, until it is measured.
const USUAL_BITS_PER_S: u64 = 4_000_000;

/// Limits of sessions.
#[derive(Debug, Clone)]
pub struct SessionsConfig {
    /// How many there may be, and how many of one token and account.
    pub places: Places,
    /// Bits per second that all sessions together may send before no new one is taken; `None` for no limit.
    pub max_bits_per_s: Option<u64>,
    /// The same of all sessions of one token.
    pub token_max_bits_per_s: Option<u64>,
}

/// A session that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionRefused {
    /// Too many sessions.
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    /// The token reads as much as it may.
    #[error("this token is sent {sent} bit/s, of {limit} that one token may be")]
    TokenBandwidth {
        /// Bits per second.
        sent: u64,
        /// Bits per second.
        limit: u64,
    },
    /// The server sends as much as it may.
    #[error("the server sends {sent} bit/s, of {limit} that it may")]
    Bandwidth {
        /// Bits per second.
        sent: u64,
        /// Bits per second.
        limit: u64,
    },
    /// Somebody ended what this ticket had opened.
    #[error("the session of this ticket has been ended")]
    Ended,
}

impl HasKind for SessionRefused {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoPlace(source) => source.kind(),
            Self::TokenBandwidth { .. } => ErrorKind::ResourceExhausted,
            Self::Bandwidth { .. } => ErrorKind::Unavailable,
            Self::Ended => ErrorKind::PermissionDenied,
        }
    }
}

impl SessionRefused {
    /// The number that was the limit, if it was one.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        match self {
            Self::NoPlace(source) => u64::try_from(source.limit()).ok(),
            Self::TokenBandwidth { limit, .. } | Self::Bandwidth { limit, .. } => Some(*limit),
            Self::Ended => None,
        }
    }
}

/// All sessions of this process; cheap to clone. [`Sessions::run`] has to run somewhere for rates, and for
/// sessions to end with their tickets and tokens.
#[derive(Debug, Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: SessionsConfig,
    clock: Arc<dyn WallClock>,
    open: Mutex<BTreeMap<SessionId, Arc<Entry>>>,
    visits: Mutex<Visits>,
}

impl Sessions {
    /// None yet.
    #[must_use]
    pub fn new(config: SessionsConfig, clock: Arc<dyn WallClock>) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                clock,
                open: Mutex::default(),
                visits: Mutex::default(),
            }),
        }
    }

    /// Takes a session in, until it is dropped.
    ///
    /// # Errors
    /// There are too many sessions, or too much is sent already.
    pub fn open(&self, mut new: NewSession) -> Result<Session, SessionRefused> {
        let shared = &self.shared;
        let place = shared.config.places.take(new.holder)?;
        shared.check_bandwidth(&mut new)?;
        let entry = Arc::new(Entry::new(new, shared.clock.now(), place));
        shared.open.lock().insert(entry.id, Arc::clone(&entry));
        entry.opened();
        Ok(Session::new(entry, Arc::clone(shared)))
    }

    /// Open sessions of these channels, oldest first.
    #[must_use]
    pub fn list(&self, is_wanted: impl Fn(ChannelId) -> bool) -> Vec<SessionView> {
        let open = self.shared.open.lock();
        let wanted = open.values().filter(|entry| is_wanted(entry.new.channel));
        let mut views: Vec<_> = wanted.map(|entry| entry.view()).collect();
        drop(open);
        views.sort_by_key(|view| (view.started, view.id));
        views
    }

    /// One open session.
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<SessionView> {
        self.shared.open.lock().get(&id).map(|entry| entry.view())
    }

    /// Ends a session; whether there was one. A visit's ticket opens nothing any more until it expires.
    pub fn end(&self, id: SessionId, why: EndReason) -> bool {
        let found = self.shared.open.lock().get(&id).cloned();
        if let Some(entry) = &found {
            entry.end(why);
            self.shared.visits.lock().ban(id);
        }
        found.is_some()
    }

    /// How many there are and may be, for metrics.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.shared.config.places
    }
}

impl Shared {
    /// Rates are those of the last second, so a session that just began counts with what is expected of it.
    fn check_bandwidth(&self, new: &mut NewSession) -> Result<(), SessionRefused> {
        let (all, token) = (self.config.max_bits_per_s, self.config.token_max_bits_per_s);
        if all.is_none() && token.is_none() {
            return Ok(());
        }
        let (mut sent, mut of_token, mut of_channel) = (0_u64, 0_u64, 0_u64);
        for entry in self.open.lock().values() {
            let rate = entry.sent_bits_per_s();
            sent = sent.saturating_add(rate);
            if entry.new.holder == new.holder {
                of_token = of_token.saturating_add(rate);
            }
            if entry.new.channel == new.channel {
                of_channel = of_channel.max(rate);
            }
        }
        if new.expected_bits_per_s == 0 {
            let known = Some(of_channel).filter(|rate| *rate > 0);
            new.expected_bits_per_s = known.unwrap_or(USUAL_BITS_PER_S);
        }
        if let Some(limit) = token.filter(|limit| of_token >= *limit) {
            return Err(SessionRefused::TokenBandwidth {
                sent: of_token,
                limit,
            });
        }
        match all.filter(|limit| sent >= *limit) {
            Some(limit) => Err(SessionRefused::Bandwidth { sent, limit }),
            None => Ok(()),
        }
    }

    fn closed(&self, id: SessionId) {
        self.open.lock().remove(&id);
    }
}

#[cfg(test)]
mod tests;
