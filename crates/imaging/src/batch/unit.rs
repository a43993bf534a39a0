//! The pictures of one GOP: read, choose, decode, in pieces that fit into memory.

use super::choose::{Aim, Picked, Shown, Wanted, shown};
use super::rule::Sampling;
use super::source::Source;
use super::{Pixels, decoding};
use crate::{Error, Output, reference};
use framewell_decode::{CHANGED, Changes, Fit, Job, Picture, PictureFormat, Pool, Priority};
use framewell_footage::{CompressedGop, Footage};
use framewell_model::{ChannelId, ClockSource, FrameId, TimeRange, WallTime};
use tokio::sync::{mpsc, oneshot};

/// A picture on its way out.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) requested: WallTime,
    pub(crate) captured: WallTime,
    pub(crate) clock: ClockSource,
    pub(crate) frame: FrameId,
    pub(crate) is_key: bool,
    pub(crate) is_live: bool,
    pub(crate) change: Option<f32>,
    pub(crate) pixels: Option<Pixels>,
}

/// What a unit gives.
#[derive(Debug)]
pub(crate) enum Item {
    Picture(Taken),
    /// The rest of the unit is lost.
    Failed {
        /// From the first instant that is lost to the end of the GOP.
        range: TimeRange,
        missing: u64,
        error: Error,
    },
}

/// The small picture that the next one is compared with, see [`Changes::reference`].
pub(crate) type Signature = Option<Vec<u8>>;

/// What [`Sampling::Changes`] hands from GOP to GOP.
#[derive(Debug)]
pub(crate) struct Chain {
    /// From the GOP before; dropped without a word if this is the first.
    pub(crate) before: oneshot::Receiver<Signature>,
    /// To the GOP behind.
    pub(crate) behind: oneshot::Sender<Signature>,
    /// The picture that the batch goes on behind; it is compared with if nothing comes from before.
    pub(crate) resumed: Option<FrameId>,
}

/// Handles and settings that all units of a batch share.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    pub(crate) channel: ChannelId,
    pub(crate) footage: Footage,
    pub(crate) pool: Pool,
    pub(crate) output: Option<Output>,
    /// Most pictures decoded in one go.
    pub(crate) chunk: usize,
    /// Most pictures that may have to be decoded for each one that is given.
    pub(crate) max_decode_frames: usize,
}

/// One GOP's part of a batch.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) shop: Shop,
    pub(crate) aim: Aim,
    pub(crate) gop: Source,
    pub(crate) next: Option<Source>,
    pub(crate) chain: Option<Chain>,
}

/// How far a unit got.
#[derive(Debug, Default)]
struct Progress {
    /// What was chosen, in time order.
    wanted: Option<Vec<WallTime>>,
    /// How many of them were given.
    given: usize,
    /// Where what is lost begins, of pictures that only a decoder can choose.
    lost_from: Option<WallTime>,
}

/// What a GOP gives for [`Sampling::Changes`].
#[derive(Default)]
struct Found {
    items: Vec<Item>,
    /// Of the last one.
    newest: Signature,
    /// The first picture behind damage, and what is wrong.
    lost: Option<(Shown, Error)>,
}

type Sink = mpsc::Sender<Vec<Item>>;

impl Unit {
    /// Gives pictures until all are given, something fails, or nobody listens.
    pub(crate) async fn run(mut self, out: Sink) {
        let mut progress = Progress::default();
        let chain = self.chain.take();
        let result = match chain {
            Some(chain) => self.take_changes(chain, &mut progress, &out).await,
            None => self.take(&mut progress, &out).await,
        };
        if let Err(error) = result {
            let failed = self.failed(&progress, error);
            // An error here is a reader that has gone.
            out.send(vec![failed]).await.ok();
        }
    }

    fn failed(&self, progress: &Progress, error: Error) -> Item {
        let rest = progress.wanted.as_deref();
        let rest = rest.map(|wanted| &wanted[progress.given.min(wanted.len())..]);
        let start = rest.and_then(|rest| rest.first().copied());
        let start = start.or(progress.lost_from);
        let start = start.unwrap_or_else(|| self.aim.first());
        let missing = rest.map_or_else(|| self.aim.expected(), |rest| rest.len() as u64);
        let end = self.aim.window.end.max(start);
        Item::Failed {
            range: TimeRange { start, end },
            missing,
            error,
        }
    }

