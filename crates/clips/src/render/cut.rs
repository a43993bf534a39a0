//! From a replay to jobs that stand for themselves.

use super::gop::{Cutting, Gop};
use super::timeline::Timeline;
use crate::handler::Stop;
use framewell_decode::{JobSample, RenderFrame};
use framewell_jobs::Failure;
use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{TimeRange, WallTime};
use framewell_playback::replay::{Replay, ReplayItem};
use std::sync::Arc;

/// Pixels that one job encodes, about: a second or two of work.
const JOB_PIXELS: u64 = 90 << 20;
/// Fewest and most pictures of a job.
const JOB_PICTURES: std::ops::RangeInclusive<u64> = 8..=240;

/// A job, before anything is drawn.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) parameters: Arc<StreamParameters>,
    pub(crate) samples: Vec<JobSample>,
    /// In presentation order.
    pub(crate) frames: Vec<RenderFrame>,
    /// When each of the frames was captured.
    pub(crate) captured: Vec<WallTime>,
    /// Sound that came with these pictures, its times still those of the recording.
    pub(crate) sound: Vec<AccessUnit>,
    /// Where the sound is in the file: ticks of 90 kHz for its first unit. `None` without any.
    pub(crate) sound_at: Option<i64>,
    /// Sound of another run begins here: what follows does not continue it.
    pub(crate) starts_run: bool,
}

/// Cuts a replay.
#[derive(Debug)]
pub(crate) struct Cutter {
    replay: Replay,
    range: TimeRange,
    timeline: Timeline,
    parameters: Option<Arc<StreamParameters>>,
    gop: Gop,
    /// The sound behind a pause is placed anew.
    has_paused: bool,
    /// The group before, as far as its jobs are not made.
    cutting: Option<Cutting>,
    per_job: usize,
    keeps_sound: bool,
    /// What the replay left out.
    holes: Vec<TimeRange>,
    is_over: bool,
}

impl Cutter {
    /// `size` is that of the result; sound is kept if it plays as fast as it was recorded.
    pub(crate) fn new(replay: Replay, range: TimeRange, speed: f64, size: (u32, u32)) -> Self {
        let pixels = u64::from(size.0) * u64::from(size.1);
        let per_job =
            (JOB_PIXELS / pixels.max(1)).clamp(*JOB_PICTURES.start(), *JOB_PICTURES.end());
        Self {
            replay,
            range,
            timeline: Timeline::new(range, speed),
            parameters: None,
            gop: Gop::default(),
            has_paused: false,
            cutting: None,
            per_job: usize::try_from(per_job).unwrap_or(8),
            #[expect(clippy::float_cmp, reason = "exactly the default")]
            keeps_sound: speed == 1.0,
            holes: Vec::new(),
            is_over: false,
        }
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Piece>, Stop> {
        loop {
            if let Some(piece) = self.cutting.as_mut().and_then(Cutting::next) {
                return Ok(Some(piece));
            }
            self.cutting = None;
            if self.is_over {
                return Ok(None);
            }
            let item = self.replay.next().await;
            match item.map_err(|error| Stop::of(&error))? {
                Some(item) => self.take(item)?,
                None => {
                    self.is_over = true;
                    self.end_gop();
                }
            }
        }
    }

    /// Ends one group at most.
    fn take(&mut self, item: ReplayItem) -> Result<(), Failure> {
        match item {
            ReplayItem::Begin { parameters, .. } => {
                self.end_gop();
                self.parameters = Some(parameters);
                self.gop.starts_run = true;
            }
            // The camera may have paused within a group, which then goes on.
            ReplayItem::Gap(hole) => {
                self.timeline.skip(hole);
                self.holes.push(hole);
                self.has_paused = true;
            }
            ReplayItem::Unit { unit, .. } => match unit.track {
                TrackKind::Video => self.take_picture(unit)?,
                TrackKind::Audio => {
                    let is_inside = unit.wall >= self.range.start && unit.wall < self.range.end;
                    if self.keeps_sound && is_inside {
                        self.gop.add_sound(unit);
                    }
                }
            },
        }
        Ok(())
    }

    fn take_picture(&mut self, unit: AccessUnit) -> Result<(), Failure> {
        if unit.is_key && !self.gop.pictures.is_empty() {
            self.end_gop();
        }
        self.gop.add_picture(unit)
    }

    fn end_gop(&mut self) {
        let gop = std::mem::take(&mut self.gop);
        let Some(parameters) = self.parameters.clone() else {
            return;
        };
        let wanted = self.wanted(&gop.pictures).into();
        let sound_at = gop.sound.first().map(|unit| self.timeline.ticks(unit.wall));
        self.cutting = Some(Cutting {
            gop,
            parameters,
            wanted,
            sound_at,
            per_job: self.per_job,
        });
    }

    /// The pictures of a group that are shown, with their times in the file, in presentation order.
    fn wanted(&mut self, pictures: &[AccessUnit]) -> Vec<(RenderFrame, WallTime)> {
        let mut shown: Vec<&AccessUnit> = pictures
            .iter()
            .filter(|unit| unit.wall < self.range.end)
            .collect();
        shown.sort_by_key(|unit| unit.pts.ticks);
        // Of those from before the start only the last one is on screen then.
        let before = shown.partition_point(|unit| unit.wall <= self.range.start);
        shown.drain(..before.saturating_sub(1));
        let timeline = &mut self.timeline;
        let placed = shown.into_iter().filter_map(|unit| {
            let out_pts = timeline.place(unit.wall)?;
            Some((RenderFrame::plain(unit.pts.ticks, out_pts), unit.wall))
        });
        placed.collect()
    }

    /// What nothing was read of so far.
    pub(crate) fn holes(&self) -> &[TimeRange] {
        &self.holes
    }

    /// Length of the file so far, in 90,000ths of a second, if `end` is its end.
    pub(crate) fn ticks(&self, end: WallTime) -> i64 {
        self.timeline.ticks(end)
    }
}
