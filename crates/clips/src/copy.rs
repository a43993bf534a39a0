//! From the recording into an object, in bounded memory.

use crate::attempt::Attempt;
use crate::handler::{Position, Stop};
use crate::{Clips, Error};
use framewell_blob::ObjectWriter;
use framewell_jobs::{Failure, Work};
use framewell_model::{AccountId, ErrorKind, HasKind as _, SegmentId};
use framewell_playback::Clip;
use futures::StreamExt as _;
use std::time::{Duration, Instant};

/// How often progress is saved, and whether the clip is still wanted is asked: a deleted clip stops being
/// written within this time.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// When it is looked again whether there is room.
const ROOM_PAUSE: Duration = Duration::from_secs(60);
/// How often, and how many times, a copy that has begun looks whether room is being made.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
const LOOKS: u32 = 5;

/// What came of a copy.
#[derive(Debug)]
pub(crate) enum Copied {
    /// All of it is durable: so many bytes.
    Whole(i64),
    /// A segment turned out to be lost on the way; nothing is written.
    Lost(framewell_footage::Error),
}

/// Why a copy ends early.
enum Broken {
    Stop(Stop),
    Lost(framewell_footage::Error),
}

impl From<Stop> for Broken {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<framewell_footage::Error> for Broken {
    fn from(error: framewell_footage::Error) -> Self {
        match error.kind() == ErrorKind::DataLoss && error.place().is_some() {
            true => Self::Lost(error),
            false => Self::Stop(Stop::of(&error)),
        }
    }
}

/// Writes the file.
pub(crate) async fn store(
    clips: &Clips,
    work: &Work,
    attempt: &Attempt,
    source: &Clip,
    position: Position,
) -> Result<Copied, Stop> {
    check_quota(clips, attempt.account, source.len).await?;
    let writer = clips.inner.blobs.writer(&attempt.key()).await;
    let mut writer = writer.map_err(|error| Stop::of(&Error::Blob(error)))?;
    match copy(clips, work, attempt, source, position, &mut writer).await {
        Ok(()) => {
            let size = writer.finish().await;
            let size = size.map_err(|error| Stop::of(&Error::Blob(error)))?;
            Ok(Copied::Whole(i64::try_from(size).unwrap_or(i64::MAX)))
        }
        Err(broken) => {
            writer.abort().await;
            match broken {
                Broken::Stop(stop) => Err(stop),
                Broken::Lost(error) => Ok(Copied::Lost(error)),
            }
        }
    }
}

/// Reads what of the file lies behind a segment that is lost, without writing it: all segments that are lost, so
/// that the copy begins anew once, and not once for each of them.
pub(crate) async fn find_lost(
    clips: &Clips,
    work: &Work,
    attempt: &Attempt,
    source: &Clip,
    position: Position,
    first: SegmentId,
) -> Result<Vec<SegmentId>, Stop> {
    let segments = source.segments();
    let end_of = |id: SegmentId| {
        let found = segments.iter().rfind(|segment| segment.id == id);
        found.map(|segment| segment.bytes.end)
    };
    let mut lost = vec![first];
    let mut at = end_of(first);
    let mut saved_at = Instant::now();
    'segments: while let Some(start) = at {
        let mut stream = source.stream(start..source.len);
        while let Some(chunk) = stream.next().await {
            if let Err(error) = chunk {
                let error = match Broken::from(error) {
                    Broken::Lost(error) => error,
                    Broken::Stop(stop) => return Err(stop),
                };
                let Some(place) = error.place() else { break };
                lost.push(place.segment);
                // Onwards only, whatever the order of the segments.
                at = end_of(place.segment).filter(|end| *end > start);
                continue 'segments;
            }
            if saved_at.elapsed() >= SAVE_EVERY {
                save(clips, work, attempt, position, 0.0).await?;
                saved_at = Instant::now();
            }
        }
        break;
    }
    Ok(lost)
}

/// Whether so many bytes more than those of all stored clips are within the limit.
pub(crate) async fn check_quota(clips: &Clips, account: AccountId, more: u64) -> Result<(), Stop> {
    let config = &clips.inner.config;
    let limits = [
        (config.max_bytes, None),
        (config.max_bytes_of_account, Some(account)),
    ];
    for (most, whose) in limits {
        let Some(most) = most else { continue };
        let stored = clips.inner.catalog.stored_clip_bytes(whose).await;
        let stored = stored.map_err(|error| Stop::of(&error))?;
        check_sum(u64::try_from(stored).unwrap_or(0), more, most)?;
    }
    Ok(())
}

