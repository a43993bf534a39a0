//! Reading finished clips.

use crate::{Clips, Error};
use bytes::Bytes;
use framewell_blob::{BlobStore, ObjectKey};
use framewell_catalog::{ClipFile, StoredClip};
use framewell_model::{ClipId, ClipObjectId, ErrorKind, HasKind as _};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use std::ops::Range;

/// Most bytes of one read.
const MAX_READ_BYTES: u64 = 512 << 10;
/// Reads in flight for each download: one under way while the client takes the one before.
const READ_AHEAD: usize = 2;

/// Bytes of a file as they are read.
pub type ClipBytes = BoxStream<'static, Result<Bytes, Error>>;

/// A finished file whose object is there.
#[derive(Debug, Clone)]
pub struct OpenFile {
    /// Bytes of the whole file.
    pub len: u64,
    /// Strong validator: a name stands for the same bytes for ever.
    pub etag: String,
    blobs: BlobStore,
    key: ObjectKey,
    clip: ClipId,
}

impl Clips {
    /// The video file of a finished clip.
    pub async fn open(&self, clip: &StoredClip) -> Result<OpenFile, Error> {
        let (file, object) = finished(clip)?;
        let key = ObjectKey::Clip {
            channel: clip.channel,
            time: clip.range.start,
            id: object,
        };
        self.open_object(clip.id, key, file.size_bytes, object.to_string())
            .await
    }

    /// The thumbnail of a finished clip.
    pub async fn open_thumb(&self, clip: &StoredClip) -> Result<OpenFile, Error> {
        let (file, object) = finished(clip)?;
        let key = ObjectKey::ClipThumb {
            channel: clip.channel,
            time: clip.range.start,
            id: object,
        };
        let Some(thumb) = file.thumb else {
            let why = file.thumb_error.clone().unwrap_or_default();
            return Err(Error::NoThumb(clip.id, why));
        };
        let etag = format!("{object}-thumb");
        self.open_object(clip.id, key, thumb.size_bytes, etag).await
    }

    /// Asked before the status line goes out: an object that is gone is an error, not a broken body.
    async fn open_object(
        &self,
        clip: ClipId,
        key: ObjectKey,
        size_bytes: i64,
        etag: String,
    ) -> Result<OpenFile, Error> {
        let blobs = self.inner.blobs.clone();
        match blobs.size(&key).await {
            Ok(len) if i64::try_from(len).is_ok_and(|len| len == size_bytes) => Ok(OpenFile {
                len,
                etag,
                blobs,
                key,
                clip,
            }),
            Ok(_) => Err(Error::Damaged(clip)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::Damaged(clip)),
            Err(error) => Err(Error::Blob(error)),
        }
    }
}

fn finished(clip: &StoredClip) -> Result<(&ClipFile, ClipObjectId), Error> {
    let file = clip.file.as_ref().zip(clip.object);
    file.ok_or(Error::NotDone(clip.id))
}

impl OpenFile {
    /// A byte range; read as it is taken.
    #[must_use]
    pub fn stream(&self, range: Range<u64>) -> ClipBytes {
        let end = range.end.min(self.len);
        let starts = (range.start..end).step_by(usize::try_from(MAX_READ_BYTES).unwrap_or(1));
        let file = self.clone();
        let reads = starts.map(move |start| {
            let file = file.clone();
            let part = start..end.min(start + MAX_READ_BYTES);
            async move { file.read(part).await }
        });
        stream::iter(reads).buffered(READ_AHEAD).boxed()
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, Error> {
        match self.blobs.get_range(&self.key, range.clone()).await {
            Ok(bytes) if bytes.len() as u64 == range.end - range.start => Ok(bytes),
            Ok(_) => Err(Error::Damaged(self.clip)),
            Err(error) => Err(Error::Blob(error)),
        }
    }
}
