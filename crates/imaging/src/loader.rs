//! Compressed footage on its way to a decoder: each fragment is read once while it is of use.

use crate::lru::Lru;
use framewell_footage::{CompressedGop, Error, Footage, GopRef, GopSample};
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

/// What was read to go with it.
struct More {
    /// In place of what was known.
    anew: Option<Loaded>,
    own: Vec<GopSample>,
    /// Own fragments in it then.
    fragments: usize,
    next: Option<Vec<GopSample>>,
}

impl Loaded {
    fn add(&mut self, own: Vec<GopSample>, fragments: usize, next: Option<Vec<GopSample>>) {
        let size = |samples: &[GopSample]| samples.iter().map(|s| s.data.len()).sum::<usize>();
        self.own = fragments;
        if !own.is_empty() {
            self.bytes += size(&own);
            let gop = Arc::make_mut(&mut self.gop);
            gop.samples.extend(own);
            gop.own = gop.samples.len();
        }
        if let Some(next) = next {
            self.bytes += size(&next);
            Arc::make_mut(&mut self.gop).samples.extend(next);
            self.has_next = true;
        }
    }
}

/// The key frame of the next GOP and the pictures shown before it; the rest is that GOP's alone.
fn leading(mut next: Vec<GopSample>) -> Vec<GopSample> {
    let key = next.first().map(|sample| sample.pts);
    let leading = next.iter().skip(1);
    let leading = leading.take_while(|s| key.is_some_and(|key| s.pts < key));
    let count = leading.count();
    next.truncate(if count == 0 { 0 } else { count + 1 });
    next
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
        let mut known = slot.lock().await;
        // What is known stays as it is if a read fails, or if nobody waits for it any more.
        let more = self.read(known.as_ref(), gop, count).await?;
        let before = known.as_ref().map_or(0, |known| known.bytes);
        let loaded = more.anew.or_else(|| known.take());
        let mut loaded = loaded.expect("a GOP that nothing is known of is begun anew");
        loaded.add(more.own, more.fragments, more.next);
        let (found, bytes) = (Arc::clone(&loaded.gop), loaded.bytes);
        *known = Some(loaded);
        if bytes != before {
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

    /// Reads what is missing of the first `count` fragments.
    async fn read(
        &self,
        known: Option<&Loaded>,
        gop: &GopRef,
        count: usize,
    ) -> Result<More, Error> {
        let own = count.min(gop.own_fragment_count());
        let usable = known.filter(|known| known.own >= own || !known.has_next);
        let anew = match usable {
            Some(_) => None,
            None => Some(self.empty(gop).await?),
        };
        let has = usable.map_or(0, |known| known.own);
        let mut more = More {
            anew,
            own: Vec::new(),
            fragments: own.max(has),
            next: None,
        };
        if has < own {
            more.own = self.footage.read_fragments(gop, has..own).await?;
        }
        let is_whole = more.fragments == gop.own_fragment_count();
        let has_next = usable.is_some_and(|known| known.has_next);
        if count > gop.own_fragment_count() && is_whole && !has_next {
            let next = self.footage.read_fragments(gop, own..count).await?;
            more.next = Some(leading(next));
        }
        Ok(more)
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
