//! The segment being written.

use crate::digest::Hasher;
use crate::file;
use crate::room::Room;
use bytes::Bytes;
use framewell_catalog::NewSegment;
use framewell_fmp4::{
    FileClock, FragmentEntry, SampleTables, SegmentIdentity, SegmentIndex, build_fragment,
    build_linked_init, fingerprint,
};
use framewell_footage::SpoolSegment;
use framewell_media::{AccessUnit, StreamParameters};
use framewell_model::{ChainLink, ChannelId, Seal, SealSource, SegmentId, TimeRange};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Pauses before a failed write is tried again. The ring absorbs them: they are short against the
/// seconds that it holds.
const WRITE_RETRIES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// A complete spool file and the row it is to get.
#[derive(Debug, Clone)]
pub(crate) struct ClosedSegment {
    pub(crate) row: NewSegment,
    /// `None` only if the digest was lost in a panic.
    pub(crate) seal: Option<Seal>,
    pub(crate) samples: SampleTables,
    pub(crate) path: PathBuf,
}

impl ClosedSegment {
    /// From what is known of a segment; `None` without a complete fragment.
    pub(crate) fn new(
        identity: &SegmentIdentity,
        parameters: &StreamParameters,
        index: &SegmentIndex,
        seal: Option<Seal>,
        path: PathBuf,
    ) -> Option<Self> {
        let ends = index.fragments.iter().map(|f| f.wall_of(f.end_pts));
        let range = TimeRange {
            start: identity.wall_start,
            end: ends.max()?.max(identity.wall_start),
        };
        Some(Self {
            row: NewSegment {
                id: identity.segment,
                channel: identity.channel,
                run: identity.run,
                sequence: identity.sequence,
                range,
                clock: identity.clock,
                size_bytes: i64::try_from(index.len_bytes()).unwrap_or(i64::MAX),
                codecs: parameters.codecs(),
                index: index.encode(),
            },
            seal,
            samples: index.samples.clone(),
            path,
        })
    }

    /// What ties the next segment to this one.
    pub(crate) fn link(&self) -> Option<ChainLink> {
        self.seal.map(|seal| ChainLink {
            segment: self.row.id,
            digest: seal.digest,
        })
    }
}

/// Where the spool file of a segment lies.
pub(crate) fn spool_path(spool_dir: &Path, channel: ChannelId, segment: SegmentId) -> PathBuf {
    spool_dir
        .join(channel.to_string())
        .join(format!("{segment}.mp4"))
}

/// A segment that fragments are appended to. The file is made with the first fragment, in the same
/// blocking call.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    identity: SegmentIdentity,
    parameters: Arc<StreamParameters>,
    path: PathBuf,
    init: Bytes,
    clock: FileClock,
    index: SegmentIndex,
    file: Option<Arc<File>>,
    /// Of `init` and all fragments in the index; `None` when a panic lost it.
    hasher: Option<Hasher>,
}

impl OpenSegment {
    /// `first` are the units of its first fragment; `link` is the segment that was closed before.
    pub(crate) fn new(
        path: PathBuf,
        identity: SegmentIdentity,
        link: Option<&ChainLink>,
        parameters: Arc<StreamParameters>,
        first: &[AccessUnit],
    ) -> Self {
        let (init, clock) = build_linked_init(&parameters, &identity, link, first);
        let init_len = u32::try_from(init.len()).expect("an init segment is a few KiB");
        let mut hasher = Hasher::default();
        hasher.update(std::slice::from_ref(&init));
        Self {
            path,
            identity,
            init,
            clock,
            index: SegmentIndex {
                init_len,
                parameters: fingerprint(&parameters),
                ..SegmentIndex::default()
            },
            parameters,
            file: None,
            hasher: Some(hasher),
        }
    }

