//! One recorded channel: follows its ring, writes, and says what is missing.

use crate::assembler::{Assembler, Step};
use crate::config::Policy;
use crate::gaps::{Coverage, LedgerSender};
use crate::publish::{PublishSender, spool_bytes};
use crate::segment::{ClosedSegment, OpenSegment};
use crate::supervisor::Shared;
use framewell_fmp4::{FragmentEntry, SegmentIdentity};
use framewell_live::{Batch, EndReason, GopId, SourceState, Start, Subscriber, Track, Wake};
use framewell_media::{AccessUnit, StreamParameters};
use framewell_model::{
    ChannelId, ChannelStatus, ClockSource, GapReason, RunId, SegmentId, TimeRange, WallTime,
};
use metrics::{Counter, Gauge};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A source that stays in a new state this long has it as the reason of its gap: a reconnect that
/// works at once makes no rows of its own.
const SETTLE: Duration = Duration::from_secs(2);

/// What outlives a channel's task: the task may end and start again.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) coverage: Coverage,
    /// The newest run, and the place in it of its next segment.
    next: Option<(RunId, i64)>,
    /// Newest GOP with recorded units.
    gop: Option<GopId>,
}

#[derive(Debug)]
struct Meters {
    lag: Gauge,
    bytes: Counter,
    spooled: Gauge,
}

/// What a channel's task owns.
#[derive(Debug)]
pub(crate) struct ChannelRecorder {
    channel: ChannelId,
    track: Track,
    shared: Arc<Shared>,
    memory: Arc<Mutex<Memory>>,
    publish: PublishSender,
    ledger: LedgerSender,
    assembler: Assembler,
    /// A segment that waits for its first fragment, which says when the clock of its file starts.
    begun: Option<(SegmentIdentity, Arc<StreamParameters>)>,
    segment: Option<OpenSegment>,
    has_failed: bool,
    meters: Meters,
}

impl ChannelRecorder {
    pub(crate) fn new(
        channel: ChannelId,
        shared: Arc<Shared>,
        publish: PublishSender,
        ledger: LedgerSender,
    ) -> Self {
        let labels = [("channel", channel.to_string())];
        let assembler = Assembler::new(shared.config.segment, shared.config.fragment);
        Self {
            channel,
            track: shared.registry.track(channel),
            memory: shared.memory(channel),
            shared,
            publish,
            ledger,
            assembler,
            begun: None,
            segment: None,
            has_failed: false,
            meters: Meters {
                lag: metrics::gauge!("framewell_recorder_lag_seconds", &labels),
                bytes: metrics::counter!("framewell_recorder_bytes_total", &labels),
                spooled: spool_bytes(channel),
            },
        }
    }

