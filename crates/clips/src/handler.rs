//! Doing the jobs of clips.
//!
//! A job is done in one turn: the copy runs at the speed of the store. What a crash interrupts is done
//! again from the beginning, under another object name.

use crate::attempt::Attempt;
use crate::copy::Copied;
use crate::readiness::{Readiness, Situation};
use crate::render::RenderOptions;
use crate::request::Options;
use crate::thumb::NoThumb;
use crate::{ClipMakeup, Clips, copy, render, thumb};
use framewell_catalog::{ClipFile, ClipGaps, ClipState, ClipThumb, StoredClip};
use framewell_jobs::{Failure, Handler, Next, Work};
use framewell_model::{ClipId, ErrorKind, HasKind, SegmentId, TimeRange};
use framewell_playback::{Clip, ClipError, ClipOptions, Holes};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When too much is being read, somebody else may be done by then.
const BUSY_PAUSE: Duration = Duration::from_secs(2);
/// Attempts that the store, the database or the decoders may spoil: with the pauses about three hours.
const MOST_FAILURES: u32 = 40;
/// Attempts that may end because no thumbnail can be made now; then the clip goes without. Some 15 s.
const MOST_WITHOUT_THUMB: u32 = 4;
/// How often a copy begins anew in one attempt because footage turned out to be lost. Each time finds all that is
/// lost then.
const MOST_LAYOUTS: u32 = 8;
/// A hole that a replay meets, and that is shorter than this, is no missing footage.
const SHORTEST_HOLE_US: i64 = 200_000;
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
    /// Attempts that ended because the decoders made no thumbnail.
    #[serde(default)]
    pub(crate) no_thumb: u32,
}

/// A turn, when its clip has begun to be made.
struct Turn<'a> {
    work: &'a Work,
    clip: &'a StoredClip,
    attempt: Attempt,
    options: Options,
    at: Position,
}

/// A file that is complete.
struct Made {
    shown: TimeRange,
    duration_us: i64,
    size_bytes: i64,
    makeup: ClipMakeup,
}

impl Made {
    fn copied(source: &Clip, making: ClipOptions, size_bytes: i64) -> Self {
        let makeup = ClipMakeup::of_copy(source, making.holes);
        let duration_us = match (making.holes, makeup.segments.last()) {
            (Holes::Keep, Some(last)) => last.at_us + last.range.micros(),
            _ => source.range.micros() - holes_us(source),
        };
        Self {
            shown: source.range,
            duration_us,
            size_bytes,
            makeup,
        }
    }
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
    /// The decoders make no thumbnail now; the text is for the owner.
    NoThumb(String),
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
            Err(Stop::NoThumb(text)) => {
                let no_thumb = position.no_thumb + 1;
                tracing::info!(clip.id = %id, reason = text, no_thumb, "a clip waits for its thumbnail");
                let position = Position {
                    no_thumb,
                    ..position
                };
                work.save(0.0, &position).await?;
                Ok(Next::Pause(pause_after(no_thumb)))
            }
            Err(Stop::Outside(text)) if position.failures < MOST_FAILURES => {
                let failures = position.failures + 1;
                tracing::info!(clip.id = %id, reason = text, failures, "a clip will be tried again");
                let position = Position {
                    failures,
                    ..position
                };
                work.save(0.0, &position).await?;
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
        let source = self.source(clip, &options, &[]).await?;
        let attempt = self.begin(clip).await?;
        let turn = Turn {
            work,
            clip,
            attempt,
            options,
            at,
        };
        let (thumb, thumb_error) = self.thumb(&turn, &source).await?;
        let made = match turn.options.render {
            Some(render) => self.render(&turn, render, source).await?,
            None => self.copy(&turn, source).await?,
        };
        let file = ClipFile {
            shown: made.shown,
            duration_us: made.duration_us,
            size_bytes: made.size_bytes,
            thumb,
            thumb_error,
            gaps: Some(ClipGaps::of(&made.makeup.gaps())),
        };
        let inner = &self.clips.inner;
        let (catalog, blobs) = (&inner.catalog, &inner.blobs);
        let published = attempt.publish(catalog, blobs, &file, &made.makeup, inner.clock.now());
        published.await
    }

