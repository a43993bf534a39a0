//! A reader's place in the ring.

use crate::ring::{Gop, GopId, Ring};
use crate::state::EndReason;
use crate::track::Track;
use framewell_media::{AccessUnit, StreamParameters};
use framewell_model::RunId;
use std::sync::Arc;
use tokio::sync::watch;

/// Where a new reader starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the key frame of the newest GOP: a picture at once.
    NewestKey,
    /// At the next key frame to come.
    NextKey,
    /// At the oldest GOP in the ring.
    Oldest,
    /// At this GOP, or the oldest one left if it is gone.
    Gop(GopId),
}

/// When a waiting reader is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// By every unit: live viewers.
    EveryUnit,
    /// When a GOP closes, a run ends, or a second or 512 KiB have gathered: recorders.
    Flush,
}

/// Units that became readable, all of one GOP.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The GOP they belong to.
    pub gop: GopId,
    /// Its run.
    pub run: RunId,
    /// Its parameters.
    pub parameters: Arc<StreamParameters>,
    /// New units, in arrival order; empty if only `is_closed` is news.
    pub units: Vec<AccessUnit>,
    /// Whether `units` begins with the GOP's key frame.
    pub starts_gop: bool,
    /// Whether the GOP is complete with this batch.
    pub is_closed: bool,
    /// GOPs that were overwritten before this reader got to them, since the last batch. Non-zero
    /// only with `starts_gop`: a reader that lagged goes on at a key frame.
    pub missed_gops: u64,
    /// Set when the GOP is the last one of its run and the run is over.
    pub run_end: Option<EndReason>,
}

/// A reader. It holds no lock and no payload while it waits, and costs the writer nothing.
#[derive(Debug)]
pub struct Subscriber {
    track: Track,
    head: watch::Receiver<()>,
    flush: watch::Receiver<()>,
    gop: GopId,
    unit: usize,
    /// The end of this GOP has been told.
    told_end: Option<GopId>,
    /// GOPs overwritten unread, not told yet.
    missed: u64,
}

impl Subscriber {
    pub(crate) fn new(track: Track, start: Start) -> Self {
        let head = track.shared.head.subscribe();
        let flush = track.shared.flush.subscribe();
        let gop = first_gop(&track.shared.state.lock().ring, start);
        Self {
            track,
            head,
            flush,
            gop,
            unit: 0,
            told_end: None,
            missed: 0,
        }
    }

    /// Waits for the next units. Cancel-safe: a dropped wait loses nothing. Never returns while the
    /// camera is silent; wrap it in a timeout or select on a stop signal.
    pub async fn next(&mut self, wake: Wake) -> Batch {
        loop {
            self.head.mark_unchanged();
            self.flush.mark_unchanged();
            if let Some(batch) = self.try_next() {
                return batch;
            }
            let changed = match wake {
                Wake::EveryUnit => self.head.changed().await,
                Wake::Flush => self.flush.changed().await,
            };
            if changed.is_err() {
                // The subscriber holds the track, so the sender cannot be gone.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What is readable now, if anything.
    pub fn try_next(&mut self) -> Option<Batch> {
        let locked = self.track.shared.state.lock();
        let ring = &locked.ring;
        let oldest = ring.oldest()?.id;
        if oldest > self.gop {
            self.missed += oldest - self.gop;
            self.gop = oldest;
            self.unit = 0;
        }
        loop {
            let gop = ring.get(self.gop)?;
            let run_end = locked
                .ended
                .filter(|(run, _)| gop.is_closed && *run == gop.run && is_last_of_run(ring, gop))
                .map(|(_, reason)| reason);
            let has_news = gop.units.len() > self.unit;
            let closes = gop.is_closed && self.told_end != Some(gop.id);
            if has_news || (closes && self.unit > 0) {
                let batch = Batch {
                    gop: gop.id,
                    run: gop.run,
                    parameters: Arc::clone(&gop.parameters),
                    units: gop.units[self.unit.min(gop.units.len())..].to_vec(),
                    starts_gop: self.unit == 0,
                    is_closed: gop.is_closed,
                    missed_gops: std::mem::take(&mut self.missed),
                    run_end,
                };
                self.unit = gop.units.len();
                if gop.is_closed {
                    self.told_end = Some(gop.id);
                }
                return Some(batch);
            }
            if !gop.is_closed {
                return None;
            }
            ring.get(self.gop + 1)?;
            self.gop += 1;
            self.unit = 0;
        }
    }

    /// The track this reader reads.
    #[must_use]
    pub const fn track(&self) -> &Track {
        &self.track
    }
}

fn first_gop(ring: &Ring, start: Start) -> GopId {
    match start {
        Start::NewestKey => ring.newest().map_or(ring.next_id(), |gop| gop.id),
        Start::NextKey => ring.next_id(),
        Start::Oldest => ring.oldest().map_or(ring.next_id(), |gop| gop.id),
        Start::Gop(id) => id,
    }
}

fn is_last_of_run(ring: &Ring, gop: &Gop) -> bool {
    ring.get(gop.id + 1).is_none_or(|next| next.run != gop.run)
}
