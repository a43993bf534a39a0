//! Makes room when the disk or the spool runs full: the oldest footage that nothing protects goes first.
//!
//! On the disk that is published footage, wherever it shares the disk with the spool; in the spool it is
//! what waits longest for the database or the store. Both leave a gap row and an entry in the account of
//! deletions. What a hold keeps stays; when nothing else is left, new footage is refused by `room`. So it is where
//! something else fills the disk and deleting makes no room (`budget`).

use crate::Recorder;
use crate::backlog::{Backlog, Waiting};
use crate::budget::{Budget, Shortage, Verdict};
use crate::gaps::GapChange;
use crate::ledger::LedgerSender;
use crate::publish::{discard, spool_bytes};
use crate::room::{WhenFull, free_bytes};
use framewell_catalog::Excess;
use framewell_model::{ChannelId, DeletionReason, ErrorKind, HasKind as _, Hold, TimeRange};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
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
    budget: Budget,
    /// As last known: the database may be away.
    holds: Vec<Hold>,
}

impl Pressure {
    pub(crate) fn new(recorder: Recorder, backlog: Backlog, ledger: LedgerSender) -> Self {
        Self {
            recorder,
            backlog,
            ledger,
            is_short: false,
            budget: Budget::default(),
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
            // Not given up half way: what is written down as gone has to go, and what goes is written down.
            self.round(&stop).await;
        }
    }

    async fn round(&mut self, stop: &CancellationToken) {
        let disk = self.measure().await;
        let room = Arc::clone(&self.recorder.shared.room);
        metrics::gauge!("framewell_recorder_spooled_bytes").set(room.spooled() as f64);
        metrics::gauge!("framewell_recorder_free_bytes").set(room.free() as f64);
        let is_short = disk.missing > 0 || room.spool_excess() > 0;
        if is_short != self.is_short {
            self.is_short = is_short;
            tell(is_short, &disk, room.spooled());
        }
        if disk.missing == 0 {
            self.budget.rest(Instant::now());
        }
        if !is_short || room.config.when_full == WhenFull::RefuseNew {
            return;
        }
        let may_go = self.may_go(&disk);
        if may_go > 0 {
            // Where nothing of the store may go, what waits for it may not go either.
            // What is doomed is in the database: the next start goes on with it.
            let has_answer = tokio::select! {
                () = stop.cancelled() => return,
                has_answer = self.delete_published(&disk, may_go) => has_answer,
            };
            if !has_answer && disk.is_of_spool {
                let freed = self.discard_waiting(may_go, stop).await;
                self.budget.spend(freed);
            }
        }
        let excess = room.spool_excess();
        if excess > 0 {
            self.discard_waiting(excess, stop).await;
        }
        self.measure().await;
    }

