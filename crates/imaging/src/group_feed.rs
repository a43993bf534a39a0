//! Sets of pictures of several channels, pushed as they are taken.

use crate::hub::MAX_BYTES;
use crate::sets::{Assembler, Rule};
use crate::{Delivery, Error, Grid, ImageSet, Imaging, LiveFeed, LiveImage, LiveRequest, Output};
use framewell_model::{ChannelId, ErrorKind, HasKind, WallTime};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// Without any picture a set of errors is sent this often, so that the receiver knows.
const SILENCE: Duration = Duration::from_secs(2);
/// A channel whose feed could not start is tried again after this.
const RETRY: Duration = Duration::from_secs(2);

/// Aligned sets of pictures from a moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupRequest {
    /// Start before now, served from the live rings; `None`: now.
    pub from: Option<WallTime>,
    /// The end; `None`: until the receiver goes.
    pub until: Option<WallTime>,
    /// Sets per second, see [`Grid`].
    pub grid: Grid,
    /// The same rate as a number.
    pub fps: f64,
    /// How far a picture may lie from the instant of its set, in microseconds.
    pub tolerance_us: i64,
    /// How long a set waits for slow channels after its first picture.
    pub patience: Duration,
    /// Size, format, crop.
    pub output: Output,
    /// Back-pressure: what happens with whole sets when the receiver is slow.
    pub delivery: Delivery,
}

/// A running push. Dropping it ends the interest in all its channels.
#[derive(Debug)]
pub struct GroupFeed {
    outbox: Arc<Outbox>,
    channels: watch::Sender<BTreeSet<ChannelId>>,
    /// Puts the sets together.
    task: JoinSet<()>,
}

impl GroupFeed {
    /// The next set; `None` at the end that was asked for. Cancel-safe.
    pub async fn next(&mut self) -> Option<ImageSet> {
        loop {
            let arrival = self.outbox.arrived.notified();
            if let Some(set) = self.outbox.pop() {
                return Some(set);
            }
            tokio::select! {
                () = arrival => {}
                // The task ends at the end of the push; what it left is still given out.
                _ended = self.task.join_next() => return self.outbox.pop(),
            }
        }
    }

    /// The channels of the group from now on: new ones join, others leave.
    pub fn set_channels(&self, channels: impl IntoIterator<Item = ChannelId>) {
        let channels: BTreeSet<ChannelId> = channels.into_iter().collect();
        self.channels.send_if_modified(|now| {
            let is_other = *now != channels;
            *now = channels;
            is_other
        });
    }
}

impl Imaging {
    /// Starts pushing sets of these channels.
    #[must_use]
    pub fn live_group(
        &self,
        channels: impl IntoIterator<Item = ChannelId>,
        request: GroupRequest,
    ) -> GroupFeed {
        let outbox = Arc::new(Outbox::new(request.delivery));
        let (sender, receiver) = watch::channel(channels.into_iter().collect());
        let rule = rule_of(&request);
        let worker = Worker {
            imaging: self.clone(),
            // Feeds begin on the grid, and end where nothing nearer to its last instant can come.
            from: rule.first.map(|first| request.grid.instant(first)),
            until: rule.end.map(|end| {
                let last = request.grid.instant(end - 1);
                last.plus_micros(request.grid.period_us() / 2)
            }),
            assembler: Assembler::new(rule),
            request,
            feeds: FuturesUnordered::new(),
            parked: Vec::new(),
            members: BTreeMap::new(),
            joined: 0,
            failed: BTreeSet::new(),
            outbox: Arc::clone(&outbox),
        };
        let mut task = JoinSet::new();
        task.spawn(worker.run(receiver));
        GroupFeed {
            outbox,
            channels: sender,
            task,
        }
    }
}

/// The sets of the grid instants in the range.
fn rule_of(request: &GroupRequest) -> Rule {
    let grid = request.grid;
    let at_or_behind = |time: WallTime| {
        let nearest = grid.nearest(time);
        nearest + i64::from(grid.instant(nearest) < time)
    };
    Rule {
        grid,
        tolerance_us: request.tolerance_us,
        patience: request.patience,
        first: request.from.map(at_or_behind),
        end: request.until.map(at_or_behind),
    }
}

