//! Recorded footage, then live, as one sequence without a seam.
//!
//! It reads what is recorded until the ring has the next unit, and goes on there. Both keep the run and
//! the decode times of every unit, so nothing is told twice and nothing is left out. A reader that falls
//! out of the ring goes back to what is recorded.

use crate::Playback;
use crate::fragments::Cursor;
use crate::replay::{Replay, ReplayError, ReplayItem};
use framewell_footage::CONTINUITY_US;
use framewell_live::{Batch, Gop, GopId, Start, Subscriber, Track, Wake};
use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{ChannelId, RunId, TimeRange, WallTime};
use std::collections::VecDeque;
use std::sync::Arc;

/// Longest distance of two pictures that is a slow camera and no hole.
const MAX_STEP_US: i64 = 2_000_000;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// At the key frame that this moment needs.
    Time(WallTime),
    /// Exactly behind the units of this cursor.
    Cursor(Cursor),
}

/// What a unit is to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The reader has it already, by its cursor; what follows depends on it.
    Known,
    /// Before the wanted moment: needed to decode what follows.
    Lead,
    /// Wanted.
    Shown,
}

/// What comes next.
#[derive(Debug, Clone)]
pub enum CatchUpItem {
    /// The units from here on are of this run and have these parameters.
    Begin {
        /// The run.
        run: RunId,
        /// Its parameters from here on.
        parameters: Arc<StreamParameters>,
    },
    /// Nothing is there of this time.
    Gap(TimeRange),
    /// The next unit in decoding order.
    Unit {
        /// It.
        unit: AccessUnit,
        /// What it is to the reader.
        role: Role,
    },
    /// All that there was has been told; from here on units come as they are taken. Told again after the
    /// reader had to go back to the recording.
    Live,
}

/// Where units come from.
#[derive(Debug)]
enum Source {
    Recorded(Box<Replay>),
    /// The recording is to be opened where the reader is; if it has nothing more, the ring is all there is.
    Reopening,
    Ring {
        subscriber: Subscriber,
        is_live: bool,
    },
    /// The end that was asked for.
    Ended,
}

/// A reader of everything from a moment of the past on.
#[derive(Debug)]
pub struct CatchUp {
    playback: Playback,
    channel: ChannelId,
    /// `None` reads the recording alone.
    track: Option<Track>,
    source: Source,
    start: WallTime,
    /// The reader came with a cursor: it wants all that follows.
    is_resumed: bool,
    /// First wall time that is not wanted.
    end: Option<WallTime>,
    place: Place,
    /// Those that were told last.
    parameters: Option<Arc<StreamParameters>>,
    queue: VecDeque<CatchUpItem>,
}

/// How far a reader is.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The newest units that were told.
    cursor: Option<Cursor>,
    /// Capture time of the newest picture that was told, or the end of a gap.
    reaches: Option<WallTime>,
    /// Longest distance of two pictures so far, in microseconds.
    step_us: i64,
    /// The run that was begun last.
    run: Option<RunId>,
    /// Nothing was told since the source or the run changed.
    is_at_seam: bool,
    /// Whether something was told since the recording was opened.
    has_moved: bool,
}

impl Playback {
    /// Footage of a channel from a moment of the past on, recorded first, then live without a seam.
    /// With an `end` in the future it waits for it. [`ReplayError::Empty`] if there is nothing from there on.
    pub async fn catch_up(
        &self,
        channel: ChannelId,
        from: Beginning,
        end: Option<WallTime>,
    ) -> Result<CatchUp, ReplayError> {
        let (start, cursor) = match from {
            Beginning::Time(start) => (start, None),
            Beginning::Cursor(cursor) => (cursor.wall, Some(cursor)),
        };
        let mut reader = CatchUp {
            playback: self.clone(),
            channel,
            track: self.registry().get(channel),
            source: Source::Reopening,
            start,
            is_resumed: cursor.is_some(),
            end,
            place: Place {
                cursor,
                reaches: cursor.map(|cursor| cursor.wall),
                step_us: 0,
                run: None,
                is_at_seam: true,
                has_moved: false,
            },
            parameters: None,
            queue: VecDeque::new(),
        };
        reader.open().await?;
        Ok(reader)
    }
}

