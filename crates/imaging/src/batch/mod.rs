//! Many pictures of a range: chosen by a rule, made GOP by GOP, given out in time order as they get
//! ready.
//!
//! [`crate::Imaging::batch`] starts one, [`Batch::next`] gives its entries. Every entry carries a [`Cursor`]
//! behind which the same batch goes on exactly where it was, also on another node or after a restart.
//! What does not belong here: containers (multipart, tar), HTTP.
//!
//! Rules that hold for every batch:
//!
//! * Entries come in time order. No picture comes twice in a row: instants that mean the same picture
//!   give one entry, for the first of them.
//! * An instant of a grid means the picture on screen then ([`Match::Exact`]); it may have been
//!   captured before the start of the range. Rules without a grid give pictures captured in the range.
//! * A hole in the footage is an entry, told once, between the pictures around it. A GOP that cannot be
//!   read or decoded is an entry, and the batch goes on behind it.
//! * The last entry is [`Entry::End`], which says why it ended.

mod choose;
mod cursor;
mod decoding;
mod find;
mod plan;
mod rule;
mod run;
mod source;
mod unit;
mod walk;

pub use cursor::{Cursor, CursorError};
pub use rule::{COUNT, MAX_INSTANTS, PERIOD_US, RATE, Rule};
pub use run::{Batch, MAX_BATCHES};

pub(crate) use run::Batches;

use crate::{Match, Output};
use bytes::Bytes;
use framewell_decode::PictureFormat;
use framewell_model::{ChannelId, ClockSource, ErrorKind, FrameId, GapReason, TimeRange, WallTime};
use std::time::Duration;

/// How far ahead of now a batch may end; a picture push has no end at all.
pub const MAX_AHEAD: Duration = Duration::from_secs(600);

/// What a batch is to give.
#[derive(Debug, Clone)]
pub struct BatchRequest {
    /// The channel.
    pub channel: ChannelId,
    /// Which pictures.
    pub what: What,
    /// Size, format, crop; `None`: no pixels are made, entries only name the pictures (cheap, but not
    /// for [`Rule::Changes`], which has to look at them).
    pub output: Option<Output>,
    /// When to stop.
    pub budget: Budget,
}

/// A new batch, or the rest of one.
#[derive(Debug, Clone)]
pub enum What {
    /// From the beginning.
    Range {
        /// Where to look. The end may lie up to [`MAX_AHEAD`] ahead of now: then the batch waits for
        /// the camera.
        range: TimeRange,
        /// Which instants.
        rule: Rule,
        /// Which picture of those around an instant.
        matching: Match,
    },
    /// What comes behind this place.
    After(Cursor),
}

/// A batch ends before it gives more than this. The first picture is given in any case, so that
/// whoever resumes gets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Pictures.
    pub images: Option<u64>,
    /// Bytes of pictures.
    pub bytes: Option<u64>,
    /// Pixels of pictures.
    pub pixels: Option<u64>,
}

/// Something that a batch gives.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Entry {
    /// A picture.
    Picture(Sample),
    /// No footage.
    Gap(SampleGap),
    /// Footage that cannot be read or decoded.
    Failed(SampleFailure),
    /// The last entry.
    End(BatchEnd),
}

/// A picture of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The instant of the rule; the capture time if the rule has no instants.
    pub requested: WallTime,
    /// Capture time.
    pub captured: WallTime,
    /// Where that time comes from.
    pub clock: ClockSource,
    /// Which picture of the channel it is.
    pub frame: FrameId,
    /// Whether it is a key frame.
    pub is_key: bool,
    /// Whether it came from the live ring.
    pub is_live: bool,
    /// [`Rule::Changes`]: how much it differs from the picture before, 0 to 1; 1 for the first one.
    pub change: Option<f32>,
    /// The picture, unless only its name was asked for.
    pub pixels: Option<Pixels>,
    /// The place behind this entry.
    pub cursor: Cursor,
}

/// A finished picture of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// The encoded file, or raw pixels.
    pub data: Bytes,
    /// Its encoding, with the quality used.
    pub format: PictureFormat,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// A hole in the footage, cut to the range of the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleGap {
    /// The hole.
    pub range: TimeRange,
    /// Why, where the recorder knows.
    pub reason: Option<GapReason>,
    /// Instants of the rule that have no picture because of it.
    pub missing: u64,
    /// The place behind this entry.
    pub cursor: Cursor,
}

/// Footage that was lost on the way to a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleFailure {
    /// The first instant that has no picture because of it, to the end of its GOP.
    pub range: TimeRange,
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What failed, for people.
    pub message: String,
    /// Pictures that are missing because of it, as far as they are known.
    pub missing: u64,
    /// The place behind this entry.
    pub cursor: Cursor,
}

/// How a batch ended.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchEnd {
    /// Why.
    pub reason: EndReason,
    /// Pictures given.
    pub images: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their pixels.
    pub pixels: u64,
    /// The place to go on from; `None` if the range is done.
    pub next: Option<Cursor>,
}

/// Why a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The range is done.
    Complete,
    /// [`Budget::images`].
    MaxImages,
    /// [`Budget::bytes`].
    MaxBytes,
    /// [`Budget::pixels`].
    MaxPixels,
    /// The catalog or the decoders are not available; the same batch may be resumed later.
    Unavailable,
    /// Whoever asked may not see them any more.
    Denied,
}

impl EndReason {
    /// The word that the API shows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::MaxImages => "max_images",
            Self::MaxBytes => "max_bytes",
            Self::MaxPixels => "max_pixels",
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
        }
    }
}
