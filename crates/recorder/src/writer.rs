//! From batches to the files of one channel, and what is missing between them.

use crate::assembler::{Assembler, Step};
use crate::ledger::LedgerSender;
use crate::memory::Memory;
use crate::publish::{PublishSender, spool_bytes};
use crate::segment::{ClosedSegment, OpenSegment, spool_path};
use crate::supervisor::Shared;
use framewell_fmp4::{FragmentEntry, SegmentIdentity};
use framewell_live::{Batch, EndReason, Track};
use framewell_media::{AccessUnit, StreamParameters};
use framewell_model::{
    ChannelId, ChannelStatus, ClockSource, GapReason, RunId, SegmentId, TimeRange, WallTime,
};
use metrics::{Counter, Gauge};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use uuid::Uuid;

#[derive(Debug, Clone)]
struct Meters {
    lag: Gauge,
    bytes: Counter,
    spooled: Gauge,
}

/// What all writers of a channel share.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) channel: ChannelId,
    pub(crate) track: Track,
    pub(crate) shared: Arc<Shared>,
    pub(crate) memory: Arc<Mutex<Memory>>,
    publish: PublishSender,
    ledger: LedgerSender,
    meters: Meters,
}

impl Desk {
    pub(crate) fn new(
        channel: ChannelId,
        shared: Arc<Shared>,
        publish: PublishSender,
        ledger: LedgerSender,
    ) -> Self {
        let labels = [("channel", channel.to_string())];
        Self {
            channel,
            track: shared.registry.track(channel),
            memory: Arc::clone(&shared.memory(channel).state),
            shared,
            publish,
            ledger,
            meters: Meters {
                lag: metrics::gauge!("framewell_recorder_lag_seconds", &labels),
                bytes: metrics::counter!("framewell_recorder_bytes_total", &labels),
                spooled: spool_bytes(channel),
            },
        }
    }

    pub(crate) fn missing(&self, reason: GapReason, at: WallTime) {
        let change = self.memory.lock().coverage.missing(reason, at);
        self.ledger.send(self.channel, change);
        self.track.set_recording(false);
    }

    /// No more is wanted from `at` on.
    pub(crate) fn idle(&self, at: WallTime) {
        let change = self.memory.lock().coverage.idle(at);
        self.ledger.send(self.channel, change);
        self.track.set_recording(false);
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

    fn closed(&self, closed: Option<(SegmentId, Option<ClosedSegment>)>) {
        match closed {
            Some((_, Some(segment))) => {
                if let Some(link) = segment.link() {
                    self.memory.lock().link = Some(link);
                }
                self.publish.send(segment);
            }
            Some((id, None)) => self.shared.spool.remove(id),
            None => {}
        }
    }
}

/// Writes segments one after the other.
#[derive(Debug)]
pub(crate) struct Writer {
    desk: Desk,
    assembler: Assembler,
    /// A segment that waits for its first fragment, which says when the clock of its file starts.
    begun: Option<(SegmentIdentity, Arc<StreamParameters>)>,
    segment: Option<OpenSegment>,
    /// Whether it writes what lies before the newest footage: that says nothing about what is missing.
    is_late: bool,
    has_failed: bool,
    /// Bytes of the open segment that are in the account of the room.
    counted: u64,
}

impl Writer {
    pub(crate) fn new(desk: Desk) -> Self {
        let config = &desk.shared.config;
        Self {
            assembler: Assembler::new(config.segment, config.fragment),
            desk,
            begun: None,
            segment: None,
            is_late: false,
            has_failed: false,
            counted: 0,
        }
    }

    /// A writer of footage that lies before what is recorded already.
    pub(crate) fn late(desk: Desk) -> Self {
        Self {
            is_late: true,
            ..Self::new(desk)
        }
    }

    /// Whether a segment is open.
    pub(crate) const fn is_open(&self) -> bool {
        self.assembler.is_open()
    }

    pub(crate) async fn record(&mut self, batch: Batch) {
        let gop = batch.gop;
        let steps = self.assembler.push(batch);
        for step in steps {
            self.step(step).await;
        }
        if self.begun.is_none() && self.segment.is_none() {
            // A write failed: the units behind it have no segment.
            self.assembler.abandon();
        }
        self.desk.memory.lock().recorded.insert(gop);
    }

    /// Ends the open segment before a batch that is not wanted.
    pub(crate) async fn end_before(&mut self, batch: &Batch) {
        for step in self.assembler.finish_before(batch) {
            self.step(step).await;
        }
    }