    async fn take(&self, progress: &mut Progress, out: &Sink) -> Result<(), Error> {
        let gop = self.read().await?;
        let shown = shown(&gop);
        let next = self.next.as_ref().map(Source::start);
        let wanted = self.aim.choose(&shown, next);
        progress.wanted = Some(wanted.iter().map(|wanted| wanted.requested).collect());
        let Some(output) = self.shop.output else {
            return self.name(&gop, &wanted, progress, out).await;
        };
        let own = wanted.iter().filter_map(|wanted| match wanted.picked {
            Picked::Own(index) => Some(index),
            Picked::Next => None,
        });
        let indices: Vec<usize> = own.collect();
        self.check_cost(&gop, &indices)?;
        let mut decoding = decoding::Decoding::new(&self.shop, &gop, indices, output);
        while let Some(pictures) = decoding.next().await? {
            let from = progress.given;
            let items = pictures.into_iter().zip(&wanted[from..]);
            let items: Vec<Item> = items
                .map(|(picture, wanted)| self.item(&gop, *wanted, Some(picture)))
                .collect();
            progress.given += items.len();
            if !items.is_empty() && out.send(items).await.is_err() {
                return Ok(());
            }
        }
        if let Some(wanted) = wanted.get(progress.given) {
            let item = self.next_key(*wanted).await?;
            progress.given += 1;
            out.send(vec![item]).await.ok();
        }
        Ok(())
    }

    /// As for single pictures: few pictures far behind their key frame are not worth their decoding.
    fn check_cost(&self, gop: &CompressedGop, wanted: &[usize]) -> Result<(), Error> {
        let frames = reference::cost(gop, wanted);
        let limit = self.shop.max_decode_frames.saturating_mul(wanted.len());
        if frames <= limit {
            return Ok(());
        }
        let channel = self.shop.channel;
        Err(Error::TooCostly {
            channel,
            frames,
            limit,
        })
    }

    async fn read(&self) -> Result<CompressedGop, Error> {
        let footage = &self.shop.footage;
        let gop = if self.aim.needs_key_only() {
            self.gop.read_key(footage).await
        } else {
            let until = self.aim.reads_until(self.gop.end());
            self.gop.read(footage, until).await
        };
        gop.map_err(Error::Footage)
    }

