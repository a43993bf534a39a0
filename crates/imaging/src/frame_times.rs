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
}

/// Looks up frames of one channel.
#[derive(Debug)]
pub struct FrameTimes {
    channel: ChannelId,
    footage: Footage,
    live: HashMap<FrameId, WallTime>,
    runs: HashSet<RunId>,
    pieces: Vec<Piece>,
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
            searches_left: MOST_SEARCHES,
        }
    }
}

impl FrameTimes {
    /// When a frame was captured. [`Error::Invalid`] if too many were asked for that lie far apart.
    pub async fn find(&mut self, frame: FrameId) -> Result<FrameTime, Error> {
        if let Some(at) = self.live.get(&frame) {
            return Ok(FrameTime::At(*at));
        }
        let known = self.pieces.iter().rev().find_map(|p| p.capture_of(frame));
        if let Some(at) = known {
            return Ok(FrameTime::At(at));
        }
        let Some(left) = self.searches_left.checked_sub(1) else {
            return Err(Error::Invalid(format!(
                "the frames lie in more than {MOST_SEARCHES} places; send fewer at once"
            )));
        };
        self.searches_left = left;
        let found = self.footage.find_frame(self.channel, frame).await;
        Ok(match found.map_err(Error::Footage)? {
            FramePlace::In(piece) => {
                let at = piece.capture_of(frame);
                self.pieces.push(*piece);
                at.map_or(FrameTime::NotHeld, FrameTime::At)
            }
            FramePlace::NotRecorded => FrameTime::NotHeld,
            FramePlace::UnknownRun if self.runs.contains(&frame.run) => FrameTime::NotHeld,
            FramePlace::UnknownRun => FrameTime::Unknown,
        })
    }
}
