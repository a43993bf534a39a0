//! Recorded footage as a viewer is sent it: unit by unit, when each is due.

use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{RunId, TimeRange};
use framewell_playback::pace::{Pacer, Speed};
use framewell_playback::replay::{Replay, ReplayError, ReplayItem};
use std::sync::Arc;
use tokio::time::Instant;

/// Units of a GOP that are remembered for a viewer who lost some; longer GOPs are not sent again.
const MAX_GOP_UNITS: usize = 4_096;
/// Pictures of the past that one picture may need; more would be a GOP of many minutes.
const MAX_LEAD: usize = 20_000;

/// Units that are due.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) run: RunId,
    pub(super) parameters: Arc<StreamParameters>,
    pub(super) units: Vec<AccessUnit>,
    /// So many of the first are sent for the one behind them only.
    pub(super) lead: usize,
    /// A stretch begins: after a seek, a hole, or another run.
    pub(super) is_cut: bool,
}

/// What comes next of a replay.
#[derive(Debug)]
pub(super) enum Next {
    Units(Due),
    Gap(TimeRange),
    End,
    Failed(ReplayError),
}

/// A replay at a speed.
#[derive(Debug)]
pub(super) struct Recorded {
    replay: Replay,
    pacer: Pacer,
    speed: f64,
    stream: Option<(RunId, Arc<StreamParameters>)>,
    /// Pictures that the next shown one needs.
    lead: Vec<AccessUnit>,
    /// The next shown unit, and when it is due.
    held: Option<(AccessUnit, Instant)>,
    is_cut: bool,
    /// What was sent of the present GOP.
    gop: Vec<AccessUnit>,
}

impl Recorded {
    pub(super) fn new(replay: Replay, speed: f64) -> Self {
        Self {
            replay,
            pacer: Pacer::new(Speed::Times(speed)),
            speed,
            stream: None,
            lead: Vec::new(),
            held: None,
            is_cut: true,
            gop: Vec::new(),
        }
    }

    pub(super) const fn speed(&self) -> f64 {
        self.speed
    }

    pub(super) fn set_speed(&mut self, speed: f64) {
        self.speed = speed;
        self.pacer.set_speed(Speed::Times(speed));
        self.go_on();
    }

    /// After a pause: what comes next is due now.
    pub(super) fn go_on(&mut self) {
        self.pacer.restart();
        self.is_cut = true;
        if let Some((unit, due)) = &mut self.held {
            *due = self.pacer.due(unit, true, Instant::now());
        }
    }

    /// The present GOP again, for a viewer who lost some of it.
    pub(super) fn again(&self) -> Option<Next> {
        let (run, parameters) = self.stream.clone()?;
        let pictures = self
            .gop
            .iter()
            .filter(|unit| unit.track == TrackKind::Video);
        let lead = pictures.count().checked_sub(1)?;
        Some(Next::Units(Due {
            run,
            parameters,
            units: self.gop.clone(),
            lead,
            is_cut: false,
        }))
    }

    /// Waits for what is due next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            if let Some((_, due)) = &self.held {
                tokio::time::sleep_until(*due).await;
                if let Some(next) = self.take_held() {
                    return next;
                }
            }
            match self.replay.next().await {
                Ok(Some(ReplayItem::Begin { run, parameters })) => {
                    self.stream = Some((run, parameters));
                    self.pacer.restart();
                    self.is_cut = true;
                }
                Ok(Some(ReplayItem::Gap(range))) => {
                    self.pacer.restart();
                    self.is_cut = true;
                    return Next::Gap(range);
                }
                Ok(Some(ReplayItem::Unit { unit, is_shown })) => self.hold(unit, is_shown),
                Ok(None) => return Next::End,
                Err(error) => return Next::Failed(error),
            }
        }
    }

    fn hold(&mut self, unit: AccessUnit, is_shown: bool) {
        let is_picture = unit.track == TrackKind::Video;
        // Sound of another speed would be of another pitch.
        if !is_picture && (!is_shown || self.speed != 1.0) {
            return;
        }
        if is_shown {
            let due = self.pacer.due(&unit, true, Instant::now());
            self.held = Some((unit, due));
        } else if self.lead.len() < MAX_LEAD {
            self.lead.push(unit);
        }
    }

    fn take_held(&mut self) -> Option<Next> {
        let (unit, _) = self.held.take()?;
        let (run, parameters) = self.stream.clone()?;
        let mut units = std::mem::take(&mut self.lead);
        let lead = units.len();
        units.push(unit);
        for unit in &units {
            self.remember(unit);
        }
        Some(Next::Units(Due {
            run,
            parameters,
            units,
            lead,
            is_cut: std::mem::take(&mut self.is_cut),
        }))
    }

    fn remember(&mut self, unit: &AccessUnit) {
        if unit.track != TrackKind::Video {
            return;
        }
        if unit.is_key {
            self.gop.clear();
        } else if self.gop.is_empty() {
            // The key frame is not here: a GOP that was too long.
            return;
        }
        if self.gop.len() == MAX_GOP_UNITS {
            self.gop.clear();
            return;
        }
        self.gop.push(unit.clone());
    }
}
