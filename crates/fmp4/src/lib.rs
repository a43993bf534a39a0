//! ISO base media files (ISO/IEC 14496-12) as Framewell writes and reads them. Sans-IO.
//!
//! A **segment** is `ftyp moov` (with an identity box) followed by fragments `prft moof mdat`. Every
//! fragment says its wall time in `prft`; fragment `is_key` means that it starts with a key frame.
//! Track ids: video 1 (timescale 90,000), audio 2 (timescale = sample rate).
//!
//! The clock of a stored segment (`tfdt`, `prft`) starts with the segment, so that every player sees a
//! short file of its own; a box in each `traf` says where on the run's clock that is. Everything in
//! this crate's types is the run's time.

mod chain;
mod clip;
mod clock;
mod continuous;
mod entry;
mod fragment;
mod identity;
mod index;
mod init;
mod moov;
mod movie;
mod read;
mod reader;
#[cfg(test)]
mod sample_data;
mod sample_runs;
mod samples;
mod time;
mod varint;
mod write;

pub use clip::{ClipDraft, ClipPart, ClipPlan, ClipSamples, ClipSource, Holes, Piece, PieceData};
pub use clock::FileClock;
pub use continuous::continue_run;
pub use fragment::{Fragment, build_fragment};
pub use identity::SegmentIdentity;
pub use index::{FragmentEntry, SegmentIndex};
pub use init::{
    build_init, build_linked_init, build_live_init, build_segment_init, fingerprint, parse_init,
    parse_link,
};
pub use movie::{Movie, MovieSample, TopBox, top_box};
pub use reader::{Sample, ScannedSegment, parse_fragment, scan_segment};
pub use sample_runs::{FragmentRuns, FragmentSizes, SegmentRuns};
pub use samples::SampleTables;
pub use write::build_user_box;

use framewell_model::{ErrorKind, HasKind, WallTime};

/// A file that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A box is cut off, or its fields contradict each other.
    #[error("bad {what} box at byte {offset}: {why}")]
    BadBox {
        /// Four-character code.
        what: String,
        /// Position in the input.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// An encoded index that this version cannot read.
    #[error("bad segment index: {0}")]
    BadIndex(String),
    /// A clip of a range that shows nothing.
    #[error("no picture between {start} and {end}")]
    NoPicture {
        /// Start of the wanted range.
        start: WallTime,
        /// Its end.
        end: WallTime,
    },
    /// A hole that cannot be kept.
    #[error("the hole from {start} to {end} is longer than a sample can last (6 h 37 min)")]
    HoleTooLong {
        /// End of the footage before it.
        start: WallTime,
        /// Start of the footage behind it.
        end: WallTime,
    },
    /// Samples that cannot be in one file.
    #[error("cannot write: {0}")]
    Unwritable(String),
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::BadBox { .. } | Self::BadIndex(_) => ErrorKind::DataLoss,
            Self::NoPicture { .. } => ErrorKind::NotFound,
            Self::HoleTooLong { .. } => ErrorKind::InvalidArgument,
            Self::Unwritable(_) => ErrorKind::Internal,
        }
    }
}
