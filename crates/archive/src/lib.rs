//! Whether catalog and objects agree, how one is made again from the other, and proof that nothing was
//! changed.
//!
//! Entry points: [`Archive::check`], [`Archive::rebuild`], [`Archive::verify`], and [`manifest`] for what is
//! proved without a server. All of them work beside a running server: what moves meanwhile is looked at
//! twice before it becomes a finding. Nothing here is on the way of recorded or played video.

mod check;
mod error;
pub mod manifest;
mod object;
mod rebuild;
mod report;
mod spool;
mod verify;

pub use check::{CheckOptions, CheckReport, Depth};
pub use error::Error;
pub use rebuild::{RebuildReport, RebuiltChannel};
pub use report::{Finding, FindingKind, Findings, Progress};
pub use verify::{Break, Deleted, Hole, Sealed, Verdict, VerifyReport};

use framewell_blob::{BlobStore, ObjectKey};
use framewell_catalog::Catalog;
use framewell_model::{Segment, TimeRange, WallClock, WallTime};
use std::path::PathBuf;
use std::sync::Arc;

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;
/// Rows loaded at a time.
const PAGE_ROWS: u64 = 1_000;

/// A catalog with its store and spool folder; cheap to clone.
#[derive(Debug, Clone)]
pub struct Archive {
    /// The database.
    pub catalog: Catalog,
    /// The objects.
    pub blobs: BlobStore,
    /// Segments that are not stored yet, or are being written.
    pub spool_dir: PathBuf,
    /// Tells what is fresh.
    pub clock: Arc<dyn WallClock>,
}

/// Where a segment's object lies.
fn key_of(segment: &Segment) -> ObjectKey {
    ObjectKey::Segment {
        channel: segment.channel,
        start: segment.range.start,
        id: segment.id,
    }
}

/// The day that begins at `day`.
const fn day_from(day: WallTime) -> TimeRange {
    TimeRange {
        start: day,
        end: day.plus_micros(DAY_US),
    }
}
