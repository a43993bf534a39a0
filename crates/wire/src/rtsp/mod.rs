//! RTSP (RFC 2326): messages and the headers that are read here.

pub mod announced;
pub mod digest;
pub mod range;
pub mod transport;
pub mod uri;
pub mod wire;
