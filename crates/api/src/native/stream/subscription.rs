//! One subscriber: what it is told next, and whether it still may be told.

use crate::AppState;
use crate::error::ApiError;
use crate::native::group_select::Members;
use framewell_insight::feed::{Follower, Topic};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often the gate is asked again: whether the token still stands, and which channels it opens.
const RECHECK: Duration = Duration::from_secs(3);

/// What a subscriber is told; the cursor is where to go on after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// `ready`, `event`, `document` or `heartbeat`.
    pub(crate) word: &'static str,
    pub(crate) cursor: i64,
    /// The JSON object that both transports send, on one line.
    pub(crate) text: String,
}

/// The state of one subscriber.
pub(crate) struct Subscription {
    state: AppState,
    follower: Follower,
    members: Members,
    is_greeted: bool,
    heartbeat: Instant,
    recheck: Instant,
}

impl Subscription {
    /// Goes on after `cursor`; without one, with what comes from now on.
    pub(crate) async fn start(
        state: AppState,
        topic: Topic,
        members: Members,
        cursor: Option<i64>,
    ) -> Result<Self, ApiError> {
        let channels = members.now(&state).await?;
        let named = members.named.iter().flatten();
        if let Some(id) = { named }.find(|id| !channels.contains(id)) {
            return Err(ApiError::not_found(format_args!("channel {id}")));
        }
        let channels = channels.into_iter().collect();
        let follower = state.feeds.open(topic, Some(channels), cursor).await?;
        let now = Instant::now();
        let heartbeat = now + state.config.heartbeat;
        Ok(Self {
            state,
            follower,
            members,
            is_greeted: false,
            heartbeat,
            recheck: now + RECHECK,
        })
    }

    /// What the client is told next; waits for it. May be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Result<Message, ApiError> {
        if !self.is_greeted {
            self.is_greeted = true;
            return Ok(self.message("ready"));
        }
        loop {
            if let Some(entry) = self.follower.pop() {
                self.heartbeat = Instant::now() + self.state.config.heartbeat;
                let cursor = self.follower.cursor();
                return Ok(Message {
                    word: entry.word(),
                    cursor,
                    text: entry.message(cursor, self.follower.behind()),
                });
            }
            let now = Instant::now();
            if now >= self.recheck {
                let channels = self.members.now(&self.state).await?;
                self.follower.set_channels(channels.into_iter().collect());
                self.recheck = now + RECHECK;
            }
            if now >= self.heartbeat {
                return Ok(self.message("heartbeat"));
            }
            if !self.follower.read().await? {
                let next = self.heartbeat.min(self.recheck);
                tokio::select! {
                    () = self.follower.moved() => {}
                    () = sleep_until(next) => {}
                }
            }
        }
    }

    /// A message without an entry.
    fn message(&mut self, word: &'static str) -> Message {
        self.heartbeat = Instant::now() + self.state.config.heartbeat;
        let cursor = self.follower.cursor();
        let object = json!({
            "type": word,
            "cursor": cursor.to_string(),
            "behind": self.follower.behind(),
        });
        Message {
            word,
            cursor,
            text: object.to_string(),
        }
    }
}