    /// Records until `stop`, or until the policy is `None` (the channel is not ours any more).
    pub(crate) async fn run(
        mut self,
        mut policy: watch::Receiver<Option<Policy>>,
        stop: CancellationToken,
    ) {
        let mut source = self.track.source_state();
        let mut reader: Option<Subscriber> = None;
        let mut settle = Some(Instant::now() + SETTLE);
        loop {
            let wanted = *policy.borrow_and_update();
            match (wanted.is_some_and(|policy| policy.is_on()), &mut reader) {
                (true, None) => {
                    reader = Some(self.track.subscribe(self.first_gop()));
                    settle = Some(Instant::now() + SETTLE);
                }
                (false, open) => {
                    self.finish(open.take(), GapReason::RecordingOff).await;
                    settle = None;
                }
                (true, Some(_)) => {}
            }
            if wanted.is_none() {
                return;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    // Where recording is off, footage is not missing because the server is down.
                    if reader.is_some() {
                        self.finish(reader, GapReason::ServerDown).await;
                    }
                    return;
                }
                changed = policy.changed() => if changed.is_err() {
                    // The supervisor was dropped without a stop, and this task with it.
                    return;
                },
                () = sleep_until(settle) => {
                    settle = None;
                    self.source_settled(&source);
                }
                Ok(()) = source.changed() => {
                    source.mark_unchanged();
                    settle = reader.is_some().then(|| Instant::now() + SETTLE);
                }
                batch = next(&mut reader) => {
                    let has_ended = batch.run_end.is_some();
                    self.record(batch).await;
                    if has_ended {
                        settle = Some(Instant::now() + SETTLE);
                    }
                }
            }
        }
    }

    /// Recording starts with a key frame that is there already, so that it starts at once. A GOP of
    /// which a part is recorded is not recorded twice, nor one that ended with its run.
    fn first_gop(&self) -> Start {
        let known = self.memory.lock().gop;
        match self.track.newest_gop() {
            Some(gop) if gop.is_closed || Some(gop.id) == known => Start::NextKey,
            _ => Start::NewestKey,
        }
    }

    /// Takes what is readable, closes the segment, and says what is missing from now on.
    async fn finish(&mut self, reader: Option<Subscriber>, reason: GapReason) {
        if let Some(mut reader) = reader {
            while let Some(batch) = reader.try_next() {
                self.record(batch).await;
            }
        }
        for step in self.assembler.finish() {
            self.step(step).await;
        }
        self.missing(reason, self.shared.clock.now());
    }

    async fn record(&mut self, batch: Batch) {
        let steps = self.assembler.push(batch);
        for step in steps {
            self.step(step).await;
        }
        if self.begun.is_none() && self.segment.is_none() {
            // A write failed: the units behind it have no segment.
            self.assembler.abandon();
        }
        self.memory.lock().gop = self.assembler.gop();
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Begin {
                run,
                parameters,
                wall,
                clock,
            } => self.begun = Some((self.identity(run, wall, clock), parameters)),
            Step::Fragment { units, end_dts } => self.fragment(&units, end_dts).await,
            Step::End => {
                let closed = self
                    .segment
                    .take()
                    .map(|segment| (segment.id(), segment.close()));
                self.closed(closed);
            }
            Step::Missed { gops } => {
                tracing::warn!(channel.id = %self.channel, gops, "recorder fell behind the ring; footage is lost");
                let mut memory = self.memory.lock();
                memory.coverage.expect(GapReason::RecorderLagged);
            }
            Step::RunEnded { reason } => self.run_ended(reason),
        }
    }

    fn identity(&self, run: RunId, wall_start: WallTime, clock: ClockSource) -> SegmentIdentity {
        let mut memory = self.memory.lock();
        let sequence = match memory.next {
            Some((known, next)) if known == run => next,
            _ => 0,
        };
        memory.next = Some((run, sequence + 1));
        SegmentIdentity {
            segment: SegmentId::from_uuid(Uuid::now_v7()),
            channel: self.channel,
            run,
            sequence,
            wall_start,
            clock,
        }
    }

    async fn fragment(&mut self, units: &[AccessUnit], end_dts: Option<i64>) {
        if let Some((identity, parameters)) = self.begun.take() {
            let (spool_dir, spool) = (&self.shared.config.spool_dir, &self.shared.spool);
            let segment = OpenSegment::new(spool_dir, identity, parameters, units);
            // Known before there is a file: a file that nobody knows counts as left behind.
            spool.open(&segment.announcement());
            self.segment = Some(segment);
        }
        // Between a failed write and the next segment, there is nothing to append to.
        let Some(segment) = &mut self.segment else {
            return;
        };
        match segment.append(units, end_dts).await {
            Ok(entry) => self.written(entry),
            Err(error) => self.write_failed(&error).await,
        }
    }

    fn written(&mut self, entry: FragmentEntry) {
        let Some(segment) = &self.segment else { return };
        self.shared.spool.append(segment.id(), entry);
        // In an open GOP, pictures behind the key frame are shown before it.
        let start = entry.wall_of(entry.min_pts);
        let range = TimeRange {
            start,
            end: entry.wall_of(entry.end_pts).max(start),
        };
        let change = self.memory.lock().coverage.footage(range);
        self.ledger.send(self.channel, change);
        self.track.set_recording(true);
        if std::mem::take(&mut self.has_failed) {
            tracing::info!(channel.id = %self.channel, "spool can be written again");
        }
        let lag_us = self.shared.clock.now().micros_since(range.end);
        self.meters.lag.set(lag_us as f64 / 1e6);
        self.meters.bytes.increment(u64::from(entry.len));
        self.meters.spooled.increment(f64::from(entry.len));
    }

    /// Keeps what is complete and goes on at the next key frame.
    async fn write_failed(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.has_failed, true) {
            tracing::error!(channel.id = %self.channel, error = %error, "spool cannot be written; footage is lost until it can");
        }
        if let Some(segment) = self.segment.take() {
            let closed = (segment.id(), segment.close_damaged().await);
            self.closed(Some(closed));
        }
        self.missing(GapReason::StorageFailed, self.shared.clock.now());
    }

    fn closed(&self, closed: Option<(SegmentId, Option<ClosedSegment>)>) {
        match closed {
            Some((_, Some(segment))) => self.publish.send(segment),
            Some((id, None)) => self.shared.spool.remove(id),
            None => {}
        }
    }

    fn run_ended(&mut self, reason: EndReason) {
        match reason {
            EndReason::CameraLost => {
                let status = self.track.source_state().borrow().status;
                let reason = match status {
                    ChannelStatus::Unauthorized => GapReason::Unauthorized,
                    _ => GapReason::CameraOffline,
                };
                self.missing(reason, self.shared.clock.now());
            }
            // The source is changed or removed, or the server stops: which of them shows shortly.
            EndReason::Stopped => self.memory.lock().coverage.expect(GapReason::RecordingOff),
            EndReason::TimeJump => self.memory.lock().coverage.expect(reason.gap_reason()),
        }
    }

    /// The source has been in its state for a while.
    fn source_settled(&mut self, source: &watch::Receiver<SourceState>) {
        if self.assembler.is_open() {
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
        self.missing(reason, since);
    }

    fn missing(&self, reason: GapReason, at: WallTime) {
        let change = self.memory.lock().coverage.missing(reason, at);
        self.ledger.send(self.channel, change);
        self.track.set_recording(false);
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
