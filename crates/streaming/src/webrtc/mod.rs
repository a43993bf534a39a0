//! WebRTC: watching with WHEP and with the vendor's signalling, publishing with WHIP, over str0m.
//!
//! All sessions share one UDP port and the TCP port of the same number. A task reads the socket and
//! takes each datagram to its session (`router`); a session has a task of its own, which follows the
//! channel's ring, lets str0m packetise one shared payload, and sends everything that a picture became
//! in one go. Nothing waits for a viewer: who is slow skips to a key frame (`queue`).
//!
//! What does not belong here: HTTP and websockets, which carry the descriptions, and rights.

mod clock;
mod engine;
mod error;
mod negotiate;
mod peer;
mod publisher;
mod queue;
mod recorded;
mod router;
mod shelf;
mod sockets;
mod sound;
mod stun;
mod viewer;
mod viewer_sound;

use framewell_wire::webrtc::{control, framing, offer};

pub use engine::{Engine, Opened, Services, SessionId, Wanted, WebRtcConfig};
pub use error::Error;
pub use sockets::Sockets;
pub use sound::SoundConfig;
