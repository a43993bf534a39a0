//! What travels around WebRTC's own packets, which str0m reads: whose datagram it is, what is offered, what viewers
//! say.

pub mod control;
pub mod framing;
pub mod offer;
pub mod signalling;
pub mod stun;
