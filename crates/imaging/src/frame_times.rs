//! When frames were captured, by their names: what an engine says about a frame id is checked with it.

use crate::{Error, Imaging};
use framewell_footage::{Footage, FramePlace, Piece};
use framewell_media::TrackKind;
use framewell_model::{ChannelId, FrameId, RunId, TimeRange, WallTime};
use std::collections::{HashMap, HashSet};

/// Most searches in the recording for one set of frames; frames of one segment take one.
const MOST_SEARCHES: usize = 1_000;

/// What a channel knows about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameTime {
    /// It was captured then.
    At(WallTime),
    /// It is the channel's, and neither in memory nor recorded.
    NotHeld,
    /// Its run is none of the channel's, or nothing of it is left.
    Unknown,
    /// Too many frames that lie far apart were asked for, so nobody looked for this one.
    NotSearched {
        /// Whether its run is known to be the channel's.
        is_own_run: bool,
    },
}

/// Looks up frames of one channel.
#[derive(Debug)]
pub struct FrameTimes {
    channel: ChannelId,
    footage: Footage,
    live: HashMap<FrameId, WallTime>,
    runs: HashSet<RunId>,
    pieces: Vec<Piece>,
    /// Frames that were searched in vain; no more than searches.
    not_held: HashSet<FrameId>,
    /// Runs that turned out to be none of the channel's; no more than searches.
    strange: HashSet<RunId>,
    searches_left: usize,
}

impl Imaging {
    /// A look at the frames that a channel holds now, live and recorded.
    #[must_use]
    pub fn frame_times(&self, channel: ChannelId) -> FrameTimes {
        let mut live = HashMap::new();
        let mut runs = HashSet::new();
        if let Some(track) = self.registry.get(channel) {
            runs.extend(track.source_state().borrow().run);
            for gop in track.gops() {
                runs.insert(gop.run);
                let video = gop.units.iter().filter(|u| u.track == TrackKind::Video);
                live.extend(video.map(|unit| {
                    let ticks = unit.pts.ticks;
                    (
                        FrameId {
                            run: gop.run,
                            ticks,
                        },
                        unit.wall,
                    )
                }));
            }
        }
        let always = TimeRange {
            start: WallTime::from_micros(i64::MIN),
            end: WallTime::from_micros(i64::MAX),
        };
        let pieces = self.footage.spool().pieces(channel, always);
        runs.extend(pieces.iter().map(|piece| piece.run));
        FrameTimes {
            channel,
            footage: self.footage.clone(),
            live,
            runs,
            pieces,
            not_held: HashSet::new(),
            strange: HashSet::new(),
            searches_left: MOST_SEARCHES,
        }
    }
}

impl FrameTimes {
    /// When a frame was captured. What was found is remembered, so that a question costs one search at most.
    pub async fn find(&mut self, frame: FrameId) -> Result<FrameTime, Error> {
        if let Some(at) = self.live.get(&frame) {
            return Ok(FrameTime::At(*at));
        }
        let known = self.pieces.iter().rev().find_map(|p| p.capture_of(frame));
        if let Some(at) = known {
            return Ok(FrameTime::At(at));
        }
        if self.not_held.contains(&frame) {
            return Ok(FrameTime::NotHeld);
        }
        if self.strange.contains(&frame.run) {
            return Ok(FrameTime::Unknown);
        }
        let Some(left) = self.searches_left.checked_sub(1) else {
            let is_own_run = self.runs.contains(&frame.run);
            return Ok(FrameTime::NotSearched { is_own_run });
        };
        self.searches_left = left;
        let found = self.footage.find_frame(self.channel, frame).await;
        let found = found.map_err(Error::Footage)?;
        if matches!(found, FramePlace::UnknownRun) && !self.runs.contains(&frame.run) {
            self.strange.insert(frame.run);
            return Ok(FrameTime::Unknown);
        }
        self.runs.insert(frame.run);
        if let FramePlace::In(piece) = found {
            let at = piece.capture_of(frame);
            self.pieces.push(*piece);
            if let Some(at) = at {
                return Ok(FrameTime::At(at));
            }
        }
        self.not_held.insert(frame);
        Ok(FrameTime::NotHeld)
    }
}
