//! Playback proven by the stamps in the pictures, and HLS by RFC 8216 and by `ffmpeg`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

mod clips;
mod footage;
mod fragments;
mod hls;
mod hls_change;
mod hls_low_latency;
mod hls_recorded;
mod recording;
mod records;
mod replay;
mod support;
