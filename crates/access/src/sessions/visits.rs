//! Sessions of clients that come and go: HLS players fetch one file after the other, with one ticket.

use super::{NewSession, Session, SessionId, SessionRefused, Sessions};
use framewell_model::WallTime;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// A visitor who fetched nothing for this long is gone.
const MAX_IDLE_US: i64 = 30_000_000;
/// Banned tickets that are remembered; those that end first go first.
const MAX_BANS: usize = 4_096;
/// A ban of a ticket that does not say when it ends.
const BAN_US: i64 = 24 * 3_600_000_000;

#[derive(Debug)]
struct Visit {
    session: Arc<Session>,
    seen: WallTime,
    /// When its ticket ends.
    until: WallTime,
}

/// By ticket.
#[derive(Debug, Default)]
pub(super) struct Visits {
    here: HashMap<Box<str>, Visit>,
    /// Tickets whose session was ended, and when they end by themselves.
    bans: HashMap<Box<str>, WallTime>,
}

impl Visits {
    /// The ticket of this session opens nothing any more.
    pub(super) fn ban(&mut self, id: SessionId) {
        let found = self.here.iter().find(|(_, visit)| visit.session.id() == id);
        let Some(ticket) = found.map(|(ticket, _)| ticket.clone()) else {
            return;
        };
        if let Some(visit) = self.here.remove(&ticket) {
            self.remember(ticket, visit.until);
        }
    }

    fn remember(&mut self, ticket: Box<str>, until: WallTime) {
        if self.bans.len() >= MAX_BANS
            && let Some(first) = self.bans.iter().min_by_key(|(_, until)| **until)
        {
            let first = first.0.clone();
            self.bans.remove(&first);
        }
        self.bans.insert(ticket, until);
    }

    /// Forgets who is gone, but for tickets whose session was ended. What is returned is to be dropped without the lock.
    #[must_use]
    pub(super) fn sweep(&mut self, now: WallTime) -> Vec<Arc<Session>> {
        self.bans.retain(|_, until| *until > now);
        let is_gone = |visit: &Visit| {
            now.micros_since(visit.seen) > MAX_IDLE_US || visit.session.end_reason().is_some()
        };
        let gone: Vec<_> = self.here.extract_if(|_, visit| is_gone(visit)).collect();
        let mut sessions = Vec::with_capacity(gone.len());
        for (ticket, visit) in gone {
            if visit.session.end_reason().is_some() {
                self.remember(ticket, visit.until);
            }
            sessions.push(visit.session);
        }
        sessions
    }
}

impl Sessions {
    /// The session of whoever comes with this ticket: opened at the first visit, gone half a minute after the
    /// last one. `new.expire` is when the ticket ends.
    ///
    /// # Errors
    /// There are too many sessions, too much is sent, or the session of this ticket was ended.
    pub fn visit(&self, ticket: &str, new: NewSession) -> Result<Arc<Session>, SessionRefused> {
        let now = self.shared.clock.now();
        let mut visits = self.shared.visits.lock();
        if visits.bans.get(ticket).is_some_and(|until| *until > now) {
            return Err(SessionRefused::Ended);
        }
        match visits.here.entry(ticket.into()) {
            // It stays until the next sweep, which bans its ticket.
            Entry::Occupied(known) if known.get().session.end_reason().is_some() => {
                Err(SessionRefused::Ended)
            }
            Entry::Occupied(mut known) => {
                known.get_mut().seen = now;
                Ok(Arc::clone(&known.get().session))
            }
            Entry::Vacant(place) => {
                let until = new.expire.unwrap_or(now.plus_micros(BAN_US));
                let session = Arc::new(self.open(new)?);
                place.insert(Visit {
                    session: Arc::clone(&session),
                    seen: now,
                    until,
                });
                Ok(session)
            }
        }
    }
}
