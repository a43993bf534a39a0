//! What the fuzz targets do with an input. A target is one line; all is compiled once here.
//!
//! Each function panics if an invariant of `framewell_wire` and its neighbours does not hold: see there.

pub mod fragment;
pub mod movie;
pub mod parameter_sets;
pub mod rtcp;
pub mod rtmp_session;
pub mod rtp_depacketize;
pub mod rtsp_request;
pub mod rtsp_stream;
pub mod sdp;
pub mod signalling;
mod split;
pub mod stun_demux;
pub mod token;

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Runs `work` and asserts that it never held more than `most` bytes beyond what was held before.
fn within<T>(most: usize, work: impl FnOnce() -> T) -> T {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let done = work();
    let held = MEMORY.peak_usage().saturating_sub(before);
    assert!(held <= most, "{held} bytes held, {most} allowed");
    done
}
