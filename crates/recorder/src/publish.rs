//! From spool file to published segment: row staged, object put, row published.

use crate::backlog::{Backlog, Waiting};
use crate::file;
use crate::gaps::GapChange;
use crate::ledger::LedgerSender;
use crate::recover::read_spool_file;
use crate::retry::Backoff;
use crate::room::Room;
use crate::segment::ClosedSegment;
use framewell_blob::{BlobStore, ObjectKey};
use framewell_catalog::{Catalog, SegmentFacts};
use framewell_footage::Spool;
use framewell_model::{ChannelId, ErrorKind, HasKind, RecordId, SegmentId, WallClock};
use metrics::Gauge;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Segments that may wait for the database or the store: a quarter of an hour of fifty cameras.
/// When it is full, a segment stays in the spool folder, readers do not see it for a while, and it is
/// published from there as soon as the queue has room.
const QUEUE_SEGMENTS: usize = 4_096;
/// Segments on their way at once. The database has one writer, but a slow put holds up nobody else.
const PARALLEL: usize = 4;
/// How often files that found no room in the queue are looked for.
const RESCAN: Duration = Duration::from_secs(15);
/// Files taken from the spool folder per look.
const RESCAN_FILES: usize = 1_024;

/// Why a segment is not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("the catalog did not take the segment")]
    Catalog(#[from] framewell_catalog::Error),
    #[error("the store did not take the segment")]
    Blob(#[from] framewell_blob::Error),
    #[error("neither the spool file nor the object exists")]
    Lost,
}

impl PublishError {
    /// Whether there is nobody to publish it for: its channel was deleted.
    pub(crate) fn is_unwanted(&self) -> bool {
        matches!(self, Self::Catalog(error) if error.kind() == ErrorKind::NotFound)
    }

    /// Whether trying again cannot help.
    fn is_final(&self) -> bool {
        match self {
            Self::Catalog(error) => !error.kind().is_retryable(),
            Self::Blob(_) => false,
            Self::Lost => true,
        }
    }
}

/// Publishes one segment at a time; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    pub(crate) catalog: Catalog,
    pub(crate) blobs: BlobStore,
    pub(crate) spool: Spool,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) room: Arc<Room>,
}

impl Publisher {
    /// All steps; may be repeated from the start after any of them failed.
    pub(crate) async fn publish(&self, closed: &ClosedSegment) -> Result<RecordId, PublishError> {
        let row = &closed.row;
        let now = self.clock.now();
        let facts = SegmentFacts {
            seal: closed.seal.as_ref(),
            sample_runs: &closed.samples.encode_runs(),
            sample_sizes: closed.samples.encoded_sizes(),
        };
        let record = self.catalog.stage_known_segment(row, facts, now).await?;
        let key = ObjectKey::Segment {
            channel: row.channel,
            start: row.range.start,
            id: row.id,
        };
        if let Err(error) = self.blobs.put_file(&key, &closed.path).await {
            if self.is_lost(&key, closed).await {
                self.catalog.drop_staged_segment(record).await?;
                return Err(PublishError::Lost);
            }
            return Err(error.into());
        }
        let published = self.catalog.publish_segment(record, self.clock.now()).await;
        match published {
            // Doomed, or gone with its channel, since it was staged: the object must not stay.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.blobs.delete(&key).await?;
                Err(error.into())
            }
            done => Ok(done.map(|()| record)?),
        }
    }

    async fn is_lost(&self, key: &ObjectKey, closed: &ClosedSegment) -> bool {
        let has_no_file = matches!(tokio::fs::try_exists(&closed.path).await, Ok(false));
        let object = self.blobs.size(key).await;
        has_no_file && object.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }

    /// Publishes a segment of the backlog, however long that takes; gives up only what nothing can save.
    /// Between two attempts it lies in the backlog, from where it may be taken to make room.
    async fn publish_until_done(&self, id: SegmentId, backlog: &Backlog, ledger: &LedgerSender) {
        let mut backoff = Backoff::default();
        while let Some(closed) = backlog.take(id) {
            let channel = closed.row.channel;
            let labels = [("channel", channel.to_string())];
            let error = match self.publish(&closed).await {
                Ok(_) => {
                    self.done(&closed);
                    metrics::counter!("framewell_recorder_segments_published_total", &labels)
                        .increment(1);
                    return;
                }
                Err(error) => error,
            };
            metrics::counter!("framewell_recorder_publish_failures_total", &labels).increment(1);
            if error.is_unwanted() {
                discard(&closed.path).await;
                return self.done(&closed);
            }
            if error.is_final() {
                self.done(&closed);
                let range = closed.row.range;
                tracing::error!(channel.id = %channel, segment.id = %closed.row.id, error = &error as &dyn std::error::Error, "segment cannot be published");
                ledger.send(channel, Some(GapChange::Lost { range }));
                return;
            }
            backlog.insert(closed);
            tokio::time::sleep(backoff.failed("segment", &error)).await;
        }
    }

    /// It is in the spool no more.
    fn done(&self, closed: &ClosedSegment) {
        self.spool.remove(closed.row.id);
        self.room.sub(closed.row.size_bytes.unsigned_abs());
        spool_bytes(closed.row.channel).decrement(closed.row.size_bytes as f64);
    }
}

