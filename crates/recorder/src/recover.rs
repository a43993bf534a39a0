//! What a crash left behind.

use crate::backlog::Waiting;
use crate::digest;
use crate::file;
use crate::gaps::Coverage;
use crate::publish::{PublishError, Publisher, discard, spool_bytes};
use crate::segment::ClosedSegment;
use crate::{Error, Recorder};
use framewell_blob::ObjectKey;
use framewell_catalog::{Catalog, NewGap, StagedSegment};
use framewell_fmp4::scan_segment;
use framewell_footage::CONTINUITY_US;
use framewell_model::{
    Channel, ChannelId, ErrorKind, GapReason, HasKind, RecMode, Seal, SealSource, SegmentId,
    TimeRange, WallTime,
};
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Staged rows looked at in one go: more than a crash leaves, which is one per segment on its way.
const STAGED_ROWS: i64 = 10_000;
/// Holes without a row are looked for in this time before the end of the footage.
const LATELY: Duration = Duration::from_secs(3_600);

impl Recorder {
    /// Finishes what a crash interrupted: spool files up to their last complete fragment are
    /// published, staged rows without a file go, the hole since the last footage becomes a gap row
    /// (`server_down`). Call once before [`Recorder::run`].
    ///
    /// With the object store away, files stay where they are and are published while the recorder
    /// runs; with the database away it fails. `mode_of` says which mode is in force in a channel: its
    /// schedule counts, not only what is stored.
    pub async fn recover(&self, mode_of: impl Fn(&Channel) -> RecMode + Send) -> Result<(), Error> {
        let spool_dir = &self.shared.config.spool_dir;
        discard_uploads(crate::import::folder(spool_dir)).await;
        let files = list_spool(spool_dir.clone()).await?;
        let publisher = self.publisher();
        let mut waiting = HashSet::new();
        for path in files {
            if let Some(closed) = self.recover_file(&publisher, path).await? {
                // Among all that waits, so that the oldest goes first if some has to.
                self.shared.backlog.leave(Waiting::from(&closed));
                waiting.insert(closed.row.id);
            }
        }
        if !waiting.is_empty() {
            self.shared.has_overflowed.store(true, Ordering::Release);
        }
        self.shared
            .room
            .set_spooled(spooled_bytes(spool_dir.clone()).await?);
        for staged in publisher.catalog.list_staged_segments(STAGED_ROWS).await? {
            if !waiting.contains(&staged.id) {
                finish_staged(&publisher, &staged).await?;
            }
        }
        self.recover_gaps(mode_of).await
    }

    /// Publishes one file; returns it if the store does not take it now.
    async fn recover_file(
        &self,
        publisher: &Publisher,
        path: PathBuf,
    ) -> Result<Option<ClosedSegment>, Error> {
        let closed = match read_spool_file(path.clone()).await {
            Ok(Some(closed)) => closed,
            Ok(None) => return Ok(None),
            Err(source) => return Err(Error::SpoolDir { path, source }),
        };
        let id = closed.row.id;
        match publisher.publish(&closed).await {
            Ok(_) => {
                tracing::info!(channel.id = %closed.row.channel, segment.id = %id, size_bytes = closed.row.size_bytes, "segment recovered from the spool");
                Ok(None)
            }
            Err(error) if error.is_unwanted() => {
                discard(&closed.path).await;
                Ok(None)
            }
            Err(PublishError::Catalog(error)) if error.kind().is_retryable() => Err(error.into()),
            Err(error) => {
                tracing::warn!(segment.id = %id, error = &error as &dyn std::error::Error, "recovered segment is not published yet");
                spool_bytes(closed.row.channel).increment(closed.row.size_bytes as f64);
                Ok(Some(closed))
            }
        }
    }

    /// The time since the last footage of each channel is a gap, if none is open already.
    async fn recover_gaps(&self, mode_of: impl Fn(&Channel) -> RecMode) -> Result<(), Error> {
        let catalog = &self.shared.catalog;
        for channel in catalog.all_channels().await? {
            let (id, mode) = (channel.id, mode_of(&channel));
            let link = catalog.newest_link(id).await?;
            self.shared.memory(id).state.lock().link = link;
            if matches!(mode, RecMode::ByEvent | RecMode::ServerByEvent) {
                self.recover_by_event(&channel, mode).await?;
                continue;
            }
            let (tail, open) = catalog.recording_tail(id).await?;
            let Some(tail) = tail else { continue };
            let reason = match open {
                Some(open) if open.start >= tail => open.reason,
                open => {
                    if let Some(open) = open {
                        close_stale_gap(catalog, id, open.start, tail).await?;
                    }
                    if mode == RecMode::On && channel.schedule.is_none() {
                        fill_holes(catalog, id, tail).await?;
                    }
                    let gap = NewGap {
                        channel: id,
                        start: tail,
                        end: None,
                        reason: GapReason::ServerDown,
                    };
                    catalog.insert_gap(gap).await?;
                    GapReason::ServerDown
                }
            };
            let memory = self.shared.memory(id);
            memory.state.lock().coverage = Coverage::recovered(Some(tail), Some(reason));
        }
        Ok(())
    }
}