impl CatchUp {
    /// What comes next; `None` at the end that was asked for. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<CatchUpItem>, ReplayError> {
        loop {
            if let Some(item) = self.queue.pop_front() {
                return Ok(Some(item));
            }
            match &mut self.source {
                Source::Ended => return Ok(None),
                Source::Recorded(replay) => match replay.next().await? {
                    Some(item) => self.take(item),
                    None => self.leave_recording(),
                },
                Source::Reopening => self.reopen().await?,
                Source::Ring {
                    subscriber,
                    is_live,
                } => {
                    let batch = match subscriber.try_next() {
                        Some(batch) => batch,
                        None if self
                            .end
                            .is_some_and(|end| end <= self.playback.registry().now()) =>
                        {
                            self.finish();
                            continue;
                        }
                        None if !*is_live => {
                            *is_live = true;
                            return Ok(Some(CatchUpItem::Live));
                        }
                        None => subscriber.next(Wake::EveryUnit).await,
                    };
                    self.take_batch(batch);
                }
            }
        }
    }

    /// The ring if it has the start, else the recording.
    async fn open(&mut self) -> Result<(), ReplayError> {
        if let Some(gop) = self.gop_in_ring() {
            self.enter_ring(Start::Gop(gop));
            return Ok(());
        }
        let replay = self.playback.replay(self.channel, self.start, None);
        match replay.await {
            Ok(replay) => self.source = Source::Recorded(Box::new(replay)),
            // What the camera delivers is all that there is from the start on.
            Err(ReplayError::Empty { .. }) if self.is_delivered() => self.enter_ring(Start::Oldest),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether the ring has anything behind the start.
    fn is_delivered(&self) -> bool {
        let newest = self.track.as_ref().and_then(Track::newest_capture);
        newest.is_some_and(|newest| newest >= self.start)
    }

    /// The GOP of the ring that holds the newest unit that was told, or the start.
    fn gop_in_ring(&self) -> Option<GopId> {
        let track = self.track.as_ref()?;
        let gop = match self.place.cursor {
            None => track.gop_at(self.start)?,
            // Sound alone has no decode time of the video: it goes by the clock.
            Some(cursor) if cursor.video.is_none() => track
                .gop_at(cursor.wall)
                .filter(|gop| gop.run == cursor.run)?,
            Some(cursor) => {
                let holds = |gop: &Gop| {
                    let key = gop.units.first();
                    gop.run == cursor.run && key.is_some_and(|key| cursor.has(key))
                };
                track.gops().into_iter().rev().find(holds)?
            }
        };
        Some(gop.id)
    }

    fn enter_ring(&mut self, start: Start) {
        let Some(track) = &self.track else {
            self.finish();
            return;
        };
        self.source = Source::Ring {
            subscriber: track.subscribe(start),
            is_live: false,
        };
        self.place.is_at_seam = true;
        self.place.has_moved = false;
    }

    /// The recording has told all that it has.
    fn leave_recording(&mut self) {
        if let Some(gop) = self.gop_in_ring() {
            self.enter_ring(Start::Gop(gop));
        } else if self.place.has_moved {
            // The ring does not reach back to here. The recording has grown meanwhile, or there is a hole.
            self.source = Source::Reopening;
        } else if self
            .end
            .is_some_and(|end| end <= self.playback.registry().now())
        {
            self.finish();
        } else {
            self.enter_ring(Start::Oldest);
        }
    }

    async fn reopen(&mut self) -> Result<(), ReplayError> {
        let from = self.place.reaches.unwrap_or(self.start);
        match self.playback.replay(self.channel, from, None).await {
            Ok(replay) => {
                self.source = Source::Recorded(Box::new(replay));
                self.place.is_at_seam = true;
                self.place.has_moved = false;
            }
            Err(ReplayError::Empty { .. }) => {
                self.place.has_moved = false;
                self.leave_recording();
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The end is reached; what is missing before it is told.
    fn finish(&mut self) {
        self.source = Source::Ended;
        let Some((reaches, end)) = self.place.reaches.zip(self.end) else {
            return;
        };
        let slack_us = 2 * self.place.step_us + CONTINUITY_US;
        let hole = TimeRange::new(reaches, end.min(self.playback.registry().now()));
        if let Some(hole) = hole.filter(|hole| hole.micros() > slack_us) {
            self.queue.push_back(CatchUpItem::Gap(hole));
        }
    }

    fn take(&mut self, item: ReplayItem) {
        match item {
            ReplayItem::Begin { run, parameters } => self.begin(run, parameters),
            ReplayItem::Gap(gap) => self.gap(gap),
            ReplayItem::Unit { unit, is_shown } => self.unit(unit, is_shown),
        }
    }

    fn take_batch(&mut self, batch: Batch) {
        if batch.missed_gops > 0 && self.place.has_moved {
            // What the ring has overwritten may be recorded.
            self.source = Source::Reopening;
            return;
        }
        if batch.starts_gop {
            self.begin(batch.run, batch.parameters);
        }
        for unit in batch.units {
            self.unit(unit, false);
        }
    }

    fn begin(&mut self, run: RunId, parameters: Arc<StreamParameters>) {
        if self.place.run == Some(run) && self.parameters.as_ref() == Some(&parameters) {
            return;
        }
        if self.place.run != Some(run) {
            self.place.is_at_seam = true;
        }
        self.place.run = Some(run);
        self.parameters = Some(Arc::clone(&parameters));
        self.queue.push_back(CatchUpItem::Begin { run, parameters });
    }

    /// A hole that the recording knows, as far as the reader has not heard of it.
    fn gap(&mut self, gap: TimeRange) {
        let start = self.place.reaches.map_or(gap.start, |at| at.max(gap.start));
        let end = self.end.map_or(gap.end, |end| end.min(gap.end));
        if let Some(gap) = TimeRange::new(start, end).filter(|gap| gap.micros() > 0) {
            self.place.reaches = Some(gap.end);
            self.queue.push_back(CatchUpItem::Gap(gap));
        }
    }

    fn unit(&mut self, unit: AccessUnit, is_shown: bool) {
        let Some(run) = self.place.run else {
            return;
        };
        let role = match &self.place.cursor {
            Some(cursor) if cursor.run == run && cursor.has(&unit) => Role::Known,
            // Another run, over before the place of the reader.
            Some(cursor) if cursor.run != run && unit.wall <= cursor.wall => return,
            _ if is_shown || self.is_resumed || unit.wall >= self.start => Role::Shown,
            _ => Role::Lead,
        };
        if role == Role::Known {
            // What is told next follows on what the reader has.
            self.place.is_at_seam = false;
        } else {
            if self.end.is_some_and(|end| unit.wall >= end) {
                self.end_behind(&unit);
                return;
            }
            self.note_hole(&unit);
            self.pass(run, &unit);
        }
        self.queue.push_back(CatchUpItem::Unit { unit, role });
    }

    /// A unit behind the end came: nothing that is decoded after it is shown before its decode time.
    fn end_behind(&mut self, unit: &AccessUnit) {
        let early_us = unit.pts.micros().saturating_sub(unit.dts.micros());
        let decoded = unit.wall.plus_micros(-early_us);
        if unit.track == TrackKind::Video && self.end.is_some_and(|end| decoded >= end) {
            self.finish();
        }
    }

    /// A hole that nobody has told: between the recording and the ring, or behind a cursor.
    fn note_hole(&mut self, unit: &AccessUnit) {
        if unit.track != TrackKind::Video || !std::mem::take(&mut self.place.is_at_seam) {
            return;
        }
        let slack_us = 2 * self.place.step_us + CONTINUITY_US;
        let hole = self
            .place
            .reaches
            .and_then(|reaches| TimeRange::new(reaches, unit.wall));
        if let Some(hole) = hole.filter(|hole| hole.micros() > slack_us) {
            self.queue.push_back(CatchUpItem::Gap(hole));
            self.place.reaches = None;
        }
    }

    fn pass(&mut self, run: RunId, unit: &AccessUnit) {
        let place = &mut self.place;
        let mut cursor = place
            .cursor
            .filter(|cursor| cursor.run == run)
            .unwrap_or(Cursor::before(run, unit.wall));
        cursor.pass(unit);
        place.has_moved = true;
        if unit.track == TrackKind::Video {
            if let Some(reaches) = place.reaches {
                let step_us = unit.wall.micros_since(reaches);
                if (0..=MAX_STEP_US).contains(&step_us) {
                    place.step_us = place.step_us.max(step_us);
                }
            }
            place.reaches = Some(place.reaches.map_or(unit.wall, |at| at.max(unit.wall)));
        }
        place.cursor = Some(cursor);
    }
}
