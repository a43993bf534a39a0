//! The newest entries of a feed, in memory: read from the database once for all that follow.

use super::{Entry, FeedKind, Step, read_all};
use crate::Error;
use framewell_catalog::{Catalog, Revisions};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// What other processes on the same database store is noticed within this time.
const POLL: Duration = Duration::from_secs(1);
/// Shortest time between two questions to the database: entries that come one by one are then read some
/// at a time.
const PACE: Duration = Duration::from_millis(20);
/// Most entries kept; whoever is further behind reads the database.
const MOST_ENTRIES: usize = 1_024;
/// Most bytes of their texts.
const MOST_BYTES: usize = 8 << 20;
/// Most entries that a follower takes at once.
const MOST_TAKEN: usize = 256;

/// The newest entries, and how to hear of newer ones.
#[derive(Debug)]
pub(super) struct Tail {
    kept: Mutex<Kept>,
    moves: watch::Sender<u64>,
    wanted: Notify,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            moves: watch::Sender::new(0),
            wanted: Notify::new(),
        }
    }
}

/// All entries with `start < number <= until`.
#[derive(Debug, Default)]
struct Kept {
    start: i64,
    until: i64,
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// What [`FeedKind::edits`] said before these entries were read.
    edits: u64,
    /// Whether anything was read since somebody follows.
    has_begun: bool,
}

/// What a follower finds in the tail.
#[derive(Debug)]
pub(super) enum Found {
    /// Entries of all channels behind its cursor; there is nothing else up to that number.
    Entries(Step),
    /// Nothing is newer.
    Nothing,
    /// The tail begins further on: what lies before it has to be read from the database. The newest
    /// number that the tail knows.
    Gone(i64),
}

impl Tail {
    pub(super) fn followers(&self) -> usize {
        self.moves.receiver_count()
    }

    /// From here on new entries are read. Moves when there are some.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        let moves = self.moves.subscribe();
        self.wanted.notify_one();
        moves
    }

    /// The newest number that was read.
    pub(super) fn until(&self) -> i64 {
        self.kept.lock().until
    }

    /// What comes behind a cursor. `edits` is what [`FeedKind::edits`] says now: entries that may have
    /// been changed since they were read are not told from memory.
    pub(super) fn after(&self, cursor: i64, edits: u64) -> Found {
        let mut kept = self.kept.lock();
        if kept.edits != edits {
            let until = kept.until;
            kept.restart(until, edits);
        }
        if !kept.has_begun || cursor < kept.start {
            return Found::Gone(kept.until);
        }
        if cursor >= kept.until {
            return Found::Nothing;
        }
        let first = kept
            .entries
            .partition_point(|entry| entry.revision <= cursor);
        let newer = kept.entries.iter().skip(first);
        let entries: Vec<Arc<Entry>> = newer.take(MOST_TAKEN).cloned().collect();
        let is_all = first + entries.len() == kept.entries.len();
        let last = entries.last().map(|entry| entry.revision);
        let until = last.filter(|_| !is_all).unwrap_or(kept.until);
        Found::Entries(Step { entries, until })
    }

    /// Adds what was read behind [`Tail::until`].
    fn push(&self, step: Step, edits: u64) {
        let mut kept = self.kept.lock();
        if kept.edits == edits {
            kept.bytes += step
                .entries
                .iter()
                .map(|entry| entry.text().len())
                .sum::<usize>();
            kept.entries.extend(step.entries);
            kept.until = step.until;
            kept.cut();
        } else {
            kept.restart(step.until, edits);
        }
        drop(kept);
        self.moves.send_modify(|moves| *moves += 1);
    }

    fn begin(&self, newest: i64, edits: u64) {
        let mut kept = self.kept.lock();
        kept.restart(newest, edits);
        kept.has_begun = true;
        drop(kept);
        self.moves.send_modify(|moves| *moves += 1);
    }

    fn end(&self) {
        *self.kept.lock() = Kept::default();
    }

    fn has_begun(&self) -> bool {
        self.kept.lock().has_begun
    }
}

impl Kept {
    fn restart(&mut self, until: i64, edits: u64) {
        self.entries.clear();
        (self.start, self.until, self.bytes, self.edits) = (until, until, 0, edits);
    }

    fn cut(&mut self) {
        while self.entries.len() > MOST_ENTRIES || self.bytes > MOST_BYTES {
            let Some(oldest) = self.entries.pop_front() else {
                return;
            };
            self.bytes -= oldest.text().len();
            self.start = oldest.revision;
        }
    }
}

