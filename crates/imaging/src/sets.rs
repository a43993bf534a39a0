//! Putting pictures of several channels together into sets of one instant. No I/O, no clock.
//!
//! A set is open from the first picture that belongs to its grid instant on. It is ready when every
//! channel has given its picture or cannot, or when its patience is over; then the channels that are
//! missing are missing in it. Sets come out in order of their instants, and none comes twice.

use crate::{Error, Grid, Image};
use framewell_model::{ChannelId, ErrorKind, HasKind, WallTime};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A picture that claims to be further in the future than this has a wrong time.
const FUTURE_US: i64 = 3_000_000;
/// A feed begins with a picture at once, wherever it lies between two grid instants. Where the next one
/// is not further away than this, the first one opens no set.
const WORTH_WAITING_US: i64 = 2_000_000;
/// Pictures of a channel that are remembered to fill sets which other channels open later.
const REMEMBERED: usize = 4;
/// A channel that is so many grid instants ahead of the oldest open set is not read until that set is
/// out; this bounds the pictures that wait.
const WINDOW: i64 = 16;

/// Why a channel has no picture in a set.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Absence {
    /// The channel fails.
    #[error("{0}")]
    Failed(Arc<Error>),
    /// Its picture did not come in time.
    #[error("the picture of channel {channel} did not come in time")]
    Late {
        /// The channel.
        channel: ChannelId,
        /// Capture time of its newest picture so far.
        newest: Option<WallTime>,
    },
    /// None of its pictures is near enough to the instant.
    #[error("channel {channel} has no picture within {tolerance_ms} ms of the instant")]
    Far {
        /// The channel.
        channel: ChannelId,
        /// Capture time of the nearest one.
        nearest: WallTime,
        /// What would have been near enough, in milliseconds.
        tolerance_ms: i64,
    },
}

impl HasKind for Absence {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Failed(error) => error.kind(),
            Self::Late { .. } => ErrorKind::Timeout,
            Self::Far { .. } => ErrorKind::NotFound,
        }
    }
}

/// Pictures of all channels of a group for one instant.
#[derive(Debug, Clone)]
pub struct ImageSet {
    /// Counts the sets, delivered or dropped, from 0.
    pub number: u64,
    /// The instant.
    pub at: WallTime,
    /// What each channel gave, ascending by id.
    pub entries: Vec<(ChannelId, Result<Image, Absence>)>,
    /// Sets dropped since the last delivered one, because the receiver was slow.
    pub dropped: u64,
}

/// What makes a set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) grid: Grid,
    pub(crate) tolerance_us: i64,
    /// How long an open set waits for channels.
    pub(crate) patience: Duration,
    /// Grid instant of the first set; feeds then begin there. `None`: whenever they begin.
    pub(crate) first: Option<i64>,
    /// Grid instant behind the last set.
    pub(crate) end: Option<i64>,
}

#[derive(Debug, Default)]
struct Seat {
    /// Its newest pictures, oldest first.
    recent: VecDeque<Image>,
    /// Grid instant of the newest one.
    reached: Option<i64>,
    /// Set while the channel fails: nobody waits for it.
    failed: Option<Arc<Error>>,
    /// No more pictures will come.
    is_over: bool,
    /// A picture has come.
    has_begun: bool,
}

#[derive(Debug)]
struct Open {
    entries: BTreeMap<ChannelId, Result<Image, Absence>>,
    since: Instant,
}

/// The sets that are being put together.
#[derive(Debug)]
pub(crate) struct Assembler {
    rule: Rule,
    seats: BTreeMap<ChannelId, Seat>,
    open: BTreeMap<i64, Open>,
    /// Grid instant of the last set that came out.
    out: Option<i64>,
    next_number: u64,
}

impl Assembler {
    pub(crate) const fn new(rule: Rule) -> Self {
        Self {
            rule,
            seats: BTreeMap::new(),
            open: BTreeMap::new(),
            out: None,
            next_number: 0,
        }
    }

    /// A channel takes part from now on.
    pub(crate) fn join(&mut self, channel: ChannelId) {
        self.seats.entry(channel).or_default();
    }

    /// A channel is no part of the group any more; nothing of it comes out from now on.
    pub(crate) fn leave(&mut self, channel: ChannelId) {
        self.seats.remove(&channel);
        for open in self.open.values_mut() {
            open.entries.remove(&channel);
        }
    }

    /// A picture arrived.
    pub(crate) fn picture(&mut self, channel: ChannelId, image: Image, now: (Instant, WallTime)) {
        self.forgive_clock(now.1);
        let Some(seat) = self.seats.get_mut(&channel) else {
            return;
        };
        seat.failed = None;
        // With a rate, the instant that the picture was chosen for.
        let index = self.rule.grid.nearest(image.requested);
        let is_first = !std::mem::replace(&mut seat.has_begun, true);
        let is_stray =
            is_first && self.rule.first.is_none() && self.rule.grid.period_us() <= WORTH_WAITING_US;
        let is_future = image.captured.micros_since(now.1) > FUTURE_US;
        if !is_future {
            let reached = index - i64::from(is_stray);
            seat.reached = Some(seat.reached.map_or(reached, |before| before.max(reached)));
        }
        if seat.recent.len() == REMEMBERED {
            seat.recent.pop_front();
        }
        seat.recent.push_back(image);
        if self.out.is_none_or(|out| index > out) && !is_future && !is_stray {
            self.open_set(index, now.0);
        }
        self.fill(channel);
    }