    /// How much may be deleted for a disk, as long as deleting has any use; says so when it turns out to have none.
    fn may_go(&mut self, disk: &Disk) -> u64 {
        if disk.missing == 0 {
            return 0;
        }
        let shared = &self.recorder.shared;
        let room = &shared.room;
        let shortage = Shortage {
            missing: disk.missing,
            free: disk.free,
            arriving: if disk.is_of_spool { 0 } else { room.spooled() },
            // Clips and pictures are ours: like new footage they may push out the oldest.
            written: room.written().saturating_add(shared.blobs.added_bytes()),
            slack: room.config.min_free_bytes,
        };
        match self.budget.ask(shortage, Instant::now()) {
            Verdict::Delete(bytes) => bytes,
            Verdict::GivenUp(None) => 0,
            Verdict::GivenUp(Some(gone)) => {
                tracing::error!(
                    deleted_bytes = gone,
                    free_bytes = disk.free,
                    missing_bytes = disk.missing,
                    "deleting footage makes no room: something else fills the disk; no more footage goes for now, and new footage is refused while there is no room"
                );
                0
            }
        }
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
    async fn delete_published(&mut self, disk: &Disk, bytes: u64) -> bool {
        if !disk.helps_to_delete {
            return false;
        }
        let shared = &self.recorder.shared;
        let excess = Excess {
            channel: None,
            bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
            limit: BATCH,
            reason: DeletionReason::Pressure,
        };
        let doomed = shared
            .catalog
            .doom_oldest_segments(excess, shared.clock.now())
            .await;
        let deleted = match doomed {
            Ok(bytes) => {
                self.budget.spend(bytes.unsigned_abs());
                self.recorder.delete_doomed().await.map(|()| bytes)
            }
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

    /// Drops what waits longest in the spool, until so many bytes are free or `stop`; how many are.
    async fn discard_waiting(&mut self, bytes: u64, stop: &CancellationToken) -> u64 {
        let shared = &self.recorder.shared;
        let mut has_database = true;
        match shared.catalog.standing_holds(shared.clock.now()).await {
            Ok(holds) => self.holds = holds,
            Err(error) => {
                has_database = false;
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "holds as they were last known count"
                );
            }
        }
        let mut freed = 0;
        while freed < bytes && !stop.is_cancelled() {
            let holds = &self.holds;
            let may_go = |channel, range| is_free(holds, channel, range);
            let Some(oldest) = self.backlog.take_oldest(may_go) else {
                break;
            };
            let size = oldest.size_bytes.unsigned_abs();
            // Before the file goes: a crash in between leaves a gap too many, not one too few.
            has_database = self.write_down(&oldest, has_database).await;
            discard(&oldest.path).await;
            self.backlog.gone(oldest.id);
            shared.spool.remove(oldest.id);
            shared.room.sub(size);
            spool_bytes(oldest.channel).decrement(size as f64);
            // With the database away, the next start finds it.
            if has_database
                && let Err(error) = shared
                    .catalog
                    .doom_staged_segment(oldest.id, shared.clock.now())
                    .await
            {
                tracing::debug!(segment.id = %oldest.id, error = &error as &dyn std::error::Error, "staged row stays");
            }
            metrics::counter!("framewell_recorder_pressure_bytes_total").increment(size);
            freed += size;
        }
        freed
    }

    /// Writes down that this goes: in the database where it is there, else in the ledger, which waits for
    /// it. Whether the database is there.
    async fn write_down(&self, oldest: &Waiting, has_database: bool) -> bool {
        let shared = &self.recorder.shared;
        if has_database {
            let (now, size_bytes) = (shared.clock.now(), oldest.size_bytes);
            let noted = shared
                .catalog
                .note_discarded(oldest.channel, oldest.range, size_bytes, now)
                .await;
            match noted {
                Ok(()) => return true,
                // A deleted channel has no gaps.
                Err(error) if error.kind() == ErrorKind::NotFound => return true,
                Err(error) => {
                    tracing::debug!(segment.id = %oldest.id, error = &error as &dyn std::error::Error, "what goes is written down later");
                }
            }
        }
        let change = GapChange::Discarded {
            range: oldest.range,
            size_bytes: oldest.size_bytes,
        };
        self.ledger.send(oldest.channel, Some(change));
        false
    }
}

fn is_free(holds: &[Hold], channel: ChannelId, range: TimeRange) -> bool {
    !holds
        .iter()
        .any(|hold| hold.channel == channel.main() && hold.range.overlaps(&range))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;
    use crate::room::RoomConfig;
    use crate::segment::ClosedSegment;
    use crate::{RecorderConfig, Rolls};
    use framewell_blob::BlobStore;
    use framewell_catalog::{Catalog, CatalogConfig, NewSegment};
    use framewell_fmp4::SampleTables;
    use framewell_footage::Spool;
    use framewell_live::{Registry, RingConfig};
    use framewell_model::{
        ClockSource, GapReason, NewChannel, RecMode, RunId, Secret, SegmentId, WallClock, WallTime,
    };
    use framewell_testkit::clock::MovableClock;
    use std::collections::BTreeMap;
    use std::path::Path;
    use uuid::Uuid;

    async fn recorder(dir: &Path) -> Recorder {
        let config = CatalogConfig {
            url: Secret::new(format!("sqlite:{}", dir.join("db").display())),
            max_connections: 2,
        };
        let catalog = Catalog::open(&config).await.unwrap();
        let clock: Arc<dyn WallClock> = Arc::new(MovableClock::new(WallTime::from_secs(1_000)));
        let config = RecorderConfig {
            spool_dir: dir.join("spool"),
            segment: Duration::from_secs(2),
            fragment: Duration::from_secs(1),
            max_bytes: None,
            room: RoomConfig::default(),
            rolls: Rolls {
                pre: Duration::ZERO,
                post: Duration::ZERO,
            },
        };
        Recorder::new(
            config,
            Registry::new(RingConfig::default(), Arc::clone(&clock)),
            BlobStore::local(&dir.join("objects")).unwrap(),
            catalog,
            Spool::new(),
            clock,
        )
    }

    async fn waiting(recorder: &Recorder, dir: &Path) -> ClosedSegment {
        let (catalog, now) = (&recorder.shared.catalog, WallTime::from_secs(1_000));
        let account = catalog.create_account("owner", now).await.unwrap().id;
        let new = NewChannel {
            name: "gate".to_owned(),
            rec_mode: RecMode::On,
            timezone: "UTC".to_owned(),
            source: None,
            retention_s: None,
            meta: BTreeMap::new(),
        };
        let channel = catalog.create_channel(account, &new, now).await.unwrap().id;
        let path = dir.join("waiting.mp4");
        std::fs::write(&path, [0; 100]).unwrap();
        let row = NewSegment {
            id: SegmentId::from_uuid(Uuid::now_v7()),
            channel,
            run: RunId::from_uuid(Uuid::now_v7()),
            sequence: 0,
            range: TimeRange::new(WallTime::from_secs(10), WallTime::from_secs(12)).unwrap(),
            clock: ClockSource::CameraRtcp,
            size_bytes: 100,
            codecs: "avc1.64001f".to_owned(),
            index: Vec::new(),
        };
        ClosedSegment {
            row,
            seal: None,
            samples: SampleTables::default(),
            path,
        }
    }

    #[tokio::test]
    async fn what_goes_is_written_down_before_and_not_left_to_memory() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = recorder(dir.path()).await;
        let closed = waiting(&recorder, dir.path()).await;
        let (catalog, clock) = (
            recorder.shared.catalog.clone(),
            Arc::clone(&recorder.shared.clock),
        );
        // It never runs, as after a crash.
        let (sender, _ledger) = Ledger::new(catalog.clone(), clock);
        let backlog = Backlog::default();
        backlog.insert(closed.clone());
        let mut pressure = Pressure::new(recorder, backlog.clone(), sender);
        let stop = CancellationToken::new();
        stop.cancel();
        pressure.discard_waiting(1, &stop).await;
        assert!(closed.path.exists(), "nothing goes any more after a stop");
        pressure.discard_waiting(1, &CancellationToken::new()).await;
        assert!(!closed.path.exists());
        let row = closed.row;
        let gaps = catalog.gaps_in(row.channel, row.range).await.unwrap();
        assert_eq!(gaps.len(), 1);
        assert_eq!(gaps[0].reason, GapReason::StorageFull);
        let deletions = catalog.list_deletions(row.channel, None, 9).await.unwrap();
        assert_eq!(deletions[0].size_bytes, 100);
    }
}