/// The crash came after footage was back and before the gap row knew it: the gap ends where the
/// first footage behind its start begins.
async fn close_stale_gap(
    catalog: &Catalog,
    channel: ChannelId,
    start: WallTime,
    tail: WallTime,
) -> Result<(), framewell_catalog::Error> {
    let since = TimeRange { start, end: tail };
    let footage = catalog.segment_ranges(channel, since).await?;
    let back = footage.iter().map(|range| range.start.max(start)).min();
    catalog.close_gap(channel, back.unwrap_or(tail)).await
}

/// A crash may take the row of a hole with it that was over before: the database was away, and what waited
/// for it was in memory. What lies between the segments of the last minutes, and in no row, becomes one.
async fn fill_holes(
    catalog: &Catalog,
    channel: ChannelId,
    tail: WallTime,
) -> Result<(), framewell_catalog::Error> {
    let lately = TimeRange {
        start: tail - LATELY,
        end: tail,
    };
    let footage = catalog.segment_ranges(channel, lately).await?;
    let gaps = catalog.gaps_in(channel, lately).await?;
    let mut reached: Option<WallTime> = None;
    for range in footage {
        if let Some(hole) = reached.and_then(|end| TimeRange::new(end, range.start)) {
            let is_known = gaps
                .iter()
                .any(|gap| gap.start < hole.end && gap.end.is_none_or(|end| end > hole.start));
            if !is_known && hole.micros() > CONTINUITY_US {
                tracing::warn!(channel.id = %channel, start = %hole.start, end = %hole.end, "a hole without a gap row; it gets one");
                let reason = GapReason::CameraOffline;
                catalog.join_past_gap(channel, hole, reason).await?;
            }
        }
        reached = reached.max(Some(range.end));
    }
    Ok(())
}

/// A row whose file is gone: the object is there, or both are lost.
async fn finish_staged(
    publisher: &Publisher,
    staged: &StagedSegment,
) -> Result<(), framewell_catalog::Error> {
    let key = ObjectKey::Segment {
        channel: staged.channel,
        start: staged.start,
        id: staged.id,
    };
    let finished = match publisher.blobs.size(&key).await {
        Ok(_) => {
            let now = publisher.clock.now();
            publisher.catalog.publish_segment(staged.record, now).await
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            publisher.catalog.drop_staged_segment(staged.record).await
        }
        Err(error) => {
            tracing::warn!(segment.id = %staged.id, error = &error as &dyn std::error::Error, "staged segment waits for the store");
            Ok(())
        }
    };
    match finished {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// What a crash left of uploads: their clients were told nothing and repeat them.
async fn discard_uploads(folder: PathBuf) {
    match tokio::fs::remove_dir_all(&folder).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %folder.display(), %error, "files of interrupted uploads cannot be removed");
        }
        _ => {}
    }
}

async fn list_spool(spool_dir: PathBuf) -> Result<Vec<PathBuf>, Error> {
    let path = spool_dir.clone();
    let list = move || {
        std::fs::create_dir_all(&spool_dir)?;
        file::list(&spool_dir)
    };
    tokio::task::spawn_blocking(list)
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
        .map_err(|source| Error::SpoolDir { path, source })
}

/// Bytes of all segment files in the spool.
async fn spooled_bytes(spool_dir: PathBuf) -> Result<u64, Error> {
    let files = list_spool(spool_dir).await?;
    let sizes = files.iter().filter_map(|path| path.metadata().ok());
    Ok(sizes.map(|metadata| metadata.len()).sum())
}

/// Reads an abandoned spool file and cuts it behind its last complete fragment. A file without one is
/// removed, and `None`.
pub(crate) async fn read_spool_file(path: PathBuf) -> io::Result<Option<ClosedSegment>> {
    tokio::task::spawn_blocking(move || salvage(&path))
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

fn salvage(path: &Path) -> io::Result<Option<ClosedSegment>> {
    let data = std::fs::read(path)?;
    let Some((closed, good)) = understand(path, &data) else {
        tracing::info!(path = %path.display(), size_bytes = data.len(), "spool file without a complete fragment is removed");
        std::fs::remove_file(path)?;
        return Ok(None);
    };
    if good < data.len() as u64 {
        File::options().write(true).open(path)?.set_len(good)?;
    }
    Ok(Some(closed))
}

/// What the file holds and how many bytes of it are good; `None` unless it says that it is the
/// segment after which it is named and has a fragment.
fn understand(path: &Path, data: &[u8]) -> Option<(ClosedSegment, u64)> {
    let scanned = scan_segment(data)
        .inspect_err(|error| {
            tracing::debug!(path = %path.display(), error = %error, "spool file has no beginning");
        })
        .ok()?;
    let identity = scanned.identity?;
    let name: SegmentId = path.file_stem()?.to_str()?.parse().ok()?;
    if identity.segment != name {
        return None;
    }
    let good = scanned.index.len_bytes();
    let complete = data.get(..usize::try_from(good).ok()?)?;
    let seal = Seal {
        digest: digest::of(complete),
        source: SealSource::Recovered,
    };
    let closed = ClosedSegment::new(
        &identity,
        &scanned.parameters,
        &scanned.index,
        Some(seal),
        path.to_owned(),
    )?;
    Some((closed, good))
}