    /// A channel fails until its next picture.
    pub(crate) fn failed(&mut self, channel: ChannelId, error: Error) {
        if let Some(seat) = self.seats.get_mut(&channel) {
            seat.failed = Some(Arc::new(error));
        }
    }

    /// No more pictures of the channel will come.
    pub(crate) fn over(&mut self, channel: ChannelId) {
        if let Some(seat) = self.seats.get_mut(&channel) {
            seat.is_over = true;
        }
        self.fill(channel);
    }

    /// Opens a set for an instant that no picture has reached, so that silence is told.
    pub(crate) fn tick(&mut self, now: (Instant, WallTime)) {
        let index = self.rule.grid.nearest(now.1);
        if self.open.is_empty() && self.out.is_none_or(|out| index > out) {
            self.open_set(index, now.0);
        }
    }

    /// The next set, if it is ready.
    pub(crate) fn take(&mut self, now: Instant) -> Option<ImageSet> {
        let (index, open) = self.open.first_key_value()?;
        let is_overdue = now.duration_since(open.since) >= self.rule.patience;
        let waits = |(id, seat): (&ChannelId, &Seat)| {
            !open.entries.contains_key(id) && seat.failed.is_none() && !seat.is_over
        };
        if !is_overdue && self.seats.iter().any(waits) {
            return None;
        }
        let index = *index;
        let mut open = self.open.remove(&index)?;
        let entries = self.seats.iter().map(|(id, seat)| {
            let entry = open.entries.remove(id);
            (*id, entry.unwrap_or_else(|| Err(absence(*id, seat))))
        });
        let entries = entries.collect();
        self.out = Some(index);
        let number = self.next_number;
        self.next_number += 1;
        Some(ImageSet {
            number,
            at: self.rule.grid.instant(index),
            entries,
            dropped: 0,
        })
    }

    /// When the oldest open set is out of patience.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let (_, open) = self.open.first_key_value()?;
        Some(open.since + self.rule.patience)
    }

    /// Whether a channel is so far ahead that its next picture can wait.
    pub(crate) fn is_ahead(&self, channel: ChannelId) -> bool {
        let oldest = self.open.keys().next();
        let reached = self.seats.get(&channel).and_then(|seat| seat.reached);
        oldest
            .zip(reached)
            .is_some_and(|(oldest, reached)| reached - oldest >= WINDOW)
    }

    /// Whether every channel is at its end and every set is out.
    pub(crate) fn is_over(&self) -> bool {
        self.open.is_empty() && self.seats.values().all(|seat| seat.is_over)
    }

    fn open_set(&mut self, index: i64, since: Instant) {
        let is_early = self.rule.first.is_some_and(|first| index < first);
        let is_behind = self.rule.end.is_some_and(|end| index >= end);
        if is_early || is_behind || self.open.contains_key(&index) {
            return;
        }
        let entries = BTreeMap::new();
        self.open.insert(index, Open { entries, since });
        let channels: Vec<ChannelId> = self.seats.keys().copied().collect();
        for channel in channels {
            self.fill(channel);
        }
    }

    /// Gives a channel's pictures to the open sets that they are meant for, or that it has passed.
    fn fill(&mut self, channel: ChannelId) {
        let Some(seat) = self.seats.get(&channel) else {
            return;
        };
        let end = if seat.is_over {
            i64::MAX
        } else {
            seat.reached.unwrap_or(i64::MIN)
        };
        for (index, open) in self.open.range_mut(..=end) {
            let at = self.rule.grid.instant(*index);
            if let Some(nearest) = nearest(&seat.recent, at) {
                let entry = judge(channel, nearest, at, self.rule.tolerance_us);
                open.entries.entry(channel).or_insert(entry);
            }
        }
    }

    /// When the server's clock was set back, the sets of the time before do not block those of now.
    fn forgive_clock(&mut self, now: WallTime) {
        let limit = self.rule.grid.nearest(now.plus_micros(2 * FUTURE_US));
        self.out = self.out.filter(|out| *out <= limit);
    }
}

fn nearest(recent: &VecDeque<Image>, at: WallTime) -> Option<&Image> {
    let distance = |image: &&Image| at.micros_since(image.captured).abs();
    recent.iter().min_by_key(distance)
}

fn judge(
    channel: ChannelId,
    image: &Image,
    at: WallTime,
    tolerance_us: i64,
) -> Result<Image, Absence> {
    if at.micros_since(image.captured).abs() > tolerance_us {
        return Err(Absence::Far {
            channel,
            nearest: image.captured,
            tolerance_ms: tolerance_us / 1_000,
        });
    }
    Ok(Image {
        requested: at,
        ..image.clone()
    })
}

fn absence(channel: ChannelId, seat: &Seat) -> Absence {
    let newest = seat.recent.back().map(|image| image.captured);
    match &seat.failed {
        Some(error) => Absence::Failed(Arc::clone(error)),
        None => Absence::Late { channel, newest },
    }
}

#[cfg(test)]
#[path = "sets_tests.rs"]
mod tests;
