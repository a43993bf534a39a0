//! The runner on a real database, with a clock that the tests move.
#![expect(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod rig;
mod running;
mod stopping;
