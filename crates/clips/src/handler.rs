//! Doing the jobs of clips.
//!
//! A job is done in one turn: the copy runs at the speed of the store. What a crash interrupts is done
//! again from the beginning, under another object name.

use crate::attempt::Attempt;
use crate::readiness::{Readiness, Situation};
use crate::request::Options;
use crate::{Clips, copy, render, thumb};
use framewell_catalog::{ClipFile, ClipState, StoredClip};
use framewell_jobs::{Failure, Handler, Next, Work};
use framewell_model::{ClipId, ErrorKind, HasKind};
use framewell_playback::{Clip, ClipError};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When too much is being read, somebody else may be done by then.
const BUSY_PAUSE: Duration = Duration::from_secs(2);
/// Attempts that the store, the database or the decoders may spoil: with the pauses about three hours.
const MOST_FAILURES: u32 = 40;
/// First pause after such an attempt; doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What the job says.
#[derive(Debug, Deserialize)]
struct Parameters {
    clip: ClipId,
}

/// Where the job stands.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Attempts that something else spoiled.
    pub(crate) failures: u32,
}

/// Why a turn ends without a clip.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nothing is wrong; go on later.
    Later(Duration),
    /// The clip is not wanted any more.
    Unwanted,
    /// It failed.
    Failed(Failure),
    /// Something outside failed that may be well another time; the text is for the owner.
    Outside(String),
}

impl Stop {
    /// By the kind of an error. Its own text (not those of its sources) is shown to the owner.
    pub(crate) fn of<E: std::error::Error + HasKind + 'static>(error: &E) -> Self {
        match error.kind() {
            ErrorKind::ResourceExhausted => Self::Later(BUSY_PAUSE),
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Cancelled => {
                tracing::debug!(
                    error = error as &dyn std::error::Error,
                    "a clip is interrupted"
                );
                Self::Outside(error.to_string())
            }
            _ => Self::Failed(Failure::of(error)),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Does the jobs of kinds [`framewell_catalog::CLIP_JOB`] and [`framewell_catalog::CLIP_RENDER_JOB`].
#[derive(Debug, Clone)]
pub struct ClipHandler {
    clips: Clips,
}

impl ClipHandler {
    /// For the clips of this service.
    #[must_use]
    pub const fn new(clips: Clips) -> Self {
        Self { clips }
    }

    async fn turn(&self, work: &Work) -> Result<Next, Failure> {
        let Parameters { clip: id } = work.parameters()?;
        let position: Position = work.position()?.unwrap_or_default();
        let clip = match self.clips.load(id).await {
            Ok(clip) if clip.state == ClipState::Pending => clip,
            Ok(_) => return Ok(Next::Done),
            // Deleted, or its time is over.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Next::Done),
            Err(error) => return Err(Failure::of(&error)),
        };
        match self.make(work, &clip, position).await {
            Ok(()) | Err(Stop::Unwanted) => Ok(Next::Done),
            Err(Stop::Later(pause)) => Ok(Next::Pause(pause)),
            Err(Stop::Outside(text)) if position.failures < MOST_FAILURES => {
                let failures = position.failures + 1;
                tracing::info!(clip.id = %id, reason = text, failures, "a clip will be tried again");
                work.save(0.0, &Position { failures }).await?;
                Ok(Next::Pause(pause_after(failures)))
            }
            Err(Stop::Outside(text)) => self.fail(id, Failure::last(text)).await,
            Err(Stop::Failed(failure)) => self.fail(id, failure).await,
        }
    }

    /// The row says it as long as the clip is there; that of the job goes after a while.
    async fn fail(&self, id: ClipId, failure: Failure) -> Result<Next, Failure> {
        if let Some(text) = failure.final_text() {
            let now = self.clips.inner.clock.now();
            let failing = self.clips.inner.catalog.fail_clip(id, text, now).await;
            failing.map_err(|error| Failure::of(&error))?;
        }
        Err(failure)
    }

    async fn make(&self, work: &Work, clip: &StoredClip, at: Position) -> Result<(), Stop> {
        let options = Options::deserialize(&clip.options)
            .map_err(|error| Failure::last(format!("the options cannot be read: {error}")))?;
        let source = self.source(clip, &options).await?;
        let attempt = self.begin(clip).await?;
        let thumb = thumb::store(&self.clips, clip, &source, attempt.thumb_key()).await?;
        if let Some(options) = options.render {
            let shown = source.range;
            drop(source);
            let stored = render::store(&self.clips, work, &attempt, clip, options, shown, at);
            let stored = stored.await?;
            let file = ClipFile {
                shown,
                duration_us: stored.duration_us,
                size_bytes: stored.size_bytes,
                thumb,
            };
            return self.publish(&attempt, &file).await;
        }
        let size_bytes = copy::store(&self.clips, work, &attempt, &source, at).await?;
        let file = ClipFile {
            shown: source.range,
            duration_us: source.range.micros() - holes_us(&source),
            size_bytes,
            thumb,
        };
        self.publish(&attempt, &file).await
    }

    async fn publish(&self, attempt: &Attempt, file: &ClipFile) -> Result<(), Stop> {
        let inner = &self.clips.inner;
        let (catalog, blobs) = (&inner.catalog, &inner.blobs);
        attempt
            .publish(catalog, blobs, file, inner.clock.now())
            .await
    }

    /// The virtual clip, once its footage is there.
    async fn source(&self, clip: &StoredClip, options: &Options) -> Result<Clip, Stop> {
        let inner = &self.clips.inner;
        let newest = inner.playback.newest_footage(clip.channel).await;
        let situation = Situation {
            range: clip.range,
            newest: newest.map_err(|error| Stop::of(&error))?,
            now: inner.clock.now(),
            max_wait: options.wait.then_some(inner.config.max_wait),
        };
        if let Readiness::Wait(pause) = situation.readiness() {
            return Err(Stop::Later(pause));
        }
        match inner.playback.clip(clip.channel, clip.range).await {
            Ok(source) => Ok(source),
            Err(error @ ClipError::Empty { .. }) => match situation.may_still_come() {
                Readiness::Wait(pause) => Err(Stop::Later(pause)),
                Readiness::Go => Err(Stop::of(&error)),
            },
            Err(error) => Err(Stop::of(&error)),
        }
    }

    async fn begin(&self, clip: &StoredClip) -> Result<Attempt, Stop> {
        copy::check_room(&self.clips).await?;
        let inner = &self.clips.inner;
        Attempt::begin(&inner.catalog, &inner.blobs, clip, inner.clock.now()).await
    }
}

fn pause_after(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX));
    doubled.min(LONGEST_PAUSE)
}

impl Handler for ClipHandler {
    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<Next, Failure>> {
        self.turn(work).boxed()
    }
}

/// How much of the presented range the file skips.
fn holes_us(source: &Clip) -> i64 {
    let gaps = source.gaps.iter().map(|gap| gap.range);
    gaps.filter(|gap| gap.start >= source.range.start && gap.end <= source.range.end)
        .map(|gap| gap.micros())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let seconds = [1, 2, 9, 10, 40].map(|failures| pause_after(failures).as_secs());
        assert_eq!(seconds, [1, 2, 256, 300, 300]);
    }
}
