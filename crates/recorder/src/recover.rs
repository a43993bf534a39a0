//! What a crash left behind.

use crate::backlog::Waiting;
use crate::digest;
use crate::file;
use crate::gaps::Coverage;
use crate::publish::{PublishError, Publisher, discard, spool_bytes};
use crate::segment::ClosedSegment;
use crate::unknown;
use crate::{Error, Recorder};
use framewell_blob::ObjectKey;
use framewell_catalog::{Catalog, NewGap, StagedSegment};
use framewell_fmp4::scan_segment;
use framewell_footage::CONTINUITY_US;
use framewell_model::{
    ChainLink, Channel, ChannelId, ErrorKind, GapReason, HasKind, RecMode, Seal, SealSource,
    SegmentId, TimeRange, WallTime,
};
use std::collections::{BTreeMap, HashSet};
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
    /// Files of channels that the database does not know are kept in the folder
    /// [`framewell_footage::UNKNOWN_CHANNELS`] of the spool: it may be the wrong database, or a new one in the place of one that
    /// was lost. Those of channels that were deleted go.
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
        let mut left = BTreeMap::<ChannelId, Left>::new();
        let mut unknown = 0_u64;
        for path in files {
            match self.recover_file(&publisher, path).await? {
                Recovered::Done => {}
                Recovered::Unknown => unknown += 1,
                Recovered::Waits(closed) => {
                    // Among all that waits, so that the oldest goes first if some has to.
                    self.shared.backlog.leave(Waiting::from(&*closed));
                    waiting.insert(closed.row.id);
                    left.entry(closed.row.channel).or_default().add(&closed);
                }
            }
        }
        unknown::tell(spool_dir, unknown);
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
        self.recover_gaps(&left, mode_of).await
    }

    /// Publishes one file, if that can be done now.
    async fn recover_file(&self, publisher: &Publisher, path: PathBuf) -> Result<Recovered, Error> {
        let closed = match read_spool_file(path.clone()).await {
            Ok(Some(closed)) => closed,
            Ok(None) => return Ok(Recovered::Done),
            Err(source) => return Err(Error::SpoolDir { path, source }),
        };
        let id = closed.row.id;
        match publisher.publish(&closed).await {
            Ok(_) => {
                tracing::info!(channel.id = %closed.row.channel, segment.id = %id, size_bytes = closed.row.size_bytes, "segment recovered from the spool");
                Ok(Recovered::Done)
            }
            Err(error) if error.is_unwanted() => self.unwanted(&closed).await,
            Err(PublishError::Catalog(error)) if error.kind().is_retryable() => Err(error.into()),
            Err(error) => {
                tracing::warn!(segment.id = %id, error = &error as &dyn std::error::Error, "recovered segment is not published yet");
                spool_bytes(closed.row.channel).increment(closed.row.size_bytes as f64);
                Ok(Recovered::Waits(Box::new(closed)))
            }
        }
    }

    /// A segment that the catalog does not take goes if somebody deleted it, or its channel. One of a channel
    /// that was never known is kept.
    async fn unwanted(&self, closed: &ClosedSegment) -> Result<Recovered, Error> {
        let (catalog, channel) = (&self.shared.catalog, closed.row.channel);
        let is_known = match catalog.load_channel(channel).await {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                catalog.is_deleted_channel(channel).await?
            }
            Err(error) => return Err(error.into()),
        };
        if is_known {
            discard(&closed.path).await;
            return Ok(Recovered::Done);
        }
        let spool_dir = self.shared.config.spool_dir.clone();
        unknown::keep(spool_dir, channel, closed.path.clone()).await?;
        Ok(Recovered::Unknown)
    }

    /// The time since the last footage of each channel, or since what is known to be missing of it, is a gap, if
    /// none is open already.
    async fn recover_gaps(
        &self,
        left: &BTreeMap<ChannelId, Left>,
        mode_of: impl Fn(&Channel) -> RecMode,
    ) -> Result<(), Error> {
        let catalog = &self.shared.catalog;
        let nothing = Left::default();
        for channel in catalog.all_channels().await? {
            let (id, mode) = (channel.id, mode_of(&channel));
            let left = left.get(&id).unwrap_or(&nothing);
            let (published, open) = catalog.recording_tail(id).await?;
            let tail = known_until(catalog, id, published.max(left.end())).await?;
            let link = match left.newest() {
                Some((end, link)) if Some(end) >= published => link,
                _ => catalog.newest_link(id).await?,
            };
            self.shared.memory(id).state.lock().link = link;
            if matches!(mode, RecMode::ByEvent | RecMode::ServerByEvent) {
                self.recover_by_event(&channel, mode, (tail, open)).await?;
                continue;
            }
            let Some(tail) = tail else { continue };
            let reason = match open {
                Some(open) if open.start >= tail => open.reason,
                open => {
                    if let Some(open) = open {
                        close_stale_gap(catalog, id, open.start, tail, left).await?;
                    }
                    if mode == RecMode::On && channel.schedule.is_none() {
                        fill_holes(catalog, id, tail, left).await?;
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

/// What became of a spool file.
enum Recovered {
    /// It is published, or there was nothing to be kept.
    Done,
    /// The store does not take it now.
    Waits(Box<ClosedSegment>),
    /// It is kept aside.
    Unknown,
}

/// Footage of a channel that stays in the spool until the store takes it: it is there as well as what is published.
#[derive(Debug, Default)]
struct Left {
    /// With what ties the next segment to it.
    segments: Vec<(TimeRange, Option<ChainLink>)>,
}

impl Left {
    fn add(&mut self, closed: &ClosedSegment) {
        self.segments.push((closed.row.range, closed.link()));
    }

    /// End and link of the one that ends last.
    fn newest(&self) -> Option<(WallTime, Option<ChainLink>)> {
        let ends = self.segments.iter().map(|(range, link)| (range.end, *link));
        ends.max_by_key(|(end, _)| *end)
    }

    fn end(&self) -> Option<WallTime> {
        self.newest().map(|(end, _)| end)
    }

    /// Published footage with what overlaps the same range here, ascending.
    fn with(&self, published: Vec<TimeRange>, within: TimeRange) -> Vec<TimeRange> {
        let own = self.segments.iter().map(|(range, _)| *range);
        let mut all = published;
        all.extend(own.filter(|range| range.overlaps(&within)));
        all.sort_by_key(|range| (range.start, range.end));
        all
    }
}

/// Up to when it is known what became of a channel's footage: to where it ends, and on through the gaps that
/// follow on it. Where all of it had to go, what is written down about that says how far it reached.
async fn known_until(
    catalog: &Catalog,
    channel: ChannelId,
    footage: Option<WallTime>,
) -> Result<Option<WallTime>, framewell_catalog::Error> {
    let told = catalog.told_until(channel).await?;
    let (Some(mut until), Some(told)) = (footage, told) else {
        return Ok(footage.or(told));
    };
    let Some(behind) = TimeRange::new(until, told) else {
        return Ok(Some(until));
    };
    for gap in catalog.gaps_in(channel, behind).await? {
        let follows = gap.start.micros_since(until) <= CONTINUITY_US;
        if let Some(end) = gap.end.filter(|_| follows) {
            until = until.max(end);
        }
    }
    Ok(Some(until))
}

/// The crash came after footage was back and before the gap row knew it: the gap ends where the
/// first footage behind its start begins.
async fn close_stale_gap(
    catalog: &Catalog,
    channel: ChannelId,
    start: WallTime,
    tail: WallTime,
    left: &Left,
) -> Result<(), framewell_catalog::Error> {
    let since = TimeRange { start, end: tail };
    let footage = catalog.segment_ranges(channel, since).await?;
    let footage = left.with(footage, since);
    let back = footage.iter().map(|range| range.start.max(start)).min();
    catalog.close_gap(channel, back.unwrap_or(tail)).await
}

/// A crash may take the row of a hole with it that was over before: the database was away, and what waited
/// for it was in memory. What lies between the segments of the last hour, and in no row, becomes one. Its reason went
/// with the row.
async fn fill_holes(
    catalog: &Catalog,
    channel: ChannelId,
    tail: WallTime,
    left: &Left,
) -> Result<(), framewell_catalog::Error> {
    let lately = TimeRange {
        start: tail - LATELY,
        end: tail,
    };
    let footage = catalog.segment_ranges(channel, lately).await?;
    let footage = left.with(footage, lately);
    let gaps = catalog.gaps_in(channel, lately).await?;
    let mut reached: Option<WallTime> = None;
    for range in footage {
        if let Some(hole) = reached.and_then(|end| TimeRange::new(end, range.start)) {
            let is_known = gaps
                .iter()
                .any(|gap| gap.start < hole.end && gap.end.is_none_or(|end| end > hole.start));
            if !is_known && hole.micros() > CONTINUITY_US {
                tracing::warn!(channel.id = %channel, start = %hole.start, end = %hole.end, "a hole without a gap row; it gets one");
                catalog
                    .join_past_gap(channel, hole, GapReason::Unknown)
                    .await?;
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
