//! What several channels have in common: an instant that all of them have reached.

use crate::Imaging;
use crate::live::is_active;
use framewell_live::Track;
use framewell_media::TrackKind;
use framewell_model::{ChannelId, WallTime};

/// A channel whose newest picture is further than this from now does not hold the others back.
const PRESENT_US: i64 = 3_000_000;

impl Imaging {
    /// Up to when a channel's live stream is complete: no picture captured at or before this instant
    /// is still to come. `None` if the camera delivers nothing.
    ///
    /// That is the decoding time of the newest picture, which with B pictures lies before its capture
    /// time (ISO/IEC 14496-12 section 8.6.1.1: nothing is shown before it is decoded).
    #[must_use]
    pub fn live_edge(&self, channel: ChannelId) -> Option<WallTime> {
        let track = self.registry.get(channel)?;
        edge_of(&track).filter(|_| is_active(&track))
    }

    /// The newest instant that all channels which deliver have reached; now if none does.
    ///
    /// A channel counts if its live edge is within 3 s of now: one that is silent, or whose clock is
    /// off by more, fails alone.
    #[must_use]
    pub fn common_instant(&self, channels: impl IntoIterator<Item = ChannelId>) -> WallTime {
        let now = self.clock.now();
        let edges = channels.into_iter().filter_map(|id| self.live_edge(id));
        let present = edges.filter(|edge| now.micros_since(*edge).abs() <= PRESENT_US);
        present.min().map_or(now, |edge| edge.min(now))
    }
}

fn edge_of(track: &Track) -> Option<WallTime> {
    let gop = track.newest_gop()?;
    let newest = gop.units.iter().rfind(|u| u.track == TrackKind::Video)?;
    let ahead_us = newest.pts.micros() - newest.dts.micros();
    Some(newest.wall.plus_micros(-ahead_us))
}
