//! Wire formats that strangers speak, without the sockets: RTSP, RTMP, RTP and RTCP, session descriptions, STUN,
//! the messages of viewers and of signalling.
//!
//! What belongs here: turning bytes into values and back, and the state machines of a conversation. What does not:
//! sockets, time, credentials, footage. Invariant: whatever the bytes are, nothing panics, memory is bounded by the
//! limits that stand beside each parser, and where a stream of bytes is cut makes no difference to what is read. The
//! fuzz targets in `fuzz/` hold it.

#![warn(missing_docs)]

pub mod rtmp;
pub mod rtp;
pub mod rtsp;
pub mod webrtc;