    /// Ends the open segment.
    pub(crate) async fn finish(&mut self) {
        for step in self.assembler.finish() {
            self.step(step).await;
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Begin {
                run,
                parameters,
                wall,
                clock,
            } => self.begun = Some((self.desk.identity(run, wall, clock), parameters)),
            Step::Fragment { units, end_dts } => self.fragment(&units, end_dts).await,
            Step::End => {
                let closed = self
                    .segment
                    .take()
                    .map(|segment| (segment.id(), segment.close()));
                self.desk.closed(closed);
            }
            Step::Missed { gops } => {
                tracing::warn!(channel.id = %self.desk.channel, gops, "recorder fell behind the ring; footage is lost");
                self.expect(GapReason::RecorderLagged);
            }
            Step::RunEnded { reason } => self.run_ended(reason),
        }
    }

    async fn fragment(&mut self, units: &[AccessUnit], end_dts: Option<i64>) {
        let begun = self.begun.take();
        let bytes = units.iter().map(|unit| unit.data.len() as u64).sum();
        if !self.desk.shared.room.admits(bytes) {
            return self.refused();
        }
        if let Some((identity, parameters)) = begun {
            let shared = &self.desk.shared;
            let spool_dir = &shared.config.spool_dir;
            let path = spool_path(spool_dir, identity.channel, identity.segment);
            let link = self.desk.memory.lock().link;
            let segment = OpenSegment::new(path, identity, link.as_ref(), parameters, units);
            // Known before there is a file: a file that nobody knows counts as left behind.
            shared.spool.open(&segment.announcement());
            self.segment = Some(segment);
            self.counted = 0;
        }
        // Between a failed write and the next segment, there is nothing to append to.
        let Some(segment) = &mut self.segment else {
            return;
        };
        match segment.append(units, end_dts, &self.desk.shared.room).await {
            Ok(entry) => self.written(entry),
            Err(error) => self.write_failed(&error).await,
        }
    }

    fn written(&mut self, entry: FragmentEntry) {
        let Some(segment) = &self.segment else { return };
        let desk = &self.desk;
        desk.shared.spool.append(segment.id(), entry);
        let grown = segment.len_bytes() - self.counted;
        self.counted = segment.len_bytes();
        desk.meters.bytes.increment(u64::from(entry.len));
        desk.meters.spooled.increment(grown as f64);
        desk.shared.room.add(grown);
        if std::mem::take(&mut self.has_failed) {
            tracing::info!(channel.id = %desk.channel, "spool can be written again");
        }
        if self.is_late {
            return;
        }
        // In an open GOP, pictures behind the key frame are shown before it.
        let start = entry.wall_of(entry.min_pts);
        let range = TimeRange {
            start,
            end: entry.wall_of(entry.end_pts).max(start),
        };
        let change = desk.memory.lock().coverage.footage(range);
        desk.ledger.send(desk.channel, change);
        desk.track.set_recording(true);
        let lag_us = desk.shared.clock.now().micros_since(range.end);
        desk.meters.lag.set(lag_us as f64 / 1e6);
    }

    /// There is no room. Keeps what is complete and goes on at the next key frame for which there is.
    fn refused(&mut self) {
        if !std::mem::replace(&mut self.has_failed, true) {
            tracing::error!(channel.id = %self.desk.channel, "no room for new footage; it is lost until there is some");
        }
        metrics::counter!("framewell_recorder_refused_fragments_total").increment(1);
        let closed = self
            .segment
            .take()
            .map(|segment| (segment.id(), segment.close()));
        self.desk.closed(closed);
        self.missing(GapReason::StorageFull);
    }

    /// Keeps what is complete and goes on at the next key frame.
    async fn write_failed(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.has_failed, true) {
            tracing::error!(channel.id = %self.desk.channel, error = %error, "spool cannot be written; footage is lost until it can");
        }
        if let Some(segment) = self.segment.take() {
            let closed = (segment.id(), segment.close_damaged().await);
            self.desk.closed(Some(closed));
        }
        let is_full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        if is_full {
            self.desk.shared.room.bell.notify_one();
        }
        self.missing(match is_full {
            true => GapReason::StorageFull,
            false => GapReason::StorageFailed,
        });
    }

    fn run_ended(&mut self, reason: EndReason) {
        match reason {
            EndReason::CameraLost => {
                let status = self.desk.track.source_state().borrow().status;
                self.missing(match status {
                    ChannelStatus::Unauthorized => GapReason::Unauthorized,
                    _ => GapReason::CameraOffline,
                });
            }
            // The source is changed or removed, or the server stops: which of them shows shortly.
            EndReason::Stopped => self.expect(GapReason::RecordingOff),
            EndReason::TimeJump => self.expect(reason.gap_reason()),
        }
    }

    fn missing(&self, reason: GapReason) {
        if !self.is_late {
            self.desk.missing(reason, self.desk.shared.clock.now());
        }
    }

    fn expect(&self, reason: GapReason) {
        if !self.is_late {
            self.desk.memory.lock().coverage.expect(reason);
        }
    }
}
