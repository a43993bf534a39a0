//! Finding and reading footage.

use crate::parameters::ParameterCache;
use crate::{Error, Location, Piece, Place, Spool};
use bytes::Bytes;
use framewell_blob::{BlobStore, ObjectKey};
use framewell_catalog::Catalog;
use framewell_fmp4::FragmentEntry;
use framewell_media::StreamParameters;
use framewell_model::{ChannelId, Segment, SegmentId, TimeRange};
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

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

    /// A segment of a channel by its id; `None` if there is none with footage, or no longer.
    pub async fn find_piece(
        &self,
        channel: ChannelId,
        id: SegmentId,
    ) -> Result<Option<Piece>, Error> {
        // The spool first, as in `pieces`.
        let spooled = self.spool.get(id);
        let is_footage = |p: &Piece| p.channel == channel && !p.index.fragments.is_empty();
        if let Some(piece) = spooled.filter(is_footage) {
            return Ok(Some(piece));
        }
        let row = self.catalog.find_segment(channel, id).await;
        let row = row.map_err(|source| Error::Catalog { channel, source })?;
        row.map(piece_of).transpose()
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
                    pieces.push(piece_of(row)?);
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
        let place = Place::from(piece);
        let bytes = match &piece.location {
            Location::Object(key) => self.read_object(place, key, wanted.clone()).await?,
            Location::Spool(path) => match read_file(path.clone(), wanted.clone()).await {
                Ok(bytes) => bytes,
                // Published since the caller looked: the file has become the object.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let key = piece.object_key();
                    self.read_object(place, &key, wanted.clone()).await?
                }
                Err(source) => return Err(Error::Spool { place, source }),
            },
        };
        if u64::try_from(bytes.len()) == Ok(wanted.end - wanted.start) {
            return Ok(bytes);
        }
        Err(ends_early(
            piece,
            wanted.start.saturating_add(bytes.len() as u64),
        ))
    }

    /// All bytes of a finished segment, those behind what its index covers too: what its digest is about.
    pub async fn read_whole(&self, piece: &Piece) -> Result<Bytes, Error> {
        let place = Place::from(piece);
        if let Location::Spool(path) = &piece.location {
            match tokio::fs::read(path).await {
                Ok(bytes) => return Ok(bytes.into()),
                // Published since the caller looked: the file has become the object.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Spool { place, source }),
            }
        }
        let key = piece.object_key();
        let size = self.blobs.size(&key).await;
        let size = size.map_err(|source| Error::Blob { place, source })?;
        self.read_object(place, &key, 0..size).await
    }

    /// Whether the objects of published segments are there, each as long as its index says; the bytes are not
    /// looked at, nor is what is in the spool. In the order of the pieces.
    pub async fn check(&self, pieces: &[Piece]) -> Vec<Result<(), Error>> {
        let key = |piece: &Piece| match &piece.location {
            Location::Object(key) => Some(key.clone()),
            Location::Spool(_) => None,
        };
        let keys: Vec<ObjectKey> = pieces.iter().filter_map(key).collect();
        let mut sizes = self.blobs.sizes(&keys).await.into_iter();
        let check = |piece: &Piece| match key(piece).and_then(|_| sizes.next()) {
            None => Ok(()),
            Some(Ok(size)) if size >= piece.index.len_bytes() => Ok(()),
            Some(Ok(size)) => Err(ends_early(piece, size)),
            Some(Err(source)) => Err(Error::Blob {
                place: Place::from(piece),
                source,
            }),
        };
        pieces.iter().map(check).collect()
    }

    /// Whether bytes that were read from a segment have fragments where its index says.
    pub fn check_fragments(&self, piece: &Piece, start: u64, bytes: &[u8]) -> Result<(), Error> {
        let end = start.saturating_add(bytes.len() as u64);
        let fragments = &piece.index.fragments;
        let first = fragments.partition_point(|fragment| fragment.offset < start);
        let is_whole =
            |fragment: &&FragmentEntry| fragment.offset + u64::from(fragment.header_len) <= end;
        for fragment in fragments[first..].iter().take_while(is_whole) {
            let name = |at: u64| {
                let at = usize::try_from(at - start).ok()?;
                bytes.get(at..at + 4)
            };
            let head_end = fragment.offset + u64::from(fragment.header_len);
            if name(fragment.offset + 4) != Some(b"prft") || name(head_end - 4) != Some(b"mdat") {
                return Err(Error::Damaged {
                    place: Place::from(piece),
                    source: framewell_fmp4::Error::BadBox {
                        what: "prft".to_owned(),
                        offset: fragment.offset,
                        why: "there is something else in its place".to_owned(),
                    },
                });
            }
        }
        Ok(())
    }

    async fn read_object(
        &self,
        place: Place,
        key: &ObjectKey,
        range: Range<u64>,
    ) -> Result<Bytes, Error> {
        self.blobs
            .get_range(key, range)
            .await
            .map_err(|source| Error::Blob { place, source })
    }

    /// Parameters of a segment, from its init part.
    pub async fn parameters(&self, piece: &Piece) -> Result<Arc<StreamParameters>, Error> {
        if let Some(known) = self.parameters.get(piece.id) {
            return Ok(known);
        }
        let init = self.read(piece, 0..u64::from(piece.index.init_len)).await?;
        self.learn_parameters(piece, &init)
    }

    pub(crate) fn knows_parameters(&self, id: SegmentId) -> bool {
        self.parameters.get(id).is_some()
    }

    /// Reads and remembers the parameters in a segment's init part.
    pub(crate) fn learn_parameters(
        &self,
        piece: &Piece,
        init: &[u8],
    ) -> Result<Arc<StreamParameters>, Error> {
        let (parameters, _) =
            framewell_fmp4::parse_init(init).map_err(|source| Error::Damaged {
                place: Place::from(piece),
                source,
            })?;
        Ok(self.parameters.insert(piece.id, parameters))
    }
}

/// The error about a segment that has `size` bytes, and less than its index covers.
fn ends_early(piece: &Piece, size: u64) -> Error {
    Error::Damaged {
        place: Place::from(piece),
        source: framewell_fmp4::Error::BadBox {
            what: "mdat".to_owned(),
            offset: size,
            why: format!("segment {} ends there, and its index goes on", piece.id),
        },
    }
}

/// A row as a piece; one whose index cannot be read is damaged.
pub(crate) fn piece_of(row: Segment) -> Result<Piece, Error> {
    let place = Place {
        channel: row.channel,
        segment: row.id,
        range: row.range,
    };
    Piece::try_from(row).map_err(|source| Error::Damaged { place, source })
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
