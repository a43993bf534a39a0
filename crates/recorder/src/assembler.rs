//! From batches of access units to fragments and segments. Sans-IO.

use framewell_live::{Batch, EndReason};
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

    /// Ends the open segment before a GOP that is not recorded, whose first picture gives the last one of
    /// the segment its duration.
    pub(crate) fn finish_before(&mut self, batch: &Batch) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut units = batch.units.iter();
        let next = units.find(|unit| unit.track == TrackKind::Video);
        let next = next.filter(|_| self.run == Some(batch.run) && batch.missed_gops == 0);
        let next =
            next.filter(|unit| unit.dts.micros().saturating_sub(self.last_dts_us) <= HOLE_US);
        if let Some(next) = next.filter(|_| self.is_open) {
            self.flush(Some(next.dts.ticks), &mut steps);
        }
        self.end(&mut steps);
        steps
    }

    /// Forgets the open segment, which could not be written; goes on at the next key frame.
    pub(crate) fn abandon(&mut self) {
        self.is_open = false;
        self.units.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use framewell_live::GopId;
    use framewell_media::{VideoCodec, VideoParameters};
    use framewell_model::{MediaTime, Timescale};
    use uuid::Uuid;

    fn parameters(width: u32) -> Arc<StreamParameters> {
        StreamParameters {
            video: VideoParameters {
                codec: VideoCodec::H264,
                width,
                height: 360,
                config: Bytes::new(),
                reorder_depth: 0,
                rfc6381: String::new(),
            },
            audio: None,
        }
        .into_shared()
    }

    fn run(n: u128) -> RunId {
        RunId::from_uuid(Uuid::from_u128(n))
    }

    /// A picture at 25 per second, or a sound between two of them.
    fn unit(track: TrackKind, n: i64, is_key: bool) -> AccessUnit {
        let time = MediaTime::new(n * 3_600, Timescale::HZ_90K);
        AccessUnit {
            track,
            pts: time,
            dts: time,
            wall: WallTime::from_micros(n * 40_000),
            clock: ClockSource::ServerArrival,
            is_key,
            data: Bytes::new(),
        }
    }

    /// A whole GOP of `len` pictures from picture `first` on.
    fn gop(id: GopId, first: i64, len: i64) -> Batch {
        let video = |n| unit(TrackKind::Video, n, n == first);
        Batch {
            gop: id,
            run: run(1),
            parameters: parameters(640),
            units: (first..first + len).map(video).collect(),
            starts_gop: true,
            is_closed: true,
            missed_gops: 0,
            run_end: None,
        }
    }

    /// One letter per step: `(` begin, fragments by length, `)` end, `m` missed, `e` run ended; a
    /// fragment with an unknown end has a `!`.
    fn sketch(steps: &[Step]) -> String {
        let letter = |step: &Step| match step {
            Step::Begin { .. } => "(".to_owned(),
            Step::Fragment { units, end_dts } => {
                let mark = if end_dts.is_none() { "!" } else { "" };
                format!("{}{mark} ", units.len())
            }
            Step::End => ")".to_owned(),
            Step::Missed { gops } => format!("m{gops} "),
            Step::RunEnded { .. } => "e".to_owned(),
        };
        steps.iter().map(letter).collect()
    }

    fn assembler() -> Assembler {
        Assembler::new(Duration::from_secs(2), Duration::from_secs(1))
    }

    fn push_all(assembler: &mut Assembler, batches: impl IntoIterator<Item = Batch>) -> String {
        let steps: Vec<Step> = batches
            .into_iter()
            .flat_map(|batch| assembler.push(batch))
            .collect();
        sketch(&steps)
    }

    #[test]
    fn a_fragment_is_written_when_the_next_picture_is_known() {
        let mut a = assembler();
        assert_eq!(push_all(&mut a, [gop(1, 0, 25)]), "(");
        assert_eq!(push_all(&mut a, [gop(2, 25, 25)]), "25 ");
        assert_eq!(push_all(&mut a, [gop(3, 50, 25)]), "25 )(");
        assert_eq!(sketch(&a.finish()), "25! )");
        assert_eq!(sketch(&a.finish()), "");
    }

    #[test]
    fn a_gop_that_is_not_wanted_ends_the_segment_and_times_its_last_picture() {
        let mut a = assembler();
        assert_eq!(push_all(&mut a, [gop(1, 0, 25), gop(2, 25, 10)]), "(25 ");
        assert_eq!(sketch(&a.finish_before(&gop(3, 35, 25))), "10 )");
        assert!(!a.is_open());
        assert_eq!(push_all(&mut a, [gop(4, 60, 25)]), "(");
        let after_a_hole = gop(5, 600, 25);
        assert_eq!(sketch(&a.finish_before(&after_a_hole)), "25! )");
        push_all(&mut a, [gop(6, 700, 5)]);
        let other_run = Batch {
            run: run(2),
            ..gop(7, 705, 25)
        };
        assert_eq!(sketch(&a.finish_before(&other_run)), "5! )");
    }

    #[test]
    fn the_end_of_a_run_closes_its_segment() {
        let mut a = assembler();
        let last = Batch {
            run_end: Some(EndReason::CameraLost),
            ..gop(2, 25, 5)
        };
        assert_eq!(push_all(&mut a, [gop(1, 0, 25), last]), "(25 5! )e");
        let next = Batch {
            run: run(2),
            ..gop(3, 0, 25)
        };
        assert_eq!(push_all(&mut a, [next]), "(");
    }

    #[test]
    fn a_new_run_or_new_parameters_start_a_segment_at_once() {
        let mut a = assembler();
        let other_run = Batch {
            run: run(2),
            ..gop(2, 0, 10)
        };
        let other_size = Batch {
            run: run(2),
            parameters: parameters(1280),
            ..gop(3, 10, 10)
        };
        let equal = Batch {
            run: run(2),
            parameters: parameters(1280),
            ..gop(4, 20, 10)
        };
        let sketched = push_all(&mut a, [gop(1, 0, 10), other_run, other_size, equal]);
        assert_eq!(sketched, "(10! )(10 )(10 ");
    }

    #[test]
    fn missed_gops_end_the_segment_before_them() {
        let mut a = assembler();
        let lagged = Batch {
            missed_gops: 3,
            ..gop(5, 100, 25)
        };
        assert_eq!(push_all(&mut a, [gop(1, 0, 25), lagged]), "(25! )m3 (");
    }

    #[test]
    fn a_long_pause_does_not_stretch_the_picture_before_it() {
        let mut a = assembler();
        let mut paused = gop(1, 0, 5);
        paused.units.push(unit(TrackKind::Video, 500, false));
        assert_eq!(push_all(&mut a, [paused]), "(5! ");
    }

    #[test]
    fn sound_goes_with_the_pictures_it_arrived_with() {
        let mut a = assembler();
        let mut first = gop(1, 0, 3);
        first.units.insert(1, unit(TrackKind::Audio, 0, true));
        first.units.push(unit(TrackKind::Audio, 2, true));
        assert_eq!(push_all(&mut a, [first, gop(2, 3, 3)]), "(5 ");
        let mut idle = assembler();
        let mut tail = gop(9, 0, 0);
        tail.starts_gop = false;
        tail.units = vec![
            unit(TrackKind::Audio, 2, true),
            unit(TrackKind::Video, 3, false),
        ];
        assert_eq!(push_all(&mut idle, [tail]), "", "no segment without a key");
    }

    #[test]
    fn a_stream_without_key_frames_does_not_make_an_endless_segment() {
        let mut a = assembler();
        let endless = gop(1, 0, 25 * 60 * 40);
        let sketched = push_all(&mut a, [endless]);
        assert!(sketched.ends_with(')'), "{sketched}");
        assert_eq!(sketched.matches('(').count(), 1);
        assert!(!a.is_open());
        assert_eq!(push_all(&mut a, [gop(2, 60_000, 25)]), "(");
    }

    #[test]
    fn after_a_failed_write_it_goes_on_at_the_next_key_frame() {
        let mut a = assembler();
        push_all(&mut a, [gop(1, 0, 25)]);
        a.abandon();
        let mut rest = gop(1, 25, 5);
        rest.starts_gop = false;
        rest.units[0].is_key = false;
        assert_eq!(push_all(&mut a, [rest, gop(2, 30, 25)]), "(");
    }
}
