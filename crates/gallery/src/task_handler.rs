//! Doing generation tasks: a batch of pictures, stored one after the other.

use crate::store::NewPicture;
use crate::task::{Parameters, Position};
use crate::{Error, Gallery};
use framewell_imaging::Match;
use framewell_imaging::batch::{
    Batch, BatchRequest, Budget, Cursor, EndReason, Entry, Rule, Sample, What,
};
use framewell_jobs::{Failure, Handler, Next, Work};
use framewell_model::{ErrorKind, HasKind as _, ImageOrigin, WallTime};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::time::{Duration, Instant};

/// Progress is saved at least this often: what a crash makes us do again.
const SAVE_EVERY: Duration = Duration::from_secs(2);
/// Or after this many pictures.
const SAVE_IMAGES: u64 = 50;
/// When all batches are taken, somebody else may be done by then.
const BUSY_PAUSE: Duration = Duration::from_secs(2);

/// Does the jobs of kind [`crate::TASK_KIND`].
#[derive(Debug, Clone)]
pub struct TaskHandler {
    gallery: Gallery,
}

impl TaskHandler {
    /// For the tasks of a gallery.
    #[must_use]
    pub const fn new(gallery: Gallery) -> Self {
        Self { gallery }
    }
}

impl Handler for TaskHandler {
    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<Next, Failure>> {
        async move { Turn::begin(&self.gallery, work)?.run().await }.boxed()
    }
}

/// One turn of a task.
struct Turn<'a> {
    gallery: &'a Gallery,
    work: &'a Work,
    parameters: Parameters,
    position: Position,
    /// The last instant that is done with.
    reached: WallTime,
    unsaved: u64,
    saved_at: Instant,
}

impl<'a> Turn<'a> {
    fn begin(gallery: &'a Gallery, work: &'a Work) -> Result<Self, Failure> {
        let parameters: Parameters = work.parameters()?;
        Ok(Self {
            gallery,
            work,
            parameters,
            position: work.position()?.unwrap_or_default(),
            reached: WallTime::from_micros(parameters.start_us),
            unsaved: 0,
            saved_at: Instant::now(),
        })
    }

    async fn run(mut self) -> Result<Next, Failure> {
        let request = BatchRequest {
            channel: self.channel()?,
            what: self.what()?,
            output: Some(self.gallery.inner.config.output),
            budget: Budget::default(),
        };
        let mut batch = match self.gallery.inner.imaging.batch(request).await {
            Ok(batch) => batch,
            Err(error) if error.kind() == ErrorKind::ResourceExhausted => {
                return Ok(Next::Pause(BUSY_PAUSE));
            }
            Err(error) => return Err(Failure::of(&error)),
        };
        self.follow(&mut batch).await
    }

    fn channel(&self) -> Result<framewell_model::ChannelId, Failure> {
        let channel = self.work.job().channel;
        channel.ok_or_else(|| Failure::last("the task names no channel"))
    }

    /// The whole range, or what a saved cursor leaves of it.
    fn what(&self) -> Result<What, Failure> {
        if let Some(cursor) = &self.position.cursor {
            let cursor: Cursor = cursor
                .parse()
                .map_err(|_| Failure::last("the saved position is of another version"))?;
            return Ok(What::After(cursor));
        }
        let range = self.parameters.range();
        let range = range.ok_or_else(|| Failure::last("the task ends before it starts"))?;
        Ok(What::Range {
            range,
            rule: Rule::Every(self.parameters.period_us),
            matching: Match::Exact,
        })
    }

    async fn follow(&mut self, batch: &mut Batch) -> Result<Next, Failure> {
        while let Some(entry) = batch.next().await {
            let cursor = match entry {
                Entry::Picture(sample) => self.store(sample).await?,
                Entry::Gap(gap) => {
                    self.reached = gap.range.end;
                    gap.cursor
                }
                Entry::Failed(failure) => {
                    tracing::info!(job.id = %self.work.job().id, reason = failure.message, "pictures of a task cannot be made");
                    self.position.failed += failure.missing.max(1);
                    self.reached = failure.range.end;
                    failure.cursor
                }
                Entry::End(end) if end.reason == EndReason::Complete => {
                    return self.finish().await;
                }
                _ => break,
            };
            self.position.cursor = Some(cursor.to_string());
            if self.work.is_turn_over() {
                self.save().await?;
                return Ok(Next::Pause(Duration::ZERO));
            }
            if self.unsaved >= SAVE_IMAGES || self.saved_at.elapsed() >= SAVE_EVERY {
                self.save().await?;
            }
        }
        if self.unsaved > 0 {
            self.save().await?;
        }
        let text = "the recording or the decoders are not available";
        Err(Failure::transient(text))
    }

    async fn store(&mut self, sample: Sample) -> Result<Cursor, Failure> {
        let pixels = sample
            .pixels
            .ok_or_else(|| Failure::transient("a picture came without pixels"))?;
        let picture = NewPicture {
            channel: self.channel()?,
            origin: ImageOrigin::GeneratedFromRecords,
            origin_id: Some(self.work.job().id.get()),
            captured: sample.captured,
            clock: sample.clock,
            frame: sample.frame,
            width: pixels.width,
            height: pixels.height,
            data: pixels.data,
        };
        let stored = self.gallery.store(&picture).await;
        stored.map_err(|error: Error| Failure::of(&error))?;
        self.position.images += 1;
        self.unsaved += 1;
        self.reached = sample.requested;
        Ok(sample.cursor)
    }

    async fn save(&mut self) -> Result<(), Failure> {
        let Parameters {
            start_us, end_us, ..
        } = self.parameters;
        #[expect(clippy::cast_precision_loss, reason = "shown to people")]
        let progress =
            (self.reached.micros() - start_us) as f64 / (end_us - start_us).max(1) as f64;
        // Of a resumed batch the first entries may lie behind the last saved progress.
        let progress = progress.max(self.work.job().progress).min(1.0);
        self.work.save(progress, &self.position).await?;
        self.unsaved = 0;
        self.saved_at = Instant::now();
        Ok(())
    }

    /// A task that leaves nothing behind did not do what was asked.
    async fn finish(&mut self) -> Result<Next, Failure> {
        let Position { images, failed, .. } = self.position;
        self.save().await?;
        match (images, failed) {
            (0, 0) => Err(Failure::last("there is no footage in this range")),
            (0, failed) => Err(Failure::last(format!(
                "none of {failed} pictures could be made: the footage is damaged"
            ))),
            _ => Ok(Next::Done),
        }
    }
}
