//! What waits for the receiver of one push, and what happens when it is slow.

use super::trouble::Trouble;
use crate::feed::{Delivery, LiveImage};
use crate::{Error, Image};
use framewell_model::ChannelId;
use parking_lot::Mutex;
use std::collections::VecDeque;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Pictures that wait at most where nothing may be dropped; then the push goes on from the ring at the
/// receiver's own pace.
const WAITING: usize = 8;
/// Bytes of pictures that wait at most, besides one picture of any size.
pub(crate) const MAX_BYTES: usize = 32 << 20;
/// Troubles that wait at most; the oldest are forgotten.
const MAX_TROUBLES: usize = 8;

#[derive(Debug)]
struct Waiting {
    image: Image,
    sequence: u64,
    /// Came from the ring while the push caught up: those are made at the receiver's pace and never
    /// dropped.
    is_kept: bool,
}

#[derive(Debug)]
enum Item {
    Picture(Box<Waiting>),
    Trouble(Trouble),
}

#[derive(Debug)]
struct State {
    items: VecDeque<Item>,
    /// Pictures that are at hand are still being read.
    is_reading: bool,
    /// When that ended, or the last picture came or went.
    moved: Instant,
    /// The number that the next picture has if none is dropped.
    expected: u64,
    /// No more will come.
    is_finished: bool,
    /// The receiver is gone.
    is_closed: bool,
}

/// A queue with one receiver. Nobody waits for it but the reader that catches up.
#[derive(Debug)]
pub(crate) struct Queue {
    channel: ChannelId,
    delivery: Delivery,
    state: Mutex<State>,
    filled: Notify,
    emptied: Notify,
}

impl Queue {
    pub(crate) fn new(channel: ChannelId, delivery: Delivery) -> Self {
        Self {
            channel,
            delivery,
            state: Mutex::new(State {
                items: VecDeque::new(),
                is_reading: true,
                moved: Instant::now(),
                expected: 0,
                is_finished: false,
                is_closed: false,
            }),
            filled: Notify::new(),
            emptied: Notify::new(),
        }
    }

    pub(crate) const fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// A live picture; false if nothing may be dropped and there is no room.
    pub(crate) fn offer(&self, image: Image, sequence: u64) -> bool {
        let mut state = self.state.lock();
        let limit = match self.delivery {
            Delivery::Latest => 1,
            Delivery::Bounded(count) => count.max(1),
            Delivery::All => WAITING,
        };
        while state.waiting(false) >= limit || state.is_full(false, image.data.len()) {
            if self.delivery == Delivery::All {
                return false;
            }
            state.drop_oldest();
        }
        state.push(image, sequence, false);
        drop(state);
        self.filled.notify_one();
        true
    }

    /// A picture of the past; comes after [`Queue::room`].
    pub(crate) fn put(&self, image: Image, sequence: u64) {
        self.state.lock().push(image, sequence, true);
        self.filled.notify_one();
    }

    /// Whether pictures that are at hand are being read, or only the camera can bring more.
    pub(crate) fn set_reading(&self, is_reading: bool) {
        let mut state = self.state.lock();
        if state.is_reading != is_reading {
            state.is_reading = is_reading;
            state.moved = Instant::now();
        }
    }

