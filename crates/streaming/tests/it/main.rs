//! The RTSP server over real sockets: `ffmpeg`, retina and a raw client as players, tracks in RAM fed
//! with stamped clips as the camera.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

mod client;
mod digest;
mod gstreamer;
mod limits;
mod play;
mod protocol;
mod push;
mod readers;
mod recorded;
mod recording;
mod rtmp;
mod seek;
mod sessions;
mod support;
mod udp;
mod webrtc;
