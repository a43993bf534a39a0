//! The thumbnail of a clip: its first picture.

use crate::handler::Stop;
use crate::{Clips, Error};
use framewell_blob::ObjectKey;
use framewell_catalog::{ClipThumb, StoredClip};
use framewell_imaging::{Image, Match, Request, When};
use framewell_model::{ErrorKind, HasKind as _, WallTime};
use framewell_playback::Clip;

/// Where damaged footage is passed over: at the start, then in quarters of the clip.
const TRIES: i64 = 4;

/// Why there is none.
#[derive(Debug)]
pub(crate) enum NoThumb {
    /// The clip cannot go on either.
    Stop(Stop),
    /// The decoders cannot be had now; the text is for the owner.
    Now(String),
    /// None of the pictures can be decoded; the text is for the owner.
    Ever(String),
}

/// Makes and stores it.
pub(crate) async fn store(
    clips: &Clips,
    clip: &StoredClip,
    source: &Clip,
    key: ObjectKey,
) -> Result<ClipThumb, NoThumb> {
    let image = first_picture(clips, clip, source).await?;
    let put = clips.inner.blobs.put_bytes(&key, image.data.clone()).await;
    put.map_err(|error| NoThumb::Stop(Stop::of(&Error::Blob(error))))?;
    Ok(ClipThumb {
        time: image.captured,
        width: image.width,
        height: image.height,
        size_bytes: i64::try_from(image.data.len()).unwrap_or(i64::MAX),
    })
}

async fn first_picture(clips: &Clips, clip: &StoredClip, source: &Clip) -> Result<Image, NoThumb> {
    let mut first = None;
    for at in instants(source) {
        let request = Request {
            channel: clip.channel,
            when: When::At(at),
            matching: Match::Exact,
            output: clips.inner.config.thumb,
        };
        let error = match clips.inner.imaging.image(&request).await {
            Ok(image) => return Ok(image),
            Err(error) => error,
        };
        tracing::debug!(clip.id = %clip.id, error = &error as &dyn std::error::Error, "no thumbnail");
        if may_pass(error.kind()) {
            return Err(NoThumb::Now(error.to_string()));
        }
        first.get_or_insert_with(|| error.to_string());
    }
    let none = || "the clip shows no picture".to_owned();
    Err(NoThumb::Ever(first.unwrap_or_else(none)))
}

const fn may_pass(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ResourceExhausted
            | ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::Cancelled
    )
}

fn instants(source: &Clip) -> impl Iterator<Item = WallTime> {
    let (start, quarter) = (source.range.start, source.range.micros() / TRIES);
    (0..TRIES).map(move |n| start.plus_micros(n * quarter))
}
