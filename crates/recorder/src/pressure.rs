//! Makes room when the disk or the spool runs full: the oldest footage that nothing protects goes first.
//!
//! On the disk that is published footage, wherever it shares the disk with the spool; in the spool it is
//! what waits longest for the database or the store. Both leave a gap row and an entry in the account of
//! deletions. What a hold keeps stays; when nothing else is left, new footage is refused by `room`.

use crate::Recorder;
use crate::backlog::Backlog;
use crate::gaps::GapChange;
use crate::ledger::LedgerSender;
use crate::publish::{discard, spool_bytes};
use crate::room::{WhenFull, free_bytes};
use crate::segment::ClosedSegment;
use framewell_catalog::Excess;
use framewell_model::{DeletionReason, Hold};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the room is measured.
const ROUND: Duration = Duration::from_secs(1);
/// Segments per step.
const BATCH: u64 = 100;

/// Makes room for one recorder.
#[derive(Debug)]
pub(crate) struct Pressure {
    recorder: Recorder,
    backlog: Backlog,
    ledger: LedgerSender,
    is_short: bool,
    /// As last known: the database may be away.
    holds: Vec<Hold>,
}

impl Pressure {
    pub(crate) const fn new(recorder: Recorder, backlog: Backlog, ledger: LedgerSender) -> Self {
        Self {
            recorder,
            backlog,
            ledger,
            is_short: false,
            holds: Vec::new(),
        }
    }

    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = rounds.tick() => {}
                () = self.recorder.shared.room.bell.notified() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.round() => {}
            }
        }
    }

    async fn round(&mut self) {
        let disk = self.measure().await;
        let room = Arc::clone(&self.recorder.shared.room);
        metrics::gauge!("framewell_recorder_spooled_bytes").set(room.spooled() as f64);
        metrics::gauge!("framewell_recorder_free_bytes").set(room.free() as f64);
        let is_short = disk.missing > 0 || room.spool_excess() > 0;
        if is_short != self.is_short {
            self.is_short = is_short;
            tell(is_short, &disk, room.spooled());
        }
        if !is_short || room.config.when_full == WhenFull::RefuseNew {
            return;
        }
        if disk.missing > 0 {
            // Where nothing of the store may go, what waits for it may not go either.
            let has_answer = self.delete_published(&disk).await;
            if !has_answer && disk.is_of_spool {
                self.discard_waiting(disk.missing).await;
            }
        }
        let excess = room.spool_excess();
        if excess > 0 {
            self.discard_waiting(excess).await;
        }
        self.measure().await;
    }

    /// How much is missing on the disks.
    async fn measure(&self) -> Disk {
        let shared = Arc::clone(&self.recorder.shared);
        let look = move || {
            shared.room.measure();
            let of_spool = shared.room.free();
            let objects: Option<PathBuf> = shared.blobs.folder().map(ToOwned::to_owned);
            let of_objects = objects.as_deref().and_then(|path| free_bytes(path).ok());
            let missing_spool = shared.room.disk_shortage(of_spool);
            let missing_objects = of_objects.map_or(0, |free| shared.room.disk_shortage(free));
            Disk {
                free: of_spool.min(of_objects.unwrap_or(u64::MAX)),
                missing: missing_spool.max(missing_objects),
                is_of_spool: missing_spool > 0,
                helps_to_delete: missing_objects > 0,
            }
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    /// Whether the disk is the store's, and the database says what of it may go.
    async fn delete_published(&self, disk: &Disk) -> bool {
        if !disk.helps_to_delete {
            return false;
        }
        let shared = &self.recorder.shared;
        let excess = Excess {
            channel: None,
            bytes: i64::try_from(disk.missing).unwrap_or(i64::MAX),
            limit: BATCH,
            reason: DeletionReason::Pressure,
        };
        let doomed = shared
            .catalog
            .doom_oldest_segments(excess, shared.clock.now())
            .await;
        let deleted = match doomed {
            Ok(bytes) => self.recorder.delete_doomed().await.map(|()| bytes),
            Err(error) => Err(error),
        };
        match deleted {
            Ok(bytes) => {
                metrics::counter!("framewell_recorder_pressure_bytes_total")
                    .increment(bytes.unsigned_abs());
                true
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old footage cannot be deleted now"
                );
                false
            }
        }
    }

    /// Drops what waits longest in the spool, until so many bytes are free.
    async fn discard_waiting(&mut self, bytes: u64) {
        let shared = &self.recorder.shared;
        match shared.catalog.standing_holds(shared.clock.now()).await {
            Ok(holds) => self.holds = holds,
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "holds as they were last known count"
                );
            }
        }
        let mut freed = 0;
        while freed < bytes {
            let holds = &self.holds;
            let Some(closed) = self.backlog.take_oldest(|closed| is_free(holds, closed)) else {
                return;
            };
            let row = &closed.row;
            let size = row.size_bytes.unsigned_abs();
            discard(&closed).await;
            shared.spool.remove(row.id);
            shared.room.sub(size);
            spool_bytes(row.channel).decrement(size as f64);
            let change = GapChange::Discarded {
                range: row.range,
                size_bytes: row.size_bytes,
            };
            self.ledger.send(row.channel, Some(change));
            // With the database away, the next start finds it.
            if let Err(error) = shared
                .catalog
                .doom_staged_segment(row.id, shared.clock.now())
                .await
            {
                tracing::debug!(segment.id = %row.id, error = &error as &dyn std::error::Error, "staged row stays");
            }
            metrics::counter!("framewell_recorder_pressure_bytes_total").increment(size);
            freed += size;
        }
    }
}

fn is_free(holds: &[Hold], closed: &ClosedSegment) -> bool {
    let row = &closed.row;
    !holds
        .iter()
        .any(|hold| hold.channel == row.channel && hold.range.overlaps(&row.range))
}

/// What is missing on the disks of spool and objects.
#[derive(Debug, Clone, Copy, Default)]
struct Disk {
    free: u64,
    missing: u64,
    /// Whether the spool's disk is short.
    is_of_spool: bool,
    /// Whether the disk with the objects is: deleting them helps.
    helps_to_delete: bool,
}

fn tell(is_short: bool, disk: &Disk, spooled: u64) {
    if is_short {
        tracing::warn!(
            free_bytes = disk.free,
            missing_bytes = disk.missing,
            spooled_bytes = spooled,
            "running out of room"
        );
    } else {
        tracing::info!(
            free_bytes = disk.free,
            spooled_bytes = spooled,
            "there is room again"
        );
    }
}
