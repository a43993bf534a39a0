//! A recording played to one client: units of a replay become packets when they are due.
//!
//! There is nobody to share packets with, and nothing is lost to a slow reader: what is not taken is
//! not read from the store.

use crate::rtp::{Layout, Packed, Packetizer, ReplayMark, TrackStart};
use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{RunId, WallTime};
use framewell_playback::pace::{Pacer, Speed};
use framewell_playback::replay::{ROUNDING_US, Replay, ReplayError, ReplayItem};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// From the last picture to the packets that say that there are no more: over UDP those may overtake it.
const END_PAUSE: Duration = Duration::from_millis(100);

/// How a client wants a recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Manner {
    /// How fast; also the factor between captured time and RTP time, if it is paced.
    pub(super) speed: Speed,
    /// Whether each access unit says its capture time (ONVIF replay), and the byte that names the PLAY.
    pub(super) mark: Option<u8>,
}

impl Manner {
    /// Captured seconds for each second of RTP time.
    const fn times(self) -> f64 {
        match self.speed {
            Speed::Times(times) => times,
            Speed::Unpaced => 1.0,
        }
    }

    /// Sound at another speed is noise: it is sent at the recorded speed only.
    fn has_audio(self) -> bool {
        (self.times() - 1.0).abs() < f64::EPSILON
    }
}

/// A unit that is to be sent.
#[derive(Debug)]
struct Waiting {
    unit: AccessUnit,
    is_shown: bool,
    due: Option<Instant>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Player {
    replay: Replay,
    /// Run and parameters of the units that come.
    stream: Option<(RunId, Arc<StreamParameters>)>,
    packetizer: Packetizer,
    pacer: Pacer,
    manner: Manner,
    waiting: Option<Waiting>,
    /// Whether the next video unit is the first of a replay or behind a hole.
    is_discontinuous: bool,
    /// Capture time of what is sent next; before the first unit, of the first picture shown.
    position: WallTime,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Playing,
    /// Everything was sent; the ends of the tracks are to be told then.
    Ending(Instant),
    Ended,
}

impl Player {
    pub(super) fn new(replay: Replay, layout: Layout, manner: Manner) -> Self {
        let mut player = Self {
            position: replay.start(),
            replay,
            stream: None,
            packetizer: Packetizer::new(layout),
            pacer: Pacer::new(manner.speed),
            manner,
            waiting: None,
            is_discontinuous: true,
            state: State::Playing,
        };
        player.packetizer.jump(player.replay.key(), manner.times());
        player
    }

    /// Goes on with another replay. After the end the sources are new ones: the old have left.
    pub(super) fn seek(self, replay: Replay, manner: Manner) -> Self {
        if self.state != State::Playing {
            return Self::new(replay, self.packetizer.layout().clone(), manner);
        }
        let mut packetizer = self.packetizer;
        packetizer.jump(replay.key(), manner.times());
        Self {
            position: replay.start(),
            replay,
            stream: None,
            packetizer,
            pacer: Pacer::new(manner.speed),
            manner,
            waiting: None,
            is_discontinuous: true,
            state: State::Playing,
        }
    }

    /// Goes on where it stands, in another manner.
    pub(super) fn resume(&mut self, manner: Manner) {
        if manner.times() != self.manner.times() {
            self.packetizer.change_speed(self.position, manner.times());
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.due = None;
        }
        self.pacer.set_speed(manner.speed);
        self.manner = manner;
    }

    pub(super) const fn layout(&self) -> &Layout {
        self.packetizer.layout()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state != State::Playing
    }

    /// Capture time of what is sent next.
    pub(super) const fn position(&self) -> WallTime {
        self.position
    }

    /// For `RTP-Info`: the RTP times of [`Player::position`], and the numbers of the next packets. Within
    /// a GOP a picture is captured a tick before or behind the time that names it; it must not count as
    /// one before the position.
    pub(super) fn starts(&self) -> [TrackStart; 2] {
        let is_within = self.position > self.replay.key();
        let rounding_us = if is_within { -2 * ROUNDING_US } else { 0 };
        let wall = self.position.plus_micros(rounding_us);
        self.packetizer.starts_at(wall, self.replay.key())
    }

