//! Decoders of recorded video that stand in a GOP, for the next picture of it.

use super::plan::Position;
use framewell_decode::Session;
use framewell_model::FrameId;
use std::time::Duration;
use tokio::time::Instant;

/// A decoder that stands in a GOP.
#[derive(Debug)]
pub(crate) struct Warm {
    pub(crate) session: Session,
    pub(crate) position: Position,
}

#[derive(Debug)]
struct Kept {
    key: FrameId,
    warm: Warm,
    since: Instant,
}

/// The kept decoders, by the key frame of their GOP; few, so they are searched in a row.
#[derive(Debug)]
pub(crate) struct WarmSet {
    limit: usize,
    idle: Duration,
    /// Used longest ago first.
    kept: Vec<Kept>,
}

impl WarmSet {
    pub(crate) const fn new(limit: usize, idle: Duration) -> Self {
        Self {
            limit,
            idle,
            kept: Vec::new(),
        }
    }

    pub(crate) fn take(&mut self, key: FrameId) -> Option<Warm> {
        let place = self.kept.iter().position(|kept| kept.key == key)?;
        Some(self.kept.remove(place).warm)
    }

    /// Keeps a decoder. Returns one that has to go for it, to be dropped without a lock.
    pub(crate) fn put(&mut self, key: FrameId, warm: Warm, now: Instant) -> Option<Warm> {
        if self.limit == 0 {
            return Some(warm);
        }
        let oldest = (self.kept.len() >= self.limit).then(|| self.kept.remove(0).warm);
        let since = now;
        self.kept.push(Kept { key, warm, since });
        oldest
    }

    /// Takes out what was not used for the idle time.
    pub(crate) fn expired(&mut self, now: Instant) -> Vec<Warm> {
        let is_fresh = |kept: &Kept| now.duration_since(kept.since) < self.idle;
        let fresh = self.kept.iter().position(is_fresh);
        let count = fresh.unwrap_or(self.kept.len());
        self.kept.drain(..count).map(|kept| kept.warm).collect()
    }

    /// When the next one expires.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.kept.first().map(|kept| kept.since + self.idle)
    }
}
