//! From units to fragments, without I/O.
//!
//! The clock of the stream is the wall clock: media time 0 is 1970-01-01T00:00:00Z, and the key frame of
//! each GOP stands at its capture time. So the timeline is the same for whoever joins when, live or
//! recorded, and a hole in the footage is a hole of that length in the timeline.

use super::cursor::Cursor;
use super::piece::{CURSOR_BOX, Init, Piece, Tracks};
use bytes::{Bytes, BytesMut};
use framewell_fmp4::{FileClock, build_fragment, build_user_box};
use framewell_footage::CONTINUITY_US;
use framewell_media::{AccessUnit, AudioParameters, StreamParameters, TrackKind};
use framewell_model::{MediaTime, RunId, TimeRange, Timescale, WallTime};
use std::sync::Arc;

/// A frame at 25 Hz, in 90 kHz ticks: the distance of pictures before any is known.
const USUAL_STEP: i64 = 3_600;
/// Distances of pictures looked back on for the duration of one whose successor is not known.
const STEPS: usize = 16;
/// A pause in the pictures is no duration, in 90 kHz ticks.
const MAX_STEP: i64 = 2 * 90_000;
/// Sound waits this long for a picture to travel with. It counts in media time, so that all who cut the
/// same units cut them alike.
const MAX_AUDIO_WAIT_US: i64 = 100_000;
/// A fragment of a recording ends at this many bytes.
const MAX_RECORDED_BYTES: usize = 512 << 10;
/// Times that run back by less than this are moved forward, in 90 kHz ticks: the mapping from media to
/// wall time is corrected by parts of a frame at key frames. A clock that was set back is told as it is.
const MAX_MOVE: i64 = 90_000;

/// Where fragments end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// Behind each picture, at once. Its duration is a guess: the longest of the last distances, because
    /// browsers take a picture that comes later than two durations for the end of the stream.
    EachPicture,
    /// At key frames, and in between when this many microseconds have gathered.
    Span(i64),
}

/// When the newest samples of the stream are decoded, in ticks of the stream.
#[derive(Debug, Clone, Copy, Default)]
struct Newest {
    video: Option<i64>,
    audio: Option<i64>,
}

/// Ticks of the run at which the clock of the stream starts.
#[derive(Debug, Clone, Copy)]
struct Origins {
    video: i64,
    audio: i64,
}

/// The run that is being cut.
#[derive(Debug)]
struct Run {
    id: RunId,
    parameters: Arc<StreamParameters>,
    /// `None` if it has none of the wanted tracks.
    init: Option<Arc<Init>>,
    /// Since the key frame of the open GOP.
    origins: Option<Origins>,
    cursor: Option<Cursor>,
    newest_dts: Option<i64>,
}

/// Cuts the units of one channel.
#[derive(Debug)]
pub(crate) struct Chunker {
    tracks: Tracks,
    grouping: Grouping,
    run: Option<Run>,
    steps: [i64; STEPS],
    step_at: usize,
    newest: Newest,
    /// End of the newest picture.
    reaches: Option<WallTime>,
    pending: Vec<AccessUnit>,
    pending_bytes: usize,
    sequence: u32,
    pictures: u64,
}

impl Chunker {
    pub(crate) const fn new(tracks: Tracks, grouping: Grouping) -> Self {
        Self {
            tracks,
            grouping,
            run: None,
            steps: [0; STEPS],
            step_at: 0,
            newest: Newest {
                video: None,
                audio: None,
            },
            reaches: None,
            pending: Vec::new(),
            pending_bytes: 0,
            sequence: 1,
            pictures: 0,
        }
    }

    pub(crate) const fn set_grouping(&mut self, grouping: Grouping) {
        self.grouping = grouping;
    }

    /// The stream was not without a hole until here, as far as its reader is concerned.
    pub(crate) const fn forget_end(&mut self) {
        self.reaches = None;
    }