    /// The thumbnail, or why the clip goes without: its pictures cannot be decoded, or the decoders could not
    /// be had again and again.
    async fn thumb(
        &self,
        turn: &Turn<'_>,
        source: &Clip,
    ) -> Result<(Option<ClipThumb>, Option<String>), Stop> {
        let key = turn.attempt.thumb_key();
        let text = match thumb::store(&self.clips, turn.clip, source, key).await {
            Ok(thumb) => return Ok((Some(thumb), None)),
            Err(NoThumb::Stop(stop)) => return Err(stop),
            Err(NoThumb::Now(text)) if turn.at.no_thumb < MOST_WITHOUT_THUMB => {
                return Err(Stop::NoThumb(text));
            }
            Err(NoThumb::Now(text) | NoThumb::Ever(text)) => text,
        };
        tracing::info!(clip.id = %turn.clip.id, reason = text, "a clip goes without a thumbnail");
        Ok((None, Some(text)))
    }

    /// Copies the virtual clip. What is lost on the way is left out by laying it out anew.
    async fn copy(&self, turn: &Turn<'_>, mut source: Clip) -> Result<Made, Stop> {
        let (work, attempt, at) = (turn.work, &turn.attempt, turn.at);
        let making = turn.options.making();
        let mut lost: Vec<SegmentId> = Vec::new();
        for _ in 0..MOST_LAYOUTS {
            let copied = copy::store(&self.clips, work, attempt, &source, at).await?;
            let error = match copied {
                Copied::Whole(size_bytes) => return Ok(Made::copied(&source, making, size_bytes)),
                Copied::Lost(error) => error,
            };
            let Some(place) = error.place().filter(|_| !making.is_strict) else {
                return Err(Failure::of(&error).into());
            };
            tracing::warn!(clip.id = %turn.clip.id, segment.id = %place.segment, error = &error as &dyn std::error::Error, "a stored clip leaves out a segment");
            let first = place.segment;
            let found = copy::find_lost(&self.clips, work, attempt, &source, at, first);
            lost.extend(found.await?);
            // Its place among the open clips is needed for the next one.
            drop(source);
            source = self.source(turn.clip, &turn.options, &lost).await?;
        }
        let text = "more and more of the footage was lost while it was copied";
        Err(Stop::Outside(text.into()))
    }

    /// Encodes the range anew. What is lost on the way is left out.
    async fn render(
        &self,
        turn: &Turn<'_>,
        options: RenderOptions,
        source: Clip,
    ) -> Result<Made, Stop> {
        let shown = source.range;
        drop(source);
        let (work, clip, at) = (turn.work, turn.clip, turn.at);
        let stored = render::store(&self.clips, work, &turn.attempt, clip, options, shown, at);
        let stored = stored.await?;
        // Objects may have gone since the first look: what is not there now was not rendered, or is told too much.
        let source = self.source(clip, &turn.options, &[]).await?;
        let lost = unknown_holes(&stored.holes, &source);
        if let Some(hole) = lost.first().filter(|_| turn.options.strict) {
            let (start, end) = (hole.start, hole.end);
            let text = format!("the footage from {start} to {end} cannot be read or decoded");
            return Err(Failure::last(text).into());
        }
        Ok(Made {
            shown,
            duration_us: stored.duration_us,
            size_bytes: stored.size_bytes,
            makeup: ClipMakeup::of_rendered(&source, &lost),
        })
    }

    /// The virtual clip, once its footage is there.
    async fn source(
        &self,
        clip: &StoredClip,
        options: &Options,
        lost: &[SegmentId],
    ) -> Result<Clip, Stop> {
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
        let (channel, range, making) = (clip.channel, clip.range, options.making());
        let playback = &inner.playback;
        match playback.clip_without(channel, range, making, lost).await {
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

/// The holes that a replay met and the clip's own gaps do not tell of: there is an index of that footage, and it
/// could not be read or decoded.
fn unknown_holes(met: &[TimeRange], source: &Clip) -> Vec<TimeRange> {
    let is_told = |hole: &TimeRange| {
        let shared = source.gaps.iter().map(|gap| {
            let (start, end) = (hole.start.max(gap.range.start), hole.end.min(gap.range.end));
            end.micros_since(start).max(0)
        });
        shared.sum::<i64>() * 2 > hole.micros()
    };
    let cut = |hole: &TimeRange| {
        let start = hole.start.max(source.range.start);
        TimeRange::new(start, hole.end.min(source.range.end))
    };
    let inside = met.iter().filter_map(cut);
    let mut holes: Vec<TimeRange> = inside
        .filter(|hole| hole.micros() > SHORTEST_HOLE_US && !is_told(hole))
        .collect();
    holes.sort_by_key(|hole| hole.start);
    holes
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
