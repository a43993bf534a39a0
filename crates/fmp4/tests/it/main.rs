//! Real streams of real encoders go in; independent players must see every frame at its time.
//!
//! Needs the `ffmpeg` and `ffprobe` commands (Debian package `ffmpeg`, 5.1 or later).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; output of known tools"
)]

mod clip;
mod ffmpeg;
mod footage;
mod playback;
mod stream;
