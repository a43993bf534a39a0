//! Finished pictures, kept by what they are: live and recorded ones alike, since the same frame in the
//! same form has the same bytes.

use crate::lru::Lru;
use bytes::Bytes;
use framewell_decode::{Output, Picture, PictureFormat};
use framewell_model::FrameId;
use parking_lot::Mutex;
use std::sync::Arc;

/// Which frame in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ContentKey {
    pub(crate) frame: FrameId,
    pub(crate) output: Output,
}

/// A finished picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) data: Bytes,
    pub(crate) format: PictureFormat,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl From<Picture> for Finished {
    fn from(picture: Picture) -> Self {
        Self {
            data: picture.data,
            format: picture.format,
            width: picture.width,
            height: picture.height,
        }
    }
}

/// Bytes that an entry costs besides its picture.
const ENTRY_BYTES: usize = 256;

/// The cache; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    pictures: Arc<Mutex<Lru<ContentKey, Finished>>>,
}

impl Cache {
    pub(crate) fn new(budget_bytes: usize) -> Self {
        Self {
            pictures: Arc::new(Mutex::new(Lru::new(budget_bytes))),
        }
    }

    pub(crate) fn get(&self, key: &ContentKey) -> Option<Finished> {
        let found = self.pictures.lock().get(key);
        let result = if found.is_some() { "hit" } else { "miss" };
        metrics::counter!("framewell_image_cache_total", "result" => result).increment(1);
        found
    }

    pub(crate) fn insert(&self, key: ContentKey, picture: Finished) {
        let bytes = picture.data.len() + ENTRY_BYTES;
        let mut pictures = self.pictures.lock();
        pictures.insert(key, picture, bytes);
        // A budget that a float cannot hold exactly would be 8 PiB.
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        metrics::gauge!("framewell_image_cache_bytes").set(pictures.bytes() as f64);
    }
}
