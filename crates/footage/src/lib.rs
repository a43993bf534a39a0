//! Recorded footage of a channel by time, wherever it lies.
//!
//! A [`Piece`] is a segment: published (catalog row and object) or still in the spool (a local file
//! that the recorder is writing or could not publish yet). Readers of pictures, clips and timelines
//! ask [`Footage`] and never care which. The recorder tells the [`Spool`] what it writes.

mod footage;
mod gop;
mod parameters;
mod piece;
mod spool;

pub use footage::{Error, Footage};
pub use gop::{CompressedGop, GopSample, TICK_US};
pub use piece::{CONTINUITY_US, Location, Piece};
pub use spool::{Spool, SpoolSegment};
