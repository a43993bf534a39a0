//! Recorded footage of a channel by time, wherever it lies.
//!
//! A [`Piece`] is a segment: published (catalog row and object) or still in the spool (a local file
//! that the recorder is writing or could not publish yet). Readers of pictures, clips and timelines
//! ask [`Footage`] and never care which. The recorder tells the [`Spool`] what it writes.
//!
//! Finding and reading are apart: [`Footage::gops`] and its siblings answer from indexes alone, with
//! [`GopRef`]s; only what is named `read` touches media.

mod around;
mod error;
mod footage;
mod frame;
mod gop;
mod gop_ref;
mod pages;
mod parameters;
mod piece;
mod read;
mod samples;
mod spool;
mod units;

pub use error::{Error, Place};
pub use footage::Footage;
pub use frame::FramePlace;
pub use gop::{CompressedGop, GopSample, TICK_US};
pub use gop_ref::GopRef;
pub use pages::{FootageGap, GopEntry, GopPages};
pub use piece::{CONTINUITY_US, Location, Piece};
pub use spool::{Spool, SpoolSegment, UNKNOWN_CHANNELS};