/// Whether what was asked for cannot be had of a channel, now or later: a crop outside of its pictures.
fn is_final(error: &Error) -> bool {
    error.kind() == ErrorKind::InvalidArgument
}

/// Sets that wait for the receiver: one ([`Delivery::Latest`]), or the bound that was asked for, and
/// then the oldest are dropped and counted; [`Delivery::All`] waits for room instead.
#[derive(Debug)]
struct Outbox {
    capacity: usize,
    drops: bool,
    waiting: Mutex<Waiting>,
    arrived: Notify,
    taken: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    sets: VecDeque<ImageSet>,
    dropped: u64,
}

impl Waiting {
    /// Whether sets wait, and with this one they have too many bytes.
    fn is_full(&self, next: &ImageSet) -> bool {
        let bytes: usize = self.sets.iter().chain([next]).map(bytes_of).sum();
        !self.sets.is_empty() && bytes > MAX_BYTES
    }
}

fn bytes_of(set: &ImageSet) -> usize {
    let images = set
        .entries
        .iter()
        .filter_map(|(_, entry)| entry.as_ref().ok());
    images.map(|image| image.data.len()).sum()
}

impl Outbox {
    fn new(delivery: Delivery) -> Self {
        let (capacity, drops) = match delivery {
            Delivery::Latest => (1, true),
            Delivery::Bounded(count) => (count.max(1), true),
            Delivery::All => (1, false),
        };
        Self {
            capacity,
            drops,
            waiting: Mutex::default(),
            arrived: Notify::new(),
            taken: Notify::new(),
        }
    }

    fn pop(&self) -> Option<ImageSet> {
        let mut waiting = self.waiting.lock();
        let mut set = waiting.sets.pop_front()?;
        set.dropped = std::mem::take(&mut waiting.dropped);
        drop(waiting);
        self.taken.notify_one();
        Some(set)
    }

    async fn push(&self, set: ImageSet) {
        loop {
            let room = self.taken.notified();
            {
                let mut waiting = self.waiting.lock();
                while self.drops && (waiting.sets.len() >= self.capacity || waiting.is_full(&set)) {
                    waiting.sets.pop_front();
                    waiting.dropped += 1;
                }
                if waiting.sets.len() < self.capacity {
                    waiting.sets.push_back(set);
                    break;
                }
            }
            room.await;
        }
        self.arrived.notify_one();
    }
}

/// A feed with what came out of it.
type Arrival = (Member, LiveFeed, Option<Result<LiveImage, Error>>);

/// A channel since it joined; when it leaves and joins again it is another member.
type Member = (ChannelId, u64);

/// Reads the feeds of all channels and puts sets into the outbox.
struct Worker {
    imaging: Imaging,
    /// Where the feeds begin and end.
    from: Option<WallTime>,
    until: Option<WallTime>,
    request: GroupRequest,
    assembler: Assembler,
    /// Feeds that are being waited for.
    feeds: FuturesUnordered<BoxFuture<'static, Arrival>>,
    /// Feeds of channels that are ahead of the others.
    parked: Vec<(Member, LiveFeed)>,
    members: BTreeMap<ChannelId, u64>,
    joined: u64,
    /// Members without a feed that are tried again.
    failed: BTreeSet<ChannelId>,
    outbox: Arc<Outbox>,
}

