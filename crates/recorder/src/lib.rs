//! Live track to fragments, segments, objects and catalog rows.
//!
//! One task per recorded channel follows the ring (never the other way round), writes one fMP4
//! fragment per GOP (or second) to a local spool file, and publishes closed segments: row staged,
//! object put, row published. A janitor finishes what a crash interrupted. Every hole becomes a gap
//! row with its reason.
//!
//! The way of a unit: `channel` reads batches from the ring -> `assembler` (sans-IO) cuts them into
//! fragments and segments -> `segment` writes them -> `publish` moves closed ones to the store.
//! Beside it, `gaps` keeps the account of what is missing. Neither database nor store is on the way
//! of a fragment: with both away, recording goes on into the spool folder.
//!
//! Entry point: [`Recorder`].

mod assembler;
mod channel;
mod config;
mod file;
mod gaps;
mod janitor;
mod publish;
mod recover;
mod retry;
mod segment;
mod supervisor;

pub use config::{Error, Policy, RecorderConfig};
pub use supervisor::Recorder;
