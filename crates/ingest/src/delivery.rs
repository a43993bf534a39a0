//! From frames, of a camera or of a publisher, to access units in the channel's track: no sockets, no
//! waiting.

use crate::audio::{AudioClock, Report};
use crate::jump::JumpDetector;
use crate::one_clock::{Correction, OneClock, Window};
use crate::status::StatusBoard;
use bytes::Bytes;
use framewell_live::{EndReason, SourceClock, Track};
use framewell_media::nal::{self, NalKind};
use framewell_media::{
    AccessUnit, AudioParameters, ClockReading, ClockWatch, DtsEstimator, Placement,
    StreamParameters, Timeline, TimelineConfig, TrackKind, VideoParameters,
};
use framewell_model::{ChannelStatus, MediaTime, RunId, StreamOffset, Timescale, WallTime};
use std::sync::Arc;
use uuid::Uuid;

/// Audio further than this from the newest picture does not belong to it.
const MAX_AUDIO_DISTANCE_US: i64 = 10_000_000;

/// Capture times of a sub stream that are put right by more than this begin a new run; less is smoothed away
/// within one.
const MAX_CORRECTION_US: i64 = 200_000;

/// A video frame as it came.
#[derive(Debug)]
pub(crate) struct VideoInput {
    /// Unwrapped RTP time, 90 kHz.
    pub(crate) ticks: i64,
    /// The same since the start of play.
    pub(crate) npt_ticks: i64,
    /// When to decode it, on the clock of `ticks`, if the source says so.
    pub(crate) dts_ticks: Option<i64>,
    pub(crate) data: Bytes,
    pub(crate) arrival: WallTime,
}

/// An audio frame as it came.
#[derive(Debug)]
pub(crate) struct AudioInput {
    /// Unwrapped RTP time in samples.
    pub(crate) ticks: i64,
    /// The same since the start of play.
    pub(crate) npt_ticks: i64,
    pub(crate) data: Bytes,
    pub(crate) arrival: WallTime,
}

/// One session's writer into the track.
#[derive(Debug)]
pub(crate) struct Delivery {
    track: Track,
    status: StatusBoard,
    audio: Option<AudioParameters>,
    parameters: Option<Arc<StreamParameters>>,
    run: Option<Run>,
    /// How many have begun.
    runs: u64,
    video_report: Option<Report>,
    audio_report: Option<Report>,
    /// Of a sub stream only.
    one_clock: Option<OneClock>,
}

/// What holds from one discontinuity of the camera's clock to the next.
#[derive(Debug)]
struct Run {
    /// RTP time of the first picture.
    origin: i64,
    /// Since the start of play.
    start_us: i64,
    id: RunId,
    timeline: Timeline,
    clock: ClockWatch,
    /// How long key frames took from their capture times until they were here.
    lateness: Window,
    correction: Correction,
    dts: DtsEstimator,
    jump: JumpDetector,
    /// `None` without audio, and until the key frame with which announced audio begins.
    audio: Option<AudioClock>,
    last_dts: Option<i64>,
    /// Media time of the newest picture, in RTP time and microseconds of the run.
    newest_ticks: i64,
}

impl Delivery {
    pub(crate) const fn new(
        track: Track,
        status: StatusBoard,
        audio: Option<AudioParameters>,
    ) -> Self {
        Self {
            track,
            status,
            audio,
            parameters: None,
            run: None,
            runs: 0,
            video_report: None,
            audio_report: None,
            one_clock: None,
        }
    }

    /// Capture times are to be on the clock of this track: the main stream of the same camera.
    pub(crate) fn on_clock_of(mut self, main: Option<Track>) -> Self {
        self.one_clock = main.map(OneClock::new);
        self
    }

    /// Takes in new video parameters, valid from the next key frame on.
    pub(crate) fn set_video(&mut self, video: VideoParameters) {
        if self.parameters.as_ref().is_some_and(|p| p.video == video) {
            return;
        }
        self.announce(video);
    }

    /// Takes in new audio parameters, or none, valid from the next key frame on: the parameters of a GOP
    /// are constant. Frames are left out until then.
    pub(crate) fn set_audio(&mut self, audio: Option<AudioParameters>) {
        if self.audio == audio {
            return;
        }
        self.audio = audio;
        if let Some(run) = &mut self.run {
            run.audio = None;
        }
        if let Some(video) = self.parameters.as_ref().map(|p| p.video.clone()) {
            self.announce(video);
        }
    }

    fn announce(&mut self, video: VideoParameters) {
        let audio = self.audio.clone();
        let parameters = StreamParameters { video, audio }.into_shared();
        self.parameters = Some(Arc::clone(&parameters));
        if self.run.is_some() {
            self.track.set_parameters(parameters);
        }
    }

    /// The video parameters that were taken in last.
    pub(crate) fn video_parameters(&self) -> Option<&VideoParameters> {
        self.parameters.as_ref().map(|p| &p.video)
    }

