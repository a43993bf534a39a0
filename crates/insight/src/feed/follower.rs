//! One subscriber's place in a feed.

use super::tail::Found;
use super::{Entry, Feeds, Step, Topic, read_history};
use crate::Error;
use framewell_model::ChannelId;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::sync::watch;

/// A subscriber. It is not read ahead for: a slow one costs a few hundred handles of shared entries, or
/// one answer of the database, however far it is behind.
#[derive(Debug)]
pub struct Follower {
    feeds: Feeds,
    topic: Topic,
    /// `None` for all.
    channels: Option<BTreeSet<ChannelId>>,
    cursor: i64,
    newest: i64,
    /// Read, not told yet.
    pending: VecDeque<Arc<Entry>>,
    /// Done with once `pending` is.
    reached: i64,
    moves: watch::Receiver<u64>,
}

impl Feeds {
    /// Follows these channels, or all there are, after `cursor`; without one, what comes from now on. [`Error::Invalid`] for a cursor of
    /// another database, which would wait for numbers that come in years, and for a filter that no
    /// search takes.
    pub async fn open(
        &self,
        topic: Topic,
        channels: Option<BTreeSet<ChannelId>>,
        cursor: Option<i64>,
    ) -> Result<Follower, Error> {
        let catalog = &self.inner.catalog;
        topic.check(catalog)?;
        // Before the look at the newest, so that nothing falls between.
        let moves = self.tail(topic.kind()).subscribe();
        let newest = topic.kind().newest(catalog).await?;
        if cursor.is_some_and(|cursor| cursor > newest) {
            return Err(Error::Invalid(format!(
                "the cursor is newer than everything here, which ends at {newest}"
            )));
        }
        let cursor = cursor.unwrap_or(newest);
        Ok(Follower {
            feeds: self.clone(),
            topic,
            channels,
            cursor,
            newest,
            pending: VecDeque::new(),
            reached: cursor,
            moves,
        })
    }
}

impl Follower {
    /// Where to go on after what was told last.
    #[must_use]
    pub const fn cursor(&self) -> i64 {
        self.cursor
    }

    /// Number of entries of all channels that are newer than the cursor, as far as is known.
    #[must_use]
    pub const fn behind(&self) -> i64 {
        self.newest - self.cursor
    }

    /// From now on, entries of these channels.
    pub fn set_channels(&mut self, channels: BTreeSet<ChannelId>) {
        self.channels = Some(channels);
    }

    /// The next entry of those that were read; the cursor moves behind it.
    pub fn pop(&mut self) -> Option<Arc<Entry>> {
        let entry = self.pending.pop_front()?;
        self.cursor = match self.pending.is_empty() {
            true => self.reached,
            false => entry.revision,
        };
        Some(entry)
    }

    /// Reads a part of what comes next; `false` if there is nothing now, see [`Follower::moved`]. To be
    /// called when [`Follower::pop`] has nothing more. May be dropped while it waits for the database.
    pub async fn read(&mut self) -> Result<bool, Error> {
        self.moves.mark_unchanged();
        let kind = self.topic.kind();
        let catalog = &self.feeds.inner.catalog;
        let found = (self.feeds.tail(kind)).after(self.cursor, kind.edits(catalog));
        match found {
            Found::Entries(step) => {
                self.newest = self.newest.max(self.feeds.tail(kind).until());
                let is_wanted = |entry: &Arc<Entry>| {
                    let channel = entry.channel();
                    let channels = self.channels.as_ref();
                    channels.is_none_or(|channels| channels.contains(&channel))
                        && self.topic.matches(entry)
                };
                let entries = step.entries.into_iter().filter(is_wanted).collect();
                let until = step.until;
                self.take(Step { entries, until });
                Ok(true)
            }
            Found::Nothing => Ok(false),
            Found::Gone(newest) => {
                self.newest = self.newest.max(newest);
                if self.cursor >= self.newest {
                    return Ok(false);
                }
                let (topic, channels) = (&self.topic, self.channels.as_ref());
                let step = read_history(catalog, topic, channels, self.cursor, self.newest).await?;
                self.take(step);
                Ok(true)
            }
        }
    }

    /// Waits until there may be something new since the last [`Follower::read`]. May be dropped.
    pub async fn moved(&mut self) {
        if self.moves.changed().await.is_err() {
            // The sender lives in our own handle.
            std::future::pending::<()>().await;
        }
    }

    fn take(&mut self, step: Step) {
        if step.entries.is_empty() {
            self.cursor = step.until;
        }
        self.pending = step.entries.into();
        self.reached = step.until;
    }
}
