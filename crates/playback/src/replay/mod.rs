//! Recorded footage as access units, for every protocol that plays it.
//!
//! A task of each replay finds (`finder`), reads and tells (`teller`) one read ahead of its reader:
//! at most two reads of `MAX_READ_BYTES` (or of one fragment, if that is larger) are in memory, and
//! nothing is read while nobody takes it. Payload is shared with what was read, never copied.

mod finder;
mod reader;
mod teller;

use framewell_footage::Footage;
use framewell_media::{AccessUnit, StreamParameters};
use framewell_model::{ChannelId, ErrorKind, HasKind, RunId, TimeRange, WallTime};
use reader::Reader;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Neighbouring fragments are read together up to this size: a store's round trip is paid for a second
/// or more of video, and a thousand replays stay under 2 GiB.
pub(crate) const MAX_READ_BYTES: u64 = 512 << 10;

/// Later than all footage: the year 9999.
pub(crate) const FAR_FUTURE: WallTime = WallTime::from_secs(253_402_300_799);

/// Which units are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Selection {
    /// All of all tracks.
    #[default]
    All,
    /// The key frames alone, without audio; only they are read.
    Keys,
}

/// What a replay gives.
#[derive(Debug, Clone)]
pub enum ReplayItem {
    /// Units of a run follow, from a key frame on: at the beginning, after a hole, and when the run or
    /// its parameters change.
    Begin {
        /// The run of the units.
        run: RunId,
        /// What a decoder needs first.
        parameters: Arc<StreamParameters>,
    },
    /// Nothing is recorded here, or it cannot be read any more. If no `Begin` comes behind it, the
    /// camera paused within a GOP, and the units go on as before.
    Gap(TimeRange),
    /// One unit.
    Unit {
        /// With the times of the recording.
        unit: AccessUnit,
        /// Whether it was captured within the wanted range. Those that were not are needed to decode
        /// others that were.
        is_shown: bool,
    },
}

/// Footage that cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Nothing is recorded in the range.
    #[error("channel {channel} has no footage from {start} on")]
    Empty {
        /// The channel.
        channel: ChannelId,
        /// Start of the range.
        start: WallTime,
        /// End of the nearest footage before the start.
        before: Option<WallTime>,
        /// Start of the nearest footage behind the start.
        after: Option<WallTime>,
    },
    /// The footage cannot be looked up or read now.
    #[error(transparent)]
    Footage(#[from] framewell_footage::Error),
}

impl HasKind for ReplayError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Empty { .. } => ErrorKind::NotFound,
            Self::Footage(source) => source.kind(),
        }
    }
}

/// Capture times of one picture from different sources differ by this much at most, in microseconds.
pub const ROUNDING_US: i64 = framewell_footage::TICK_US;

/// Footage to replay that was found and not read yet.
#[derive(Debug)]
pub struct FoundFootage {
    reader: Reader,
    key: WallTime,
    start: WallTime,
    parameters: Arc<StreamParameters>,
}

impl FoundFootage {
    pub(crate) async fn look_up(
        footage: &Footage,
        channel: ChannelId,
        start: WallTime,
        end: Option<WallTime>,
        selection: Selection,
    ) -> Result<Self, ReplayError> {
        let mut reader = Reader::new(footage, channel, start, end, selection);
        if let Some((key, parameters)) = reader.find_first().await? {
            return Ok(Self {
                reader,
                key,
                start: start.max(key),
                parameters,
            });
        }
        let nearest = footage.no_footage(channel, start).await?;
        let (before, after) = match nearest {
            framewell_footage::Error::NoFootage { before, after, .. } => (before, after),
            other => return Err(other.into()),
        };
        Err(ReplayError::Empty {
            channel,
            start,
            before,
            after,
        })
    }

    /// See [`FoundFootage::start`].
    #[must_use]
    pub const fn start(&self) -> WallTime {
        self.start
    }

    /// Parameters of the first units.
    #[must_use]
    pub const fn parameters(&self) -> &Arc<StreamParameters> {
        &self.parameters
    }

    /// Begins to read.
    #[must_use]
    pub fn replay(self) -> Replay {
        let (sender, reads) = mpsc::channel(1);
        let mut task = JoinSet::new();
        task.spawn(self.reader.run(sender));
        Replay {
            items: VecDeque::new(),
            reads,
            _task: task,
            key: self.key,
            start: self.start,
            parameters: self.parameters,
        }
    }
}

/// A range of recorded footage, unit by unit.
#[derive(Debug)]
pub struct Replay {
    /// What comes next of the newest read.
    items: VecDeque<ReplayItem>,
    /// One read that waits.
    reads: mpsc::Receiver<Result<Vec<ReplayItem>, ReplayError>>,
    /// The reader; it ends with the replay.
    _task: JoinSet<()>,
    key: WallTime,
    start: WallTime,
    parameters: Arc<StreamParameters>,
}

impl Replay {
    /// A replay of what is at hand, for the tests of those who play one.
    #[doc(hidden)]
    #[must_use]
    pub fn of_items(items: VecDeque<ReplayItem>, parameters: Arc<StreamParameters>) -> Self {
        let (_nobody, reads) = mpsc::channel(1);
        Self {
            items,
            reads,
            _task: JoinSet::new(),
            key: WallTime::from_secs(0),
            start: WallTime::from_secs(0),
            parameters,
        }
    }

    /// The next item, in decoding order; `None` at the end. Cancel-safe. After an error there is nothing
    /// more.
    pub async fn next(&mut self) -> Result<Option<ReplayItem>, ReplayError> {
        while self.items.is_empty() {
            match self.reads.recv().await {
                Some(read) => self.items = read?.into(),
                None => return Ok(None),
            }
        }
        Ok(self.items.pop_front())
    }

    /// What comes next, if it has been read already.
    #[must_use]
    pub fn peek(&self) -> Option<&ReplayItem> {
        self.items.front()
    }

    /// Capture time of the key frame that it begins with.
    #[must_use]
    pub const fn key(&self) -> WallTime {
        self.key
    }

    /// Where the wanted footage begins: at the start of the range, or at the first key frame behind it.
    #[must_use]
    pub const fn start(&self) -> WallTime {
        self.start
    }

    /// Parameters of the first units.
    #[must_use]
    pub const fn parameters(&self) -> &Arc<StreamParameters> {
        &self.parameters
    }
}
