//! RTP time to wall clock.

use framewell_model::{ClockSource, MediaTime, Timescale, WallTime};
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

/// Differences between the camera's clock and the mapping up to this are smoothed away; a larger
/// one is a clock that was set, and is followed at once.
const SMOOTHED_US: i64 = 100_000;
/// A mapping this close to the camera's clock counts as following it.
const FOLLOWING_US: i64 = 5_000;
/// Smoothing moves the mapping by at most this part of the media time that passed: far above the
/// drift of any quartz (100 ppm), and still unseen.
const SLEW_DIVISOR: i64 = 100;
/// Part of a change in sender reports that is believed at once; they jitter by milliseconds.
const REPORT_DIVISOR: i64 = 4;
/// Part of a growth of the delay that is believed at once: a queue in the network, or drift.
const DELAY_DIVISOR: i64 = 8;

/// Maps the media times of one run to wall time: from RTCP sender reports when they are sane, else
/// from arrival. The mapping is held constant within a GOP and adjusted at key frames only, so wall
/// time inside a GOP is exactly anchor plus media time. Wall time never runs backwards within a run.
///
/// Arrival gives the *earliest* arrival seen lately, relative to media time: bursts and stalls of
/// the network do not move it. When the camera's clock turns out to lie behind the mapping, the
/// mapping goes back by three quarters of a frame per GOP and no faster, and the source stays
/// [`ClockSource::ServerArrival`] until it has got there.
///
/// Media time that jumps in mid-GOP re-anchors the mapping at once, because nothing after it could
/// be placed otherwise; it should begin a new run.
#[derive(Debug, Clone)]
pub struct Timeline {
    config: TimelineConfig,
    mapping: Option<Mapping>,
    delay: DelayEstimate,
    /// Wall minus media time by sender reports, smoothed; `None` without a sane one.
    report_us: Option<i64>,
    video: VideoSeen,
    /// Wall time of the newest audio unit.
    audio_floor: Option<WallTime>,
}

/// Wall time of one media time; holds until the next key frame.
#[derive(Debug, Clone, Copy)]
struct Mapping {
    media: MediaTime,
    wall: WallTime,
    clock: ClockSource,
}

impl Mapping {
    fn wall_of(&self, pts: MediaTime) -> WallTime {
        let passed_us = if pts.scale == self.media.scale {
            let ticks = pts.ticks.saturating_sub(self.media.ticks);
            pts.scale.to_micros(ticks)
        } else {
            pts.micros().saturating_sub(self.media.micros())
        };
        self.wall.plus_micros(passed_us)
    }

    /// Wall minus media time.
    fn offset_us(&self) -> i64 {
        self.wall.micros().saturating_sub(self.media.micros())
    }
}

/// Arrival minus media time of units that the network did not hold up.
#[derive(Debug, Clone, Copy, Default)]
struct DelayEstimate {
    smoothed_us: Option<i64>,
    /// Smallest value in the open GOP.
    gop_min_us: Option<i64>,
}

impl DelayEstimate {
    fn observe(&mut self, delay_us: i64) {
        self.gop_min_us = Some(self.gop_min_us.map_or(delay_us, |min| min.min(delay_us)));
    }

    /// Starts a GOP with a unit of this delay; the estimate for it.
    fn settle(&mut self, delay_us: i64, max_step_us: i64) -> i64 {
        self.observe(delay_us);
        let seen_us = self.gop_min_us.replace(delay_us).unwrap_or(delay_us);
        let settled_us = match self.smoothed_us {
            Some(before_us) if (0..=max_step_us).contains(&seen_us.saturating_sub(before_us)) => {
                before_us + (seen_us - before_us) / DELAY_DIVISOR
            }
            _ => seen_us,
        };
        self.smoothed_us = Some(settled_us);
        settled_us
    }
}

