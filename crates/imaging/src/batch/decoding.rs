//! Decoding wanted pictures of one GOP, some at a time if they are many: a decoder that keeps its
//! position goes on where it was.

use super::unit::Shop;
use crate::reference::is_needless;
use crate::{Error, Output};
use framewell_decode::{Entry, Exit, Job, JobSample, Pick, Picture, Pool, Priority, Session, Want};
use framewell_footage::{CompressedGop, GopSample};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Wanted pictures of a GOP on their way through a decoder.
pub(crate) struct Decoding<'a> {
    shop: &'a Shop,
    gop: &'a CompressedGop,
    output: Output,
    /// Place in decoding order of each wanted picture, in time order; its place here is its tag.
    wanted: Vec<usize>,
    /// Tags in decoding order.
    order: Vec<usize>,
    /// How many of `order` the decoder has been asked for.
    asked: usize,
    /// How many samples it has got.
    fed: usize,
    /// Came out ahead of one that is shown before them.
    early: BTreeMap<usize, Picture>,
    /// How many have been given, in time order.
    given: usize,
    session: Option<Session>,
    /// Told when the pictures before the damage have been given.
    damage: Option<Error>,
}

impl<'a> Decoding<'a> {
    /// `wanted`: places in decoding order, in time order, each once.
    pub(crate) fn new(
        shop: &'a Shop,
        gop: &'a CompressedGop,
        wanted: Vec<usize>,
        output: Output,
    ) -> Self {
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_by_key(|tag| wanted[*tag]);
        Self {
            shop,
            gop,
            output,
            wanted,
            order,
            asked: 0,
            fed: 0,
            early: BTreeMap::new(),
            given: 0,
            session: None,
            damage: None,
        }
    }

