//! Ingest against scripted cameras over real sockets.

#![expect(
    clippy::unwrap_used,
    reason = "a failed test may panic where it failed"
)]

mod arrival;
mod credentials;
mod faults;
mod footage;
mod metadata;
mod publish;
mod reconcile;
mod rig;