/// The gauge of bytes that wait in the spool.
pub(crate) fn spool_bytes(channel: ChannelId) -> Gauge {
    let labels = [("channel", channel.to_string())];
    metrics::gauge!("framewell_recorder_spool_bytes", &labels)
}

/// Removes the spool file of a segment that nobody wants.
pub(crate) async fn discard(path: &Path) {
    if let Err(error) = tokio::fs::remove_file(path).await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), error = %error, "spool file cannot be removed");
    }
}

/// Takes closed segments without waiting.
#[derive(Debug, Clone)]
pub(crate) struct PublishSender {
    queue: mpsc::Sender<SegmentId>,
    backlog: Backlog,
    spool: Spool,
    has_overflowed: Arc<AtomicBool>,
}

impl PublishSender {
    pub(crate) fn send(&self, closed: ClosedSegment) {
        let id = closed.row.id;
        self.backlog.insert(closed);
        if self.queue.try_send(id).is_err() {
            let Some(closed) = self.backlog.take(id) else {
                return;
            };
            tracing::warn!(channel.id = %closed.row.channel, segment.id = %closed.row.id, "publish queue is full; the segment waits in the spool folder");
            self.backlog.leave(Waiting::from(&closed));
            self.spool.remove(closed.row.id);
            self.has_overflowed.store(true, Ordering::Release);
        }
    }
}

/// The task that publishes.
#[derive(Debug)]
pub(crate) struct PublishLoop {
    publisher: Publisher,
    ledger: LedgerSender,
    spool_dir: PathBuf,
    queue: mpsc::Receiver<SegmentId>,
    backlog: Backlog,
    has_overflowed: Arc<AtomicBool>,
}

impl PublishLoop {
    /// `has_overflowed` is set when files without an entry in the spool registry wait in the folder.
    pub(crate) fn new(
        publisher: Publisher,
        ledger: LedgerSender,
        spool_dir: PathBuf,
        backlog: Backlog,
        has_overflowed: Arc<AtomicBool>,
    ) -> (PublishSender, Self) {
        let (sender, queue) = mpsc::channel(QUEUE_SEGMENTS);
        let sender = PublishSender {
            queue: sender,
            backlog: backlog.clone(),
            spool: publisher.spool.clone(),
            has_overflowed: Arc::clone(&has_overflowed),
        };
        let publishing = Self {
            publisher,
            ledger,
            spool_dir,
            queue,
            backlog,
            has_overflowed,
        };
        (sender, publishing)
    }

