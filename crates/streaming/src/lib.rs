//! Protocol servers: RTSP (RFC 2326), live play over TCP interleaved.

pub mod rtsp;
