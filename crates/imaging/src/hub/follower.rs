//! The task that owns a channel's running decoder: reads the ring, decides who gets which picture, and
//! has each picture decoded once.

use super::frames::{Frame, Frames, has_leading, in_order};
use super::late::Late;
use super::line::Line;
use super::nows::{Now, Nows};
use super::orders::{Orders, Wanted};
use super::queue::Queue;
use super::seat::Attach;
use super::trouble::Trouble;
use super::{Context, Shared};
use crate::reference;
use framewell_decode::{Error as DecodeError, Exit, Pick, Picture, Priority, Want};
use framewell_live::{GopId, SourceState, Start, Subscriber, Track, Wake};
use framewell_media::TrackKind;
use framewell_model::{ChannelStatus, FrameId, RunId, WallTime};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Pictures decided on at a time.
const MAX_BLOCK: usize = 48;
/// A decoder that is so far behind the camera goes on at a later key frame.
const MAX_BEHIND_US: i64 = 2_000_000;
/// How often the task looks whether it is still needed.
const TICK: Duration = Duration::from_secs(1);
/// Pause after a failure of the decoder processes that a new attempt did not mend.
const PAUSE: Duration = Duration::from_millis(500);

/// What others ask of the task.
#[derive(Debug)]
pub(crate) enum Command {
    /// The newest picture.
    Now(Now),
    /// A push exists: the decoder stays.
    Reserve(Arc<Queue>),
    /// The push wants live pictures from here on.
    Attach(Box<Attach>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Follower {
    context: Context,
    hub: Weak<Shared>,
    commands: mpsc::Receiver<Command>,
    subscriber: Subscriber,
    source: watch::Receiver<SourceState>,
    frames: Frames,
    /// With the decoder already, not decided on yet.
    late: Late,
    line: Line,
    orders: Orders,
    nows: Nows,
    /// Until when the newest picture is decoded though nobody asks.
    hot_until: Instant,
    /// The run that is being decoded.
    run: Option<RunId>,
    /// Capture times of the last key frame and of the one before.
    keys: (Option<WallTime>, Option<WallTime>),
    /// Decoding time of the last picture that was taken in, in ticks.
    taken: i64,
    /// The same of the last one that was decoded, since the decoder last began again.
    decoded: i64,
    /// Where the decoder processes failed last.
    failed_at: Option<Failure>,
    /// The newest GOP when the decoder last looked for a key frame in the ring.
    begun_again_at: Option<GopId>,
    /// Held pictures were forgotten for want of room.
    has_forgotten: bool,
}

/// Where decoder processes failed.
#[derive(Debug, Clone, Copy)]
struct Failure {
    gop: Option<GopId>,
    /// As in [`Follower::decoded`]: whatever they failed at came behind it.
    decoded: i64,
}

impl Follower {
    pub(crate) fn new(
        context: Context,
        hub: Weak<Shared>,
        commands: mpsc::Receiver<Command>,
        start: Start,
    ) -> Self {
        let counters = Arc::clone(&context.counters);
        Self {
            subscriber: context.track.subscribe(start),
            source: context.track.source_state(),
            line: Line::new(&context.pool, Priority::Interactive, counters),
            orders: Orders::default(),
            nows: Nows::new(context.channel, Arc::clone(&context.clock)),
            context,
            hub,
            commands,
            frames: Frames::default(),
            late: Late::default(),
            hot_until: Instant::now(),
            run: None,
            keys: (None, None),
            taken: i64::MIN,
            decoded: i64::MIN,
            failed_at: None,
            begun_again_at: None,
            has_forgotten: false,
        }
    }

    /// Until nobody is interested any more.
    pub(crate) async fn run(mut self) {
        loop {
            while let Ok(command) = self.commands.try_recv() {
                self.obey(command);
            }
            self.orders.drop_closed();
            self.nows.drop_closed();
            if self.is_idle() && self.leave() {
                return;
            }
            while self.frames.has_room()
                && let Some(batch) = self.subscriber.try_next()
            {
                self.frames.push(batch);
            }
            self.keep_up();
            if self.has_next() || self.can_answer() {
                self.step().await;
            } else if self.frames.is_over() && self.line.has_position() {
                self.decide_late(i64::MAX);
                self.finish_line().await;
            } else {
                self.wait().await;
            }
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            biased;
            command = self.commands.recv() => {
                if let Some(command) = command {
                    self.obey(command);
                }
            }
            batch = self.subscriber.next(Wake::EveryUnit) => self.frames.push(batch),
            changed = self.source.changed() => {
                if changed.is_ok() && !self.is_live() {
                    self.orders.tell(&self.not_live());
                }
            }
            () = tokio::time::sleep(TICK) => self.look_around(),
        }
    }

    fn obey(&mut self, command: Command) {
        if !matches!(command, Command::Reserve(_)) {
            self.remember();
        }
        match command {
            Command::Now(now) => {
                self.hot_until = Instant::now() + self.context.lease;
                self.nows.add(now);
            }
            Command::Reserve(queue) => {
                if !self.is_live() {
                    queue.tell(self.not_live());
                }
                self.orders.reserve(queue);
            }
            Command::Attach(attach) => {
                let line = &self.line;
                let is_at_hand = |id| line.holds(id) || line.newest() == Some(id);
                let track = &self.context.track;
                self.orders.attach(*attach, track, is_at_hand);
            }
        }
    }

    /// A GOP that goes on for longer than there is room for is forgotten if everybody waits for its end.
    fn forget(&mut self) {
        if self.line.is_full() && !self.is_hot() && self.orders.wants_keys_only() {
            self.line.lose();
            self.has_forgotten = true;
        }
    }

    /// The ring has the newest GOP whole, for somebody who comes in and wants more of it.
    fn remember(&mut self) {
        if std::mem::take(&mut self.has_forgotten) && !self.line.is_ready() {
            self.frames.clear();
            self.late.clear();
            self.subscriber = self.context.track.subscribe(Start::NewestKey);
        }
    }

    fn is_live(&mut self) -> bool {
        self.source.borrow_and_update().status == ChannelStatus::Active
    }

    fn not_live(&self) -> Trouble {
        let newest = self.context.track.newest_capture();
        Trouble::NotLive { newest }
    }

    fn is_hot(&self) -> bool {
        !self.nows.is_empty() || self.nows.has_open() || Instant::now() < self.hot_until
    }

    fn is_idle(&self) -> bool {
        !self.is_hot() && self.orders.is_empty()
    }

    /// Whether pictures go to the decoder as they come, so that the newest one that can be shown is out of
    /// it at once. Otherwise those that nobody wants can be left out, for which it has to be known which
    /// picture is shown next.
    fn is_eager(&self) -> bool {
        let depth = self.frames.front();
        let depth = depth.map_or(0, |front| front.parameters.video.reorder_depth);
        depth > 0 && self.is_hot() && self.late.is_within(depth)
    }

    /// Whether there is something to take in.
    fn has_next(&self) -> bool {
        self.is_eager() || self.frames.is_ready()
    }

    /// Takes the entry out of the hub; not if somebody has come in meanwhile.
    fn leave(&self) -> bool {
        let Some(hub) = self.hub.upgrade() else {
            return true;
        };
        hub.remove_if(self.context.channel, || self.commands.is_empty())
    }

    /// A channel that was deleted ends its pushes.
    fn look_around(&mut self) {
        if self.context.registry.get(self.context.channel).is_none() {
            self.orders.tell(&Trouble::Gone);
            self.orders.finish_all();
        }
    }

    /// A decoder that is far behind skips to a key frame; what would have been chosen counts as dropped.
    fn keep_up(&mut self) {
        let span = |frames: &Frames| {
            let (front, back) = (frames.front()?, frames.back()?);
            Some(back.unit.wall.micros_since(front.unit.wall))
        };
        // A decoder that begins again after a fault has a GOP more before it than it is behind.
        let is_again = self
            .frames
            .front()
            .is_some_and(|front| self.orders.has_decided(front));
        let is_long = self.frames.len() > MAX_BLOCK;
        if is_again || !is_long || span(&self.frames).is_none_or(|span| span <= MAX_BEHIND_US) {
            return;
        }
        let skipped = self.frames.take_before_last_key();
        if skipped.is_empty() {
            return;
        }
        metrics::counter!("framewell_live_skipped_total").increment(skipped.len() as u64);
        self.orders.fail_all();
        self.orders.detach_all();
        self.line.lose();
        self.decide_late(i64::MAX);
        for index in in_order(&skipped) {
            self.orders.decide(&skipped[index], false);
        }
        self.nows.retry();
    }

    /// Whether callers can be answered without a new picture from the camera.
    fn can_answer(&self) -> bool {
        let can_now = self.line.is_ready() || self.nows.has_failed();
        (!self.nows.is_empty() && can_now) || (self.orders.has_news() && self.line.is_ready())
    }

    /// Takes in what is there, and has it decoded if somebody wants it.
    async fn step(&mut self) {
        let is_eager = self.is_eager();
        let block = match is_eager {
            true => self.frames.take_unsettled(MAX_BLOCK),
            false => self.frames.take(MAX_BLOCK),
        };
        let first = block.first();
        if first.is_some_and(|first| first.is_break || (self.line.is_due() && first.unit.is_key)) {
            self.decide_late(i64::MAX);
            self.finish_line().await;
        }
        if let Some(first) = block.first() {
            self.orders.forget_unsent(first);
        }
        self.learn(&block);
        let is_edge = !self.has_next();
        let is_needed = self.take_in(block, is_edge, is_eager).await;
        if is_edge && !self.line.is_ready() {
            if !self.begin_again() {
                self.nows.refuse();
            }
        } else if is_needed && self.line.is_ready() {
            self.decode(is_edge).await;
        }
    }

    /// A decoder that has lost its place though nothing is damaged finds the key frame in the ring, once a
    /// GOP; false if callers are to be told that there is none.
    fn begin_again(&mut self) -> bool {
        let newest = self.context.track.newest_gop().map(|gop| gop.id);
        if self.nows.is_empty() || self.nows.has_failed() || self.begun_again_at == newest {
            return false;
        }
        self.begun_again_at = newest;
        self.frames.clear();
        self.late.clear();
        let start = start_of_now(&self.context.track);
        self.subscriber = self.context.track.subscribe(start);
        true
    }

    /// Remembers how long GOPs are.
    fn learn(&mut self, block: &[Frame]) {
        for frame in block {
            self.run = Some(frame.run);
            if frame.unit.is_key {
                self.keys = (Some(frame.unit.wall), self.keys.0);
            }
        }
    }

    /// When the next key frame may come, if that is known.
    fn gop_end(&self) -> Option<WallTime> {
        let (last, before) = (self.keys.0?, self.keys.1?);
        Some(last.plus_micros(last.micros_since(before).max(0)))
    }

    /// Decides on each picture whose turn has come and hands the block to the line. Returns whether it has
    /// to be decoded now. Lone key frames are decoded here.
    async fn take_in(&mut self, block: Vec<Frame>, is_edge: bool, is_eager: bool) -> bool {
        let keep = self.line.can_decode(&block);
        let is_waiting = self.orders.is_waiting();
        let (wanted, is_late_wanted) = self.choose(&block, &keep, is_eager);
        let is_wanted = is_late_wanted || wanted.contains(&Some(Wanted::Yes));
        let is_hot = self.is_hot();
        let is_needed = is_hot || is_wanted || is_waiting || self.orders.may_want(self.gop_end());
        // What follows a key frame may not have come yet.
        let has_leading = is_eager || has_leading(&block);
        // A decoder that reorders gives a picture out when more have come in.
        let reorders = block
            .first()
            .is_some_and(|f| f.parameters.video.reorder_depth > 0);
        let is_expected = reorders && (is_waiting || is_wanted || (is_hot && is_edge));
        let last = block.len().saturating_sub(1);
        for (index, frame) in block.into_iter().enumerate() {
            let is_newest = is_hot && is_edge && index == last;
            let is_spare = wanted[index] == Some(Wanted::No) && !is_newest;
            if wanted[index].is_none() {
                self.late.push(&frame);
            }
            if !keep[index] || (is_spare && !is_expected && is_unreferenced(&frame)) {
                continue;
            }
            self.taken = frame.unit.dts.ticks;
            if !is_needed && wanted[index] == Some(Wanted::Alone) {
                self.decode_alone(frame).await;
            } else {
                self.line.hold(frame, !is_spare, has_leading);
            }
        }
        self.forget();
        is_needed || self.line.is_full()
    }

    /// Lets everybody choose, in presentation order, among the pictures of the block and those that went
    /// to the decoder before it. Of a block that is not settled, only those get an answer that nothing
    /// still to come is shown before. Also says whether one that the decoder has is wanted.
    fn choose(
        &mut self,
        block: &[Frame],
        keep: &[bool],
        is_eager: bool,
    ) -> (Vec<Option<Wanted>>, bool) {
        let mut wanted = vec![None; block.len()];
        let mut is_late_wanted = false;
        let passed = block.last().map_or(i64::MIN, |last| last.unit.dts.ticks);
        for index in in_order(block) {
            let frame = &block[index];
            if is_eager && frame.pts() > passed {
                break;
            }
            is_late_wanted |= self.decide_late(frame.pts());
            wanted[index] = Some(self.orders.decide(frame, keep[index]));
        }
        is_late_wanted |= self.decide_late(passed);
        (wanted, is_late_wanted)
    }

    /// Decides on what the decoder has already, as far as it is shown by `until`; whether any of it is
    /// wanted.
    fn decide_late(&mut self, until: i64) -> bool {
        let mut is_wanted = false;
        for frame in self.late.take_until(until) {
            let can_decode = self.line.holds(frame.id());
            is_wanted |= self.orders.decide(&frame, can_decode) != Wanted::No;
        }
        is_wanted
    }

    async fn decode(&mut self, is_edge: bool) {
        let line = &self.line;
        let mut wanted = self.orders.send(|id| line.holds(id));
        wanted.extend(self.newest_again());
        if is_edge {
            let is_new = !self.line.is_empty();
            let orders = &mut self.orders;
            wanted.extend(self.nows.wants(is_new, || orders.number()));
            if wanted.is_empty() && !is_new {
                return;
            }
        }
        let result = self.line.run(&wanted, Exit::Keep).await;
        self.settle(result).await;
    }

    /// Wants for the picture that the decoder gave out last, of pushes that begin with it. They go first:
    /// it is the newest one only until the decoder goes on.
    fn newest_again(&mut self) -> Vec<Want> {
        let Some(newest) = self.line.newest().filter(|_| self.line.is_empty()) else {
            return Vec::new();
        };
        let mut wanted = self.orders.send(|id| id == newest);
        for want in &mut wanted {
            want.pick = Pick::Newest;
        }
        wanted
    }

    async fn decode_alone(&mut self, key: Frame) {
        let id = key.id();
        let wanted = self.orders.send(|other| other == id);
        let result = self.line.run_key(key, wanted).await;
        self.settle(result).await;
    }

    /// Gets out of the decoder what it holds back, and gives up its position.
    async fn finish_line(&mut self) {
        let is_waited_for = self.orders.is_waiting() || self.nows.has_open();
        if is_waited_for && self.line.has_position() {
            let line = &self.line;
            let wanted = self.orders.send(|id| line.holds(id));
            let result = self.line.run(&wanted, Exit::Drain).await;
            self.settle(result).await;
        }
        self.orders.fail_sent();
        self.line.lose();
        // The decoder has forgotten what it was asked for.
        self.nows.retry();
    }

    async fn settle(&mut self, result: Result<Vec<Picture>, DecodeError>) {
        for refusal in self.line.take_refused() {
            if !self.nows.refuse_form(&refusal) {
                self.orders.refuse(&refusal);
            }
        }
        match result {
            Ok(pictures) => {
                self.decoded = self.taken;
                for picture in pictures {
                    self.hand_out(picture);
                }
            }
            Err(error) => self.recover(error).await,
        }
    }

    fn hand_out(&mut self, picture: Picture) {
        let Some(run) = self.run else {
            return;
        };
        let ticks = picture.pts;
        let id = FrameId { run, ticks };
        match self.orders.info(id).or_else(|| self.late.info(id)) {
            Some(info) if self.nows.is_for(&picture) => self.nows.answer(&picture, &info),
            // When it was taken is not known any more; asked again, the decoder would say the same.
            None if self.nows.is_for(&picture) => self.nows.fail(&DecodeError::PositionLost),
            _ => self.orders.deliver(picture),
        }
    }

    /// Damaged video goes on at the next key frame. A decoder that was lost starts again at a key frame
    /// in the ring, so that nothing is missed; if that fails and came no further, the video is to blame.
    async fn recover(&mut self, error: DecodeError) {
        self.line.lose();
        let is_damaged = matches!(error, DecodeError::Bitstream(_) | DecodeError::Invalid(_));
        let newest = self.context.track.newest_gop().map(|gop| gop.id);
        let (open, late) = (self.orders.unsend(), self.late.first_gop());
        let gop = open.into_iter().chain(late).min().or(newest);
        let decoded = std::mem::replace(&mut self.decoded, i64::MIN);
        let failed_at = self.failed_at.replace(Failure { gop, decoded });
        let has_failed_before =
            failed_at.is_some_and(|failure| failure.gop == gop && decoded <= failure.decoded);
        tracing::debug!(channel.id = %self.context.channel, %error, "live decoder failed");
        if is_damaged || has_failed_before {
            self.orders.tell(&Trouble::of(&error));
            self.orders.fail_all();
            self.nows.fail(&error);
            if !is_damaged {
                tokio::time::sleep(PAUSE).await;
            }
            return;
        }
        self.nows.retry();
        self.frames.clear();
        self.late.clear();
        let start = gop.map_or(Start::NewestKey, Start::Gop);
        self.subscriber = self.context.track.subscribe(start);
    }
}

/// Where to begin for the newest picture. Right behind a key frame a decoder that reorders has nothing to
/// show yet; the pictures of the GOP before still have their turn.
pub(crate) fn start_of_now(track: &Track) -> Start {
    let gops = track.gops();
    let [.., before, newest] = &gops[..] else {
        return Start::NewestKey;
    };
    let depth = usize::from(newest.parameters.video.reorder_depth);
    let pictures = newest.units.iter().filter(|u| u.track == TrackKind::Video);
    let is_joined = before.run == newest.run && before.parameters == newest.parameters;
    if is_joined && pictures.take(depth + 1).count() <= depth {
        return Start::Gop(before.id);
    }
    Start::NewestKey
}

/// Whether no other picture refers to this one.
fn is_unreferenced(frame: &Frame) -> bool {
    reference::is_unreferenced(frame.parameters.video.codec, &frame.unit.data)
}
