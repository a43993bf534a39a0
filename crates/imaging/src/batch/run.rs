//! Starting a batch, and the entries it gives.

use super::find::Finder;
use super::plan::{Part, Planner, Running};
use super::rule::{MAX_INSTANTS, Sampling};
use super::unit::{Item, Shop, Taken};
use super::walk::{Hole, Walk, told_with};
use super::{
    BatchEnd, BatchRequest, Budget, Cursor, EndReason, Entry, MAX_AHEAD, Rule, Sample,
    SampleFailure, SampleGap, What,
};
use crate::{Error, Imaging, Match, Output};
use framewell_decode::PictureFormat;
use framewell_model::{ChannelId, ErrorKind, HasKind, TimeRange, WallTime};
use std::collections::VecDeque;
use std::error::Error as _;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

/// Batches that may run at a time: each holds a few GOPs and pictures.
pub const MAX_BATCHES: usize = 64;
/// Most pictures decoded in one go.
const CHUNK_IMAGES: u64 = 16;
/// Bytes of finished pictures that one go may make, as far as they can be guessed.
const CHUNK_BYTES: u64 = 24 << 20;

/// Counts the running batches; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Batches(Arc<Semaphore>);

impl Default for Batches {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_BATCHES)))
    }
}

/// A running batch. Dropping it stops all its work.
#[derive(Debug)]
pub struct Batch {
    parts: mpsc::Receiver<Part>,
    running: Option<Running>,
    items: VecDeque<Item>,
    /// The place behind the last entry.
    cursor: Cursor,
    budget: Budget,
    given: Given,
    is_over: bool,
    /// Aborted with the batch, and the units with it.
    _planner: JoinSet<()>,
    _place: OwnedSemaphorePermit,
}

/// What has been given.
#[derive(Debug, Clone, Copy, Default)]
struct Given {
    images: u64,
    bytes: u64,
    pixels: u64,
}

impl Given {
    fn with(self, taken: &Taken) -> Self {
        let pixels = taken.pixels.as_ref();
        let area = |p: &super::Pixels| u64::from(p.width) * u64::from(p.height);
        Self {
            images: self.images + 1,
            bytes: self.bytes + pixels.map_or(0, |p| p.data.len() as u64),
            pixels: self.pixels + pixels.map_or(0, area),
        }
    }
}

impl Imaging {
    /// Starts a batch. Fails at once for a rule that makes no sense, a range that lies in the future,
    /// and more than [`MAX_INSTANTS`] instants; [`Error::TooManyBatches`] when too many run already.
    pub async fn batch(&self, request: BatchRequest) -> Result<Batch, Error> {
        let channel = request.channel;
        if let Some(output) = &request.output {
            let checked = output.check();
            checked.map_err(Error::Invalid)?;
        }
        let place = Arc::clone(&self.batches.0).try_acquire_owned();
        let place = place.map_err(|_| Error::TooManyBatches(MAX_BATCHES))?;
        let cursor = match request.what {
            What::Range {
                range,
                rule,
                matching,
            } => self.begin(channel, range, rule, matching).await?,
            What::After(cursor) if cursor.channel == channel => {
                // What we wrote began in the past; a text made by hand need not.
                self.check_times(channel, cursor.range)?;
                cursor
            }
            What::After(_) => {
                let why = "the cursor belongs to another channel";
                return Err(Error::Invalid(why.into()));
            }
        };
        self.start(request, cursor, place).await
    }

    /// The place before the first entry.
    async fn begin(
        &self,
        channel: ChannelId,
        range: TimeRange,
        rule: Rule,
        matching: Match,
    ) -> Result<Cursor, Error> {
        rule.check().map_err(Error::Invalid)?;
        self.check_times(channel, range)?;
        let footage = match rule {
            Rule::Count(_) => self.extent(channel, range).await?,
            _ => range,
        };
        let sampling = rule.over(range, footage);
        if let Sampling::Grid(grid) = sampling {
            let count = grid.count(range);
            if count > MAX_INSTANTS {
                return Err(Error::Invalid(format!(
                    "the range has {count} instants, more than the {MAX_INSTANTS} that one request may name"
                )));
            }
        }
        Ok(Cursor {
            channel,
            range,
            sampling,
            matching,
            done: range.start.plus_micros(-1),
            last: None,
        })
    }

    /// A range begins in the past and ends not far in the future: nobody waits there for days.
    fn check_times(&self, channel: ChannelId, range: TimeRange) -> Result<(), Error> {
        let now = self.clock.now();
        let at = range.start;
        if at > now {
            return Err(Error::Future { channel, at, now });
        }
        let ahead_us = range.end.micros_since(now);
        if ahead_us > i64::try_from(MAX_AHEAD.as_micros()).unwrap_or(i64::MAX) {
            return Err(Error::Invalid(format!(
                "the range ends more than {} s in the future",
                MAX_AHEAD.as_secs()
            )));
        }
        Ok(())
    }

