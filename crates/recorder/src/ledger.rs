//! Writes the changes of gap rows, in order, however long the database is away.

use crate::gaps::GapChange;
use crate::retry::Backoff;
use framewell_catalog::{Catalog, NewGap};
use framewell_footage::CONTINUITY_US;
use framewell_model::{ChannelId, ErrorKind, GapReason, HasKind, TimeRange, WallClock};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Gap changes that may wait for the database. A flapping camera makes two a minute; at fifty such
/// cameras this is 40 minutes. Footage that has to go for newer one is one change for each channel, however
/// long that lasts. When it is full, the newest change is lost and logged.
const LEDGER_CHANGES: usize = 4_096;

type Changes = Arc<Mutex<VecDeque<(ChannelId, GapChange)>>>;

/// Takes gap changes without waiting for the database.
#[derive(Debug, Clone)]
pub(crate) struct LedgerSender {
    changes: Changes,
    /// Wakes the writer; it ends when all of these are gone.
    bell: mpsc::Sender<()>,
}

impl LedgerSender {
    pub(crate) fn send(&self, channel: ChannelId, change: Option<GapChange>) {
        let Some(change) = change else { return };
        {
            let mut changes = self.changes.lock();
            if joins_one_before(&mut changes, channel, change) {
                return;
            }
            if changes.len() >= LEDGER_CHANGES {
                tracing::error!(channel.id = %channel, ?change, "too many gap changes wait for the database; this one is lost");
                return;
            }
            changes.push_back((channel, change));
        }
        // A bell that rings already is heard.
        let _ringing = self.bell.try_send(());
    }
}

/// Whether footage that goes follows on, or goes before, other footage of the channel that goes. Such changes
/// may be done in any order: they leave the open gap alone.
fn joins_one_before(
    changes: &mut VecDeque<(ChannelId, GapChange)>,
    channel: ChannelId,
    change: GapChange,
) -> bool {
    let GapChange::Discarded { range, size_bytes } = change else {
        return false;
    };
    for (_, known) in changes.iter_mut().filter(|(id, _)| *id == channel) {
        if let GapChange::Discarded {
            range: whole,
            size_bytes: bytes,
        } = known
            && touches(*whole, range)
        {
            whole.start = whole.start.min(range.start);
            whole.end = whole.end.max(range.end);
            *bytes = bytes.saturating_add(size_bytes);
            return true;
        }
    }
    false
}

fn touches(a: TimeRange, b: TimeRange) -> bool {
    b.start.micros_since(a.end) <= CONTINUITY_US && a.start.micros_since(b.end) <= CONTINUITY_US
}

/// The task that writes.
#[derive(Debug)]
pub(crate) struct Ledger {
    catalog: Catalog,
    clock: Arc<dyn WallClock>,
    changes: Changes,
    bell: mpsc::Receiver<()>,
}

impl Ledger {
    pub(crate) fn new(catalog: Catalog, clock: Arc<dyn WallClock>) -> (LedgerSender, Self) {
        let (sender, bell) = mpsc::channel(1);
        let changes = Changes::default();
        let sender = LedgerSender {
            changes: Arc::clone(&changes),
            bell: sender,
        };
        let ledger = Self {
            catalog,
            clock,
            changes,
            bell,
        };
        (sender, ledger)
    }

    /// Runs until all senders are gone and everything is written.
    pub(crate) async fn run(mut self) {
        loop {
            let is_last = self.bell.recv().await.is_none();
            loop {
                let next = self.changes.lock().pop_front();
                let Some((channel, change)) = next else { break };
                self.write(channel, change).await;
            }
            if is_last {
                return;
            }
        }
    }

    async fn write(&self, channel: ChannelId, change: GapChange) {
        let mut backoff = Backoff::default();
        while let Err(error) = self.apply(channel, change).await {
            // A deleted channel has no gaps; other lasting errors do not get better either.
            if !error.kind().is_retryable() {
                if error.kind() != ErrorKind::NotFound {
                    tracing::error!(channel.id = %channel, ?change, error = &error as &dyn std::error::Error, "gap row cannot be written");
                }
                return;
            }
            tokio::time::sleep(backoff.failed("gap row", &error)).await;
        }
    }

    async fn apply(
        &self,
        channel: ChannelId,
        change: GapChange,
    ) -> Result<(), framewell_catalog::Error> {
        let catalog = &self.catalog;
        let (start, end, reason) = match change {
            GapChange::Close { end } => return catalog.close_gap(channel, end).await,
            GapChange::Open { start, reason } => (start, None, reason),
            GapChange::Past { range, reason } => (range.start, Some(range.end), reason),
            GapChange::Lost { range } => {
                let reason = GapReason::DataLoss;
                return catalog.join_past_gap(channel, range, reason).await;
            }
            GapChange::Discarded { range, size_bytes } => {
                let now = self.clock.now();
                return catalog
                    .note_discarded(channel, range, size_bytes, now)
                    .await;
            }
        };
        let gap = NewGap {
            channel,
            start,
            end,
            reason,
        };
        catalog.insert_gap(gap).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::WallTime;

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange::new(WallTime::from_secs(start), WallTime::from_secs(end)).unwrap()
    }

    #[test]
    fn footage_that_goes_piece_by_piece_is_one_change() {
        let (one, other) = (ChannelId::new(1).unwrap(), ChannelId::new(2).unwrap());
        let gone = |start, end| GapChange::Discarded {
            range: range(start, end),
            size_bytes: 10,
        };
        let mut changes = VecDeque::from([
            (one, gone(0, 10)),
            (
                one,
                GapChange::Close {
                    end: WallTime::from_secs(70),
                },
            ),
            (other, gone(0, 10)),
        ]);
        assert!(joins_one_before(&mut changes, one, gone(10, 20)));
        assert!(!joins_one_before(&mut changes, one, gone(30, 40)));
        let lost = GapChange::Lost {
            range: range(20, 30),
        };
        assert!(!joins_one_before(&mut changes, one, lost));
        let GapChange::Discarded {
            range: whole,
            size_bytes,
        } = changes[0].1
        else {
            panic!("{changes:?}");
        };
        assert_eq!((whole, size_bytes), (range(0, 20), 20));
    }
}
