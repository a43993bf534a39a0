//! What the ring says about a live stream: rates and size, measured over the video it holds.

use framewell_live::{Gop, Track};
use framewell_media::TrackKind;
use framewell_model::{ChannelStatus, WallTime};

/// Rates of a live stream.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Rates {
    /// Video pictures per second, to two decimals.
    pub(crate) fps: f64,
    /// Payload of all tracks.
    pub(crate) bits_per_s: u64,
    /// Video pictures of the newest complete GOP.
    pub(crate) gop_frames: usize,
}

/// Rates over the complete GOPs in the ring; zero for a stream that is not live.
pub(crate) fn rates(track: &Track) -> Rates {
    if track.source_state().borrow().status != ChannelStatus::Active {
        return Rates::default();
    }
    let gops = track.gops();
    // The start of the GOP after a complete one says how long that one lasted. A change of run may
    // hide a pause.
    let pairs = || {
        gops.iter()
            .zip(gops.iter().skip(1))
            .filter(|(gop, next)| gop.run == next.run)
    };
    let lasted_us = |(gop, next): (&Gop, &Gop)| {
        let (start, end) = (gop.start()?, next.start()?);
        u64::try_from(end.micros_since(start)).ok()
    };
    let total_us: u64 = pairs().filter_map(lasted_us).sum();
    if total_us == 0 {
        return Rates::default();
    }
    let frames: usize = pairs().map(|(gop, _)| video_units(gop)).sum();
    let bytes: usize = pairs().map(|(gop, _)| gop.bytes).sum();
    let per_s = |count: usize| {
        u64::try_from(count)
            .unwrap_or(u64::MAX)
            .saturating_mul(1_000_000)
    };
    let centi_fps = per_s(frames).saturating_mul(100) / total_us;
    Rates {
        fps: f64::from(u32::try_from(centi_fps).unwrap_or(u32::MAX)) / 100.0,
        bits_per_s: per_s(bytes).saturating_mul(8) / total_us,
        gop_frames: pairs().next_back().map_or(0, |(gop, _)| video_units(gop)),
    }
}

fn video_units(gop: &Gop) -> usize {
    let is_video = |track: TrackKind| track == TrackKind::Video;
    gop.units.iter().filter(|unit| is_video(unit.track)).count()
}

/// Width and height of the live video in pixels, if it is live and known.
pub(crate) fn live_size(track: &Track) -> Option<(u32, u32)> {
    if track.source_state().borrow().status != ChannelStatus::Active {
        return None;
    }
    let parameters = track.parameters()?;
    Some((parameters.video.width, parameters.video.height))
}

/// Capture time of the newest picture in the ring.
pub(crate) fn newest(track: &Track) -> Option<WallTime> {
    track.newest_gop()?.newest()
}
