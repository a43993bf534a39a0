//! Storing, reading and deleting one picture.

use crate::{Error, Gallery};
use bytes::Bytes;
use framewell_blob::ObjectKey;
use framewell_catalog::NewImage;
use framewell_imaging::ContentHash;
use framewell_model::{
    ChannelId, ClockSource, ErrorKind, FrameId, HasKind, ImageId, ImageObjectId, ImageOrigin,
    StoredImage, WallTime,
};
use uuid::Uuid;

/// A picture to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPicture {
    /// Whose picture.
    pub channel: ChannelId,
    /// Why it is stored.
    pub origin: ImageOrigin,
    /// Number of the task or event that made it, at least 1.
    pub origin_id: Option<i64>,
    /// Capture time.
    pub captured: WallTime,
    /// Where it comes from.
    pub clock: ClockSource,
    /// Which picture of the channel.
    pub frame: FrameId,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The JPEG file.
    pub data: Bytes,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is stored now.
    New(ImageId),
    /// The same frame was stored for the same purpose before.
    Known(ImageId),
}

impl Gallery {
    /// Stores a picture: when this returns it is durable and readers see it. Doing it again does nothing.
    ///
    /// [`ErrorKind::NotFound`] if the channel is gone.
    pub async fn store(&self, picture: &NewPicture) -> Result<Stored, Error> {
        let inner = &self.inner;
        let row = NewImage {
            object: ImageObjectId::from_uuid(Uuid::now_v7()),
            channel: picture.channel,
            time: picture.captured,
            clock: picture.clock,
            width: picture.width,
            height: picture.height,
            size_bytes: i64::try_from(picture.data.len()).unwrap_or(i64::MAX),
            hash: ContentHash::of(&picture.data).to_string(),
            origin: picture.origin,
            origin_id: picture.origin_id,
            frame: picture.frame,
        };
        let staged = inner.catalog.stage_image(&row, inner.clock.now()).await?;
        if staged.is_published {
            return Ok(Stored::Known(staged.id));
        }
        let key = ObjectKey::Image {
            channel: picture.channel,
            time: picture.captured,
            id: staged.object,
        };
        let put = inner.blobs.put_bytes(&key, picture.data.clone()).await;
        put.map_err(Error::Blob)?;
        inner
            .catalog
            .publish_image(staged.id, inner.clock.now())
            .await?;
        let origin = picture.origin.as_str();
        metrics::counter!("framewell_stored_images_total", "origin" => origin).increment(1);
        metrics::counter!("framewell_stored_image_bytes_total", "origin" => origin)
            .increment(picture.data.len() as u64);
        Ok(Stored::New(staged.id))
    }

    /// The file of a stored picture.
    pub async fn read(&self, image: &StoredImage) -> Result<Bytes, Error> {
        let key = ObjectKey::Image {
            channel: image.channel,
            time: image.time,
            id: image.object,
        };
        let size = u64::try_from(image.size_bytes).unwrap_or(0);
        match self.inner.blobs.get_range(&key, 0..size).await {
            Ok(data) if data.len() as u64 == size => Ok(data),
            Ok(_) => Err(Error::Damaged(image.id)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::Damaged(image.id)),
            Err(error) => Err(Error::Blob(error)),
        }
    }

    /// Deletes a picture: gone for readers at once, its object with the next round of the janitor.
    pub async fn delete(&self, id: ImageId) -> Result<(), Error> {
        let now = self.inner.clock.now();
        Ok(self.inner.catalog.doom_image(id, now).await?)
    }
}
