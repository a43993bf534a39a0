//! From the recording into an object, in bounded memory.

use crate::handler::{Attempt, Position, Stop};
use crate::{Clips, Error};
use framewell_blob::ObjectWriter;
use framewell_jobs::{Failure, Work};
use framewell_playback::Clip;
use futures::StreamExt as _;
use std::time::{Duration, Instant};

/// How often progress is saved, and whether the clip is still wanted is asked: a deleted clip stops being
/// written within this time.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Writes the file; how many bytes it has. The object is durable when this returns.
pub(crate) async fn store(
    clips: &Clips,
    work: &Work,
    attempt: &Attempt,
    source: &Clip,
    position: Position,
) -> Result<i64, Stop> {
    check_quota(clips, source.len).await?;
    let writer = clips.inner.blobs.writer(&attempt.key()).await;
    let mut writer = writer.map_err(|error| Stop::of(&Error::Blob(error)))?;
    match copy(clips, work, attempt, source, position, &mut writer).await {
        Ok(()) => {
            let size = writer.finish().await;
            let size = size.map_err(|error| Stop::of(&Error::Blob(error)))?;
            Ok(i64::try_from(size).unwrap_or(i64::MAX))
        }
        Err(stop) => {
            writer.abort().await;
            Err(stop)
        }
    }
}

/// Whether so many bytes more than those of all stored clips are within the limit.
pub(crate) async fn check_quota(clips: &Clips, more: u64) -> Result<(), Stop> {
    let Some(most) = clips.inner.config.max_bytes else {
        return Ok(());
    };
    let stored = clips.inner.catalog.stored_clip_bytes().await;
    let stored = stored.map_err(|error| Stop::of(&error))?;
    let stored = u64::try_from(stored).unwrap_or(0);
    if stored.saturating_add(more) > most {
        let text = format!(
            "the clip has {more} bytes, and the stored clips take {stored} of the {most} that they may"
        );
        return Err(Failure::last(text).into());
    }
    Ok(())
}

async fn copy(
    clips: &Clips,
    work: &Work,
    attempt: &Attempt,
    source: &Clip,
    position: Position,
    writer: &mut ObjectWriter,
) -> Result<(), Stop> {
    let mut stream = source.stream(0..source.len);
    let mut saved_at = Instant::now();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Stop::of(&error))?;
        let written = writer.write(chunk).await;
        written.map_err(|error| Stop::of(&Error::Blob(error)))?;
        if saved_at.elapsed() >= SAVE_EVERY {
            save(
                clips,
                work,
                attempt,
                position,
                progress(writer.size(), source.len),
            )
            .await?;
            saved_at = Instant::now();
        }
    }
    if writer.size() != source.len {
        let text = "the footage is shorter than its index says";
        return Err(Failure::last(text).into());
    }
    Ok(())
}

/// Saves progress if the clip is still wanted.
pub(crate) async fn save(
    clips: &Clips,
    work: &Work,
    attempt: &Attempt,
    position: Position,
    progress: f64,
) -> Result<(), Stop> {
    let catalog = &clips.inner.catalog;
    let wanted = catalog.is_clip_wanted(attempt.clip, attempt.object).await;
    // A database that is away for a moment does not spoil the attempt.
    if wanted.is_ok_and(|is_wanted| !is_wanted) {
        return Err(Stop::Unwanted);
    }
    work.save(progress, &position).await?;
    Ok(())
}

fn progress(done: u64, all: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "shown to people")]
    let progress = done as f64 / all.max(1) as f64;
    progress.min(1.0)
}
