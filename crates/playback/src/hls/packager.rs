//! From the ring's GOPs to a window of media segments.

use super::segment::{Draft, Segment};
use bytes::Bytes;
use framewell_fmp4::{FileClock, build_fragment, build_init};
use framewell_live::{Batch, GopId, Start, Subscriber, Track};
use framewell_media::{AccessUnit, AudioCodec, StreamParameters, TrackKind};
use framewell_model::{RunId, WallTime};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Short GOPs are gathered up to this length: a request per GOP of a camera that sends key frames
/// only would cost more than the video.
const MIN_SEGMENT_US: i64 = 1_000_000;
/// Least number of segments in a playlist.
const MIN_LISTED: usize = 6;
/// A playlist lists at least this many target durations (RFC 8216 section 6.2.2).
const MIN_LISTED_TARGETS: i64 = 3;
/// Least target duration in seconds: players wait that long between polls.
const MIN_TARGET_S: i64 = 2;
/// A segment of this many bytes ends, however short it is: media time may stand still.
const MAX_SEGMENT_BYTES: usize = 16 << 20;
/// Payload kept per channel at most, unless three segments need more.
const MAX_BYTES: usize = 48 << 20;

/// A GOP that still grows.
#[derive(Debug)]
struct OpenGop {
    id: GopId,
    run: RunId,
    /// Epoch of its init segment.
    epoch: u64,
    is_discontinuity: bool,
    parameters: Arc<StreamParameters>,
    units: Vec<AccessUnit>,
}

/// An init segment.
#[derive(Debug)]
struct Init {
    parameters: Arc<StreamParameters>,
    bytes: Bytes,
}

/// Packages one channel.
#[derive(Debug)]
pub(super) struct Packager {
    subscriber: Subscriber,
    gop: Option<OpenGop>,
    draft: Option<Draft>,
    segments: VecDeque<Segment>,
    inits: BTreeMap<u64, Init>,
    next_sequence: u64,
    discontinuity: u64,
    fragment_sequence: u32,
    target_s: i64,
    /// Sequence number of the first segment in the playlist; never goes back.
    first_listed: u64,
    /// When somebody last asked.
    used: Instant,
    /// When the camera last delivered, as far as was looked.
    fed: Instant,
}

impl Packager {
    /// Begins with the oldest GOP in the ring of the run that the camera delivers now; `None` if it
    /// does not deliver.
    ///
    /// Media sequence numbers begin at the wall time in seconds: segments have a second at least, so
    /// the numbers grow over restarts of packager and server, as RFC 8216 section 6.2.2 demands.
    pub(super) fn start(track: &Track, least_sequence: u64, now: Instant) -> Option<Self> {
        let gops = track.gops();
        let newest = gops.last().filter(|gop| !gop.is_closed)?;
        let first = gops.iter().find(|gop| gop.run == newest.run)?;
        let since_epoch_s = first.start().map_or(0, WallTime::secs);
        let sequence = u64::try_from(since_epoch_s)
            .unwrap_or(0)
            .max(least_sequence);
        let mut packager = Self {
            subscriber: track.subscribe(Start::Gop(first.id)),
            gop: None,
            draft: None,
            segments: VecDeque::new(),
            inits: BTreeMap::new(),
            next_sequence: sequence,
            discontinuity: sequence,
            fragment_sequence: 1,
            target_s: MIN_TARGET_S,
            first_listed: sequence,
            used: now,
            fed: now,
        };
        packager.advance(now);
        Some(packager)
    }