    /// From the first to the last picture that there is of a range; the range if there is none.
    async fn extent(&self, channel: ChannelId, range: TimeRange) -> Result<TimeRange, Error> {
        use framewell_footage::Error::NoFootage;
        let find = |at| self.footage.find_gop(channel, at);
        let mut start = match find(range.start).await {
            Ok(_) => Some(range.start),
            Err(NoFootage { after, .. }) => after,
            Err(error) => return Err(Error::Footage(error)),
        };
        let mut end = match find(range.end.plus_micros(-1)).await {
            Ok(_) => Some(range.end),
            Err(NoFootage { before, .. }) => before,
            Err(error) => return Err(Error::Footage(error)),
        };
        if let Some(track) = self.registry.get(channel) {
            let gops = track.gops();
            let ring_start = gops.iter().find_map(framewell_live::Gop::start);
            let newest = track.newest_gop();
            let ring_end = newest.and_then(|gop| super::source::end_of(&gop));
            start = start.into_iter().chain(ring_start).min();
            end = end.into_iter().chain(ring_end).max();
        }
        if range.end > self.clock.now() {
            end = Some(range.end);
        }
        let start = start.map_or(range.start, |at| at.max(range.start));
        let end = end.map_or(range.end, |at| at.min(range.end));
        Ok(TimeRange::new(start, end).unwrap_or(range))
    }

    /// Where the footage nearest to a range without footage is: the end of what lies before, the start
    /// of what lies after.
    pub async fn nearest(
        &self,
        channel: ChannelId,
        range: TimeRange,
    ) -> Result<(Option<WallTime>, Option<WallTime>), Error> {
        let before = self.footage.gop_before(channel, range.start).await;
        let after = self.footage.gop_after(channel, range.end).await;
        let before = before.map_err(Error::Footage)?;
        let after = after.map_err(Error::Footage)?;
        Ok((
            before.map(|gop| gop.range.end),
            after.map(|gop| gop.range.start),
        ))
    }

    async fn start(
        &self,
        request: BatchRequest,
        cursor: Cursor,
        place: OwnedSemaphorePermit,
    ) -> Result<Batch, Error> {
        let budget = request.budget;
        let most = budget.images.unwrap_or(u64::MAX).max(1);
        let is_sequential = matches!(cursor.sampling, Sampling::Changes(_));
        let workers = if is_sequential {
            1
        } else {
            self.pool.workers().len()
        };
        let width = usize::try_from(most).map_or(workers + 1, |most| most.min(workers + 1));
        let shop = Shop {
            channel: cursor.channel,
            footage: self.footage.clone(),
            pool: self.pool.clone(),
            output: request.output,
            chunk: chunk_of(request.output, most),
            max_decode_frames: self.images.max_decode_frames,
        };
        let range = TimeRange {
            start: self.resume_at(&cursor).await?,
            end: cursor.range.end,
        };
        let (registry, clock) = (self.registry.clone(), self.clock.as_ref());
        let footage = self.footage.clone();
        let (parts, received) = mpsc::channel(width);
        let Cursor {
            sampling, matching, ..
        } = cursor;
        let planner = Planner {
            shop,
            finder: Finder::new(footage, registry, cursor.channel, range, clock),
            walk: Walk::new(cursor.range, sampling, matching, cursor.done),
            sampling,
            matching,
            end: cursor.range.end,
            resumed: cursor.last,
            places: Arc::new(Semaphore::new(width)),
            parts,
        };
        let mut task = JoinSet::new();
        task.spawn(planner.run());
        metrics::counter!("framewell_image_batches_total").increment(1);
        Ok(Batch {
            parts: received,
            running: None,
            items: VecDeque::new(),
            cursor,
            budget,
            given: Given::default(),
            is_over: false,
            _planner: task,
            _place: place,
        })
    }

    /// Where to look from: the GOP that the batch was in, so that what follows is cut as before.
    async fn resume_at(&self, cursor: &Cursor) -> Result<WallTime, Error> {
        let start = cursor.range.start;
        if cursor.done < start {
            return Ok(start);
        }
        let gop = self.footage.gop_before(cursor.channel, cursor.done).await;
        let gop = gop.map_err(Error::Footage)?;
        Ok(gop.map_or(start, |gop| gop.range.start.max(start)))
    }
}

/// How many pictures may be decoded in one go.
fn chunk_of(output: Option<Output>, most: u64) -> usize {
    /// Where the size is that of the video: 1080p.
    const SIDES: (u32, u32) = (1_920, 1_080);
    let Some(output) = output else {
        return usize::MAX;
    };
    let sides = match (output.width, output.height) {
        (Some(width), Some(height)) => (width, height),
        (Some(width), None) => (width, width),
        (None, Some(height)) => (height, height),
        (None, None) => SIDES,
    };
    let pixels = u64::from(sides.0) * u64::from(sides.1);
    let bytes = match output.format {
        PictureFormat::Jpeg { .. } | PictureFormat::WebP { .. } => pixels / 3,
        PictureFormat::Nv12 => pixels * 3 / 2,
        PictureFormat::Png | PictureFormat::Rgb24 => pixels * 3,
    };
    let count = CHUNK_BYTES / bytes.max(1);
    usize::try_from(count.min(most).clamp(1, CHUNK_IMAGES)).unwrap_or(1)
}

