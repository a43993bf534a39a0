//! Real streams of real encoders go in; independent players must see every frame at its time.
//!
//! Needs the `ffmpeg` and `ffprobe` commands (Debian package `ffmpeg`, 5.1 or later).

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests and their helpers"
)]

mod clip;
mod ffmpeg;
mod footage;
mod playback;
mod stream;