    /// Takes in what the ring has got.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some(batch) = self.subscriber.try_next() {
            self.fed = now;
            self.take(batch);
        }
    }

    /// Somebody asked.
    pub(super) const fn touch(&mut self, now: Instant) {
        self.used = now;
    }

    /// How long nobody has asked, or the camera has not delivered.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.used.min(self.fed))
    }

    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    pub(super) const fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    pub(super) const fn target_s(&self) -> i64 {
        self.target_s
    }

    /// The segments of the playlist, oldest first.
    pub(super) fn listed(&self) -> impl Iterator<Item = &Segment> {
        let first = self.first_listed;
        self.segments
            .iter()
            .skip_while(move |segment| segment.sequence < first)
    }

    /// Parameters of the newest segment.
    pub(super) fn parameters(&self) -> Option<&StreamParameters> {
        let epoch = self.segments.back()?.epoch;
        self.inits.get(&epoch).map(|init| init.parameters.as_ref())
    }

    pub(super) fn init(&mut self, epoch: u64, now: Instant) -> Option<Bytes> {
        self.touch(now);
        self.inits.get(&epoch).map(|init| init.bytes.clone())
    }

    pub(super) fn body(&mut self, sequence: u64, now: Instant) -> Option<Bytes> {
        self.touch(now);
        self.advance(now);
        let first = self.segments.front()?.sequence;
        let index = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.segments.get_mut(index).map(Segment::body)
    }

    fn take(&mut self, batch: Batch) {
        if batch.starts_gop {
            self.begin_gop(&batch);
        }
        let Some(gop) = self.gop.as_mut().filter(|gop| gop.id == batch.gop) else {
            return;
        };
        let has_audio = gop.parameters.audio.is_some();
        gop.units.extend(
            batch
                .units
                .into_iter()
                .filter(|unit| unit.track == TrackKind::Video || has_audio),
        );
        if batch.run_end.is_some() {
            self.end_gop(None);
            self.end_segment();
        }
    }

    fn begin_gop(&mut self, batch: &Batch) {
        let parameters = playable(&batch.parameters);
        let follows = |gop: &OpenGop| gop.run == batch.run && gop.id + 1 == batch.gop;
        let is_continuous = self.gop.as_ref().is_some_and(follows);
        let is_same = |gop: &OpenGop| *gop.parameters == *parameters;
        let has_same_parameters = self.gop.as_ref().is_some_and(is_same);
        let end_dts = batch.units.first().filter(|_| is_continuous);
        self.end_gop(end_dts.map(|unit| unit.dts.ticks));
        let is_discontinuity = !(is_continuous && has_same_parameters);
        if is_discontinuity {
            self.end_segment();
        }
        let epoch = self.epoch_of(&parameters);
        self.gop = Some(OpenGop {
            id: batch.gop,
            run: batch.run,
            epoch,
            is_discontinuity,
            parameters,
            units: Vec::new(),
        });
    }

    /// The newest init segment if it has these parameters, else a new one. Its number is that of the
    /// first segment that uses it, which no other init segment of the channel has had.
    fn epoch_of(&mut self, parameters: &Arc<StreamParameters>) -> u64 {
        if let Some((epoch, init)) = self.inits.last_key_value()
            && *init.parameters == **parameters
        {
            return *epoch;
        }
        let epoch = self.next_sequence;
        let bytes = build_init(parameters, None);
        let init = Init {
            parameters: Arc::clone(parameters),
            bytes,
        };
        self.inits.insert(epoch, init);
        epoch
    }

    /// `end_dts` of the GOP after it, if that follows without a hole.
    fn end_gop(&mut self, end_dts: Option<i64>) {
        let Some(gop) = self.gop.take().filter(|gop| !gop.units.is_empty()) else {
            return;
        };
        let clock = FileClock::of_run(&gop.parameters);
        let sequence = self.fragment_sequence;
        let fragment = build_fragment(&clock, sequence, &gop.parameters, &gop.units, end_dts);
        self.fragment_sequence = self.fragment_sequence.wrapping_add(1).max(1);
        let start = fragment.entry.wall_of(fragment.entry.min_pts);
        let draft = self
            .draft
            .get_or_insert_with(|| Draft::new(gop.epoch, gop.is_discontinuity, start));
        draft.push(fragment, &gop.units);
        if draft.duration_us() >= MIN_SEGMENT_US || draft.bytes() >= MAX_SEGMENT_BYTES {
            self.end_segment();
        }
    }

    fn end_segment(&mut self) {
        let Some(draft) = self.draft.take() else {
            return;
        };
        self.discontinuity += u64::from(draft.is_discontinuity);
        let segment = draft.finish(self.next_sequence, self.discontinuity);
        self.next_sequence += 1;
        self.target_s = self.target_s.max(target_of(segment.duration_us));
        self.segments.push_back(segment);
        self.evict();
    }

    /// Removed segments stay as long again as the playlist is (RFC 8216 section 6.2.2).
    fn evict(&mut self) {
        let listed = self.least_listed();
        let mut bytes: usize = self.segments.iter().map(|segment| segment.bytes).sum();
        while self.segments.len() > 2 * listed || (bytes > MAX_BYTES && self.segments.len() > 3) {
            let Some(gone) = self.segments.pop_front() else {
                return;
            };
            bytes -= gone.bytes;
        }
        let first = self.segments.len().saturating_sub(listed);
        if let Some(first) = self.segments.get(first) {
            self.first_listed = self.first_listed.max(first.sequence);
        }
        if let Some(oldest) = self.segments.front() {
            self.inits.retain(|epoch, _| *epoch >= oldest.epoch);
        }
    }

    /// Whether there is as much media as a live playlist must have. Players start three target
    /// durations before the end (RFC 8216 section 6.3.3); Chromium gives up on a shorter playlist.
    pub(super) fn covers_start(&self) -> bool {
        let total_us: i64 = self
            .segments
            .iter()
            .map(|segment| segment.duration_us)
            .sum();
        total_us >= MIN_LISTED_TARGETS * self.target_s * 1_000_000
    }

    /// How many of the newest segments a playlist must have; all of them if they are not enough.
    fn least_listed(&self) -> usize {
        let least_us = MIN_LISTED_TARGETS * self.target_s * 1_000_000;
        let mut total_us = 0;
        for (count, segment) in self.segments.iter().rev().enumerate() {
            if count >= MIN_LISTED && total_us >= least_us {
                return count;
            }
            total_us += segment.duration_us;
        }
        self.segments.len()
    }
}

/// Whole seconds that a segment of this length, and one a tenth longer, rounds to. A target duration
/// must not change (RFC 8216 section 6.2.1), and GOP lengths are not exact. It still grows when a
/// camera is set to longer GOPs: the other choice is to leave its video out.
const fn target_of(duration_us: i64) -> i64 {
    (duration_us + duration_us / 10 + 500_000) / 1_000_000
}

/// What browsers can play: G.711 in MP4 is nothing that Media Source Extensions accept, and an
/// unknown track would cost the viewer the video too.
fn playable(parameters: &Arc<StreamParameters>) -> Arc<StreamParameters> {
    match &parameters.audio {
        Some(audio) if audio.codec != AudioCodec::Aac => Arc::new(StreamParameters {
            video: parameters.video.clone(),
            audio: None,
        }),
        _ => Arc::clone(parameters),
    }
}