impl Batch {
    /// The next entry; `None` behind [`Entry::End`]. Cancel-safe. What is not asked for is not made,
    /// but for a few GOPs ahead.
    pub async fn next(&mut self) -> Option<Entry> {
        while !self.is_over {
            if let Some(item) = self.items.pop_front() {
                if let Some(entry) = self.tell(item) {
                    return Some(entry);
                }
            } else if let Some(running) = &mut self.running {
                match running.items.recv().await {
                    Some(items) => self.items.extend(items),
                    None => self.running = None,
                }
            } else {
                match self.parts.recv().await {
                    Some(Part::Unit(running)) => self.running = Some(running),
                    Some(Part::Gap { hole, missing }) => return Some(self.gap(&hole, missing)),
                    Some(Part::Broken(error)) => {
                        warn(self.cursor.channel, &error);
                        return Some(self.end(EndReason::Unavailable));
                    }
                    None => return Some(self.end(EndReason::Complete)),
                }
            }
        }
        None
    }

    /// Stops before the end; gives the last entry.
    pub fn stop(&mut self, reason: EndReason) -> Entry {
        self.end(reason)
    }

    /// The place behind the last entry.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }

    fn tell(&mut self, item: Item) -> Option<Entry> {
        match item {
            Item::Picture(taken) => self.picture(taken),
            Item::Failed {
                range,
                missing,
                error,
            } => Some(self.failure(range, missing, &error)),
        }
    }

    fn picture(&mut self, taken: Taken) -> Option<Entry> {
        if self.cursor.last == Some(taken.frame) {
            return None;
        }
        if let Some(reason) = self.exceeds(&taken) {
            return Some(self.end(reason));
        }
        self.given = self.given.with(&taken);
        self.cursor.last = Some(taken.frame);
        self.cursor.done = taken.requested;
        metrics::counter!("framewell_images_total", "result" => "batch").increment(1);
        Some(Entry::Picture(Sample {
            requested: taken.requested,
            captured: taken.captured,
            clock: taken.clock,
            frame: taken.frame,
            is_key: taken.is_key,
            is_live: taken.is_live,
            change: taken.change,
            pixels: taken.pixels,
            cursor: self.cursor,
        }))
    }

    fn exceeds(&self, taken: &Taken) -> Option<EndReason> {
        if self.given.images == 0 {
            return None;
        }
        let with = self.given.with(taken);
        let is_beyond = |limit: Option<u64>, used: u64| limit.is_some_and(|limit| used > limit);
        let budget = self.budget;
        [
            (budget.images, with.images, EndReason::MaxImages),
            (budget.bytes, with.bytes, EndReason::MaxBytes),
            (budget.pixels, with.pixels, EndReason::MaxPixels),
        ]
        .into_iter()
        .find(|(limit, used, _)| is_beyond(*limit, *used))
        .map(|(_, _, reason)| reason)
    }

    fn gap(&mut self, hole: &Hole, missing: u64) -> Entry {
        self.cursor.done = told_with(hole);
        Entry::Gap(SampleGap {
            range: hole.range,
            reason: hole.reason,
            missing,
            cursor: self.cursor,
        })
    }

    fn failure(&mut self, range: TimeRange, missing: u64, error: &Error) -> Entry {
        warn(self.cursor.channel, error);
        if is_passing(error) {
            return self.end(EndReason::Unavailable);
        }
        self.cursor.done = self.cursor.done.max(range.end.plus_micros(-1));
        Entry::Failed(SampleFailure {
            range,
            kind: error.kind(),
            message: error.to_string(),
            missing,
            cursor: self.cursor,
        })
    }

    fn end(&mut self, reason: EndReason) -> Entry {
        self.is_over = true;
        self.running = None;
        self.parts.close();
        Entry::End(BatchEnd {
            reason,
            images: self.given.images,
            bytes: self.given.bytes,
            pixels: self.given.pixels,
            next: (reason != EndReason::Complete).then_some(self.cursor),
        })
    }
}

/// Whether the same batch may get on later: it ends instead of telling each GOP as lost.
fn is_passing(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::ResourceExhausted
    )
}

fn warn(channel: ChannelId, error: &Error) {
    let causes = std::iter::successors(error.source(), |source| (*source).source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    let causes = causes.join(": ");
    tracing::warn!(
        channel.id = channel.get(),
        causes,
        "batch of pictures: {error}"
    );
}
