//! All tracks of this node.

use crate::{RingConfig, Track};
use framewell_model::{ChannelId, WallClock, WallTime};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The live tracks by channel; cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    tracks: Arc<RwLock<BTreeMap<ChannelId, Track>>>,
    config: RingConfig,
    clock: Arc<dyn WallClock>,
}

impl Registry {
    /// No tracks yet; each new one gets `config`.
    #[must_use]
    pub fn new(config: RingConfig, clock: Arc<dyn WallClock>) -> Self {
        Self {
            tracks: Arc::default(),
            config,
            clock,
        }
    }

    /// The track of a channel, made if there is none yet.
    #[must_use]
    pub fn track(&self, channel: ChannelId) -> Track {
        if let Some(track) = self.get(channel) {
            return track;
        }
        let mut tracks = self.tracks.write();
        tracks
            .entry(channel)
            .or_insert_with(|| Track::new(self.config, self.clock.now()))
            .clone()
    }

    /// What the time is, by the clock of the tracks.
    #[must_use]
    pub fn now(&self) -> WallTime {
        self.clock.now()
    }

    /// The track of a channel if it has one.
    #[must_use]
    pub fn get(&self, channel: ChannelId) -> Option<Track> {
        self.tracks.read().get(&channel).cloned()
    }

    /// Forgets a deleted channel; readers that hold its track keep it until they drop it.
    pub fn remove(&self, channel: ChannelId) {
        self.tracks.write().remove(&channel);
    }

    /// All channels with a track, ascending.
    #[must_use]
    pub fn channels(&self) -> Vec<(ChannelId, Track)> {
        self.tracks
            .read()
            .iter()
            .map(|(id, track)| (*id, track.clone()))
            .collect()
    }
}
