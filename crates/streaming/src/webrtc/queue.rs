//! What waits to be sent to one viewer: paced, in order, and left out when it is too late.

use super::clock::PlayClock;
use framewell_live::Batch;
use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{RunId, WallTime};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes that may leave at once, and that are added for each millisecond: 40 Mbit/s. A GOP that a
/// viewer begins with is a burst that no network takes at once.
const BURST_BYTES: f64 = 262_144.0;
const BYTES_PER_MS: f64 = 5_000.0;
/// So many pictures in one batch are the past, and shown as such: only the last one.
const MOST_LIVE_PICTURES: usize = 3;
/// When a GOP begins and so much of the one before still waits, the one before is left out.
const MOST_LATE_US: i64 = 500_000;
/// Recorded footage is taken while less than this waits: it comes as fast as its client asks for, which
/// may be faster than anything leaves.
const MOST_RECORDED_BYTES: usize = 2 << 20;

/// A unit and when it is shown.
#[derive(Debug, Clone)]
pub(super) struct Queued {
    pub(super) unit: AccessUnit,
    pub(super) parameters: Arc<StreamParameters>,
    /// Session time, in microseconds.
    pub(super) play_us: i64,
    /// Pictures behind it that it is sent for; 0 for one that is shown.
    pub(super) squeezed_by: usize,
    /// Capture time that belongs to `play_us`; none for recorded footage, which is not of now.
    pub(super) wall: Option<WallTime>,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    units: VecDeque<Queued>,
    /// Payload of `units`.
    bytes: usize,
    budget: f64,
    filled: Instant,
}

impl Queue {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            units: VecDeque::new(),
            bytes: 0,
            budget: BURST_BYTES,
            filled: now,
        }
    }

    /// Whether more recorded footage is to be taken.
    pub(super) const fn takes_recorded(&self) -> bool {
        self.bytes < MOST_RECORDED_BYTES
    }

    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Appends what the camera sent; returns how many pictures were left out for it.
    pub(super) fn push_live(&mut self, batch: &Batch, clock: &mut PlayClock, age_us: i64) -> u64 {
        let missed = if batch.starts_gop {
            self.leave_out_late(batch)
        } else {
            0
        };
        let is_picture = |unit: &&AccessUnit| unit.track == TrackKind::Video;
        let pictures = batch.units.iter().filter(is_picture).count();
        let squeezed = if pictures > MOST_LIVE_PICTURES {
            pictures - 1
        } else {
            0
        };
        let at = self.units.len();
        self.push(
            &batch.parameters,
            batch.run,
            &batch.units,
            squeezed,
            (clock, age_us),
        );
        self.tell_walls(at);
        missed
    }

    /// Appends units of which the first `squeezed` pictures are sent for the one behind them.
    pub(super) fn push(
        &mut self,
        parameters: &Arc<StreamParameters>,
        run: RunId,
        units: &[AccessUnit],
        squeezed: usize,
        (clock, age_us): (&mut PlayClock, i64),
    ) {
        let pictures = || units.iter().filter(|unit| unit.track == TrackKind::Video);
        // The first one that is shown is what the time of a stretch is counted from.
        let shown = pictures().nth(squeezed).or_else(|| units.first());
        let Some(shown) = shown else { return };
        let shown_us = clock.place(run, shown.pts.micros(), age_us);
        let mut left = squeezed;
        for unit in units {
            let is_picture = unit.track == TrackKind::Video;
            if left > 0 && !is_picture {
                continue;
            }
            let play_us = if left > 0 {
                shown_us
            } else {
                clock.place(run, unit.pts.micros(), age_us)
            };
            self.bytes += unit.data.len();
            self.units.push_back(Queued {
                unit: unit.clone(),
                parameters: Arc::clone(parameters),
                play_us,
                squeezed_by: left,
                wall: None,
            });
            left = left.saturating_sub(1);
        }
    }

    /// Gives live units from `at` on the capture time that belongs to their time of play: those that
    /// are not shown have that of the picture behind them.
    fn tell_walls(&mut self, at: usize) {
        let mut wall = None;
        for queued in self.units.range_mut(at..).rev() {
            if queued.squeezed_by == 0 || wall.is_none() {
                wall = Some(queued.unit.wall);
            }
            queued.wall = wall;
        }
    }

    /// Drops everything if it is late; a GOP is about to begin.
    fn leave_out_late(&mut self, batch: &Batch) -> u64 {
        let (Some(oldest), Some(newest)) = (self.units.front(), batch.units.first()) else {
            return 0;
        };
        if newest.wall.micros_since(oldest.unit.wall) < MOST_LATE_US {
            return 0;
        }
        self.clear()
    }

    /// Drops everything; how many pictures that are.
    pub(super) fn clear(&mut self) -> u64 {
        let is_picture = |queued: &&Queued| queued.unit.track == TrackKind::Video;
        let pictures = self.units.iter().filter(is_picture).count();
        self.units.clear();
        self.bytes = 0;
        pictures as u64
    }

    /// The next unit, if the network may be given it now.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Queued> {
        let waited_ms = now.saturating_duration_since(self.filled).as_secs_f64() * 1e3;
        self.budget = (self.budget + waited_ms * BYTES_PER_MS).min(BURST_BYTES);
        self.filled = now;
        if self.budget <= 0.0 {
            return None;
        }
        let queued = self.units.pop_front()?;
        self.bytes -= queued.unit.data.len();
        self.budget -= queued.unit.data.len() as f64;
        Some(queued)
    }

    /// When [`Self::pop`] gives something, if anything waits.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.units.is_empty() {
            return None;
        }
        let missing_ms = (-self.budget / BYTES_PER_MS).clamp(0.0, 10_000.0);
        Some(self.filled + Duration::from_secs_f64(missing_ms / 1e3) + Duration::from_millis(1))
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
