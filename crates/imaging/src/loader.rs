//! Compressed footage on its way to a decoder: each fragment is read once while it is of use.

use crate::lru::Lru;
use framewell_footage::{CompressedGop, Error, Footage, GopRef};
use framewell_model::FrameId;
use parking_lot::Mutex;
use std::sync::Arc;

/// What is known of a GOP; the lock is held during a read, so that others wait for it.
type Slot = Arc<tokio::sync::Mutex<Option<Loaded>>>;

/// The beginning of a GOP, as far as it was read.
#[derive(Debug, Clone)]
struct Loaded {
    gop: Arc<CompressedGop>,
    /// Own fragments in it.
    own: usize,
    /// Whether the next GOP's leading pictures are in it; then it is complete.
    has_next: bool,
    bytes: usize,
}

/// Reads GOPs and remembers them within a budget; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Loader {
    footage: Footage,
    slots: Arc<Mutex<Lru<FrameId, Slot>>>,
}

impl Loader {
    pub(crate) fn new(footage: Footage, budget_bytes: usize) -> Self {
        Self {
            footage,
            slots: Arc::new(Mutex::new(Lru::new(budget_bytes))),
        }
    }

    /// The GOP with at least its first `count` fragments; reads those that are missing.
    pub(crate) async fn load(
        &self,
        gop: &GopRef,
        count: usize,
    ) -> Result<Arc<CompressedGop>, Error> {
        let slot = self.slot(gop.key);
        let mut loaded = slot.lock().await;
        let known = loaded.as_ref().map_or(0, |known| known.bytes);
        let extended = self.extend(loaded.take(), gop, count).await?;
        let (found, bytes) = (Arc::clone(&extended.gop), extended.bytes);
        *loaded = Some(extended);
        if bytes != known {
            self.slots.lock().insert(gop.key, Arc::clone(&slot), bytes);
        }
        Ok(found)
    }

    /// An empty slot counts as one byte until something is in it, so that it is found by others.
    fn slot(&self, key: FrameId) -> Slot {
        let mut slots = self.slots.lock();
        slots.get(&key).unwrap_or_else(|| {
            let slot = Slot::default();
            slots.insert(key, Arc::clone(&slot), 1);
            slot
        })
    }

    async fn extend(
        &self,
        known: Option<Loaded>,
        gop: &GopRef,
        count: usize,
    ) -> Result<Loaded, Error> {
        let own = count.min(gop.own_fragment_count());
        let mut loaded = match known {
            Some(known) if known.own >= own || !known.has_next => known,
            _ => self.empty(gop).await?,
        };
        if loaded.own < own {
            let more = self.footage.read_fragments(gop, loaded.own..own).await?;
            let samples = Arc::make_mut(&mut loaded.gop);
            loaded.bytes += more.iter().map(|sample| sample.data.len()).sum::<usize>();
            samples.samples.extend(more);
            samples.own = samples.samples.len();
            loaded.own = own;
        }
        let is_whole = loaded.own == gop.own_fragment_count();
        if count > gop.own_fragment_count() && is_whole && !loaded.has_next {
            let mut more = self.footage.read_fragments(gop, own..count).await?;
            // The key frame and the pictures shown before it; the rest is the next GOP's alone.
            let key = more.first().map(|sample| sample.pts);
            let leading = more.iter().skip(1);
            let count = leading.take_while(|s| key.is_some_and(|key| s.pts < key));
            let count = count.count();
            more.truncate(if count == 0 { 0 } else { count + 1 });
            loaded.bytes += more.iter().map(|sample| sample.data.len()).sum::<usize>();
            Arc::make_mut(&mut loaded.gop).samples.extend(more);
            loaded.has_next = true;
        }
        Ok(loaded)
    }

    async fn empty(&self, gop: &GopRef) -> Result<Loaded, Error> {
        let parameters = self.footage.gop_parameters(gop).await?;
        let gop = CompressedGop {
            run: gop.key.run,
            video: Arc::new(parameters.video.clone()),
            samples: Vec::new(),
            own: 0,
            clock: gop.clock,
        };
        Ok(Loaded {
            gop: Arc::new(gop),
            own: 0,
            has_next: false,
            bytes: 0,
        })
    }
}
