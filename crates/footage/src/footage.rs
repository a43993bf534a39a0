//! Finding and reading footage.

use crate::gop::{GopSample, Hole, Part};
use crate::parameters::ParameterCache;
use crate::{CompressedGop, Location, Piece, Spool, TICK_US, gop};
use bytes::Bytes;
use framewell_blob::{BlobStore, ObjectKey};
use framewell_catalog::Catalog;
use framewell_media::StreamParameters;
use framewell_model::{ChannelId, ErrorKind, HasKind, SegmentId, TimeRange, WallTime};
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Footage that cannot be found or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing is recorded at that instant.
    #[error("channel {channel} has no footage at {at}")]
    NoFootage {
        /// The channel.
        channel: ChannelId,
        /// The instant.
        at: WallTime,
        /// End of the footage before it.
        before: Option<WallTime>,
        /// Start of the footage after it.
        after: Option<WallTime>,
    },
    /// The database.
    #[error("looking up footage of channel {channel} failed")]
    Catalog {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: framewell_catalog::Error,
    },
    /// The object.
    #[error("reading footage of channel {channel} failed")]
    Blob {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: framewell_blob::Error,
    },
    /// The spool file.
    #[error("reading spooled footage of channel {channel} failed")]
    Spool {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes are not what the index says.
    #[error("footage of channel {channel} is damaged")]
    Damaged {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: framewell_fmp4::Error,
    },
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoFootage { .. } => ErrorKind::NotFound,
            Self::Catalog { source, .. } => source.kind(),
            Self::Blob { source, .. } => match source.kind() {
                ErrorKind::NotFound => ErrorKind::DataLoss,
                kind => kind,
            },
            Self::Spool { .. } | Self::Damaged { .. } => ErrorKind::DataLoss,
        }
    }
}

/// Leading pictures are shown at most this long before the key frame that they follow in decoding
/// order: 16 reordered pictures (the most that H.265 allows) at 16 per second.
const LEADING_US: i64 = 1_000_000;

/// Rows per query; a day of 10 s segments takes nine.
const ROWS_PER_QUERY: i64 = 1_000;

/// Recorded footage, published or spooled; cheap to clone.
#[derive(Debug, Clone)]
pub struct Footage {
    catalog: Catalog,
    blobs: BlobStore,
    spool: Spool,
    parameters: ParameterCache,
}

impl Footage {
    /// Joins the parts.
    #[must_use]
    pub fn new(catalog: Catalog, blobs: BlobStore, spool: Spool) -> Self {
        Self {
            catalog,
            blobs,
            spool,
            parameters: ParameterCache::default(),
        }
    }

    /// The catalog, for rows that are not footage: gaps, single segments.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What is not published yet.
    #[must_use]
    pub const fn spool(&self) -> &Spool {
        &self.spool
    }

    /// Segments with footage in `range`, ascending by start, each once (a segment in the spool and
    /// in the catalog counts as published).
    pub async fn pieces(&self, channel: ChannelId, range: TimeRange) -> Result<Vec<Piece>, Error> {
        // The spool first: a segment leaves it only after its row is published, so one that is
        // published between the two looks shows up in both, never in neither.
        let spooled = self.spool.pieces(channel, range);
        let mut pieces = self.published(channel, range).await?;
        let known: HashSet<SegmentId> = pieces.iter().map(|piece| piece.id).collect();
        pieces.extend(spooled.into_iter().filter(|p| !known.contains(&p.id)));
        pieces.sort_by_key(|piece| (piece.range.start, piece.range.end));
        Ok(pieces)
    }