    /// The pictures without their pixels.
    async fn name(
        &self,
        gop: &CompressedGop,
        wanted: &[Wanted],
        progress: &mut Progress,
        out: &Sink,
    ) -> Result<(), Error> {
        let mut items = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            items.push(match wanted.picked {
                Picked::Own(_) => self.item(gop, *wanted, None),
                Picked::Next => self.next_key(*wanted).await?,
            });
        }
        progress.given = items.len();
        out.send(items).await.ok();
        Ok(())
    }

    /// The key frame of the GOP behind.
    async fn next_key(&self, wanted: Wanted) -> Result<Item, Error> {
        let channel = self.shop.channel;
        let failed = |source| Error::Decode { channel, source };
        let source = self
            .next
            .as_ref()
            .ok_or_else(|| failed(framewell_decode::Error::Invalid("no GOP behind".into())))?;
        let gop = source.read_key(&self.shop.footage).await;
        let gop = gop.map_err(Error::Footage)?;
        let mut picture = None;
        if let Some(output) = self.shop.output {
            let mut decoding = decoding::Decoding::new(&self.shop, &gop, vec![0], output);
            picture = decoding
                .next()
                .await?
                .and_then(|all| all.into_iter().next());
        }
        let wanted = Wanted {
            picked: Picked::Own(0),
            ..wanted
        };
        Ok(self.item(&gop, wanted, picture))
    }

    fn item(&self, gop: &CompressedGop, wanted: Wanted, picture: Option<Picture>) -> Item {
        let index = match wanted.picked {
            Picked::Own(index) => index,
            Picked::Next => 0,
        };
        let sample = &gop.samples[index];
        Item::Picture(Taken {
            requested: wanted.requested,
            captured: sample.wall,
            clock: gop.clock,
            frame: FrameId {
                run: gop.run,
                ticks: sample.pts,
            },
            is_key: index == 0,
            is_live: self.gop.is_live(),
            change: None,
            pixels: picture.map(pixels),
        })
    }

    /// The pictures that differ from the one before, whichever GOP that is in.
    async fn take_changes(
        &self,
        chain: Chain,
        progress: &mut Progress,
        out: &Sink,
    ) -> Result<(), Error> {
        let gop = self.read().await;
        let mut signature = chain.before.await.unwrap_or_default();
        let result = match gop {
            Ok(gop) => {
                if signature.is_none()
                    && let Some(frame) = chain.resumed
                {
                    signature = self.signature_of(&gop, frame).await;
                }
                self.find_changes(&gop, signature.clone()).await
            }
            Err(error) => Err(error),
        };
        let (found, error) = match result {
            Ok(mut found) => match found.lost.take() {
                Some((first, error)) => {
                    progress.lost_from = Some(first.wall);
                    (found, Some(error))
                }
                None => (found, None),
            },
            Err(error) => (Found::default(), Some(error)),
        };
        chain.behind.send(found.newest.or(signature)).ok();
        out.send(found.items).await.ok();
        error.map_or(Ok(()), Err)
    }

    async fn find_changes(
        &self,
        gop: &CompressedGop,
        reference: Signature,
    ) -> Result<Found, Error> {
        let Sampling::Changes(threshold) = self.aim.sampling else {
            return Ok(Found::default());
        };
        let shown = shown(gop);
        let candidates: Vec<Shown> = shown
            .into_iter()
            .filter(|picture| self.aim.window.contains(picture.wall))
            .collect();
        let Some(first) = candidates.first() else {
            return Ok(Found::default());
        };
        let changes = Changes {
            threshold,
            output: self.shop.output.unwrap_or(TINY),
            reference,
            from_pts: first.pts,
        };
        let last = candidates.iter().map(|picture| picture.index).max();
        let (pictures, damage) = self.sound_changes(gop, last.unwrap_or(0), changes).await?;
        let lost = damage.and_then(|(good, error)| {
            let first = candidates.iter().find(|shown| shown.index >= good)?;
            Some((*first, error))
        });
        let end = lost.as_ref().map_or(i64::MAX, |(first, _)| first.pts);
        let mut found = Found {
            lost,
            ..Found::default()
        };
        for picture in pictures {
            let shown = candidates.iter().find(|shown| shown.pts == picture.pts);
            if let Some(shown) = shown.filter(|shown| picture.tag == CHANGED && shown.pts < end) {
                self.add_change(gop, shown, picture, &mut found);
            }
        }
        Ok(found)
    }

    fn add_change(
        &self,
        gop: &CompressedGop,
        shown: &Shown,
        mut picture: Picture,
        found: &mut Found,
    ) {
        let change = picture.change.take();
        let amount = change.as_ref().map(|change| change.amount);
        found.newest = change.map(|change| change.signature);
        let wanted = Wanted {
            requested: shown.wall,
            picked: Picked::Own(shown.index),
        };
        let picture = self.shop.output.map(|_| picture);
        let mut item = self.item(gop, wanted, picture);
        if let Item::Picture(taken) = &mut item {
            taken.change = amount;
        }
        found.items.push(item);
    }

    /// The changes up to a sample. Damage costs all pictures of its job: looks by halving how many samples
    /// come before it, and gives the changes among those, their number, and what is wrong.
    async fn sound_changes(
        &self,
        gop: &CompressedGop,
        last: usize,
        changes: Changes,
    ) -> Result<(Vec<Picture>, Option<(usize, Error)>), Error> {
        let error = match self.changes(gop, last, changes.clone()).await {
            Ok(pictures) => return Ok((pictures, None)),
            Err(error) if decoding::is_damage(&error) => error,
            Err(error) => return Err(error),
        };
        let (mut good, mut bad, mut pictures) = (0, last + 1, Vec::new());
        while bad - good > 1 {
            let middle = good.midpoint(bad);
            match self.changes(gop, middle - 1, changes.clone()).await {
                Ok(found) => (good, pictures) = (middle, found),
                Err(error) if decoding::is_damage(&error) => bad = middle,
                Err(error) => return Err(error),
            }
        }
        Ok((pictures, Some((good, error))))
    }

    /// The signature of a picture that was chosen before.
    async fn signature_of(&self, gop: &CompressedGop, frame: FrameId) -> Signature {
        let is_it = |pts: i64| gop.run == frame.run && pts == frame.ticks;
        let last = gop.samples.iter().position(|sample| is_it(sample.pts))?;
        let changes = Changes {
            threshold: 0.0,
            output: TINY,
            reference: None,
            from_pts: frame.ticks,
        };
        // A picture that cannot be found again counts as changed; the GOP's own error will be told.
        let pictures = self.changes(gop, last, changes).await.ok()?;
        let picture = pictures.into_iter().find(|picture| is_it(picture.pts))?;
        picture.change.map(|change| change.signature)
    }

    async fn changes(
        &self,
        gop: &CompressedGop,
        last: usize,
        changes: Changes,
    ) -> Result<Vec<Picture>, Error> {
        let job = Job {
            video: std::sync::Arc::clone(&gop.video),
            samples: decoding::job_samples(&gop.samples[..=last.min(gop.samples.len() - 1)]),
            wanted: Vec::new(),
            changes: Some(changes),
            priority: Priority::Batch,
            render: None,
        };
        let channel = self.shop.channel;
        let pictures = decoding::decode_twice(&self.shop.pool, job).await;
        pictures.map_err(|source| Error::Decode { channel, source })
    }
}

/// For pictures that nobody will see.
const TINY: Output = Output {
    width: Some(16),
    height: Some(16),
    fit: Fit::Fill,
    ..Output::new(PictureFormat::Jpeg { quality: 1 })
};

fn pixels(picture: Picture) -> Pixels {
    Pixels {
        data: picture.data,
        format: picture.format,
        width: picture.width,
        height: picture.height,
    }
}
