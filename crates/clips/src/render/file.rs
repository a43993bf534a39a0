//! The file that a rendered clip is gathered in, and its layout as MP4.

use bytes::Bytes;
use framewell_blob::ObjectWriter;
use framewell_fmp4::{
    ClipPlan, ClipSource, FileClock, FragmentEntry, Holes, PieceData, build_fragment,
    parse_fragment,
};
use framewell_media::{AccessUnit, StreamParameters};
use framewell_model::TimeRange;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of one read on the way into the store.
const READ_BYTES: u64 = 1 << 20;

/// Removed when it goes.
#[derive(Debug)]
pub(crate) struct Gathered {
    path: PathBuf,
    file: Arc<File>,
    len: u64,
    sources: Vec<ClipSource>,
}

impl Drop for Gathered {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, "an unfinished clip cannot be removed");
        }
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("the working folder cannot be written or read: {0}")]
    Disk(#[from] io::Error),
    #[error("the rendered clip cannot be laid out: {0}")]
    Layout(#[from] framewell_fmp4::Error),
    #[error("the object of a stored clip cannot be written or read now")]
    Blob(#[from] framewell_blob::Error),
}

impl Gathered {
    pub(crate) async fn create(path: PathBuf) -> Result<Self, Trouble> {
        let at = path.clone();
        let file = blocking(move || create(&at)).await?;
        Ok(Self {
            path,
            file: Arc::new(file),
            len: 0,
            sources: Vec::new(),
        })
    }

    /// Bytes so far.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// Whether anything is in it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Adds the units of one piece, which ends at `end_dts`.
    pub(crate) async fn append(
        &mut self,
        parameters: &Arc<StreamParameters>,
        units: &[AccessUnit],
        end_dts: i64,
    ) -> Result<(), Trouble> {
        let clock = FileClock::of_run(parameters);
        let sequence = u32::try_from(self.sources.len() + 1).unwrap_or(u32::MAX);
        let fragment = build_fragment(&clock, sequence, parameters, units, Some(end_dts));
        let entry = FragmentEntry {
            offset: self.len,
            ..fragment.entry
        };
        let samples = parse_fragment(&fragment.header)?;
        let mut parts = vec![fragment.header];
        parts.extend(fragment.payload);
        let (file, mut at) = (Arc::clone(&self.file), self.len);
        self.len = blocking(move || {
            for part in parts {
                file.write_all_at(&part, at)?;
                at += part.len() as u64;
            }
            Ok(at)
        })
        .await?;
        self.sources.push(ClipSource {
            segment: 0,
            entry,
            samples: samples.into(),
            parameters: Arc::clone(parameters),
        });
        Ok(())
    }

    /// Writes everything as one MP4 file that shows `range`.
    pub(crate) async fn copy_to(
        &self,
        range: TimeRange,
        writer: &mut ObjectWriter,
    ) -> Result<(), Trouble> {
        let plan = ClipPlan::build(range, &self.sources, Holes::Collapse)?;
        for piece in &plan.pieces {
            match &piece.data {
                PieceData::Memory(bytes) => writer.write(bytes.clone()).await?,
                // Here all samples are listed, and nothing is stored elsewhere.
                PieceData::Sizes { track, range } => {
                    if let Some(bytes) = plan.sizes(*track, range, |_, _| None) {
                        writer.write(bytes).await?;
                    }
                }
                PieceData::Segment { range, .. } => {
                    let mut at = range.start;
                    while at < range.end {
                        let end = range.end.min(at + READ_BYTES);
                        writer.write(self.read(at, end - at).await?).await?;
                        at = end;
                    }
                }
            }
        }
        Ok(())
    }

    async fn read(&self, at: u64, len: u64) -> Result<Bytes, Trouble> {
        let file = Arc::clone(&self.file);
        let read = move || {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            file.read_exact_at(&mut bytes, at)?;
            Ok(Bytes::from(bytes))
        };
        Ok(blocking(read).await?)
    }
}

fn create(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
}
