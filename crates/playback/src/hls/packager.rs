//! From the ring's GOPs to a window of media segments, part by part.

use super::body::Body;
use super::part_length::longest_part;
use super::playlist::Texts;
use super::segment::{Draft, Part, Segment};
use bytes::Bytes;
use framewell_fmp4::{FileClock, build_fragment, build_init};
use framewell_live::{Batch, GopId, Start, Subscriber, Track};
use framewell_media::{AccessUnit, AudioCodec, StreamParameters, TrackKind};
use framewell_model::{RunId, Timescale, WallTime};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Short GOPs are gathered up to this length: a request per GOP of a camera that sends key frames
/// only would cost more than the video.
const MIN_SEGMENT_US: i64 = 1_000_000;
/// Least number of segments in a playlist.
const MIN_LISTED: usize = 6;
/// A playlist lists at least this many target durations. Players need three (RFC 8216 section 6.2.2);
/// what lies more than six before the end is left out of delta updates.
const LISTED_TARGETS: i64 = 8;
/// A player needs this many target durations to start.
const START_TARGETS: i64 = 3;
/// Least target duration in seconds: players that cannot wait for news ask that often.
const MIN_TARGET_S: i64 = 2;
/// A segment of this many bytes ends with its GOP, however short it is: media time may stand still.
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
    /// Units of the fragment that grows.
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
    /// DTS of the first picture of the part that grows, and of the newest picture.
    part_start: Option<i64>,
    last_dts: Option<i64>,
    /// Longest part, in ticks.
    part_ticks: i64,
    /// By how much the lengths of the run's segments are shorter than what they show, in ticks; usually 0.
    untold_ticks: i64,
    segments: VecDeque<Segment>,
    inits: BTreeMap<u64, Init>,
    next_sequence: u64,
    discontinuity: u64,
    fragment_sequence: u32,
    target_s: i64,
    /// Sequence number of the first segment in the playlist; never goes back.
    first_listed: u64,
    /// Moves with every part and segment.
    changes: watch::Sender<()>,
    has_changed: bool,
    /// Playlists as they are until the next change.
    pub(super) texts: Texts,
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
        let mut gops = track.gops();
        let newest = gops.last().filter(|gop| !gop.is_closed)?.run;
        gops.retain(|gop| gop.run == newest);
        let first = gops.first()?;
        let since_epoch_s = first.start().map_or(0, WallTime::secs);
        let sequence = u64::try_from(since_epoch_s)
            .unwrap_or(0)
            .max(least_sequence);
        let mut packager = Self {
            subscriber: track.subscribe(Start::Gop(first.id)),
            gop: None,
            draft: None,
            part_start: None,
            last_dts: None,
            part_ticks: longest_part(&gops, Timescale::HZ_90K.from_micros(MIN_SEGMENT_US)),
            untold_ticks: 0,
            segments: VecDeque::new(),
            inits: BTreeMap::new(),
            next_sequence: sequence,
            discontinuity: sequence,
            fragment_sequence: 1,
            target_s: MIN_TARGET_S,
            first_listed: sequence,
            changes: watch::Sender::default(),
            has_changed: false,
            texts: Texts::default(),
            used: now,
            fed: now,
        };
        packager.advance(now);
        Some(packager)
    }

    /// Takes in what the ring has got, and tells those who wait for it; whether there is anything new
    /// to tell.
    pub(super) fn advance(&mut self, now: Instant) -> bool {
        while let Some(batch) = self.subscriber.try_next() {
            self.fed = now;
            self.take(batch);
        }
        let has_changed = std::mem::take(&mut self.has_changed);
        if has_changed {
            self.texts = Texts::default();
            self.changes.send_replace(());
        }
        has_changed
    }

    /// Moves with every part and segment.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Somebody asked.
    pub(super) const fn touch(&mut self, now: Instant) {
        self.used = now;
    }

    /// How long nobody has asked, or the camera has not delivered.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.used.min(self.fed))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Number of the segment that grows.
    pub(super) const fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    pub(super) const fn target_s(&self) -> i64 {
        self.target_s
    }

    /// Length that parts keep to, as far as the camera lets them.
    pub(super) const fn part_us(&self) -> i64 {
        Timescale::HZ_90K.to_micros(self.part_ticks)
    }

    /// The segments of the playlist, oldest first.
    pub(super) fn listed(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        let first = self.first_listed;
        let gone = self.segments.partition_point(|s| s.sequence < first);
        self.segments.range(gone..)
    }

    /// The segment that grows.
    pub(super) const fn draft(&self) -> Option<&Draft> {
        self.draft.as_ref()
    }

    /// Parameters of the newest segment.
    pub(super) fn parameters(&self) -> Option<&StreamParameters> {
        let epoch = self.segments.back()?.epoch;
        self.inits.get(&epoch).map(|init| init.parameters.as_ref())
    }

    pub(super) fn init(&self, epoch: u64) -> Option<Bytes> {
        self.inits.get(&epoch).map(|init| init.bytes.clone())
    }

    pub(super) fn body(&self, sequence: u64) -> Option<Body> {
        Some(self.segment(sequence)?.body.clone())
    }

    /// The finished parts of a segment, of the one that grows too.
    pub(super) fn parts(&self, sequence: u64) -> Option<&[Part]> {
        if sequence == self.next_sequence {
            return Some(self.draft.as_ref().map_or(&[], |draft| &draft.parts));
        }
        Some(&self.segment(sequence)?.parts)
    }

    fn segment(&self, sequence: u64) -> Option<&Segment> {
        let first = self.segments.front()?.sequence;
        let index = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.segments.get(index)
    }

    fn take(&mut self, batch: Batch) {
        if batch.starts_gop {
            self.begin_gop(&batch);
        }
        let Some(gop) = self.gop.as_ref().filter(|gop| gop.id == batch.gop) else {
            return;
        };
        let has_audio = gop.parameters.audio.is_some();
        for unit in batch.units {
            if unit.track == TrackKind::Video {
                self.take_picture(unit);
            } else if let Some(gop) = self.gop.as_mut().filter(|_| has_audio) {
                gop.units.push(unit);
            }
        }
        if batch.run_end.is_some() {
            self.end_fragment(None);
            self.end_segment();
            self.gop = None;
        }
    }

    /// A picture ends the part before it, if the part would get too long with the picture. How long a
    /// picture lasts is told by the next one, so this one is taken to last as long as the one before.
    fn take_picture(&mut self, unit: AccessUnit) {
        let dts = unit.dts.ticks;
        if let (Some(start), Some(last)) = (self.part_start, self.last_dts)
            && dts.saturating_sub(start) + dts.saturating_sub(last) > self.part_ticks
        {
            self.end_fragment(Some(dts));
            self.end_part();
        }
        self.part_start.get_or_insert(dts);
        self.last_dts = Some(dts);
        if let Some(gop) = &mut self.gop {
            gop.units.push(unit);
        }
    }

    fn begin_gop(&mut self, batch: &Batch) {
        let parameters = playable(&batch.parameters);
        let follows = |gop: &OpenGop| gop.run == batch.run && gop.id + 1 == batch.gop;
        let is_continuous = self.gop.as_ref().is_some_and(follows);
        let is_same = |gop: &OpenGop| *gop.parameters == *parameters;
        let has_same_parameters = self.gop.as_ref().is_some_and(is_same);
        let end_dts = batch.units.first().filter(|_| is_continuous);
        self.end_fragment(end_dts.map(|unit| unit.dts.ticks));
        let is_full = |draft: &Draft| {
            draft.duration_us() >= MIN_SEGMENT_US || draft.bytes() >= MAX_SEGMENT_BYTES
        };
        let is_discontinuity = !(is_continuous && has_same_parameters);
        if let (Some(draft), Some(key)) = (&mut self.draft, end_dts)
            && (is_discontinuity || is_full(draft))
        {
            let shift = key.pts.ticks.saturating_sub(key.dts.ticks);
            self.untold_ticks = draft.end_before(shift, self.untold_ticks);
        }
        if is_discontinuity {
            self.untold_ticks = 0;
        }
        if is_discontinuity || self.draft.as_ref().is_some_and(is_full) {
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

    /// `end_dts` of the picture after it, if that follows without a hole.
    fn end_fragment(&mut self, end_dts: Option<i64>) {
        let Some(gop) = self.gop.as_mut().filter(|gop| !gop.units.is_empty()) else {
            return;
        };
        let units = std::mem::take(&mut gop.units);
        let clock = FileClock::of_run(&gop.parameters);
        let sequence = self.fragment_sequence;
        let fragment = build_fragment(&clock, sequence, &gop.parameters, &units, end_dts);
        self.fragment_sequence = self.fragment_sequence.wrapping_add(1).max(1);
        let entry = &fragment.entry;
        let start = entry.wall_of(entry.min_pts);
        let shift = entry.anchor_pts.saturating_sub(entry.dts);
        let draft = self
            .draft
            .get_or_insert_with(|| Draft::new(gop.epoch, gop.is_discontinuity, start, shift));
        let is_video = |unit: &&AccessUnit| unit.track == TrackKind::Video;
        draft.push(fragment, units.iter().filter(is_video).count());
    }

    fn end_part(&mut self) {
        self.part_start = None;
        if let Some(draft) = &mut self.draft {
            self.has_changed |= draft.end_part();
        }
    }

    fn end_segment(&mut self) {
        self.part_start = None;
        self.last_dts = None;
        let Some(draft) = self.draft.take() else {
            return;
        };
        self.discontinuity += u64::from(draft.is_discontinuity);
        let segment = draft.finish(self.next_sequence, self.discontinuity);
        self.next_sequence += 1;
        self.target_s = self.target_s.max(target_of(segment.duration_us));
        self.segments.push_back(segment);
        self.has_changed = true;
        self.evict();
    }

    /// Removed segments stay as long again as the playlist is (RFC 8216 section 6.2.2).
    fn evict(&mut self) {
        let listed = self.least_listed();
        let mut bytes: usize = self.segments.iter().map(|s| s.body.len()).sum();
        while self.segments.len() > 2 * listed || (bytes > MAX_BYTES && self.segments.len() > 3) {
            let Some(gone) = self.segments.pop_front() else {
                return;
            };
            bytes -= gone.body.len();
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
        let total_us: i64 = self.segments.iter().map(|s| s.duration_us).sum();
        total_us >= START_TARGETS * self.target_s * 1_000_000
    }

    /// How many of the newest segments a playlist must have; all of them if they are not enough.
    fn least_listed(&self) -> usize {
        let least_us = LISTED_TARGETS * self.target_s * 1_000_000;
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
pub(super) fn playable(parameters: &Arc<StreamParameters>) -> Arc<StreamParameters> {
    match &parameters.audio {
        Some(audio) if audio.codec != AudioCodec::Aac => Arc::new(StreamParameters {
            video: parameters.video.clone(),
            audio: None,
        }),
        _ => Arc::clone(parameters),
    }
}
