//! A channel's live track: one writer, many readers.

use crate::ring::{Gop, GopSpan, Ring, RingConfig};
use crate::state::{EndReason, IngestStats, Lateness, SourceClock, SourceMessage, SourceState};
use crate::subscriber::{Start, Subscriber};
use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{RunId, StreamOffset, WallClock, WallTime};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{broadcast, watch};

/// A batch reader is woken when this much payload waits, at the latest.
const FLUSH_BYTES: usize = 512 << 10;
/// A batch reader is woken when this much media time waits, at the latest.
const FLUSH_US: i64 = 1_000_000;
/// Messages of the camera that a reader may be behind; it misses the oldest then, and is told.
const MESSAGES: usize = 32;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl WallClock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the system clock is read"
    )]
    fn now(&self) -> WallTime {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        WallTime::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: Mutex<Locked>,
    /// Moves with every unit. A `watch` without a value: only its version counts.
    pub(crate) head: watch::Sender<()>,
    /// Moves when a batch reader should look: GOP closed, run ended, a second or half a MiB.
    pub(crate) flush: watch::Sender<()>,
    source: watch::Sender<SourceState>,
    recording: watch::Sender<bool>,
    messages: broadcast::Sender<SourceMessage>,
    stats: Mutex<IngestStats>,
    clocks: Mutex<Clocks>,
}

/// What is known of the clocks behind the track.
#[derive(Debug, Clone, Copy, Default)]
struct Clocks {
    source: Option<SourceClock>,
    lateness: Option<Lateness>,
    offset: Option<StreamOffset>,
}

#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) ring: Ring,
    pub(crate) run: Option<RunId>,
    pub(crate) ended: Option<(RunId, EndReason)>,
    parameters: Option<Arc<StreamParameters>>,
    /// Bytes pushed since batch readers were last woken.
    unflushed_bytes: usize,
    flushed_at: Option<WallTime>,
}

/// Handle to a channel's ring and state; cheap to clone. Exactly one ingest session writes.
#[derive(Debug, Clone)]
pub struct Track {
    pub(crate) shared: Arc<Shared>,
}

