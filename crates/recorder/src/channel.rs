//! One recorded channel: follows its ring as its mode says.

use crate::config::{Keep, Policy};
use crate::ledger::LedgerSender;
use crate::publish::PublishSender;
use crate::supervisor::Shared;
use crate::windows::{end_of, plan};
use crate::writer::{Desk, Writer};
use framewell_live::{Batch, GopId, GopSpan, SourceState, Start, Subscriber, Wake};
use framewell_media::{AccessUnit, TrackKind};
use framewell_model::{ChannelId, ChannelStatus, GapReason, WallTime};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A source that stays in a new state this long has it as the reason of its gap: a reconnect that
/// works at once makes no rows of its own.
const SETTLE: Duration = Duration::from_secs(2);

/// Pictures of the last moments of a window may take this long from the camera to the ring.
const LATE_US: i64 = 10_000_000;

/// A channel with windows looks at the clock at least this often: clocks are set, and timers are not.
const LOOK: Duration = Duration::from_secs(1);

/// What a channel's task owns.
#[derive(Debug)]
pub(crate) struct ChannelRecorder {
    desk: Desk,
    writer: Writer,
    bell: Arc<Notify>,
    keep: Option<Keep>,
    reader: Option<Subscriber>,
    /// The GOP that the reader has come to, of a channel that records by event.
    reading: Option<GopId>,
    /// When the state of the source says why nothing comes.
    settle: Option<Instant>,
    /// When windows are looked at again.
    look: Option<Instant>,
}

impl ChannelRecorder {
    pub(crate) fn new(
        channel: ChannelId,
        shared: Arc<Shared>,
        publish: PublishSender,
        ledger: LedgerSender,
    ) -> Self {
        let bell = Arc::clone(&shared.memory(channel).bell);
        let desk = Desk::new(channel, shared, publish, ledger);
        Self {
            writer: Writer::new(desk.clone()),
            desk,
            bell,
            keep: None,
            reader: None,
            reading: None,
            settle: None,
            look: None,
        }
    }

    /// Records until `stop`, or until the policy is `None` (the channel is not ours any more).
    pub(crate) async fn run(
        mut self,
        mut policy: watch::Receiver<Option<Policy>>,
        stop: CancellationToken,
    ) {
        let mut source = self.desk.track.source_state();
        let bell = Arc::clone(&self.bell);
        loop {
            let wanted = *policy.borrow_and_update();
            self.follow(wanted.map_or(Keep::Nothing, |policy| policy.keep()))
                .await;
            if wanted.is_none() {
                return;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return self.stop().await,
                changed = policy.changed() => if changed.is_err() {
                    // The supervisor was dropped without a stop, and this task with it.
                    return;
                },
                () = bell.notified() => {}
                () = sleep_until(self.look) => self.look = None,
                () = sleep_until(self.settle) => {
                    self.settle = None;
                    self.source_settled(&source);
                }
                Ok(()) = source.changed() => {
                    source.mark_unchanged();
                    self.settle = self.reader.is_some().then(|| Instant::now() + SETTLE);
                }
                batch = next(&mut self.reader) => self.take(batch).await,
            }
        }
    }

    /// Does what the mode asks for now; one that is new takes effect at once.
    async fn follow(&mut self, keep: Keep) {
        if self.keep != Some(keep) {
            self.switch(keep).await;
        }
        match keep {
            Keep::Nothing => self.desk.memory.lock().windows.clear(),
            Keep::AroundEvents => self.follow_events().await,
            Keep::Everything => {
                let before = self.now().plus_micros(-LATE_US);
                self.desk.memory.lock().windows.forget_before(before);
                if self.reader.is_none() {
                    self.open(self.first_gop());
                }
            }
        }
    }

    async fn switch(&mut self, keep: Keep) {
        let now = self.now();
        let before = self.keep;
        match keep {
            Keep::Nothing => {
                self.drain().await;
                self.desk.memory.lock().coverage.begin(now);
                self.desk.missing(GapReason::RecordingOff, now);
                self.settle = None;
            }
            Keep::Everything => self.desk.memory.lock().coverage.begin(now),
            // The GOP that is on is kept as a whole: an event may need the rest of it.
            Keep::AroundEvents if before == Some(Keep::Everything) => self.read_on().await,
            Keep::AroundEvents => {
                if before.is_some() || self.desk.memory.lock().windows.is_empty() {
                    self.desk.idle(now);
                }
            }
        }
        self.keep = Some(keep);
        self.reading = None;
    }

    /// Recording starts with a key frame that is there already, so that it starts at once. A GOP of
    /// which a part is recorded is not recorded twice, nor one that ended with its run.
    fn first_gop(&self) -> Start {
        let memory = self.desk.memory.lock();
        match self.desk.track.newest_gop() {
            Some(gop) if gop.is_closed || memory.recorded.contains(gop.id) => Start::NextKey,
            _ => Start::NewestKey,
        }
    }

    fn open(&mut self, start: Start) {
        self.reader = Some(self.desk.track.subscribe(start));
        self.settle = Some(Instant::now() + SETTLE);
    }

    fn now(&self) -> WallTime {
        self.desk.shared.clock.now()
    }

    /// Records what is readable now.
    async fn read_on(&mut self) {
        while let Some(batch) = self.reader.as_mut().and_then(Subscriber::try_next) {
            self.take(batch).await;
        }
    }

    /// Records what is readable, and closes the segment.
    async fn drain(&mut self) {
        self.read_on().await;
        self.reader = None;
        self.writer.finish().await;
    }