    /// Bytes of a file with what was written so far.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.index.len_bytes()
    }

    pub(crate) const fn id(&self) -> SegmentId {
        self.identity.segment
    }

    /// What readers of the spool need to know.
    pub(crate) fn announcement(&self) -> SpoolSegment {
        SpoolSegment {
            identity: self.identity,
            path: self.path.clone(),
            init_len: self.index.init_len,
        }
    }

    /// Appends a fragment; when this returns, readers may be told of it. A write that fails is
    /// repeated at the same place a few times.
    pub(crate) async fn append(
        &mut self,
        units: &[AccessUnit],
        end_dts: Option<i64>,
        room: &Arc<Room>,
    ) -> io::Result<FragmentEntry> {
        let sequence = u32::try_from(self.index.fragments.len() + 1).unwrap_or(u32::MAX);
        let fragment = build_fragment(&self.clock, sequence, &self.parameters, units, end_dts);
        let entry = FragmentEntry {
            offset: self.index.len_bytes(),
            ..fragment.entry
        };
        let mut parts = Vec::with_capacity(fragment.payload.len() + 2);
        parts.push(fragment.header);
        parts.extend(fragment.payload);
        let parts = Arc::new(parts);
        let mut pauses = WRITE_RETRIES.iter();
        loop {
            match self.write(entry.offset, Arc::clone(&parts), room).await {
                Ok(()) => break,
                Err(error) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(*pause).await,
                    None => return Err(error),
                },
            }
        }
        self.index.push(entry, &fragment.samples);
        Ok(entry)
    }

    async fn write(
        &mut self,
        offset: u64,
        parts: Arc<Vec<Bytes>>,
        room: &Arc<Room>,
    ) -> io::Result<()> {
        let room = Arc::clone(room);
        let (file, path, init) = (self.file.clone(), self.path.clone(), self.init.clone());
        let mut hasher = self.hasher.take();
        let write = move || -> (io::Result<Arc<File>>, Option<Hasher>) {
            let written = write_fragment(file, &path, init, offset, &parts);
            room.measure();
            // Only what is in the file; a write that is repeated counts once.
            if written.is_ok()
                && let Some(hasher) = &mut hasher
            {
                hasher.update(&parts);
            }
            (written, hasher)
        };
        let (written, hasher) = tokio::task::spawn_blocking(write)
            .await
            .unwrap_or_else(|panic| (Err(io::Error::other(panic)), None));
        self.hasher = hasher;
        self.file = Some(written?);
        Ok(())
    }

    /// The complete segment, to be published; `None` if nothing was written.
    pub(crate) fn close(self) -> Option<ClosedSegment> {
        self.close_as(SealSource::Written)
    }

    /// [`OpenSegment::close`] of a segment whose bytes come from `source`.
    pub(crate) fn close_as(self, source: SealSource) -> Option<ClosedSegment> {
        let seal = self.hasher.map(|hasher| Seal {
            digest: hasher.finish(),
            source,
        });
        ClosedSegment::new(
            &self.identity,
            &self.parameters,
            &self.index,
            seal,
            self.path,
        )
    }

    /// Like [`OpenSegment::close`] after a failed write: cuts off what it left behind.
    pub(crate) async fn close_damaged(mut self) -> Option<ClosedSegment> {
        let (file, path) = (self.file.take(), self.path.clone());
        let good = self.index.len_bytes();
        let has_footage = !self.index.fragments.is_empty();
        let tidy = move || match (file, has_footage) {
            (Some(file), true) => file.set_len(good),
            _ => std::fs::remove_file(path),
        };
        // Bytes behind the last fragment harm nobody (the index does not cover them), and a file
        // without a fragment is removed by the next recovery: going on matters more.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(tidy).await {
            tracing::debug!(segment.id = %self.id(), error = %error, "spool file stays untidy");
        }
        self.close()
    }
}

/// Writes a fragment at its place, behind `init` if there is no file yet.
fn write_fragment(
    file: Option<Arc<File>>,
    path: &Path,
    init: Bytes,
    offset: u64,
    parts: &[Bytes],
) -> io::Result<Arc<File>> {
    let file = match file {
        Some(file) => file,
        None => {
            let file = file::create(path)?;
            file::write_all_at(&file, 0, &[init])?;
            Arc::new(file)
        }
    };
    file::write_all_at(&file, offset, parts)?;
    Ok(file)
}