/// What is stored may be of other accounts, so the owner does not learn how much it is.
fn check_sum(stored: u64, more: u64, most: u64) -> Result<(), Stop> {
    if stored.saturating_add(more) > most {
        let text =
            "there is no room for the clip: the stored clips would take more bytes than they may";
        return Err(Failure::last(text).into());
    }
    Ok(())
}

/// Whether there is room on the disk with the objects.
pub(crate) async fn check_room(clips: &Clips) -> Result<(), Stop> {
    wait_for_room(free_bytes(clips).await, clips.inner.config.min_free_bytes)
}

async fn free_bytes(clips: &Clips) -> Option<u64> {
    let blobs = clips.inner.blobs.clone();
    let free = tokio::task::spawn_blocking(move || blobs.free_bytes()).await;
    free.ok().flatten()
}

/// Returns when a copy may go on. A disk that is held full with footage is short for a moment again and again: the
/// copy stands still until the recorder has made room. Where none comes, what was copied goes: clips give way to
/// what is being recorded.
pub(crate) async fn room_to_go_on(clips: &Clips) -> Result<(), Stop> {
    let least = clips.inner.config.min_free_bytes;
    let mut looks = 0;
    while let Some(pause) = look_again(free_bytes(clips).await, least, looks)? {
        tokio::time::sleep(pause).await;
        looks += 1;
    }
    Ok(())
}

/// When to look again whether there is room; `None`: there is.
fn look_again(free: Option<u64>, least: u64, looks: u32) -> Result<Option<Duration>, Stop> {
    if looks >= LOOKS {
        return wait_for_room(free, least).map(|()| None);
    }
    let is_short = free.is_some_and(|free| free < least);
    Ok(is_short.then_some(LOOK_PAUSE))
}

fn wait_for_room(free: Option<u64>, least: u64) -> Result<(), Stop> {
    match free {
        Some(free) if free < least => {
            tracing::info!(
                free_bytes = free,
                "a clip waits: the disk with the objects is short of room"
            );
            Err(Stop::Later(ROOM_PAUSE))
        }
        _ => Ok(()),
    }
}

async fn copy(
    clips: &Clips,
    work: &Work,
    attempt: &Attempt,
    source: &Clip,
    position: Position,
    writer: &mut ObjectWriter,
) -> Result<(), Broken> {
    let mut stream = source.stream(0..source.len);
    let mut saved_at = Instant::now();
    while let Some(chunk) = stream.next().await {
        let written = writer.write(chunk?).await;
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
            room_to_go_on(clips).await?;
            saved_at = Instant::now();
        }
    }
    if writer.size() != source.len {
        let text = "the footage is shorter than its index says";
        return Err(Stop::from(Failure::last(text)).into());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_disk_is_waited_for_and_other_accounts_stay_unknown() {
        assert!(matches!(
            wait_for_room(Some(9), 10),
            Err(Stop::Later(ROOM_PAUSE))
        ));
        assert!(wait_for_room(Some(10), 10).is_ok() && wait_for_room(None, 10).is_ok());
        assert!(check_sum(4_321, 5_679, 10_000).is_ok());
        let Err(Stop::Failed(failure)) = check_sum(4_321, 5_680, 10_000) else {
            panic!("more than may be stored");
        };
        let text = failure.final_text().unwrap();
        assert!(!text.contains(|c: char| c.is_ascii_digit()), "{text}");
    }

    #[test]
    fn a_copy_waits_for_room_that_is_being_made_and_gives_way_where_none_comes() {
        for looks in 0..LOOKS {
            let again = look_again(Some(9), 10, looks);
            assert!(matches!(again, Ok(Some(LOOK_PAUSE))));
            assert!(matches!(look_again(Some(10), 10, looks), Ok(None)));
            assert!(matches!(look_again(None, 10, looks), Ok(None)));
        }
        let none = look_again(Some(9), 10, LOOKS);
        assert!(matches!(none, Err(Stop::Later(ROOM_PAUSE))));
        assert!(matches!(look_again(Some(10), 10, LOOKS), Ok(None)));
    }
}
