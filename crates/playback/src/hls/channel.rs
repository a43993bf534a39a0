//! A packager and those who wait for it.

use super::MAX_WAITING_OF_CHANNEL;
use super::packager::Packager;
use framewell_live::{Start, Track, Wake};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// A packager that readers share. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    packager: Arc<Mutex<Packager>>,
    track: Track,
    /// Held by the one of those who wait that follows the ring for all of them.
    lead: Arc<tokio::sync::Mutex<()>>,
    /// Answers that may still wait for it.
    waiting: Arc<Semaphore>,
}

impl Channel {
    pub(super) fn new(packager: Packager, track: Track) -> Self {
        Self {
            packager: Arc::new(Mutex::new(packager)),
            track,
            lead: Arc::default(),
            waiting: Arc::new(Semaphore::new(MAX_WAITING_OF_CHANNEL)),
        }
    }

    pub(super) fn waiting(&self) -> &Semaphore {
        &self.waiting
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Packager> {
        self.packager.lock()
    }

    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Packager>> {
        self.packager.try_lock()
    }

    /// Waits until `look` finds something in the packager; `None` at the deadline. Costs nothing until the
    /// next part is complete, except to one of all who wait.
    pub(super) async fn wait<T>(
        &self,
        deadline: Instant,
        mut look: impl FnMut(&Packager) -> Option<T>,
    ) -> Option<T> {
        let mut changes = self.lock().changes();
        loop {
            changes.mark_unchanged();
            {
                let mut packager = self.lock();
                packager.touch(Instant::now());
                packager.advance(Instant::now());
                if let Some(found) = look(&packager) {
                    return Some(found);
                }
            }
            tokio::select! {
                // An error means that the packager is gone, which it cannot be: this is a handle to it.
                _changed = changes.changed() => {}
                () = self.follow() => {}
                () = tokio::time::sleep_until(deadline) => return None,
            }
        }
    }

    /// Moves the packager on with every unit until there is something new. Only one does it at a time; when
    /// that one leaves, the next takes over.
    async fn follow(&self) {
        let _lead = self.lead.lock().await;
        let mut news = self.track.subscribe(Start::NewestKey);
        loop {
            drop(news.next(Wake::EveryUnit).await);
            if self.lock().advance(Instant::now()) {
                return;
            }
        }
    }
}
