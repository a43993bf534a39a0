//! A GOP to take pictures from, recorded or in the live ring.

use super::walk::Place;
use crate::ring_gop;
use framewell_footage::{CompressedGop, Footage, GopRef, GopSample};
use framewell_live::Gop;
use framewell_media::AccessUnit;
use framewell_model::{FrameId, TimeRange, WallTime};
use std::sync::Arc;

/// On-screen time of the last picture of a live GOP that has one picture only, in microseconds.
const ONE_PICTURE_US: i64 = 100_000;
/// The longest that the last picture of a live GOP counts as on screen, in microseconds.
const LAST_PICTURE_US: i64 = 10_000_000;

/// Where the media is. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Recorded(GopRef),
    Live(Arc<LiveGop>),
}

/// A GOP of the ring as it was when it was looked at.
#[derive(Debug)]
pub(crate) struct LiveGop {
    gop: Gop,
    /// The GOP behind it if that is of the same run and parameters: its leading pictures are shown with
    /// this one.
    next: Option<Gop>,
    range: TimeRange,
}

impl LiveGop {
    /// `next` is the GOP behind it in the ring. `None` for a GOP without pictures.
    pub(crate) fn new(gop: Gop, next: Option<Gop>) -> Option<Self> {
        let start = gop.start()?;
        let end = match next.as_ref().filter(|next| next.run == gop.run) {
            Some(next) => next.start()?,
            None => end_of(&gop)?,
        };
        let next = next.filter(|next| ring_gop::is_continued(&gop, next));
        let range = TimeRange {
            start,
            end: end.max(start),
        };
        Some(Self { gop, next, range })
    }

    pub(crate) const fn range(&self) -> TimeRange {
        self.range
    }

    fn key(&self) -> Option<&AccessUnit> {
        self.gop.units.first()
    }

    fn read(&self, until: WallTime) -> CompressedGop {
        let mut samples: Vec<GopSample> = ring_gop::samples(&self.gop).collect();
        let own = samples.len();
        let next = self.next.iter();
        samples.extend(next.flat_map(ring_gop::leading_samples));
        let wanted = samples.iter().rposition(|sample| sample.wall <= until);
        samples.truncate(wanted.map_or(1, |last| last + 1));
        let own = own.min(samples.len());
        ring_gop::compressed(&self.gop, samples, own)
    }
}

/// When the last picture of a GOP that nothing follows leaves the screen: it stays as long as the one
/// before it did.
pub(crate) fn end_of(gop: &Gop) -> Option<WallTime> {
    let mut walls: Vec<WallTime> = ring_gop::pictures(gop).map(|unit| unit.wall).collect();
    walls.sort_unstable();
    let last = *walls.last()?;
    let before = walls.len().checked_sub(2).map(|index| walls[index]);
    let duration = before.map_or(ONE_PICTURE_US, |before| last.micros_since(before));
    Some(last.plus_micros(duration.clamp(1, LAST_PICTURE_US)))
}

impl Source {
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Recorded(gop) => Place {
                key: gop.key,
                range: gop.range,
                pauses: gop.pauses(),
            },
            Self::Live(live) => Place {
                key: FrameId {
                    run: live.gop.run,
                    ticks: live.key().map_or(0, |key| key.pts.ticks),
                },
                range: live.range,
                pauses: Vec::new(),
            },
        }
    }

    /// Capture time of the key frame.
    pub(crate) fn start(&self) -> WallTime {
        match self {
            Self::Recorded(gop) => gop.range.start,
            Self::Live(live) => live.range.start,
        }
    }

    pub(crate) fn end(&self) -> WallTime {
        match self {
            Self::Recorded(gop) => gop.range.end,
            Self::Live(live) => live.range.end,
        }
    }

    pub(crate) const fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    /// Reads its beginning, up to all pictures captured at or before `until`.
    pub(crate) async fn read(
        &self,
        footage: &Footage,
        until: WallTime,
    ) -> Result<CompressedGop, framewell_footage::Error> {
        match self {
            Self::Recorded(gop) => footage.read_gop_until(gop, until).await,
            Self::Live(live) => Ok(live.read(until)),
        }
    }

    /// Reads its key frame.
    pub(crate) async fn read_key(
        &self,
        footage: &Footage,
    ) -> Result<CompressedGop, framewell_footage::Error> {
        match self {
            Self::Recorded(gop) => footage.read_key(gop).await,
            Self::Live(live) => {
                let mut gop = live.read(live.range.end);
                gop.samples.truncate(1);
                gop.own = 1;
                Ok(gop)
            }
        }
    }
}
