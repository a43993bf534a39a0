//! The task of a replay: finds, reads, tells, one read ahead.

use super::finder::{Finder, Stretch};
use super::teller::{Read, Teller};
use super::{MAX_READ_BYTES, ReplayError, ReplayItem, Selection};
use framewell_footage::{Error, Footage, GopRef};
use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{ChannelId, ErrorKind, HasKind, MediaTime, TimeRange, Timescale, WallTime};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What is being read.
#[derive(Debug)]
struct Work {
    gop: GopRef,
    /// Fragments to be read.
    numbers: Range<usize>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Reader {
    footage: Footage,
    selection: Selection,
    finder: Finder,
    teller: Teller,
    work: Option<Work>,
}

impl Reader {
    pub(super) fn new(
        footage: &Footage,
        channel: ChannelId,
        start: WallTime,
        end: Option<WallTime>,
        selection: Selection,
    ) -> Self {
        let finder = Finder::new(footage, channel, start, end);
        let teller = Teller::new(finder.range());
        Self {
            footage: footage.clone(),
            selection,
            finder,
            teller,
            work: None,
        }
    }

    /// Capture time of the first key frame, and what a decoder needs before it. Reads nothing but the
    /// parameters.
    pub(super) async fn find_first(
        &mut self,
    ) -> Result<Option<(WallTime, Arc<StreamParameters>)>, Error> {
        while let Some(stretch) = self.finder.next().await? {
            let (gop, numbers) = match stretch {
                Stretch::Gap(hole) => {
                    self.teller.miss(hole);
                    continue;
                }
                Stretch::Fragments { gop, numbers } => (gop, numbers),
            };
            match self.footage.gop_parameters(&gop).await {
                Ok(parameters) => {
                    let key = gop.range.start;
                    self.start_work(gop, numbers);
                    return Ok(Some((key, parameters)));
                }
                Err(error) => self.lose(&gop, numbers.start, error)?,
            }
        }
        Ok(None)
    }

    /// Reads until the end, or until nobody listens.
    pub(super) async fn run(mut self, sender: mpsc::Sender<Result<Vec<ReplayItem>, ReplayError>>) {
        // Room first: what is read must not wait outside of the bound.
        while let Ok(room) = sender.reserve().await {
            match self.next().await {
                Ok(items) if items.is_empty() => return,
                Ok(items) => room.send(Ok(items)),
                Err(error) => {
                    room.send(Err(error.into()));
                    return;
                }
            }
        }
    }

    /// The items of the next read; none at the end.
    async fn next(&mut self) -> Result<Vec<ReplayItem>, Error> {
        loop {
            while let Some((gop, numbers)) = self.next_read() {
                match self.read(&gop, numbers.clone()).await {
                    Ok(read) => {
                        let items = self.teller.tell(read);
                        if !items.is_empty() {
                            return Ok(items);
                        }
                    }
                    Err(error) => {
                        self.work = None;
                        self.lose(&gop, numbers.start, error)?;
                    }
                }
            }
            match self.finder.next().await? {
                Some(Stretch::Gap(hole)) => self.teller.miss(hole),
                Some(Stretch::Fragments { gop, numbers }) => self.start_work(gop, numbers),
                None => return Ok(self.teller.finish()),
            }
        }
    }

    fn start_work(&mut self, gop: GopRef, numbers: Range<usize>) {
        if numbers.start > 0 && !self.teller.is_whole() {
            // What comes before could not be read, and this cannot be decoded without it.
            self.teller.miss(TimeRange {
                start: gop.end_before(numbers.start),
                end: gop.range.end.max(gop.end_before(numbers.start)),
            });
            return;
        }
        self.teller
            .expect_pauses(gop.pauses(), gop.end_before(numbers.start));
        self.work = Some(Work { gop, numbers });
    }

    /// The next fragments to be read at once.
    fn next_read(&mut self) -> Option<(GopRef, Range<usize>)> {
        let work = self.work.as_mut()?;
        let start = work.numbers.start;
        if work.numbers.is_empty() || (self.selection == Selection::Keys && start > 0) {
            self.work = None;
            return None;
        }
        let mut end = start + 1;
        let mut bytes = work.gop.fragment_bytes(start);
        while end < work.numbers.end && bytes + work.gop.fragment_bytes(end) <= MAX_READ_BYTES {
            bytes += work.gop.fragment_bytes(end);
            end += 1;
        }
        work.numbers.start = end;
        Some((work.gop.clone(), start..end))
    }

    async fn read(&self, gop: &GopRef, numbers: Range<usize>) -> Result<Read, Error> {
        let parameters = self.footage.gop_parameters(gop).await?;
        let units = match self.selection {
            Selection::All => self.footage.read_units(gop, numbers.clone()).await?,
            Selection::Keys => self.read_key(gop).await?,
        };
        let is_end = self
            .work
            .as_ref()
            .is_none_or(|work| work.numbers.is_empty());
        Ok(Read {
            run: gop.key.run,
            parameters,
            units,
            starts_gop: numbers.start == 0,
            is_last: is_end && gop.range.end >= self.finder.range().end,
        })
    }

    async fn read_key(&self, gop: &GopRef) -> Result<Vec<AccessUnit>, Error> {
        let key = self.footage.read_key(gop).await?;
        let units = key.samples.into_iter().map(|sample| {
            let time = MediaTime::new(sample.pts, Timescale::HZ_90K);
            AccessUnit {
                track: TrackKind::Video,
                pts: time,
                dts: time,
                wall: sample.wall,
                clock: key.clock,
                is_key: sample.is_key,
                data: sample.data,
            }
        });
        Ok(units.collect())
    }

    /// Footage that is gone or damaged is a hole from fragment `number` to the end of the GOP; other
    /// failures are passed on.
    fn lose(&mut self, gop: &GopRef, number: usize, error: Error) -> Result<(), Error> {
        if error.kind() != ErrorKind::DataLoss {
            return Err(error);
        }
        let start = gop.end_before(number);
        let hole = TimeRange {
            start,
            end: gop.range.end.max(start),
        };
        tracing::warn!(channel.id = %gop.channel, %error, start = %hole.start, end = %hole.end, "replay leaves out footage that cannot be read");
        self.teller.miss(hole);
        Ok(())
    }
}