/// What the video units so far say about order and distance.
#[derive(Debug, Clone, Copy, Default)]
struct VideoSeen {
    /// Media time and arrival of the newest unit, in microseconds.
    newest: Option<(i64, i64)>,
    /// Largest media time, in microseconds.
    max_media_us: Option<i64>,
    /// Latest wall time.
    max_wall: Option<WallTime>,
    /// Latest wall time of the GOPs before the open one.
    floor: Option<WallTime>,
    /// Smallest distance of two units in the open GOP and in the one before.
    frame_us: Option<i64>,
    last_frame_us: Option<i64>,
}

impl VideoSeen {
    /// After a jump, distances to the units before it mean nothing.
    fn forget_media(&mut self) {
        self.newest = None;
        self.max_media_us = None;
    }

    fn start_gop(&mut self) {
        self.floor = self.max_wall;
        self.last_frame_us = self.frame_us.take();
    }

    fn frame_us(&self) -> i64 {
        self.frame_us.or(self.last_frame_us).unwrap_or(0)
    }

    fn note(&mut self, media_us: i64, arrival: WallTime, wall: WallTime) {
        if let Some((before_us, _)) = self.newest {
            let distance_us = media_us.saturating_sub(before_us).saturating_abs();
            self.frame_us = Some(self.frame_us.map_or(distance_us, |us| us.min(distance_us)));
        }
        self.newest = Some((media_us, arrival.micros()));
        self.max_media_us = self.max_media_us.max(Some(media_us));
        self.max_wall = self.max_wall.max(Some(wall));
    }
}

impl Timeline {
    /// For a new run.
    #[must_use]
    pub fn new(config: TimelineConfig) -> Self {
        Self {
            config,
            mapping: None,
            delay: DelayEstimate::default(),
            report_us: None,
            video: VideoSeen::default(),
            audio_floor: None,
        }
    }

    /// Takes in an RTCP sender report (RFC 3550 section 6.4.1) of the video track: `ntp` as wall time
    /// is the capture time of media time `media`; it arrived at `arrival`.
    pub fn sender_report(&mut self, ntp: WallTime, media: MediaTime, arrival: WallTime) {
        if ntp.micros_since(arrival).saturating_abs() > self.max_clock_offset_us() {
            self.report_us = None;
            return;
        }
        let offset_us = ntp.micros().saturating_sub(media.micros());
        self.report_us = Some(match self.report_us {
            Some(before_us)
                if offset_us.saturating_sub(before_us).saturating_abs() <= SMOOTHED_US =>
            {
                before_us + (offset_us - before_us) / REPORT_DIVISOR
            }
            _ => offset_us,
        });
    }

    /// Forgets what sender reports have said: units are placed by arrival until another one comes.
    pub const fn forget_reports(&mut self) {
        self.report_us = None;
    }

    /// Places an access unit (any track) that arrived at `arrival`.
    /// `starts_gop` marks a video key frame: the only place where the mapping may change.
    ///
    /// Units on the 90 kHz scale are video, all others audio.
    pub fn place(&mut self, pts: MediaTime, starts_gop: bool, arrival: WallTime) -> Placement {
        let is_video = starts_gop || pts.scale == Timescale::HZ_90K;
        let has_jumped = is_video && self.has_jumped(pts.micros(), starts_gop, arrival);
        let mapping = match self.mapping {
            Some(mapping) if !starts_gop && !has_jumped => mapping,
            _ => self.remap(pts, arrival, has_jumped),
        };
        self.delay
            .observe(arrival.micros().saturating_sub(pts.micros()));
        let placed = mapping.wall_of(pts);
        let wall = if is_video {
            let wall = self.video.floor.map_or(placed, |floor| placed.max(floor));
            self.video.note(pts.micros(), arrival, wall);
            wall
        } else {
            let wall = self.audio_floor.map_or(placed, |floor| placed.max(floor));
            self.audio_floor = Some(wall);
            wall
        };
        Placement {
            wall,
            clock: mapping.clock,
        }
    }

