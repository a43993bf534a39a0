//! Protocol servers: RTSP (RFC 2326), live play over TCP interleaved.
//!
//! What belongs here: turning a live track into packets (`rtp`, shared by all readers of a channel)
//! and the protocol conversations around them ([`rtsp`]). What does not: cameras, recordings, HTTP.
//! Invariant: a reader never slows the track or another reader; it lags, or it is disconnected.

mod rtp;
pub mod rtsp;