/// Keeps a tail up to date while somebody follows; has no end.
pub(super) async fn follow(tail: &Tail, catalog: &Catalog, kind: FeedKind) {
    let mut changes = kind.changes(catalog);
    loop {
        if tail.followers() == 0 {
            tail.end();
            tail.wanted.notified().await;
            continue;
        }
        changes.mark_unchanged();
        if let Err(error) = advance(tail, catalog, kind).await {
            tracing::warn!(
                feed = kind.word(),
                error = &error as &dyn std::error::Error,
                "new entries cannot be read now; will try again"
            );
            sleep(POLL).await;
            continue;
        }
        let next = Instant::now() + PACE;
        tokio::select! {
            // The sender lives in the catalog.
            _moved = changes.changed() => sleep_until(next).await,
            () = sleep(POLL) => {}
        }
    }
}

/// Reads everything that is new.
async fn advance(tail: &Tail, catalog: &Catalog, kind: FeedKind) -> Result<(), Error> {
    let edits = kind.edits(catalog);
    let newest = kind.newest(catalog).await?;
    if !tail.has_begun() {
        tail.begin(newest, edits);
        return Ok(());
    }
    while tail.until() < newest {
        let edits = kind.edits(catalog);
        let step = read_all(catalog, kind, Revisions::behind(tail.until(), newest)).await?;
        tail.push(step, edits);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::{ChannelId, Event, EventId, EventSource, WallTime};
    use std::collections::BTreeMap;

    fn entry(revision: i64) -> Entry {
        Entry::event(Event {
            id: EventId::new(revision).unwrap(),
            channel: ChannelId::new(1).unwrap(),
            name: "motion".into(),
            time: WallTime::from_secs(revision),
            created: WallTime::from_secs(revision),
            source: EventSource::Api,
            tags: BTreeMap::new(),
            has_file: false,
            notify: true,
            revision,
        })
    }

    fn step(revisions: std::ops::RangeInclusive<i64>) -> Step {
        let until = *revisions.end();
        Step::of(revisions.map(entry).collect(), None, until)
    }

    fn numbers(found: Found) -> (Vec<i64>, i64) {
        match found {
            Found::Entries(step) => (
                step.entries.iter().map(|entry| entry.revision).collect(),
                step.until,
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_follower_is_told_what_it_has_not_seen_or_that_it_is_gone() {
        let tail = Tail::default();
        assert!(matches!(tail.after(4, 0), Found::Gone(0)));
        tail.begin(4, 0);
        assert!(matches!(tail.after(4, 0), Found::Nothing));
        assert!(matches!(tail.after(3, 0), Found::Gone(4)));
        tail.push(step(5..=7), 0);
        assert_eq!(numbers(tail.after(4, 0)), (vec![5, 6, 7], 7));
        assert_eq!(numbers(tail.after(6, 0)), (vec![7], 7));
        assert!(matches!(tail.after(7, 0), Found::Nothing));
        // Numbers that no event has any more are done with, too.
        tail.push(Step::of(Vec::new(), None, 9), 0);
        assert_eq!(numbers(tail.after(7, 0)), (vec![], 9));
    }

    #[test]
    fn what_was_edited_since_it_was_read_is_not_told_from_memory() {
        let tail = Tail::default();
        tail.begin(0, 0);
        tail.push(step(1..=2), 0);
        assert!(matches!(tail.after(0, 1), Found::Gone(2)));
        // Read before that edit, stored after it.
        tail.push(step(3..=3), 0);
        assert!(matches!(tail.after(2, 1), Found::Gone(3)));
        tail.push(step(4..=4), 1);
        assert_eq!(numbers(tail.after(3, 1)), (vec![4], 4));
    }

    #[test]
    fn the_tail_is_bounded_and_hands_out_bounded_parts() {
        let tail = Tail::default();
        tail.begin(0, 0);
        let most = i64::try_from(MOST_ENTRIES).unwrap();
        for first in (1..=most + 1).step_by(25) {
            tail.push(step(first..=first + 24), 0);
        }
        let until = tail.until();
        assert!(matches!(tail.after(0, 0), Found::Gone(_)));
        let (taken, reached) = numbers(tail.after(until - most, 0));
        assert_eq!(taken.len(), MOST_TAKEN);
        assert_eq!(reached, *taken.last().unwrap());
    }
}
