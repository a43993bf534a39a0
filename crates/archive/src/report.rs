//! What is found, in words and for programs.

use framewell_model::{ChannelId, SegmentId, WallTime};
use serde::Serialize;

/// Findings that a report holds; the others are counted.
const MOST_FINDINGS: usize = 10_000;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A published row whose object is not there.
    MissingObject,
    /// An object that no row knows.
    MissingRow,
    /// Row and object differ in length.
    Size,
    /// The row's index, or what it says of the segment, is not what the object says.
    Index,
    /// The bytes are not those that were written.
    Digest,
    /// A row that was never published.
    Staged,
    /// A row that was to be deleted.
    Doomed,
    /// A file among the segments whose name is none of ours.
    Foreign,
    /// Damage inside an object: what lies behind it cannot be read.
    Damaged,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// Where.
    pub channel: ChannelId,
    /// Which segment, if that is known.
    #[serde(serialize_with = "as_text")]
    pub segment: Option<SegmentId>,
    /// Its start, or the hour that its place in the store says.
    #[serde(serialize_with = "as_text")]
    pub start: Option<WallTime>,
    /// The rest of the sentence.
    pub what: String,
    /// What was done about it; `None`: nothing.
    pub repair: Option<&'static str>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "channel {}", self.channel)?;
        if let Some(segment) = self.segment {
            write!(f, ", segment {segment}")?;
        }
        if let Some(start) = self.start {
            write!(f, " of {start}")?;
        }
        write!(f, ": {}", self.what)?;
        match self.repair {
            Some(done) => write!(f, " ({done})"),
            None => Ok(()),
        }
    }
}

/// Findings, of which the first ten thousand are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// In the order in which they were found.
    pub listed: Vec<Finding>,
    /// How many more there were.
    pub not_listed: u64,
    /// How many of all were not repaired.
    pub open: u64,
}

impl Findings {
    pub(crate) fn push(&mut self, finding: Finding) {
        if finding.repair.is_none() {
            self.open += 1;
        }
        if self.listed.len() < MOST_FINDINGS {
            self.listed.push(finding);
        } else {
            self.not_listed += 1;
        }
    }
}

/// How far long work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Channel that is looked at.
    pub channel: ChannelId,
    /// Its day or segment.
    pub at: WallTime,
    /// Objects so far.
    pub objects: u64,
    /// Bytes read or counted so far.
    pub bytes: u64,
}

/// As people write it.
pub(crate) fn as_text<T: std::fmt::Display, S: serde::Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}
