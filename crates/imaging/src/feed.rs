//! Pictures pushed as they are taken.

use crate::{Error, Image, Imaging, Output};
use framewell_model::{ChannelId, WallTime};

/// What happens when the receiver is slower than the pictures come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Only the newest finished picture waits; older ones are dropped and counted.
    #[default]
    Latest,
    /// This many finished pictures wait; then the oldest are dropped and counted.
    Bounded(usize),
    /// Nothing is dropped as long as the pictures are in the live ring: the receiver falls behind and
    /// catches up. What the ring has given up is counted as dropped.
    All,
}

/// Pictures of a channel from a moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveRequest {
    /// The channel.
    pub channel: ChannelId,
    /// Start before now, served from the live ring; `None`: now.
    pub from: Option<WallTime>,
    /// The end; `None`: until the receiver goes.
    pub until: Option<WallTime>,
    /// Pictures per second, more than 0; `None`: every picture of the camera. For each instant
    /// of the [`crate::Grid`] of this rate the nearest picture is chosen, so that pictures of several
    /// channels fit together.
    pub fps: Option<f64>,
    /// Only key frames; a rate then picks among them. When everybody who wants pictures of a channel
    /// says so, nothing else is decoded.
    pub is_keys_only: bool,
    /// Size, format, crop.
    pub output: Output,
    /// Back-pressure.
    pub delivery: Delivery,
}

/// A pushed picture.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveImage {
    /// The picture.
    pub image: Image,
    /// Counts the pictures chosen by the rate, delivered or dropped, from 0.
    pub sequence: u64,
    /// Pictures dropped since the last delivered one.
    pub dropped: u64,
}

/// A running push. Dropping it ends the interest; the decoder stops when the last one goes.
#[derive(Debug)]
pub struct LiveFeed {}

impl LiveFeed {
    /// The next picture; `None` at the end that was asked for. An error is not the end unless the
    /// channel is gone: a camera that comes back goes on. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<LiveImage, Error>> {
        todo!()
    }
}

impl Imaging {
    /// Starts pushing.
    pub fn live(&self, request: LiveRequest) -> Result<LiveFeed, Error> {
        let _ = request;
        todo!()
    }
}
