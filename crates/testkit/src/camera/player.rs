//! Plays a clip again and again in real time, as if it were captured now.

use super::packet::Packets;
use super::state::{CameraState, Sample};
use crate::clock::wall_now;
use crate::encode::EncodedClip;
use framewell_media::{StreamParameters, TrackKind};
use framewell_model::{Timescale, WallTime};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A clip cut into RTP packets, shared by all cameras that play it.
#[derive(Debug)]
pub(crate) struct PacketizedClip {
    parameters: Arc<StreamParameters>,
    units: Vec<Unit>,
    /// Indices of key frames in `units`.
    keys: Vec<usize>,
    /// Capture times of the pictures in display order, relative to the first.
    times_us: Arc<[i64]>,
    lap_us: i64,
    /// How long a picture is captured before it can be sent: what reordering costs.
    delay_us: i64,
}

#[derive(Debug)]
struct Unit {
    track: TrackKind,
    is_key: bool,
    pts_us: i64,
    pts_ticks: i64,
    dts_us: i64,
    packets: Arc<Packets>,
}

impl PacketizedClip {
    pub(crate) fn new(clip: &EncodedClip) -> Self {
        let mut times_us: Vec<i64> = clip.video().map(|u| u.pts.micros()).collect();
        times_us.sort_unstable();
        let units: Vec<Unit> = clip
            .units
            .iter()
            .map(|unit| Unit {
                track: unit.track,
                is_key: unit.is_key,
                pts_us: unit.pts.micros(),
                pts_ticks: unit.pts.ticks,
                dts_us: unit.dts.micros(),
                packets: Arc::new(Packets::new(
                    &clip.parameters,
                    unit.track,
                    unit.is_key,
                    &unit.data,
                )),
            })
            .collect();
        let is_key = |unit: &Unit| unit.track == TrackKind::Video && unit.is_key;
        Self {
            parameters: Arc::new(clip.parameters.clone()),
            keys: (0..units.len()).filter(|i| is_key(&units[*i])).collect(),
            delay_us: units.iter().map(|u| u.pts_us - u.dts_us).max().unwrap_or(0),
            units,
            times_us: times_us.into(),
            lap_us: clip.duration.micros(),
        }
    }
}

/// Where in the clip a camera begins, so that many cameras with one clip differ.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Phase {
    /// Which key frame comes first, modulo their number.
    pub(crate) key: usize,
    /// How much later it begins.
    pub(crate) delay: Duration,
}

/// When presentation time 0 of the clip in play was captured.
#[derive(Debug, Clone, Copy)]
struct Zero {
    instant: Instant,
    wall: WallTime,
}

/// Never ends.
pub(crate) async fn play(state: Arc<CameraState>, mut clip: Arc<PacketizedClip>, phase: Phase) {
    let mut switch = state.switch.subscribe();
    let mut first = clip.keys.get(phase.key % clip.keys.len().max(1)).copied();
    let mut delay = phase.delay;
    loop {
        let begin = first.unwrap_or(0);
        let zero = begin_clip(&state, &clip, begin, delay);
        tokio::select! {
            // The order matters: a switch that is there already must not wait for a frame.
            biased;
            // The sender lives in the state that this task holds.
            _changed = switch.changed() => {}
            () = play_clip(&state, &clip, begin, zero) => {}
        }
        if let Some(next) = switch.borrow_and_update().clone() {
            clip = next;
            first = clip.keys.first().copied();
            delay = Duration::ZERO;
        }
    }
}

fn begin_clip(state: &CameraState, clip: &PacketizedClip, begin: usize, delay: Duration) -> Zero {
    let skipped_us = clip.units.get(begin).map_or(0, |unit| unit.pts_us);
    let skipped = Duration::from_micros(skipped_us.max(0).cast_unsigned());
    // Instants before the start of the machine do not exist; both clocks move by the same amount.
    let now = Instant::now() + delay;
    let instant = now.checked_sub(skipped).unwrap_or(now);
    let wall = wall_now() + delay;
    let zero = Zero {
        instant,
        wall: wall - now.duration_since(instant),
    };
    state
        .truth
        .begin(zero.wall, Arc::clone(&clip.times_us), clip.lap_us);
    // Whoever waits for these asks for the truth next.
    let parameters = Some(Arc::clone(&clip.parameters));
    state.parameters.send_replace(parameters);
    zero
}

async fn play_clip(state: &CameraState, clip: &PacketizedClip, begin: usize, zero: Zero) {
    let scales = [TrackKind::Video, TrackKind::Audio]
        .map(|track| CameraState::timescale(&clip.parameters, track));
    let zero_ticks = scales.map(|scale| state.ticks_at(scale, zero.wall));
    let (mut lap_start_us, mut index) = (0i64, begin);
    loop {
        let Some(unit) = clip.units.get(index) else {
            lap_start_us += clip.lap_us;
            index = 0;
            if clip.units.is_empty() {
                std::future::pending::<()>().await;
            }
            continue;
        };
        let due_us = (lap_start_us + unit.dts_us + clip.delay_us).max(0);
        let due = zero.instant + Duration::from_micros(due_us.cast_unsigned());
        tokio::time::sleep_until(due).await;
        let which = usize::from(unit.track == TrackKind::Audio);
        let scale: Timescale = scales[which];
        let ticks = zero_ticks[which] + scale.from_micros(lap_start_us) + unit.pts_ticks;
        let capture = zero.wall.plus_micros(lap_start_us + unit.pts_us);
        let marks_capture = state.faults().marks_capture;
        state.send(Sample {
            mark: marks_capture.then_some(capture),
            track: unit.track,
            is_key: unit.is_key,
            rtp_time: state.rtp_time(unit.track, scale, ticks),
            capture,
            packets: Arc::clone(&unit.packets),
        });
        index += 1;
    }
}
