//! RTP time to wall clock.

use framewell_model::{ClockSource, MediaTime, WallTime};
use std::time::Duration;

/// When a camera's own clock is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineConfig {
    /// A sender report further than this from its arrival is not sane, and the camera's clock is not
    /// used (default 10 s).
    pub max_clock_offset: Duration,
    /// A media time that advances this much more, or less, than arrival time between two key frames
    /// re-anchors the mapping (default 1 s).
    pub max_step: Duration,
}

impl Default for TimelineConfig {
    fn default() -> Self {
        Self {
            max_clock_offset: Duration::from_secs(10),
            max_step: Duration::from_secs(1),
        }
    }
}

/// Where an access unit lies on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Capture time.
    pub wall: WallTime,
    /// Where it comes from.
    pub clock: ClockSource,
}

/// Maps the media times of one run to wall time: from RTCP sender reports when they are sane, else
/// from arrival. The mapping is held constant within a GOP and adjusted at key frames only, so wall
/// time inside a GOP is exactly anchor plus media time. Wall time never runs backwards within a run.
#[derive(Debug, Clone)]
pub struct Timeline {
    _config: TimelineConfig,
}

impl Timeline {
    /// For a new run.
    #[must_use]
    pub fn new(config: TimelineConfig) -> Self {
        Self { _config: config }
    }

    /// Takes in an RTCP sender report (RFC 3550 section 6.4.1) of the video track: `ntp` as wall time
    /// is the capture time of media time `media`; it arrived at `arrival`.
    pub fn sender_report(&mut self, ntp: WallTime, media: MediaTime, arrival: WallTime) {
        let _ = (ntp, media, arrival);
        todo!()
    }

    /// Places an access unit (any track) that arrived at `arrival`.
    /// `starts_gop` marks a video key frame: the only place where the mapping may change.
    pub fn place(&mut self, pts: MediaTime, starts_gop: bool, arrival: WallTime) -> Placement {
        let _ = (pts, starts_gop, arrival);
        todo!()
    }
}