    /// Runs until all senders are gone and everything in the queue is published.
    pub(crate) async fn run(mut self) {
        let mut jobs = JoinSet::new();
        let mut stray: VecDeque<PathBuf> = VecDeque::new();
        let mut rescan = tokio::time::interval(RESCAN);
        let mut is_open = true;
        while is_open || !jobs.is_empty() {
            let has_room = jobs.len() < PARALLEL;
            let next_stray = if has_room { stray.pop_front() } else { None };
            if let Some(path) = next_stray {
                let worker = self.worker();
                jobs.spawn(async move { worker.publish_stray(path).await });
                continue;
            }
            tokio::select! {
                closed = self.queue.recv(), if has_room && is_open => match closed {
                    Some(id) => {
                        let worker = self.worker();
                        jobs.spawn(async move { worker.publish(id).await });
                    }
                    None => {
                        is_open = false;
                        // The next start finds what is left in the folder.
                        stray.clear();
                    }
                },
                Some(job) = jobs.join_next(), if !jobs.is_empty() => {
                    if let Err(panic) = job {
                        tracing::error!(error = %panic, "publishing a segment panicked; it stays in the spool folder");
                    }
                }
                _ = rescan.tick(), if is_open => {
                    if stray.is_empty() && self.has_overflowed.swap(false, Ordering::AcqRel) {
                        stray = self.find_stray().await;
                    }
                }
            }
        }
    }

    fn worker(&self) -> Worker {
        Worker {
            publisher: self.publisher.clone(),
            backlog: self.backlog.clone(),
            ledger: self.ledger.clone(),
            has_overflowed: Arc::clone(&self.has_overflowed),
        }
    }

    /// Files in the spool folder that nobody writes and that are in no queue.
    async fn find_stray(&self) -> VecDeque<PathBuf> {
        let (spool_dir, spool) = (self.spool_dir.clone(), self.publisher.spool.clone());
        let find = move || -> std::io::Result<(VecDeque<PathBuf>, bool)> {
            let files = file::list(&spool_dir)?;
            let mut stray = files.into_iter().filter(|path| {
                // A file is registered before it is made, and until it is published.
                id_of(path).is_some_and(|id| spool.get(id).is_none())
            });
            let taken = stray.by_ref().take(RESCAN_FILES).collect();
            Ok((taken, stray.next().is_some()))
        };
        match tokio::task::spawn_blocking(find).await {
            Ok(Ok((stray, has_more))) => {
                if has_more {
                    self.has_overflowed.store(true, Ordering::Release);
                }
                stray
            }
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "spool folder cannot be listed");
                self.has_overflowed.store(true, Ordering::Release);
                VecDeque::new()
            }
            Err(_) => VecDeque::new(),
        }
    }
}

/// What a publishing job needs.
struct Worker {
    publisher: Publisher,
    backlog: Backlog,
    ledger: LedgerSender,
    has_overflowed: Arc<AtomicBool>,
}

impl Worker {
    async fn publish(self, id: SegmentId) {
        self.publisher
            .publish_until_done(id, &self.backlog, &self.ledger)
            .await;
    }

    async fn publish_stray(self, path: PathBuf) {
        let Some(id) = id_of(&path) else { return };
        let (known, may_be_published) = self.backlog.claim(id);
        if !may_be_published {
            return;
        }
        match read_spool_file(path.clone()).await {
            Ok(Some(closed)) => {
                self.backlog.insert(closed);
                self.publish(id).await;
            }
            Ok(None) => {}
            // It had to go since the folder was listed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), error = %error, "spool file cannot be read; trying again later");
                if let Some(known) = known {
                    self.backlog.leave(known);
                }
                self.has_overflowed.store(true, Ordering::Release);
            }
        }
    }
}

/// The segment that a spool file is named after.
fn id_of(path: &Path) -> Option<SegmentId> {
    path.file_stem()?.to_str()?.parse().ok()
}