    /// Waits until packets are due: whole units, up to `max_bytes` if there is more than one. `None` once
    /// at the end, behind the packets that say so. Cancel-safe.
    pub(super) async fn next(
        &mut self,
        max_bytes: usize,
    ) -> Result<Option<Vec<Packed>>, ReplayError> {
        let mut frames = Vec::new();
        let mut bytes = 0;
        while self.state == State::Playing && bytes < max_bytes {
            if self.waiting.is_none() {
                if !frames.is_empty() && self.replay.peek().is_none() {
                    break;
                }
                self.step().await?;
                continue;
            }
            let Some(due) = self.due() else { continue };
            if due > Instant::now() {
                if !frames.is_empty() {
                    break;
                }
                tokio::time::sleep_until(due).await;
            }
            if let Some(frame) = self.take() {
                bytes += frame.wire.len();
                frames.push(frame);
            }
        }
        if frames.is_empty() {
            let State::Ending(due) = self.state else {
                return Ok(None);
            };
            tokio::time::sleep_until(due).await;
            self.state = State::Ended;
            frames.extend(self.packetizer.bye());
        }
        Ok(Some(frames))
    }

    /// Takes in one item of the replay.
    async fn step(&mut self) -> Result<(), ReplayError> {
        match self.replay.next().await? {
            None => self.state = State::Ending(Instant::now() + END_PAUSE),
            Some(ReplayItem::Gap(_)) => self.skip(),
            Some(ReplayItem::Begin { run, parameters }) => {
                self.skip();
                if Layout::of(&parameters).video != self.layout().video {
                    tracing::info!(
                        "the codec of a recording changes, rtsp client must describe again"
                    );
                    self.state = State::Ending(Instant::now() + END_PAUSE);
                }
                self.stream = Some((run, parameters));
            }
            Some(ReplayItem::Unit { unit, is_shown }) if self.is_sent(&unit) => {
                let due = None;
                self.waiting = Some(Waiting {
                    unit,
                    is_shown,
                    due,
                });
            }
            Some(ReplayItem::Unit { .. }) => {}
        }
        Ok(())
    }

    /// Time that was not recorded is not waited through, and clients are told where they are.
    fn skip(&mut self) {
        self.pacer.restart();
        self.packetizer.report_soon();
        self.is_discontinuous = true;
    }

    /// Whether the client was told of the track.
    fn is_sent(&self, unit: &AccessUnit) -> bool {
        unit.track == TrackKind::Video
            || (self.manner.has_audio()
                && self.stream.as_ref().is_some_and(|(_, parameters)| {
                    Layout::of(parameters).audio == self.layout().audio
                }))
    }

    /// When what waits is due.
    fn due(&mut self) -> Option<Instant> {
        let waiting = self.waiting.as_mut()?;
        let (unit, pacer) = (&waiting.unit, &mut self.pacer);
        let due = *waiting
            .due
            .get_or_insert_with(|| pacer.due(unit, waiting.is_shown, Instant::now()));
        Some(due)
    }

    /// The packets of what waits.
    fn take(&mut self) -> Option<Packed> {
        let Waiting { unit, is_shown, .. } = self.waiting.take()?;
        let (run, parameters) = self.stream.as_ref()?;
        if let Some(play) = self.manner.mark {
            let is_end = matches!(self.replay.peek(), Some(ReplayItem::Gap(_)));
            let is_video = unit.track == TrackKind::Video;
            let mark = ReplayMark {
                wall: unit.wall,
                is_clean: unit.is_key,
                is_end,
                is_discontinuous: is_video && self.is_discontinuous,
                play,
            };
            self.packetizer.mark(unit.track, mark);
        }
        if unit.track == TrackKind::Video {
            self.is_discontinuous = false;
            if is_shown {
                self.position = self.position.max(unit.wall);
            }
        }
        let starts_gop = unit.track == TrackKind::Video && unit.is_key;
        let packetizer = &mut self.packetizer;
        Some(packetizer.pack_unit(*run, parameters, &unit, starts_gop))
    }
}
