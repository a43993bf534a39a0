//! One subscriber: what it is told next.
//!
//! The database is the queue. A slow client is not read ahead for, so it costs one step of memory however
//! far it is behind; every message says how far that is.

use super::feed::{Feed, Step};
use crate::AppState;
use crate::error::ApiError;
use crate::native::group_select::Members;
use framewell_model::ChannelId;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// How often the gate is asked again: whether the token still stands, and which channels it opens.
const RECHECK: Duration = Duration::from_secs(3);
/// What other processes on the same database store is noticed within this time.
const POLL: Duration = Duration::from_secs(1);
/// Shortest time between two questions to the database of a subscriber that has caught up: entries that
/// come one by one are then told some at a time.
const PACE: Duration = Duration::from_millis(20);

/// What a subscriber is told; the cursor is where to go on after it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    /// `ready`, `event`, `document` or `heartbeat`.
    pub(crate) word: &'static str,
    pub(crate) cursor: i64,
    /// Number of entries of all channels that are newer than the cursor.
    behind: i64,
    /// The entry.
    entry: Option<Value>,
}

impl Message {
    /// The JSON object that both transports send.
    pub(crate) fn to_json(&self) -> Value {
        let mut object = json!({
            "type": self.word,
            "cursor": self.cursor.to_string(),
            "behind": self.behind,
        });
        if let Some(entry) = &self.entry {
            object[self.word] = entry.clone();
        }
        object
    }
}

/// The state of one subscriber.
pub(crate) struct Subscription {
    state: AppState,
    feed: Feed,
    members: Members,
    channels: Vec<ChannelId>,
    cursor: i64,
    newest: i64,
    /// Read, not told yet.
    pending: VecDeque<(i64, Value)>,
    /// Done with once `pending` is.
    reached: i64,
    changes: watch::Receiver<i64>,
    is_greeted: bool,
    heartbeat: Instant,
    recheck: Instant,
}

impl Subscription {
    /// Goes on after `cursor`; without one, with what comes from now on.
    pub(crate) async fn start(
        state: AppState,
        feed: Feed,
        members: Members,
        cursor: Option<i64>,
    ) -> Result<Self, ApiError> {
        let channels = members.now(&state).await?;
        let named = members.named.iter().flatten();
        if let Some(id) = { named }.find(|id| !channels.contains(id)) {
            return Err(ApiError::not_found(format_args!("channel {id}")));
        }
        // Before the look at the newest, so that nothing falls between.
        let changes = feed.changes(&state);
        let newest = feed.newest(&state).await?;
        // A cursor of another database would wait for numbers that come in years.
        if cursor.is_some_and(|cursor| cursor > newest) {
            return Err(ApiError::invalid(format!(
                "the cursor is newer than everything here, which ends at {newest}"
            )));
        }
        let cursor = cursor.unwrap_or(newest);
        let now = Instant::now();
        let heartbeat = now + state.config.heartbeat;
        Ok(Self {
            state,
            feed,
            members,
            channels,
            cursor,
            newest,
            pending: VecDeque::new(),
            reached: cursor,
            changes,
            is_greeted: false,
            heartbeat,
            recheck: now + RECHECK,
        })
    }

    /// What the client is told next; waits for it. May be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Result<Message, ApiError> {
        if !self.is_greeted {
            self.is_greeted = true;
            return Ok(self.message("ready", None));
        }
        loop {
            if let Some((revision, entry)) = self.pending.pop_front() {
                self.cursor = revision;
                if self.pending.is_empty() {
                    self.cursor = self.reached;
                }
                return Ok(self.message(self.feed.word(), Some(entry)));
            }
            let now = Instant::now();
            if now >= self.recheck {
                self.channels = self.members.now(&self.state).await?;
                self.recheck = now + RECHECK;
            }
            if now >= self.heartbeat {
                return Ok(self.message("heartbeat", None));
            }
            if self.cursor < self.newest {
                self.read().await?;
            } else {
                self.wait().await?;
            }
        }
    }

    async fn read(&mut self) -> Result<(), ApiError> {
        let (after, newest) = (self.cursor, self.newest);
        let step = self.feed.step(&self.state, &self.channels, after, newest);
        let Step { entries, until } = step.await?;
        if entries.is_empty() {
            self.cursor = until;
        }
        self.pending = entries.into();
        self.reached = until;
        Ok(())
    }

    /// Until there may be something new, or it is time for something else.
    async fn wait(&mut self) -> Result<(), ApiError> {
        let next = self.heartbeat.min(self.recheck);
        tokio::select! {
            _ = self.changes.changed() => sleep(PACE).await,
            () = sleep(POLL) => {}
            () = sleep_until(next) => {}
        }
        self.changes.mark_unchanged();
        self.newest = self.feed.newest(&self.state).await?;
        Ok(())
    }

    fn message(&mut self, word: &'static str, entry: Option<Value>) -> Message {
        self.heartbeat = Instant::now() + self.state.config.heartbeat;
        Message {
            word,
            cursor: self.cursor,
            behind: self.newest - self.cursor,
            entry,
        }
    }
}