    /// The next pictures, in time order, perhaps none; `None` when all have been given.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Picture>>, Error> {
        if let Some(damage) = self.damage.take() {
            return Err(damage);
        }
        if self.asked == self.order.len() {
            return if self.given == self.wanted.len() {
                Ok(None)
            } else {
                Err(self.failed(framewell_decode::Error::Bitstream(
                    "a picture did not come out".into(),
                )))
            };
        }
        let count = self.shop.chunk.max(1);
        let result = if self.order.len() <= count {
            self.decode_at_once().await
        } else {
            self.decode_some(count).await
        };
        match result {
            Ok(pictures) => self.sort_in(pictures),
            Err(error) if is_damage(&error) => {
                let end = (self.asked + count).min(self.order.len());
                self.salvage(end).await?;
                self.damage = Some(error);
            }
            Err(error) => return Err(error),
        }
        Ok(Some(self.ready()))
    }

    fn sort_in(&mut self, pictures: Vec<Picture>) {
        for picture in pictures {
            if let Ok(tag) = usize::try_from(picture.tag) {
                self.early.insert(tag, picture);
            }
        }
    }

    /// What has come out and is next in time order.
    fn ready(&mut self) -> Vec<Picture> {
        let mut ready = Vec::new();
        while let Some(picture) = self.early.remove(&self.given) {
            ready.push(picture);
            self.given += 1;
        }
        ready
    }

    /// An error costs all pictures of its job: looks by halving for how many in decoding order come out
    /// before the damage. So many as `bad` do not.
    async fn salvage(&mut self, mut bad: usize) -> Result<(), Error> {
        let mut good = 0;
        while bad - good > 1 {
            let middle = good.midpoint(bad);
            let job = self.job(0, self.end_of(middle), 0..middle);
            if job.wanted.is_empty() {
                good = middle;
                continue;
            }
            match decode_twice(&self.shop.pool, job).await {
                Ok(pictures) => {
                    self.sort_in(pictures);
                    good = middle;
                }
                Err(framewell_decode::Error::Bitstream(_)) => bad = middle,
                Err(source) => return Err(self.failed(source)),
            }
        }
        Ok(())
    }

    async fn decode_at_once(&mut self) -> Result<Vec<Picture>, Error> {
        let end = self.order.len();
        let job = self.job(0, self.end_of(end), 0..end);
        let pictures = decode_twice(&self.shop.pool, job).await;
        let pictures = pictures.map_err(|source| self.failed(source))?;
        self.asked = end;
        Ok(pictures)
    }

    async fn decode_some(&mut self, count: usize) -> Result<Vec<Picture>, Error> {
        let asked = (self.asked + count).min(self.order.len());
        let end = self.end_of(asked);
        let exit = if asked == self.order.len() {
            Exit::Drain
        } else {
            Exit::Keep
        };
        let mut entry = match self.session {
            Some(_) => Entry::Continue,
            None => Entry::Key,
        };
        let mut job = self.job(self.fed, end, self.asked..asked);
        let mut session = self
            .session
            .take()
            .unwrap_or_else(|| self.shop.pool.open_session());
        let mut result = session.decode(job, entry, exit).await;
        if result.as_ref().is_err_and(is_lost) {
            // Again from the key frame, for all that has not come out.
            entry = Entry::Key;
            job = self.job(0, end, 0..asked);
            result = session.decode(job, entry, exit).await;
        }
        let pictures = result.map_err(|source| self.failed(source))?;
        self.session = Some(session);
        self.asked = asked;
        self.fed = end;
        Ok(pictures)
    }

    /// How many samples the first `asked` pictures in decoding order need.
    fn end_of(&self, asked: usize) -> usize {
        asked
            .checked_sub(1)
            .and_then(|last| self.order.get(last))
            .map_or(0, |tag| self.wanted[*tag] + 1)
    }

    /// Samples from `from` to `end` without those that no other needs, and of the tags at `asked` in
    /// decoding order those that have not come out.
    fn job(&self, from: usize, end: usize, asked: std::ops::Range<usize>) -> Job {
        let tags = &self.order[asked];
        let is_needed = |index: &usize| !is_needless(self.gop, *index) || self.is_wanted(*index);
        let needed = (from..end).filter(is_needed);
        let needed = needed.map(|index| job_sample(&self.gop.samples[index]));
        let want = |tag: usize| Want {
            tag: tag as u64,
            pick: Pick::Pts(self.gop.samples[self.wanted[tag]].pts),
            output: self.output,
        };
        let is_open = |tag: &usize| *tag >= self.given && !self.early.contains_key(tag);
        Job {
            video: Arc::clone(&self.gop.video),
            samples: needed.collect(),
            wanted: tags.iter().copied().filter(is_open).map(want).collect(),
            changes: None,
            priority: Priority::Batch,
            render: None,
        }
    }

    fn is_wanted(&self, index: usize) -> bool {
        let found = self
            .order
            .binary_search_by_key(&index, |tag| self.wanted[*tag]);
        found.is_ok()
    }

    fn failed(&self, source: framewell_decode::Error) -> Error {
        let channel = self.shop.channel;
        Error::Decode { channel, source }
    }
}

/// Whether the worker was lost, for which the video need not be to blame: pictures that exist are not
/// given up before another one has failed at them too.
const fn is_lost(error: &framewell_decode::Error) -> bool {
    use framewell_decode::Error::{Deadline, Died, PositionLost};
    matches!(error, PositionLost | Died(_) | Deadline(_))
}

/// Whether the video is to blame.
pub(crate) const fn is_damage(error: &Error) -> bool {
    use framewell_decode::Error::Bitstream;
    matches!(
        error,
        Error::Decode {
            source: Bitstream(_),
            ..
        }
    )
}

/// Runs a job, and once more if its worker is lost.
pub(crate) async fn decode_twice(
    pool: &Pool,
    job: Job,
) -> Result<Vec<Picture>, framewell_decode::Error> {
    // Its samples are shared, not copied.
    let result = pool.decode(job.clone()).await;
    if result.as_ref().is_err_and(is_lost) {
        return pool.decode(job).await;
    }
    result
}

fn job_sample(sample: &GopSample) -> JobSample {
    JobSample {
        pts: sample.pts,
        data: sample.data.clone(),
    }
}

/// All of them.
pub(crate) fn job_samples(samples: &[GopSample]) -> Vec<JobSample> {
    samples.iter().map(job_sample).collect()
}