    /// Since when only the camera could bring more pictures and brought none.
    pub(crate) fn quiet_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        (!state.is_reading).then_some(state.moved)
    }

    /// Waits until the receiver keeps up; false if it is gone, or at the end.
    pub(crate) async fn room(&self) -> bool {
        loop {
            {
                let state = self.state.lock();
                if state.is_closed || state.is_finished {
                    return false;
                }
                let waiting = state.waiting(true) + state.waiting(false);
                let is_full = state.is_full(true, 0) || state.is_full(false, 0);
                if waiting < WAITING && !is_full {
                    return true;
                }
            }
            self.emptied.notified().await;
        }
    }

    /// Waits until the receiver has everything.
    pub(crate) async fn drained(&self) {
        while !self.is_drained() {
            self.emptied.notified().await;
        }
    }

    pub(crate) fn is_drained(&self) -> bool {
        let state = self.state.lock();
        state.is_closed || state.items.is_empty()
    }

    /// Something happened that the receiver has to know.
    pub(crate) fn tell(&self, trouble: Trouble) {
        let mut state = self.state.lock();
        let is_trouble = |item: &Item| matches!(item, Item::Trouble(_));
        if matches!(state.items.back(), Some(Item::Trouble(last)) if *last == trouble) {
            return;
        }
        if state.items.iter().filter(|item| is_trouble(item)).count() >= MAX_TROUBLES
            && let Some(oldest) = state.items.iter().position(is_trouble)
        {
            state.items.remove(oldest);
        }
        state.items.push_back(Item::Trouble(trouble));
        drop(state);
        self.filled.notify_one();
    }

    /// No more will come.
    pub(crate) fn finish(&self) {
        self.state.lock().is_finished = true;
        self.filled.notify_one();
        self.emptied.notify_one();
    }

    /// The receiver goes.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.items.clear();
        drop(state);
        self.emptied.notify_one();
    }

    /// Whether nobody receives any more.
    pub(crate) fn is_closed(&self) -> bool {
        let state = self.state.lock();
        state.is_closed || state.is_finished
    }

    /// What comes next; `None` at the end. Cancel-safe.
    pub(crate) async fn next(&self) -> Option<Result<LiveImage, Error>> {
        loop {
            {
                let mut state = self.state.lock();
                if let Some(item) = state.items.pop_front() {
                    let result = match item {
                        Item::Picture(waiting) => Ok(state.deliver(*waiting)),
                        Item::Trouble(trouble) => Err(trouble.error(self.channel)),
                    };
                    drop(state);
                    self.emptied.notify_one();
                    return Some(result);
                }
                if state.is_finished {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }
}

impl State {
    fn waiting(&self, is_kept: bool) -> usize {
        let counts =
            |item: &&Item| matches!(item, Item::Picture(waiting) if waiting.is_kept == is_kept);
        self.items.iter().filter(counts).count()
    }

    /// Whether pictures of a kind wait, and with this many bytes more are too much.
    fn is_full(&self, is_kept: bool, more: usize) -> bool {
        let bytes = self.items.iter().filter_map(|item| match item {
            Item::Picture(waiting) if waiting.is_kept == is_kept => Some(waiting.image.data.len()),
            _ => None,
        });
        self.waiting(is_kept) > 0 && bytes.sum::<usize>() + more > MAX_BYTES
    }

    fn push(&mut self, image: Image, sequence: u64, is_kept: bool) {
        let waiting = Waiting {
            image,
            sequence,
            is_kept,
        };
        self.items.push_back(Item::Picture(Box::new(waiting)));
        self.moved = Instant::now();
    }

    fn drop_oldest(&mut self) {
        let is_live = |item: &Item| matches!(item, Item::Picture(waiting) if !waiting.is_kept);
        if let Some(at) = self.items.iter().position(is_live) {
            self.items.remove(at);
        }
    }

    /// Whatever was chosen and not delivered before this one was dropped.
    fn deliver(&mut self, waiting: Waiting) -> LiveImage {
        let dropped = waiting.sequence.saturating_sub(self.expected);
        self.expected = waiting.sequence + 1;
        self.moved = Instant::now();
        if dropped > 0 {
            metrics::counter!("framewell_live_dropped_total").increment(dropped);
        }
        LiveImage {
            image: waiting.image,
            sequence: waiting.sequence,
            dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use framewell_decode::PictureFormat;
    use framewell_model::{ClockSource, FrameId, WallTime};

    fn image(number: i64) -> Image {
        Image {
            data: Bytes::from_static(b"x"),
            format: PictureFormat::Png,
            width: 1,
            height: 1,
            requested: WallTime::from_secs(number),
            captured: WallTime::from_secs(number),
            clock: ClockSource::CameraRtcp,
            frame: FrameId {
                run: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
                ticks: number,
            },
            is_key: false,
            is_live: true,
        }
    }

    fn queue(delivery: Delivery) -> Queue {
        Queue::new("7".parse().unwrap(), delivery)
    }

    fn offer(queue: &Queue, sequences: std::ops::Range<u64>) -> Vec<bool> {
        let one = |sequence: u64| queue.offer(image(sequence.cast_signed()), sequence);
        sequences.map(one).collect()
    }

    /// Sequence and count of dropped ones of everything until the end.
    async fn drain(queue: &Queue) -> Vec<(u64, u64)> {
        queue.finish();
        let mut all = Vec::new();
        while let Some(item) = queue.next().await {
            let item = item.unwrap();
            all.push((item.sequence, item.dropped));
        }
        all
    }

    #[tokio::test]
    async fn the_latest_picture_replaces_the_one_that_waits() {
        let queue = queue(Delivery::Latest);
        offer(&queue, 0..5);
        assert_eq!(drain(&queue).await, [(4, 4)]);
    }

    #[tokio::test]
    async fn a_bounded_queue_drops_the_oldest_and_tells() {
        let queue = queue(Delivery::Bounded(3));
        offer(&queue, 0..5);
        assert_eq!(queue.next().await.unwrap().unwrap().sequence, 2);
        offer(&queue, 5..6);
        assert_eq!(drain(&queue).await, [(3, 0), (4, 0), (5, 0)]);
    }

    #[tokio::test]
    async fn bytes_are_bounded_too_and_one_picture_is_always_kept() {
        let big = |sequence: u64, len: usize| Image {
            data: Bytes::from(vec![0; len]),
            ..image(sequence.cast_signed())
        };
        let bounded = queue(Delivery::Bounded(1_000));
        for sequence in 0..5 {
            assert!(bounded.offer(big(sequence, MAX_BYTES / 2), sequence));
        }
        assert_eq!(bounded.state.lock().waiting(false), 2);
        assert!(bounded.offer(big(5, 2 * MAX_BYTES), 5));
        assert_eq!(drain(&bounded).await, [(5, 5)]);
        let all = queue(Delivery::All);
        assert!(all.offer(big(0, 2 * MAX_BYTES), 0));
        assert!(!all.offer(big(1, 1), 1));
    }

    #[tokio::test]
    async fn where_nothing_may_be_dropped_the_picture_is_refused() {
        let queue = queue(Delivery::All);
        let taken = offer(&queue, 0..10);
        assert_eq!(taken.iter().filter(|is_taken| **is_taken).count(), WAITING);
        assert!(drain(&queue).await.iter().all(|(_, dropped)| *dropped == 0));
    }

    #[tokio::test]
    async fn pictures_of_the_past_are_not_pushed_out_by_live_ones() {
        let queue = queue(Delivery::Latest);
        assert!(queue.room().await);
        for sequence in 0..4 {
            queue.put(image(0), sequence);
        }
        offer(&queue, 4..9);
        let expected = [(0, 0), (1, 0), (2, 0), (3, 0), (8, 4)];
        assert_eq!(drain(&queue).await, expected);
    }

    #[tokio::test]
    async fn troubles_come_in_place_and_are_not_repeated() {
        let queue = queue(Delivery::Latest);
        offer(&queue, 0..1);
        for _ in 0..3 {
            queue.tell(Trouble::Overrun { gops: 2 });
        }
        queue.finish();
        assert!(queue.next().await.unwrap().is_ok());
        assert!(queue.next().await.unwrap().is_err());
        assert!(queue.next().await.is_none());
    }

    #[tokio::test]
    async fn whoever_waits_for_room_hears_that_the_receiver_left() {
        let queue = queue(Delivery::All);
        offer(&queue, 0..8);
        let (room, ()) = tokio::join!(queue.room(), async { queue.close() });
        assert!(!room);
    }
}
