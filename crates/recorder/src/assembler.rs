//! From batches of access units to fragments and segments. Sans-IO.

use framewell_live::{Batch, EndReason, GopId};
use framewell_media::{AccessUnit, Cut, SegmentPlanner, StreamParameters, TrackKind};
use framewell_model::{ClockSource, RunId, WallTime};
use std::sync::Arc;
use std::time::Duration;

/// A pause between two pictures that is longer than this is a hole: the picture before it is not
/// stretched over it. Cameras that save bits by sending fewer pictures still send one a second.
const HOLE_US: i64 = 5_000_000;

/// A segment that is this long ends even without a key frame to start the next one; recording goes on
/// at the next key frame. The catalog takes segments of at most an hour.
const LONGEST_SEGMENT_US: i64 = 1_800_000_000;

/// What a batch means for the recording, in order.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A segment begins; its first fragment follows.
    Begin {
        run: RunId,
        parameters: Arc<StreamParameters>,
        /// Capture time of its first picture.
        wall: WallTime,
        /// Where that time comes from.
        clock: ClockSource,
    },
    /// A fragment of the open segment is complete.
    Fragment {
        /// Decoding order, video and audio mixed, at least one video unit.
        units: Vec<AccessUnit>,
        /// DTS of the video unit behind it, if that is known and follows without a hole.
        end_dts: Option<i64>,
    },
    /// The open segment is complete.
    End,
    /// GOPs were overwritten before they were read.
    Missed { gops: u64 },
    /// The camera's run is over.
    RunEnded { reason: EndReason },
}

/// Cuts the units of a channel into fragments and segments.
///
/// It writes one behind: a fragment is complete when the DTS of the video unit after it is known,
/// which gives its last sample a duration, or when the run ends. Audio goes with the video fragment
/// during which it arrived. Between segments it waits for a key frame.
#[derive(Debug)]
pub(crate) struct Assembler {
    planner: SegmentPlanner,
    run: Option<RunId>,
    parameters: Option<Arc<StreamParameters>>,
    /// Newest GOP that units were taken from.
    gop: Option<GopId>,
    is_open: bool,
    units: Vec<AccessUnit>,
    /// DTS of the first video unit of the open segment, in microseconds.
    first_dts_us: i64,
    /// DTS of its newest video unit, in microseconds.
    last_dts_us: i64,
}

impl Assembler {
    pub(crate) fn new(segment: Duration, fragment: Duration) -> Self {
        Self {
            planner: SegmentPlanner::new(segment, fragment),
            run: None,
            parameters: None,
            gop: None,
            is_open: false,
            units: Vec::new(),
            first_dts_us: 0,
            last_dts_us: 0,
        }
    }

    /// Whether a segment is open.
    pub(crate) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Newest GOP that units were taken from.
    pub(crate) const fn gop(&self) -> Option<GopId> {
        self.gop
    }

    pub(crate) fn push(&mut self, batch: Batch) -> Vec<Step> {
        let mut steps = Vec::new();
        if batch.missed_gops > 0 {
            self.end(&mut steps);
            steps.push(Step::Missed {
                gops: batch.missed_gops,
            });
        }
        if self.run != Some(batch.run) {
            self.end(&mut steps);
            self.run = Some(batch.run);
            self.parameters = None;
        }
        let mut has_new_parameters = self.parameters.as_ref().is_some_and(|known| {
            !Arc::ptr_eq(known, &batch.parameters) && *known != batch.parameters
        });
        self.parameters = Some(Arc::clone(&batch.parameters));
        self.gop = Some(batch.gop);
        for unit in batch.units {
            self.take(unit, std::mem::take(&mut has_new_parameters), &mut steps);
        }
        if let Some(reason) = batch.run_end {
            self.end(&mut steps);
            steps.push(Step::RunEnded { reason });
        }
        steps
    }

    fn take(&mut self, unit: AccessUnit, has_new_parameters: bool, steps: &mut Vec<Step>) {
        if unit.track == TrackKind::Audio {
            if self.is_open {
                self.units.push(unit);
            }
            return;
        }
        let dts_us = unit.dts.micros();
        if self.is_open && dts_us.saturating_sub(self.first_dts_us) > LONGEST_SEGMENT_US {
            self.end(steps);
        }
        if self.is_open {
            let has_hole = dts_us.saturating_sub(self.last_dts_us) > HOLE_US;
            let end_dts = (!has_hole).then_some(unit.dts.ticks);
            match self.planner.next(dts_us, unit.is_key, has_new_parameters) {
                Cut::None => {}
                Cut::Fragment => self.flush(end_dts, steps),
                Cut::Segment => {
                    self.flush(end_dts, steps);
                    steps.push(Step::End);
                    self.begin(&unit, steps);
                }
            }
        } else if unit.is_key {
            // The planner counts from here; its answer for a discontinuity is known.
            self.planner.next(dts_us, true, true);
            self.begin(&unit, steps);
        } else {
            return;
        }
        self.last_dts_us = dts_us;
        self.units.push(unit);
    }

    fn begin(&mut self, unit: &AccessUnit, steps: &mut Vec<Step>) {
        if let (Some(run), Some(parameters)) = (self.run, self.parameters.clone()) {
            self.is_open = true;
            self.first_dts_us = unit.dts.micros();
            steps.push(Step::Begin {
                run,
                parameters,
                wall: unit.wall,
                clock: unit.clock,
            });
        }
    }

    fn flush(&mut self, end_dts: Option<i64>, steps: &mut Vec<Step>) {
        let units = std::mem::take(&mut self.units);
        if !units.is_empty() {
            steps.push(Step::Fragment { units, end_dts });
        }
    }

    fn end(&mut self, steps: &mut Vec<Step>) {
        if self.is_open {
            self.flush(None, steps);
            steps.push(Step::End);
            self.is_open = false;
        }
    }

    /// Ends the open segment now: recording stops.
    pub(crate) fn finish(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        self.end(&mut steps);
        steps
    }

    /// Forgets the open segment, which could not be written; goes on at the next key frame.
    pub(crate) fn abandon(&mut self) {
        self.is_open = false;
        self.units.clear();
    }
}
