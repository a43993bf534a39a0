//! The pool with the real worker.

#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

mod colours;
mod common;
mod exact;
mod faults;
mod footage;
mod forms;
mod live_pictures;
mod orientation;
mod process;
mod raw;
mod recorded_pictures;
mod rig;
mod sessions;
mod sizes;
