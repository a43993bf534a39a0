//! Live track to fragments, segments, objects and catalog rows.
//!
//! One task per recorded channel follows the ring (never the other way round), writes one fMP4
//! fragment per GOP (or second) to a local spool file, and publishes closed segments: row staged,
//! object put, row published. A janitor finishes what a crash interrupted. Every hole becomes a gap
//! row with its reason.
//!
//! The way of a unit: `channel` reads batches from the ring, of a channel that records by event those that
//! lie in its `windows` -> `assembler` (sans-IO) cuts them into fragments and segments -> `writer` and
//! `segment` write them -> `publish` moves closed ones to the store.
//! Beside it, `gaps` keeps the account of what is missing. Neither database nor store is on the way
//! of a fragment: with both away, recording goes on into the spool folder, within the `room` that there is;
//! `pressure` makes some when it runs out.
//!
//! Beside it too, `import` stores files that cameras recorded themselves.
//!
//! Entry points: [`Recorder`], [`Importer`].

mod assembler;
mod backlog;
mod budget;
mod by_event;
mod channel;
mod config;
mod digest;
mod file;
mod gaps;
mod import;
mod janitor;
mod ledger;
mod memory;
mod pressure;
mod publish;
mod recover;
mod retry;
mod room;
mod segment;
mod supervisor;
mod unknown;
mod windows;
mod writer;

pub use by_event::Reach;
pub use config::{Error, Policy, RecorderConfig, Rolls};
pub use import::{ImportConfig, ImportError, Imported, Importer, Upload};
pub use room::{RoomConfig, WhenFull};
pub use supervisor::Recorder;