    /// Whether a run is open: the camera has given a key frame.
    pub(crate) const fn is_active(&self) -> bool {
        self.run.is_some()
    }

    /// How many runs have begun.
    pub(crate) const fn runs(&self) -> u64 {
        self.runs
    }

    /// The session is over.
    pub(crate) fn end(&mut self, reason: EndReason) {
        if self.run.take().is_some() {
            self.track.end_run(reason);
        }
    }

    /// A sender report of the video track.
    pub(crate) fn video_report(&mut self, report: Report) {
        self.video_report = Some(report);
        if let Some(run) = &mut self.run {
            self.track.set_clock(run.take_report(report));
        }
    }

    /// A sender report of the audio track.
    pub(crate) fn audio_report(&mut self, report: Report) {
        self.audio_report = Some(report);
        self.align_audio();
    }

    /// A frame of the video track.
    pub(crate) fn video(&mut self, input: VideoInput) {
        let Some(parameters) = &self.parameters else {
            return;
        };
        let codec = parameters.video.codec;
        let data = without_delimiter(codec, input.data);
        if data.is_empty() {
            return;
        }
        // The RTSP client knows only IDR pictures; H.265 cameras begin GOPs with CRA ones, too.
        let is_key = nal::is_key(codec, &data);
        if let Some(run) = &mut self.run
            && run.jump.is_jump(input.ticks - run.origin, input.arrival)
        {
            self.forget_reports_before(input.ticks);
            self.end(EndReason::TimeJump);
        }
        if self.run.is_none() {
            if !is_key {
                let detail = String::from("waiting for a key frame");
                self.status.failed(ChannelStatus::Offline, detail);
                return;
            }
            self.begin_run(input.ticks, input.npt_ticks, input.arrival);
        }
        if is_key {
            self.follow_main_clock(input.ticks, input.npt_ticks, input.arrival);
        }
        let Some(run) = &mut self.run else {
            return;
        };
        let pts = run.media(input.ticks);
        if pts.ticks < 0 {
            // A picture that is shown before the first key frame refers to pictures we do not have.
            return;
        }
        run.newest_ticks = input.ticks;
        let starts_audio = is_key && run.audio.is_none() && self.audio.is_some();
        if starts_audio {
            run.audio = self.audio.as_ref().map(|a| AudioClock::new(a.timescale()));
        }
        let dts = MediaTime::new(run.decode_time(pts.ticks, input.dts_ticks), pts.scale);
        let placement = run.place(pts, is_key, input.arrival);
        if is_key {
            run.lateness
                .push(input.arrival.micros_since(placement.wall));
            if let Some(lateness) = run.lateness.lateness() {
                self.track.set_lateness(lateness);
            }
        }
        self.track.push(AccessUnit {
            track: TrackKind::Video,
            pts,
            dts,
            wall: placement.wall,
            clock: placement.clock,
            is_key,
            data,
        });
        if starts_audio {
            self.align_audio();
        }
    }

    /// A frame of the audio track; left out before the first picture.
    pub(crate) fn audio(&mut self, input: AudioInput) {
        let Some(run) = &mut self.run else {
            return;
        };
        let Some(clock) = &mut run.audio else {
            return;
        };
        let Some(pts) = clock.place(input.ticks, input.npt_ticks, run.start_us) else {
            return;
        };
        let newest_us = run.media(run.newest_ticks).micros();
        if (pts.micros() - newest_us).abs() > MAX_AUDIO_DISTANCE_US {
            return;
        }
        let placement = run.place(pts, false, input.arrival);
        self.track.push(AccessUnit {
            track: TrackKind::Audio,
            pts,
            dts: pts,
            wall: placement.wall,
            clock: placement.clock,
            is_key: true,
            data: input.data,
        });
    }

    /// Of a sub stream: looks at both clocks. Times that are put right by much begin a new run, so that capture
    /// times of one run go on without a step.
    fn follow_main_clock(&mut self, ticks: i64, npt_ticks: i64, arrival: WallTime) {
        let (Some(one_clock), Some(run)) = (&mut self.one_clock, &self.run) else {
            return;
        };
        let own = run.clock.reading().map(|reading| run.source_clock(reading));
        let late = run.lateness.lateness();
        let found = one_clock.look(own, late, run.id, arrival);
        let correction = one_clock.correction();
        if run.correction != correction {
            let step_us = found.map_or(0, |found| found.step_us);
            // The run that begins with this very picture has no other.
            if step_us > MAX_CORRECTION_US && run.last_dts.is_some() {
                self.end(EndReason::TimeJump);
                self.begin_run(ticks, npt_ticks, arrival);
            } else if let Some(run) = &mut self.run {
                run.correct(correction, self.video_report);
            }
        }
        if let (Some(found), Some(run)) = (found, &self.run) {
            let run = run.id;
            self.track.set_offset(StreamOffset {
                run,
                ..found.offset
            });
        }
    }