    /// Whether media time did not pass as it must: forward more than arrival time without a delay
    /// that explains it, or back.
    fn has_jumped(&self, media_us: i64, starts_gop: bool, arrival: WallTime) -> bool {
        let Some((before_us, arrived_us)) = self.video.newest else {
            return false;
        };
        let max_step_us = micros(self.config.max_step);
        let media_step_us = media_us.saturating_sub(before_us);
        let arrival_step_us = arrival.micros().saturating_sub(arrived_us);
        let delay_us = arrival.micros().saturating_sub(media_us);
        let is_early = self
            .delay
            .smoothed_us
            .is_some_and(|usual_us| delay_us < usual_us.saturating_sub(max_step_us));
        let forward = media_step_us.saturating_sub(arrival_step_us) > max_step_us && is_early;
        // A key frame is shown after everything decoded before it.
        let back = media_step_us < -max_step_us
            || (starts_gop
                && self
                    .video
                    .max_media_us
                    .is_some_and(|max_us| media_us <= max_us));
        forward || back
    }

    /// Makes the mapping for the units from this one on.
    fn remap(&mut self, pts: MediaTime, arrival: WallTime, has_jumped: bool) -> Mapping {
        if has_jumped {
            self.delay = DelayEstimate::default();
            self.report_us = None;
            self.video.forget_media();
        }
        let media_us = pts.micros();
        let max_step_us = micros(self.config.max_step);
        let delay_us = arrival.micros().saturating_sub(media_us);
        let arrival_us = self.delay.settle(delay_us, max_step_us);
        let (target_us, clock) = match self.report_us {
            Some(report_us)
                if report_us.saturating_sub(arrival_us).saturating_abs()
                    <= self.max_clock_offset_us() =>
            {
                (report_us, ClockSource::CameraRtcp)
            }
            _ => (arrival_us, ClockSource::ServerArrival),
        };
        let wanted_us = self.smooth(target_us, clock, media_us, has_jumped);
        let wall = WallTime::from_micros(wanted_us.saturating_add(media_us));
        let wall = self
            .floor_of(media_us, has_jumped)
            .map_or(wall, |floor| wall.max(floor));
        let missed_us = wall
            .micros()
            .saturating_sub(media_us)
            .saturating_sub(target_us);
        let mapping = Mapping {
            media: pts,
            wall,
            clock: if missed_us.saturating_abs() <= FOLLOWING_US {
                clock
            } else {
                ClockSource::ServerArrival
            },
        };
        self.video.start_gop();
        self.mapping = Some(mapping);
        mapping
    }

    /// The offset on the way from the present one to the target.
    fn smooth(&self, target_us: i64, clock: ClockSource, media_us: i64, has_jumped: bool) -> i64 {
        let Some(mapping) = self.mapping.filter(|_| !has_jumped) else {
            return target_us;
        };
        let step_us = match clock {
            ClockSource::CameraRtcp => SMOOTHED_US,
            ClockSource::ServerArrival => micros(self.config.max_step),
        };
        let present_us = mapping.offset_us();
        let error_us = target_us.saturating_sub(present_us);
        if mapping.clock != clock || error_us.saturating_abs() > step_us {
            return target_us;
        }
        let passed_us = media_us.saturating_sub(mapping.media.micros());
        let slew_us = passed_us.saturating_abs() / SLEW_DIVISOR;
        present_us.saturating_add(error_us.clamp(-slew_us, slew_us))
    }

    /// The earliest wall time that a new GOP may begin with. A quarter of a frame is left for
    /// pictures that are decoded after the key frame and shown before it.
    fn floor_of(&self, media_us: i64, has_jumped: bool) -> Option<WallTime> {
        let frame_us = self.video.frame_us();
        if has_jumped {
            return self.video.max_wall.map(|wall| wall.plus_micros(frame_us));
        }
        self.video.max_wall?;
        let present = self.mapping?.offset_us().saturating_add(media_us);
        Some(WallTime::from_micros(
            present.saturating_sub(frame_us / 4 * 3),
        ))
    }

    fn max_clock_offset_us(&self) -> i64 {
        micros(self.config.max_clock_offset)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