    /// The server stops. Where nothing is wanted, nothing is missing because of it.
    async fn stop(mut self) {
        let now = self.now();
        self.read_on().await;
        let was_reading = self.reader.is_some();
        self.drain().await;
        match self.keep {
            Some(Keep::Everything) if was_reading => {
                self.desk.missing(GapReason::ServerDown, now);
            }
            Some(Keep::AroundEvents) if was_reading => {
                if self.desk.memory.lock().windows.is_over(now) {
                    self.desk.idle(now);
                } else {
                    self.desk.missing(GapReason::ServerDown, now);
                }
            }
            _ => {}
        }
    }

    async fn take(&mut self, batch: Batch) {
        let is_by_event = self.keep == Some(Keep::AroundEvents);
        if is_by_event && batch.starts_gop && !self.is_wanted(&batch) {
            self.writer.end_before(&batch).await;
            self.rest();
            return;
        }
        if is_by_event {
            self.reading = Some(batch.gop);
        }
        let has_ended = batch.run_end.is_some();
        self.writer.record(batch).await;
        if has_ended {
            self.settle = Some(Instant::now() + SETTLE);
        }
    }

    /// Whether a GOP that begins now lies in a window.
    fn is_wanted(&self, batch: &Batch) -> bool {
        let video = |unit: &&AccessUnit| unit.track == TrackKind::Video;
        let Some(first) = batch.units.iter().find(video) else {
            return false;
        };
        let newest = batch.units.iter().filter(video).map(|unit| unit.wall);
        let newest = newest.fold(self.now(), WallTime::max);
        let end = end_of(&self.desk.track.gop_spans(), batch.gop, newest);
        let memory = self.desk.memory.lock();
        memory.windows.wants(first.wall, end) && !memory.recorded.contains(batch.gop)
    }

    /// Nothing more is wanted until the next window begins.
    fn rest(&mut self) {
        let now = self.now();
        let window = self.desk.memory.lock().windows.begun(now);
        let end = window.map_or(now, |window| window.end.min(now));
        self.reader = None;
        self.reading = None;
        self.settle = None;
        self.desk.idle(end);
    }

    /// Records what the windows want and the ring has, and waits for the rest.
    async fn follow_events(&mut self) {
        if self.reader.is_none() && self.desk.memory.lock().windows.is_empty() {
            self.look = None;
            return;
        }
        let now = self.now();
        let spans = self.desk.track.gop_spans();
        let plan = {
            let memory = self.desk.memory.lock();
            plan(&spans, &memory.windows, &memory.recorded, self.reading, now)
        };
        for stretch in plan.older {
            self.catch_up(stretch).await;
        }
        let late = now.plus_micros(-LATE_US);
        let (is_over, is_long_over) = {
            let windows = &self.desk.memory.lock().windows;
            (windows.is_over(now), windows.is_over_since(now, late))
        };
        if self.reader.is_none() {
            let newest = spans.last().map_or(0, |span| span.id);
            let first = plan.next.or((!is_over).then_some(newest + 1));
            if let Some(first) = first {
                self.begin(first, now);
            }
        } else if !self.writer.is_open() && is_long_over {
            self.rest();
        }
        self.forget(&spans, late);
        self.plan_look(now);
    }

    /// Follows the ring from a GOP on.
    fn begin(&mut self, gop: GopId, now: WallTime) {
        let mut memory = self.desk.memory.lock();
        let from = memory.windows.begun(now).map_or(now, |window| window.start);
        memory.coverage.begin(from);
        drop(memory);
        self.open(Start::Gop(gop));
        self.reading = Some(gop);
    }

    /// Forgets windows that ended before `late`, unless the reader is still in them.
    fn forget(&self, spans: &[GopSpan], late: WallTime) {
        let reading = spans.iter().find(|span| Some(span.id) == self.reading);
        let before = reading.map_or(late, |span| span.start.min(late));
        self.desk.memory.lock().windows.forget_before(before);
    }

    fn plan_look(&mut self, now: WallTime) {
        let memory = self.desk.memory.lock();
        let is_idle = self.reader.is_none() && memory.windows.is_empty();
        let next = memory.windows.next_start(now);
        let until = next.map_or(LOOK, |next| {
            let micros = u64::try_from(next.micros_since(now)).unwrap_or(0);
            Duration::from_micros(micros).min(LOOK)
        });
        self.look = (!is_idle).then(|| Instant::now() + until);
    }

    /// Records complete GOPs that lie before what is recorded or being recorded.
    async fn catch_up(&self, gops: RangeInclusive<GopId>) {
        let mut writer = Writer::late(self.desk.clone());
        let mut reader = self.desk.track.subscribe(Start::Gop(*gops.start()));
        while let Some(batch) = reader.try_next() {
            if !gops.contains(&batch.gop) {
                writer.end_before(&batch).await;
                return;
            }
            writer.record(batch).await;
        }
        writer.finish().await;
    }

    /// The source has been in its state for a while.
    fn source_settled(&mut self, source: &watch::Receiver<SourceState>) {
        if self.writer.is_open() {
            return;
        }
        let (status, since) = {
            let state = source.borrow();
            (state.status, state.since)
        };
        let reason = match status {
            ChannelStatus::Active => return,
            ChannelStatus::Offline => GapReason::CameraOffline,
            ChannelStatus::Unauthorized => GapReason::Unauthorized,
            ChannelStatus::Inactive => GapReason::RecordingOff,
        };
        self.desk.missing(reason, since);
    }
}

async fn next(reader: &mut Option<Subscriber>) -> Batch {
    match reader {
        Some(reader) => reader.next(Wake::Flush).await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