    /// Where a client is that has all that was cut.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.run.as_ref()?.cursor
    }

    /// The units from now on are of this run and have these parameters.
    pub(crate) fn begin(
        &mut self,
        id: RunId,
        parameters: &Arc<StreamParameters>,
        out: &mut Vec<Piece>,
    ) {
        let is_same = |run: &Run| {
            run.id == id
                && (Arc::ptr_eq(&run.parameters, parameters) || run.parameters == *parameters)
        };
        if self.run.as_ref().is_some_and(is_same) {
            return;
        }
        self.flush(None, out);
        let before = self.run.take();
        let init = before.as_ref().and_then(|run| run.init.clone());
        let init = init.filter(|init| init.serves(parameters));
        let init = init.or_else(|| Init::new(parameters, self.tracks).map(Arc::new));
        let before = before.filter(|run| run.id == id);
        if before.is_none() {
            self.steps = [0; STEPS];
        }
        self.run = Some(Run {
            id,
            parameters: Arc::clone(parameters),
            init,
            origins: None,
            cursor: before.as_ref().and_then(|run| run.cursor),
            newest_dts: before.and_then(|run| run.newest_dts),
        });
    }

    /// A unit that the client has already: nothing is sent, but what follows depends on it.
    pub(crate) fn pass(&mut self, unit: &AccessUnit) {
        self.learn(unit);
        self.note_end(unit);
        if let Some(run) = self.run.as_mut().filter(|_| self.tracks.has(unit.track)) {
            let cursor = run.cursor.get_or_insert(Cursor::before(run.id, unit.wall));
            cursor.pass(unit);
        }
    }

    /// The next unit.
    pub(crate) fn push(&mut self, unit: AccessUnit, out: &mut Vec<Piece>) {
        let is_video = unit.track == TrackKind::Video;
        if is_video && self.has_to_flush_before(&unit) {
            self.flush(Some(unit.dts.ticks), out);
        } else if is_video && unit.is_key && self.tracks == Tracks::Audio {
            // Sound alone is cut alike by all who cut it from the next key frame on.
            self.flush(None, out);
        }
        self.learn(&unit);
        let run = self.run.as_ref();
        if run.is_none_or(|run| run.init.is_none() || run.origins.is_none()) {
            return;
        }
        if !self.tracks.has(unit.track) {
            return;
        }
        self.pending_bytes += unit.data.len();
        self.pending.push(unit);
        if (is_video && self.grouping == Grouping::EachPicture) || self.is_audio_late() {
            self.flush(None, out);
        }
    }

    /// Sends what is held back. `next_dts` of the next picture of the same run.
    pub(crate) fn flush(&mut self, next_dts: Option<i64>, out: &mut Vec<Piece>) {
        let units = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        if !units.is_empty() {
            out.extend(self.build(&units, next_dts));
        }
    }

    /// How much is held back, in microseconds of capture time.
    fn held_us(&self) -> i64 {
        match (self.pending.first(), self.pending.last()) {
            (Some(first), Some(last)) => last.wall.micros_since(first.wall),
            _ => 0,
        }
    }

    fn has_to_flush_before(&self, unit: &AccessUnit) -> bool {
        let Grouping::Span(span_us) = self.grouping else {
            return false;
        };
        let is_video = |unit: &AccessUnit| unit.track == TrackKind::Video;
        if !self.pending.iter().any(is_video) {
            return false;
        }
        unit.is_key
            || unit.wall.micros_since(self.pending[0].wall) >= span_us
            || self.pending_bytes >= MAX_RECORDED_BYTES
    }

    /// Whether only sound is held back, and too much of it.
    fn is_audio_late(&self) -> bool {
        let wait_us = match self.grouping {
            Grouping::EachPicture => MAX_AUDIO_WAIT_US,
            Grouping::Span(span_us) => span_us.max(MAX_AUDIO_WAIT_US),
        };
        let is_audio = |unit: &AccessUnit| unit.track == TrackKind::Audio;
        self.held_us() >= wait_us && self.pending.iter().all(is_audio)
    }

    /// Takes in what a picture says about the clock and the distance of pictures.
    fn learn(&mut self, unit: &AccessUnit) {
        let Some(run) = self.run.as_mut().filter(|_| unit.track == TrackKind::Video) else {
            return;
        };
        let step = run.newest_dts.map(|before| unit.dts.ticks - before);
        run.newest_dts = Some(unit.dts.ticks);
        if unit.is_key {
            run.origins = Some(origins_at(unit, run.parameters.audio.as_ref()));
        }
        if let Some(step) = step.filter(|step| (1..=MAX_STEP).contains(step)) {
            self.steps[self.step_at] = step;
            self.step_at = (self.step_at + 1) % STEPS;
        }
    }

    /// The longest of the last distances of pictures.
    fn usual_step(&self) -> i64 {
        let longest = self.steps.iter().copied().max().unwrap_or(0);
        if longest > 0 { longest } else { USUAL_STEP }
    }

    fn note_end(&mut self, unit: &AccessUnit) {
        if unit.track == TrackKind::Video || self.tracks == Tracks::Audio {
            let frame_us = Timescale::HZ_90K.to_micros(self.usual_step());
            let end = unit.wall.plus_micros(frame_us);
            self.reaches = Some(self.reaches.map_or(end, |reaches| reaches.max(end)));
        }
    }

    fn build(&mut self, units: &[AccessUnit], next_dts: Option<i64>) -> Option<Piece> {
        let clock = self.clock_for(units)?;
        let is_video = |unit: &&AccessUnit| unit.track == TrackKind::Video;
        let first = units.iter().find(is_video).or(units.first())?;
        let last_video = units.iter().rev().find(is_video);
        let guess = last_video.map(|unit| unit.dts.ticks + self.usual_step());
        let start = units.iter().map(|unit| unit.wall).min()?;
        let hole = self
            .reaches
            .and_then(|reaches| TimeRange::new(reaches, start))
            .filter(|hole| hole.micros() > CONTINUITY_US);
        for unit in units {
            self.note_end(unit);
        }
        let pictures_before = self.pictures;
        let pictures = units.iter().filter(is_video).count() as u64;
        self.pictures += pictures;
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let run = self.run.as_mut()?;
        let cursor = run
            .cursor
            .get_or_insert_with(|| Cursor::before(run.id, first.wall));
        for unit in units {
            cursor.pass(unit);
        }
        let cursor = *cursor;
        let fragment = build_fragment(&clock, sequence, &run.parameters, units, next_dts.or(guess));
        let name = build_user_box(&CURSOR_BOX, cursor.to_string().as_bytes());
        let wire = join(&name, &fragment.header, &fragment.payload);
        Some(Piece {
            wire,
            init: run.init.clone()?,
            run: run.id,
            cursor,
            is_key: first.is_key,
            wall: first.wall,
            hole,
            pictures_before,
            pictures,
        })
    }

    /// The clock of a fragment with these units, and where the stream is behind them. Decode times of the
    /// stream rise.
    fn clock_for(&mut self, units: &[AccessUnit]) -> Option<FileClock> {
        let mut origins = self.run.as_ref()?.origins?;
        let place = |kind: TrackKind, origin: &mut i64, newest: &mut Option<i64>| {
            let mut of_track = units.iter().filter(|unit| unit.track == kind);
            let Some(first) = of_track.next() else {
                return;
            };
            let start = first.dts.ticks - *origin;
            let behind = newest.map_or(0, |newest| newest + 1 - start);
            if (1..MAX_MOVE).contains(&behind) {
                *origin -= behind;
            }
            let last = of_track.next_back().unwrap_or(first);
            *newest = Some(last.dts.ticks - *origin);
        };
        place(TrackKind::Video, &mut origins.video, &mut self.newest.video);
        place(TrackKind::Audio, &mut origins.audio, &mut self.newest.audio);
        Some(FileClock::at(origins.video, origins.audio))
    }
}

/// Where the clock of the stream starts, so that this key frame stands at its capture time.
fn origins_at(key: &AccessUnit, audio: Option<&AudioParameters>) -> Origins {
    let ticks = i128::from(key.wall.micros()) * 9 / 100;
    let ticks = i64::try_from(ticks).unwrap_or(0);
    let video = key.pts.ticks.saturating_sub(ticks);
    let scale = audio.map_or(Timescale::HZ_90K, AudioParameters::timescale);
    Origins {
        video,
        audio: MediaTime::new(video, Timescale::HZ_90K)
            .rescale(scale)
            .ticks,
    }
}

fn join(name: &[u8], header: &[u8], payload: &[Bytes]) -> Bytes {
    let bytes: usize = payload.iter().map(Bytes::len).sum();
    let mut wire = BytesMut::with_capacity(name.len() + header.len() + bytes);
    wire.extend_from_slice(name);
    wire.extend_from_slice(header);
    for part in payload {
        wire.extend_from_slice(part);
    }
    wire.freeze()
}

#[cfg(test)]
#[path = "chunker_tests.rs"]
mod tests;
