//! Footage that has to stay, and what is known of footage that went.

use crate::{ChannelId, HoldId, RunId, TimeRange, WallTime};

/// A range of a channel's footage that nothing deletes: neither age nor bytes nor a full disk nor a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Key.
    pub id: HoldId,
    /// Whose footage.
    pub channel: ChannelId,
    /// For people; for example the number of a case.
    pub name: String,
    /// Segments that overlap it stay.
    pub range: TimeRange,
    /// When it ends by itself; `None`: when somebody ends it.
    pub expires: Option<WallTime>,
    /// When it was made.
    pub created: WallTime,
}

/// A hold to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    /// Whose footage.
    pub channel: ChannelId,
    /// For people.
    pub name: String,
    /// What has to stay.
    pub range: TimeRange,
    /// When it ends by itself.
    pub expires: Option<WallTime>,
}

/// Why footage was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeletionReason {
    /// It was older than the channel's retention.
    Age,
    /// The channel or the server had more bytes than it may.
    Bytes,
    /// The disk or the spool was full, and the oldest had to go.
    Pressure,
    /// Somebody asked for it.
    Request,
    /// Its channel was deleted.
    Channel,
}

impl DeletionReason {
    /// Every reason, for parsing.
    pub const ALL: [Self; 5] = [
        Self::Age,
        Self::Bytes,
        Self::Pressure,
        Self::Request,
        Self::Channel,
    ];

    /// The word stored in the database and shown by the native API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Bytes => "bytes",
            Self::Pressure => "pressure",
            Self::Request => "request",
            Self::Channel => "channel",
        }
    }
}

/// Footage that was deleted: neighbouring segments of one reason are one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Grows with every entry.
    pub number: i64,
    /// Whose footage.
    pub channel: ChannelId,
    /// Capture times.
    pub range: TimeRange,
    /// Bytes of the objects.
    pub size_bytes: i64,
    /// How many of them.
    pub segments: i64,
    /// Why.
    pub reason: DeletionReason,
    /// When the first of it went; the rest followed within the hour.
    pub at: WallTime,
}

/// How a [`StreamOffset`] is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OffsetBasis {
    /// Both streams say what time it is, in sender reports.
    BothReports,
    /// One of them does; the other is placed by when it arrives.
    OneReport,
    /// Both are placed by when they arrive.
    Arrival,
}

impl OffsetBasis {
    const ALL: [Self; 3] = [Self::BothReports, Self::OneReport, Self::Arrival];

    /// The word stored in the database and shown by the native API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BothReports => "both_reports",
            Self::OneReport => "one_report",
            Self::Arrival => "arrival",
        }
    }

    /// Reads that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|basis| basis.as_str() == word)
    }
}

/// How far the capture times of a run of a sub stream would be from those of its main stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOffset {
    /// The run of the sub stream.
    pub run: RunId,
    /// When it was last measured.
    pub measured: WallTime,
    /// The sub stream's time of an instant minus the main stream's, in microseconds. Stored capture times are
    /// free of it.
    pub offset_us: i64,
    /// It is wrong by no more than this, as far as the measurements tell.
    pub error_us: i64,
    /// How it is known.
    pub basis: OffsetBasis,
}

/// What a camera's clock did during a run, by its sender reports (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunClock {
    /// The run.
    pub run: RunId,
    /// Whose.
    pub channel: ChannelId,
    /// When the run's first report came, by our clock.
    pub first: WallTime,
    /// When the newest one came.
    pub last: WallTime,
    /// The camera's clock minus ours by the newest report, network delay included, in microseconds.
    pub offset_us: i64,
    /// How much faster than ours the camera's clock runs, in parts per billion; `None` until it has been
    /// watched for long enough.
    pub drift_ppb: Option<i64>,
    /// How often it was set.
    pub jumps: i64,
    /// The largest of these steps, in microseconds; 0 without one.
    pub largest_jump_us: i64,
    /// Whether footage is placed by this clock; else by arrival, because it is too far off.
    pub is_used: bool,
}
