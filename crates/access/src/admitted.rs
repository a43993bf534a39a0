//! Who holds a ticket, and whether the token behind it still stands.

use crate::{Access, Error, MediaScope};
use framewell_model::{ChannelId, Holder, Right, WallTime};
use framewell_token::MediaTicket;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// So long an answer is not asked for again: players fetch a file every second or so.
const FRESH_US: i64 = 5_000_000;
/// So long it stands in for a database that cannot be asked.
const KEPT_US: i64 = 300_000_000;
/// Answers that are kept.
const MAX_ANSWERS: usize = 4_096;

/// Whose token opened what.
type Key = (Holder, ChannelId, Right);

/// When tokens were last found to stand. Refusals are not kept. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Admitted(Arc<Mutex<HashMap<Key, WallTime>>>);

impl Admitted {
    fn is_within(&self, key: &Key, now: WallTime, age_us: i64) -> bool {
        let asked = self.0.lock().get(key).copied();
        // A clock that was set back makes nothing last longer.
        asked.is_some_and(|asked| (0..age_us).contains(&now.micros_since(asked)))
    }

    fn insert(&self, key: Key, now: WallTime) {
        let mut answers = self.0.lock();
        if answers.len() >= MAX_ANSWERS {
            answers.retain(|_, asked| (0..FRESH_US).contains(&now.micros_since(*asked)));
        }
        if answers.len() < MAX_ANSWERS {
            answers.insert(key, now);
        }
    }

    fn remove(&self, key: &Key) {
        self.0.lock().remove(key);
    }
}

impl Access {
    /// Verifies a ticket, and that the token that it was asked for with still has the right on the channel. A
    /// revocation acts within five seconds, so that players can fetch file after file without the database.
    ///
    /// # Errors
    /// The ticket opens nothing, or not this; its token was revoked, has ended, or no longer opens the
    /// channel.
    pub async fn admit_ticket(&self, text: &str, scope: &MediaScope) -> Result<MediaTicket, Error> {
        let ticket = self.check_ticket(text, scope)?;
        let key = (ticket.holder, scope.channel(), scope.right());
        let now = self.clock.now();
        if self.admitted.is_within(&key, now, FRESH_US) {
            return Ok(ticket);
        }
        match self.stands(&key).await {
            Ok(()) => {
                self.admitted.insert(key, now);
                Ok(ticket)
            }
            Err(Error::Catalog(error)) if self.admitted.is_within(&key, now, KEPT_US) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the token of a ticket cannot be checked"
                );
                Ok(ticket)
            }
            Err(error) => {
                self.admitted.remove(&key);
                Err(error)
            }
        }
    }

    async fn stands(&self, (holder, channel, right): &Key) -> Result<(), Error> {
        let grant = self.standing_grant(holder).await?;
        self.check_channel(&grant, *channel, *right).await
    }
}
