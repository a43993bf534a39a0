//! Footage in spool and store, found by time.

#![expect(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod archive;
mod finding;
mod gops;
mod pages;
