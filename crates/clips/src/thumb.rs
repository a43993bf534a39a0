//! The thumbnail of a clip: its first picture.

use crate::handler::Stop;
use crate::{Clips, Error};
use framewell_blob::ObjectKey;
use framewell_catalog::{ClipThumb, StoredClip};
use framewell_imaging::{Image, Match, Request, When};
use framewell_jobs::Failure;
use framewell_model::WallTime;
use framewell_playback::Clip;

/// Where damaged footage is passed over: at the start, then in quarters of the clip.
const TRIES: i64 = 4;

/// Makes and stores it.
pub(crate) async fn store(
    clips: &Clips,
    clip: &StoredClip,
    source: &Clip,
    key: ObjectKey,
) -> Result<ClipThumb, Stop> {
    let image = first_picture(clips, clip, source).await?;
    let put = clips.inner.blobs.put_bytes(&key, image.data.clone()).await;
    put.map_err(|error| Stop::of(&Error::Blob(error)))?;
    Ok(ClipThumb {
        time: image.captured,
        width: image.width,
        height: image.height,
        size_bytes: i64::try_from(image.data.len()).unwrap_or(i64::MAX),
    })
}

async fn first_picture(clips: &Clips, clip: &StoredClip, source: &Clip) -> Result<Image, Stop> {
    let mut first = None;
    for at in instants(source) {
        let request = Request {
            channel: clip.channel,
            when: When::At(at),
            matching: Match::Exact,
            output: clips.inner.config.thumb,
        };
        match clips.inner.imaging.image(&request).await {
            Ok(image) => return Ok(image),
            Err(error) => match Stop::of(&error) {
                Stop::Failed(failure) => {
                    first.get_or_insert(failure);
                }
                other => return Err(other),
            },
        }
    }
    let none = || Failure::last("the clip shows no picture");
    Err(first.unwrap_or_else(none).into())
}

fn instants(source: &Clip) -> impl Iterator<Item = WallTime> {
    let (start, quarter) = (source.range.start, source.range.micros() / TRIES);
    (0..TRIES).map(move |n| start.plus_micros(n * quarter))
}
