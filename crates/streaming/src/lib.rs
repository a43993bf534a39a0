//! Protocol servers: RTSP (RFC 2326), live play over TCP interleaved; raw pictures in shared memory for
//! engines on the same machine; WebRTC.
//!
//! What belongs here: turning a live track into packets (`rtp`, shared by all readers of a channel)
//! and the protocol conversations around them ([`rtsp`]);
//! WebRTC sessions ([`webrtc`]);
//! putting pictures where a neighbour process reads them ([`raw`]). What does not: cameras, recordings, HTTP.
//! Invariant: a reader never slows the track or another reader; it lags, or it is disconnected.

mod fanout;
pub mod raw;
pub mod rtmp;
mod rtp;
pub mod rtsp;
pub mod webrtc;