    async fn published(&self, channel: ChannelId, range: TimeRange) -> Result<Vec<Piece>, Error> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut seen = HashSet::new();
        let mut rest = range;
        loop {
            let rows = self
                .catalog
                .segments_in(channel, rest, ROWS_PER_QUERY)
                .await
                .map_err(|source| Error::Catalog { channel, source })?;
            let is_last_page = i64::try_from(rows.len()).unwrap_or(i64::MAX) < ROWS_PER_QUERY;
            // The next page overlaps this one by the segments that are on at its last start.
            let next_start = rows.last().map(|row| row.range.start);
            let known = pieces.len();
            for row in rows {
                if seen.insert(row.id) {
                    let piece = Piece::try_from(row)
                        .map_err(|source| Error::Damaged { channel, source })?;
                    pieces.push(piece);
                }
            }
            match next_start {
                Some(start) if !is_last_page && pieces.len() > known => {
                    rest.start = rest.start.max(start);
                }
                _ => return Ok(pieces),
            }
        }
    }

    /// Bytes of a segment, cut to what the piece's index covers.
    pub async fn read(&self, piece: &Piece, range: Range<u64>) -> Result<Bytes, Error> {
        let wanted = range.start..range.end.min(piece.size_bytes);
        if wanted.is_empty() {
            return Ok(Bytes::new());
        }
        let channel = piece.channel;
        let bytes = match &piece.location {
            Location::Object(key) => self.read_object(channel, key, wanted.clone()).await?,
            Location::Spool(path) => match read_file(path.clone(), wanted.clone()).await {
                Ok(bytes) => bytes,
                // Published since the caller looked: the file has become the object.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let key = piece.object_key();
                    self.read_object(channel, &key, wanted.clone()).await?
                }
                Err(source) => return Err(Error::Spool { channel, source }),
            },
        };
        if u64::try_from(bytes.len()) == Ok(wanted.end - wanted.start) {
            return Ok(bytes);
        }
        Err(Error::Damaged {
            channel,
            source: framewell_fmp4::Error::BadBox {
                what: "mdat".to_owned(),
                offset: wanted.start,
                why: format!(
                    "segment {} ends before byte {}, which its index covers",
                    piece.id, wanted.end
                ),
            },
        })
    }

    async fn read_object(
        &self,
        channel: ChannelId,
        key: &ObjectKey,
        range: Range<u64>,
    ) -> Result<Bytes, Error> {
        self.blobs
            .get_range(key, range)
            .await
            .map_err(|source| Error::Blob { channel, source })
    }

    /// Parameters of a segment, from its init part.
    pub async fn parameters(&self, piece: &Piece) -> Result<Arc<StreamParameters>, Error> {
        if let Some(known) = self.parameters.get(piece.id) {
            return Ok(known);
        }
        let init = self.read(piece, 0..u64::from(piece.index.init_len)).await?;
        let (parameters, _) =
            framewell_fmp4::parse_init(&init).map_err(|source| Error::Damaged {
                channel: piece.channel,
                source,
            })?;
        Ok(self.parameters.insert(piece.id, parameters))
    }

    /// The GOP on screen at `at`, its samples from the key frame up to all that can be shown at or
    /// before `at` (give or take [`TICK_US`]). Reads only the fragments needed. [`Error::NoFootage`]
    /// in a gap: `at` must lie within a segment's range, or in a hole of at most [`crate::CONTINUITY_US`]
    /// within a run.
    pub async fn gop_at(&self, channel: ChannelId, at: WallTime) -> Result<CompressedGop, Error> {
        let near = TimeRange {
            start: at.plus_micros(-LEADING_US),
            end: at.plus_micros(LEADING_US),
        };
        let pieces = self.pieces(channel, near).await?;
        let mut until = at.plus_micros(TICK_US);
        let mut parts = gop::parts_at(&pieces, until);
        if parts.is_err() {
            until = at;
            parts = gop::parts_at(&pieces, until);
        }
        let parts = match parts {
            Ok(parts) => parts,
            Err(hole) => return Err(self.no_footage(channel, at, hole).await?),
        };
        let Some(first) = parts.first() else {
            return Err(self.no_footage(channel, at, Hole::default()).await?);
        };
        let parameters = self.parameters(first.piece).await?;
        let mut samples = Vec::new();
        for part in &parts {
            // New parameters start a segment; then nothing in it refers to the one before.
            if self.parameters(part.piece).await? == parameters {
                self.read_part(part, &mut samples).await?;
            }
        }
        gop::cut_after(&mut samples, until);
        Ok(CompressedGop {
            run: first.piece.run,
            video: Arc::new(parameters.video.clone()),
            samples,
            clock: first
                .fragments
                .first()
                .map_or(first.piece.clock, |f| f.clock),
        })
    }

    async fn read_part(&self, part: &Part<'_>, samples: &mut Vec<GopSample>) -> Result<(), Error> {
        let (Some(first), Some(last)) = (part.fragments.first(), part.fragments.last()) else {
            return Ok(());
        };
        let range = first.offset..last.offset + u64::from(last.len);
        let bytes = self.read(part.piece, range).await?;
        gop::read_part(part.fragments, &bytes, samples).map_err(|source| Error::Damaged {
            channel: part.piece.channel,
            source,
        })
    }

    /// Where the footage nearest to `at` is, as the error to answer with. The edges of a hole inside
    /// a segment are nearer than any other segment.
    async fn no_footage(
        &self,
        channel: ChannelId,
        at: WallTime,
        hole: Hole,
    ) -> Result<Error, Error> {
        let (spooled_before, spooled_after) = self.spool.around(channel, at);
        let (before, after) = self
            .catalog
            .footage_around(channel, at)
            .await
            .map_err(|source| Error::Catalog { channel, source })?;
        let ends = [before, spooled_before].into_iter().flatten();
        let starts = [after, spooled_after].into_iter().flatten();
        Ok(Error::NoFootage {
            channel,
            at,
            before: hole.before.or_else(|| ends.map(|range| range.end).max()),
            after: hole.after.or_else(|| starts.map(|range| range.start).min()),
        })
    }
}

async fn read_file(path: PathBuf, range: Range<u64>) -> io::Result<Bytes> {
    let read = move || {
        let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        File::open(path)?.read_exact_at(&mut bytes, range.start)?;
        Ok(Bytes::from(bytes))
    };
    tokio::task::spawn_blocking(read)
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
}
