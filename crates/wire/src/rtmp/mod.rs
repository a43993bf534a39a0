//! RTMP 1.0, and Enhanced RTMP v2 for H.265.

pub mod amf0;
pub mod chunk;
pub mod conversation;
mod error;
pub mod flv;
pub mod handshake;
pub mod target;

pub use error::ProtocolError;
