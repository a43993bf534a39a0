//! Live tracks in RAM: one ring of GOPs for each stream of a channel, many readers, nobody waits for anybody.
//!
//! What belongs here: the ring, subscriptions with lag as a value, and the channel's present state
//! (`watch`). What does not: sockets, files, decoding. Writers never block; a reader that falls
//! behind the ring is told how much it missed and goes on at a key frame.
//! Entry point: [`Registry::track`].

mod registry;
mod ring;
mod state;
mod subscriber;
mod track;

pub use registry::Registry;
pub use ring::{Gop, GopId, GopSpan, RingConfig};
pub use state::{EndReason, IngestStats, Lateness, SourceClock, SourceMessage, SourceState};
pub use subscriber::{Batch, Start, Subscriber, Wake};
pub use track::{SystemClock, Track};
