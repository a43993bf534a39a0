//! Storing, keeping and deleting pictures on real stores, with a clock that the tests move. That the
//! pictures themselves are right is proved with cameras in the server's tests.
#![expect(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod keeping;
mod rig;
mod storing;
mod tasks;