impl Worker {
    async fn run(mut self, mut channels: watch::Receiver<BTreeSet<ChannelId>>) {
        let is_endless = self.request.until.is_none();
        let mut retry = tokio::time::interval(RETRY);
        let mut told = Instant::now();
        self.change_members(&channels.borrow_and_update().clone());
        loop {
            while let Some(set) = self.assembler.take(Instant::now()) {
                self.outbox.push(set).await;
                told = Instant::now();
            }
            if !is_endless && self.assembler.is_over() {
                return;
            }
            self.unpark();
            let deadline = self.assembler.deadline().unwrap_or(told + SILENCE);
            tokio::select! {
                Some(arrival) = self.feeds.next(), if !self.feeds.is_empty() => self.take_in(arrival),
                () = tokio::time::sleep_until(deadline.into()) => {
                    if is_endless && told.elapsed() >= SILENCE {
                        self.assembler.tick((Instant::now(), self.imaging.clock.now()));
                    }
                }
                changed = channels.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let wanted = channels.borrow_and_update().clone();
                    self.change_members(&wanted);
                }
                _ = retry.tick(), if is_endless => {
                    for channel in std::mem::take(&mut self.failed) {
                        self.start(channel);
                    }
                }
            }
        }
    }

    fn change_members(&mut self, wanted: &BTreeSet<ChannelId>) {
        for channel in self.members.keys().filter(|id| !wanted.contains(id)) {
            self.assembler.leave(*channel);
            self.failed.remove(channel);
            self.parked.retain(|((parked, _), _)| parked != channel);
        }
        self.members.retain(|id, _| wanted.contains(id));
        for channel in wanted {
            if !self.members.contains_key(channel) {
                self.joined += 1;
                self.members.insert(*channel, self.joined);
                self.assembler.join(*channel);
                self.start(*channel);
            }
        }
    }

    fn start(&mut self, channel: ChannelId) {
        let Some(joined) = self.members.get(&channel).copied() else {
            return;
        };
        let request = &self.request;
        let looks_back = request.from.is_some() || request.until.is_some();
        let feed = self.imaging.live(LiveRequest {
            channel,
            from: self.from,
            until: self.until,
            fps: Some(request.fps),
            is_keys_only: false,
            output: request.output,
            // Sets are dropped whole, behind the feeds.
            delivery: if looks_back || request.delivery == Delivery::All {
                Delivery::All
            } else {
                Delivery::Latest
            },
        });
        match feed {
            Ok(feed) => self.wait_for((channel, joined), feed),
            Err(error) => self.give_up(channel, error),
        }
    }

    /// Goes on without the channel; every set says why. It is tried again, but for what cannot be had of
    /// it: another feed would come to the same.
    fn give_up(&mut self, channel: ChannelId, error: Error) {
        if !is_final(&error) {
            self.failed.insert(channel);
        }
        self.assembler.failed(channel, error);
        if self.request.until.is_some() {
            self.assembler.over(channel);
        }
    }

    fn wait_for(&self, member: Member, mut feed: LiveFeed) {
        self.feeds.push(Box::pin(async move {
            let item = feed.next().await;
            (member, feed, item)
        }));
    }

    fn take_in(&mut self, (member, feed, item): Arrival) {
        let (channel, joined) = member;
        if self.members.get(&channel) != Some(&joined) {
            return;
        }
        match item {
            Some(Ok(live)) => {
                let now = (Instant::now(), self.imaging.clock.now());
                self.assembler.picture(channel, live.image, now);
            }
            Some(Err(error)) if is_final(&error) => {
                self.give_up(channel, error);
                return;
            }
            Some(Err(error)) => self.assembler.failed(channel, error),
            None if self.request.until.is_some() => {
                self.assembler.over(channel);
                return;
            }
            // The channel is gone from this node; it may come back.
            None => {
                let newest = None;
                self.give_up(channel, Error::NotLive { channel, newest });
                return;
            }
        }
        self.parked.push((member, feed));
    }

    /// Goes on with the feeds of channels that are not ahead.
    fn unpark(&mut self) {
        for (member, feed) in std::mem::take(&mut self.parked) {
            if self.assembler.is_ahead(member.0) {
                self.parked.push((member, feed));
            } else {
                self.wait_for(member, feed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_decode::PictureFormat;
    use framewell_model::{ClockSource, FrameId};

    fn set(number: u64, len: usize) -> ImageSet {
        let at = WallTime::from_secs(0);
        let image = crate::Image {
            data: vec![0; len].into(),
            format: PictureFormat::Png,
            width: 1,
            height: 1,
            requested: at,
            captured: at,
            clock: ClockSource::CameraRtcp,
            frame: FrameId {
                run: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
                ticks: 0,
            },
            is_key: false,
            is_live: true,
        };
        ImageSet {
            number,
            at,
            entries: vec![("7".parse().unwrap(), Ok(image))],
            dropped: 0,
        }
    }

    #[tokio::test]
    async fn sets_that_wait_have_bounded_bytes() {
        let outbox = Outbox::new(Delivery::Bounded(8));
        for number in 0..5 {
            outbox.push(set(number, MAX_BYTES / 2)).await;
        }
        let next = || outbox.pop().map(|set| (set.number, set.dropped));
        assert_eq!((next(), next(), next()), (Some((3, 3)), Some((4, 0)), None));
    }
}