impl Track {
    /// An empty track.
    #[must_use]
    pub fn new(config: RingConfig, now: WallTime) -> Self {
        let locked = Locked {
            ring: Ring::new(config),
            run: None,
            ended: None,
            parameters: None,
            unflushed_bytes: 0,
            flushed_at: None,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(locked),
                head: watch::Sender::default(),
                flush: watch::Sender::default(),
                source: watch::Sender::new(SourceState::inactive(now)),
                recording: watch::Sender::new(false),
                messages: broadcast::Sender::new(MESSAGES),
                stats: Mutex::default(),
                clocks: Mutex::default(),
            }),
        }
    }

    /// Writer: a camera session delivers from now on. Ends the run before, if one is open.
    pub fn begin_run(&self, run: RunId, parameters: Arc<StreamParameters>) {
        let mut locked = self.shared.state.lock();
        locked.ring.close_newest();
        locked.run = Some(run);
        locked.parameters = Some(parameters);
        self.wake_all(&mut locked);
    }

    /// Writer: parameters for the units from the next key frame on.
    pub fn set_parameters(&self, parameters: Arc<StreamParameters>) {
        self.shared.state.lock().parameters = Some(parameters);
    }

    /// Writer: appends a unit and wakes readers. Never waits. Units before the first key frame of a
    /// run are dropped (nothing can decode them); false if this one was.
    pub fn push(&self, unit: AccessUnit) -> bool {
        {
            let mut stats = self.shared.stats.lock();
            stats.bytes += unit.data.len() as u64;
            stats.frames += u64::from(unit.track == TrackKind::Video);
        }
        let mut locked = self.shared.state.lock();
        let (Some(run), Some(parameters)) = (locked.run, locked.parameters.clone()) else {
            return false;
        };
        let starts_gop = unit.track == TrackKind::Video && unit.is_key;
        let is_stale = |gop: &Gop| gop.is_closed || gop.run != run;
        if starts_gop {
            locked.ring.start_gop(run, parameters);
        } else if locked.ring.newest().is_none_or(is_stale) {
            return false;
        }
        let (wall, len) = (unit.wall, unit.data.len());
        let stored = locked.ring.append(unit);
        locked.unflushed_bytes += len;
        let waited_us = locked
            .flushed_at
            .map_or(i64::MAX, |at| wall.micros_since(at));
        if starts_gop || !stored || locked.unflushed_bytes >= FLUSH_BYTES || waited_us >= FLUSH_US {
            locked.flushed_at = Some(wall);
            self.wake_all(&mut locked);
        } else {
            self.shared.head.send_replace(());
        }
        stored
    }

    /// Writer: the run is over.
    pub fn end_run(&self, reason: EndReason) {
        let mut locked = self.shared.state.lock();
        locked.ring.close_newest();
        if let Some(run) = locked.run.take() {
            locked.ended = Some((run, reason));
        }
        self.wake_all(&mut locked);
    }

    /// Writer: publishes the state of the source.
    pub fn set_source_state(&self, state: SourceState) {
        self.shared.source.send_replace(state);
    }

    /// Recorder: whether footage is being written now.
    pub fn set_recording(&self, is_recording: bool) {
        self.shared
            .recording
            .send_if_modified(|now| std::mem::replace(now, is_recording) != is_recording);
    }

    /// Ingest: hands on what the camera says beside its pictures. Never waits; without a reader it is gone.
    pub fn tell(&self, message: SourceMessage) {
        // An error means that nobody listens.
        let _listeners = self.shared.messages.send(message);
    }

    /// What the camera says beside its pictures, from now on.
    #[must_use]
    pub fn messages(&self) -> broadcast::Receiver<SourceMessage> {
        self.shared.messages.subscribe()
    }

    /// Ingest: counts lost packets.
    pub fn count_lost(&self, packets: u64) {
        self.shared.stats.lock().lost_packets += packets;
    }

    /// Ingest: counts a session after the first.
    pub fn count_reconnect(&self) {
        self.shared.stats.lock().reconnects += 1;
    }

    /// Writer: what is known of the camera's clock now.
    pub fn set_clock(&self, clock: SourceClock) {
        self.shared.clocks.lock().source = Some(clock);
    }

    /// What is known of the camera's clock, of its newest run with a sender report.
    #[must_use]
    pub fn clock(&self) -> Option<SourceClock> {
        self.shared.clocks.lock().source
    }

    /// Writer: how long pictures took from their capture times to us lately.
    pub fn set_lateness(&self, lateness: Lateness) {
        self.shared.clocks.lock().lateness = Some(lateness);
    }

    /// How long pictures took from their capture times to us lately; `None` before the first one.
    #[must_use]
    pub fn lateness(&self) -> Option<Lateness> {
        self.shared.clocks.lock().lateness
    }

    /// Writer of a sub stream: how its clock lies to that of its main stream.
    pub fn set_offset(&self, offset: StreamOffset) {
        self.shared.clocks.lock().offset = Some(offset);
    }

    /// How the clock of a sub stream lies to that of its main stream, in its newest run; `None` until both have
    /// sent pictures.
    #[must_use]
    pub fn offset(&self) -> Option<StreamOffset> {
        self.shared.clocks.lock().offset
    }

    /// Present state of the source, and its changes.
    #[must_use]
    pub fn source_state(&self) -> watch::Receiver<SourceState> {
        self.shared.source.subscribe()
    }

    /// Whether footage is being written, and changes of it.
    #[must_use]
    pub fn recording(&self) -> watch::Receiver<bool> {
        self.shared.recording.subscribe()
    }

    /// Counters since the start of the server.
    #[must_use]
    pub fn stats(&self) -> IngestStats {
        *self.shared.stats.lock()
    }

    /// Payload bytes in the ring.
    #[must_use]
    pub fn ring_bytes(&self) -> usize {
        self.shared.state.lock().ring.bytes()
    }

    /// Parameters of the newest GOP, or those announced for the next one.
    #[must_use]
    pub fn parameters(&self) -> Option<Arc<StreamParameters>> {
        let locked = self.shared.state.lock();
        locked
            .ring
            .newest()
            .map(|gop| Arc::clone(&gop.parameters))
            .or_else(|| locked.parameters.clone())
    }

    /// The newest GOP so far (a copy of handles, not of payload).
    #[must_use]
    pub fn newest_gop(&self) -> Option<Gop> {
        let locked = self.shared.state.lock();
        locked
            .ring
            .iter()
            .next_back()
            .filter(|gop| !gop.units.is_empty())
            .cloned()
    }

    /// Capture time of the newest picture in the ring, without a copy of anything.
    #[must_use]
    pub fn newest_capture(&self) -> Option<WallTime> {
        /// No codec reorders over more pictures; audio between them is not counted.
        const REORDERED: usize = 17;
        let locked = self.shared.state.lock();
        let mut gops = locked.ring.iter().rev();
        let gop = gops.find(|gop| !gop.units.is_empty())?;
        let pictures = gop.units.iter().rev();
        let pictures = pictures.filter(|unit| unit.track == TrackKind::Video);
        pictures.take(REORDERED).map(|unit| unit.wall).max()
    }

    /// All GOPs in the ring, oldest first (copies of handles).
    #[must_use]
    pub fn gops(&self) -> Vec<Gop> {
        self.shared
            .state
            .lock()
            .ring
            .iter()
            .filter(|gop| !gop.units.is_empty())
            .cloned()
            .collect()
    }

    /// When the GOPs in the ring were captured, oldest first, without a copy of their units.
    #[must_use]
    pub fn gop_spans(&self) -> Vec<GopSpan> {
        let locked = self.shared.state.lock();
        let span = |gop: &Gop| {
            Some(GopSpan {
                id: gop.id,
                run: gop.run,
                start: gop.start()?,
                is_closed: gop.is_closed,
            })
        };
        locked.ring.iter().filter_map(span).collect()
    }

    /// The GOP on screen at `at`: the newest one that starts at or before it, if its own footage, or
    /// that of a later GOP of the same run, reaches `at`.
    #[must_use]
    pub fn gop_at(&self, at: WallTime) -> Option<Gop> {
        let locked = self.shared.state.lock();
        let gop = locked
            .ring
            .iter()
            .rev()
            .find(|gop| gop.start().is_some_and(|start| start <= at))?;
        let next_is_same_run = locked
            .ring
            .get(gop.id + 1)
            .is_some_and(|next| next.run == gop.run);
        (next_is_same_run || gop.newest().is_some_and(|newest| at <= newest)).then(|| gop.clone())
    }

    /// A reader of its own.
    #[must_use]
    pub fn subscribe(&self, start: Start) -> Subscriber {
        Subscriber::new(self.clone(), start)
    }

    fn wake_all(&self, locked: &mut Locked) {
        locked.unflushed_bytes = 0;
        self.shared.head.send_replace(());
        self.shared.flush.send_replace(());
    }
}
