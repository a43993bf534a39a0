//! The recorder between a real ring, a real database and a real store.

#![expect(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod by_event;
mod crash;
mod gaps;
mod import;
mod outage;
mod pressure;
mod recording;
mod retention;
mod rig;
mod seal;