    fn begin_run(&mut self, ticks: i64, npt_ticks: i64, arrival: WallTime) {
        let Some(parameters) = &self.parameters else {
            return;
        };
        let id = RunId::from_uuid(Uuid::now_v7());
        let mut run = Run {
            id,
            origin: ticks,
            start_us: Timescale::HZ_90K.to_micros(npt_ticks),
            timeline: Timeline::new(TimelineConfig::default()),
            clock: ClockWatch::default(),
            lateness: Window::default(),
            correction: self
                .one_clock
                .as_ref()
                .map_or(Correction::NONE, OneClock::correction),
            dts: DtsEstimator::new(parameters.video.reorder_depth),
            jump: JumpDetector::new(0, arrival),
            audio: self.audio.as_ref().map(|a| AudioClock::new(a.timescale())),
            last_dts: None,
            newest_ticks: ticks,
        };
        if let Some(report) = self.video_report {
            self.track.set_clock(run.take_report(report));
        }
        self.track.begin_run(id, Arc::clone(parameters));
        self.run = Some(run);
        self.runs += 1;
        self.align_audio();
        self.status.active(id);
    }

    /// Media time jumped to `ticks`: a report from before the jump would relate the wrong clocks.
    /// One that is nearer to the new time than to the old came with it.
    fn forget_reports_before(&mut self, ticks: i64) {
        let before = self.run.as_ref().map_or(ticks, |run| run.newest_ticks);
        self.video_report = self.video_report.filter(|report| {
            let distance = |to: i64| report.ticks.saturating_sub(to).saturating_abs();
            distance(ticks) < distance(before)
        });
        self.audio_report = None;
    }

    fn align_audio(&mut self) {
        if let (Some(run), Some(video), Some(audio)) =
            (&mut self.run, self.video_report, self.audio_report)
        {
            let video_us = run.media(video.ticks).micros();
            if let Some(clock) = &mut run.audio {
                clock.align(video, video_us, audio);
            }
        }
    }
}

impl Run {
    /// Takes in a sender report of the video track; what is known of the camera's clock then.
    fn take_report(&mut self, report: Report) -> SourceClock {
        self.believe(report);
        self.clock.observe(report.ntp, report.arrival);
        let reading = self.clock.reading().expect("a report was observed");
        self.source_clock(reading)
    }

    /// Tells the timeline of a report, as far as it counts.
    fn believe(&mut self, report: Report) {
        if self.correction.has_reports {
            let media = self.media(report.ticks);
            let ntp = report.ntp.plus_micros(-self.correction.report_us);
            self.timeline.sender_report(ntp, media, report.arrival);
        }
    }

    /// Changes the correction, for what is placed from the next key frame on.
    fn correct(&mut self, correction: Correction, report: Option<Report>) {
        self.correction = correction;
        self.timeline.forget_reports();
        if let Some(report) = report {
            self.believe(report);
        }
    }

    fn place(&mut self, pts: MediaTime, starts_gop: bool, arrival: WallTime) -> Placement {
        let arrival = arrival.plus_micros(-self.correction.arrival_us);
        self.timeline.place(pts, starts_gop, arrival)
    }

    fn source_clock(&self, reading: ClockReading) -> SourceClock {
        let most = TimelineConfig::default().max_clock_offset.as_micros();
        SourceClock {
            run: self.id,
            reading,
            is_used: u128::from(reading.offset_us.unsigned_abs()) <= most,
        }
    }

    /// Media time of the run for an RTP time of the video track.
    const fn media(&self, ticks: i64) -> MediaTime {
        MediaTime::new(ticks.saturating_sub(self.origin), Timescale::HZ_90K)
    }

    /// Decode time of a picture: what the source says, as far as it is possible, else what follows from
    /// the order of the pictures. It rises with every picture.
    fn decode_time(&mut self, pts_ticks: i64, given_ticks: Option<i64>) -> i64 {
        let wanted = match given_ticks {
            Some(ticks) => ticks.saturating_sub(self.origin).min(pts_ticks),
            None => self.dts.place(pts_ticks),
        };
        let dts = match self.last_dts {
            Some(last) => wanted.max(last.saturating_add(1)),
            None => wanted,
        };
        self.last_dts = Some(dts);
        dts
    }
}

/// Access unit delimiters carry nothing that a container does not; the first NAL unit is one or none
/// is (ITU-T H.264 section 7.4.1.2.3).
fn without_delimiter(codec: framewell_media::VideoCodec, data: Bytes) -> Bytes {
    let first = nal::split_length_prefixed(&data).next();
    match first {
        Some(unit) if nal::kind(codec, &unit) == NalKind::Delimiter => data.slice(4 + unit.len()..),
        _ => data,
    }
}
