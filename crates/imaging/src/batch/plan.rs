//! The task that finds footage ahead of the reader and starts a unit for each GOP that has something to
//! give: as many at a time as there are workers and one more.

use super::find::{Finder, Found};
use super::rule::Sampling;
use super::source::Source;
use super::unit::{Chain, Item, Shop, Signature, Unit};
use super::walk::{Hole, Step, Walk};
use crate::{Error, Match};
use framewell_model::{FrameId, WallTime};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

/// What the reader gets, in time order.
#[derive(Debug)]
pub(crate) enum Part {
    /// A GOP's items come here.
    Unit(Running),
    Gap {
        hole: Hole,
        missing: u64,
    },
    /// The footage cannot be looked up.
    Broken(Error),
}

/// A unit at work.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) items: mpsc::Receiver<Vec<Item>>,
    /// Lets the next unit start once this one has been read to its end.
    _permit: OwnedSemaphorePermit,
}

/// Pieces of a unit that may wait for the reader.
const PIECES_AHEAD: usize = 1;

/// Finds and starts.
pub(crate) struct Planner {
    pub(crate) shop: Shop,
    pub(crate) finder: Finder,
    pub(crate) walk: Walk<Source>,
    pub(crate) sampling: Sampling,
    pub(crate) matching: Match,
    /// The end of the range.
    pub(crate) end: WallTime,
    /// Of a batch that goes on: the picture it goes on behind.
    pub(crate) resumed: Option<FrameId>,
    /// Units that may run.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) parts: mpsc::Sender<Part>,
}

/// The units that run, and what is handed from one to the next.
#[derive(Default)]
struct Units {
    tasks: JoinSet<()>,
    signature: Option<oneshot::Receiver<Signature>>,
}

impl Planner {
    /// Until the range is done or nobody listens.
    pub(crate) async fn run(mut self) {
        let mut units = Units::default();
        if let Err(error) = self.plan(&mut units).await {
            // An error here is a reader that has gone, which drops this task too.
            self.parts.send(Part::Broken(error)).await.ok();
        }
        drop(self);
        while units.tasks.join_next().await.is_some() {}
    }

    async fn plan(&mut self, units: &mut Units) -> Result<(), Error> {
        let mut last: Option<Source> = None;
        let is_grid = matches!(self.sampling, Sampling::Grid(_));
        let looks_back = is_grid && matches!(self.matching, Match::Before | Match::Nearest);
        let looks_ahead = is_grid && matches!(self.matching, Match::After | Match::Nearest);
        let mut is_first = true;
        while let Some(found) = self.finder.next().await.map_err(Error::Footage)? {
            let steps = match found {
                Found::Hole(hole) => {
                    if is_first && looks_back {
                        last = self.look_back(hole.range.start).await?;
                    }
                    self.walk.hole(hole);
                    Vec::new()
                }
                Found::Gop(gop) => {
                    last = Some(gop.clone());
                    self.walk.gop(gop.place(), gop)
                }
            };
            is_first = false;
            if !self.start_all(steps, units).await {
                return Ok(());
            }
        }
        let behind = last.map_or(self.end, |last| last.end().min(self.end));
        let next = if looks_ahead {
            self.look_ahead(behind).await?
        } else {
            None
        };
        let steps = self.walk.finish(next);
        self.start_all(steps, units).await;
        Ok(())
    }

    /// The GOP before a range that begins in a hole answers for its first instants.
    async fn look_back(&mut self, at: WallTime) -> Result<Option<Source>, Error> {
        let gop = self.shop.footage.gop_before(self.shop.channel, at).await;
        let gop = gop.map_err(Error::Footage)?.map(Source::Recorded);
        if let Some(gop) = &gop {
            self.walk.gop(gop.place(), gop.clone());
        }
        Ok(gop)
    }

    async fn look_ahead(&self, behind: WallTime) -> Result<Option<Source>, Error> {
        let from = behind.plus_micros(-framewell_footage::TICK_US);
        let gop = self.shop.footage.gop_after(self.shop.channel, from).await;
        Ok(gop.map_err(Error::Footage)?.map(Source::Recorded))
    }

    /// Whether anybody listens still.
    async fn start_all(&mut self, steps: Vec<Step<Source>>, units: &mut Units) -> bool {
        for step in steps {
            let part = match step {
                Step::Gap { hole, missing } => Part::Gap { hole, missing },
                Step::Take { gop, aim, next } => {
                    let places = Arc::clone(&self.places);
                    let Ok(permit) = places.acquire_owned().await else {
                        return false;
                    };
                    let chain = self.chain(units);
                    let unit = Unit {
                        shop: self.shop.clone(),
                        aim,
                        gop,
                        next,
                        chain,
                    };
                    let (out, items) = mpsc::channel(PIECES_AHEAD);
                    while units.tasks.try_join_next().is_some() {}
                    units.tasks.spawn(unit.run(out));
                    Part::Unit(Running {
                        items,
                        _permit: permit,
                    })
                }
            };
            if self.parts.send(part).await.is_err() {
                return false;
            }
        }
        true
    }

    fn chain(&mut self, units: &mut Units) -> Option<Chain> {
        if !matches!(self.sampling, Sampling::Changes(_)) {
            return None;
        }
        let (behind, next) = oneshot::channel();
        let before = units.signature.replace(next);
        let resumed = self.resumed.take().filter(|_| before.is_none());
        Some(Chain {
            // Of the first one the other end is gone already.
            before: before.unwrap_or_else(|| oneshot::channel().1),
            behind,
            resumed,
        })
    }
}
