//! Pictures on their way from the ring to the decoder, in pieces that need nothing behind them.

use framewell_live::{Batch, GopId};
use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{FrameId, RunId};
use std::collections::VecDeque;
use std::sync::Arc;

/// No decoder reorders over so many pictures; then their order is given up.
const MAX_UNSETTLED: usize = 64;

/// Most pictures in a queue, and their bytes: what the ring lets one GOP grow to. What is beyond stays in the
/// ring, whose own bounds hold: a GOP that is overwritten unread counts as missed.
const MAX_PENDING: usize = 4_096;
const MAX_PENDING_BYTES: usize = 64 << 20;

/// A compressed picture of the ring.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) gop: GopId,
    pub(crate) run: RunId,
    pub(crate) parameters: Arc<StreamParameters>,
    pub(crate) unit: AccessUnit,
    /// Nothing before it belongs to it: a new run, other parameters, or pictures were missed.
    pub(crate) is_break: bool,
    /// Whole GOPs before it that were overwritten unread.
    pub(crate) missed: u64,
}

impl Frame {
    pub(crate) const fn pts(&self) -> i64 {
        self.unit.pts.ticks
    }

    pub(crate) const fn id(&self) -> FrameId {
        FrameId {
            run: self.run,
            ticks: self.unit.pts.ticks,
        }
    }
}

/// A place in the channel's pictures, in presentation order: everything up to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) gop: GopId,
    pub(crate) run: RunId,
    pub(crate) pts: i64,
}

impl Mark {
    pub(crate) const fn of(frame: &Frame) -> Self {
        Self {
            gop: frame.gop,
            run: frame.run,
            pts: frame.pts(),
        }
    }

    /// Whether the picture lies at or before the mark.
    pub(crate) fn covers(&self, frame: &Frame) -> bool {
        if frame.run == self.run {
            frame.pts() <= self.pts
        } else {
            frame.gop <= self.gop
        }
    }
}

/// A queue in decoding order. What comes out of it is settled: no picture behind it is shown before
/// one of it, so pictures can be chosen in presentation order. Without B pictures that is every
/// picture at once.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pending: VecDeque<Frame>,
    /// Of their payload.
    bytes: usize,
    last: Option<(RunId, Arc<StreamParameters>)>,
    /// The run of the last picture is over.
    is_ended: bool,
}

impl Frames {
    /// Whether another batch may come in; a batch is never longer than what the ring has of one GOP.
    pub(crate) fn has_room(&self) -> bool {
        self.pending.len() < MAX_PENDING && self.bytes < MAX_PENDING_BYTES
    }

    /// Takes the pictures of a batch in.
    pub(crate) fn push(&mut self, batch: Batch) {
        let is_other = self.last.as_ref().is_none_or(|(run, parameters)| {
            *run != batch.run || parameters.video != batch.parameters.video
        });
        let mut missed = batch.missed_gops;
        let mut is_break = is_other || missed > 0;
        for unit in batch.units {
            if unit.track != TrackKind::Video {
                continue;
            }
            self.is_ended = false;
            self.bytes += unit.data.len();
            self.pending.push_back(Frame {
                gop: batch.gop,
                run: batch.run,
                parameters: Arc::clone(&batch.parameters),
                unit,
                is_break: std::mem::take(&mut is_break),
                missed: std::mem::take(&mut missed),
            });
        }
        self.last = Some((batch.run, batch.parameters));
        self.is_ended |= batch.run_end.is_some();
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn front(&self) -> Option<&Frame> {
        self.pending.front()
    }

    pub(crate) fn back(&self) -> Option<&Frame> {
        self.pending.back()
    }

    /// Whether all pictures of a run that is over were taken.
    pub(crate) fn is_over(&self) -> bool {
        self.is_ended && self.pending.is_empty()
    }

    /// Whether [`Frames::take`] has something.
    pub(crate) fn is_ready(&self) -> bool {
        self.settled(1) > 0
    }

    /// The next pictures in decoding order, all of one run and with the same parameters, with a key frame
    /// only at their beginning, so that damage never reaches beyond one; about `most` of them if there
    /// are more. Empty if none is settled.
    pub(crate) fn take(&mut self, most: usize) -> Vec<Frame> {
        let count = self.settled(most);
        self.remove(count)
    }

    /// Like [`Frames::take`], of pictures that need not be settled: whatever has come, `most` at most.
    pub(crate) fn take_unsettled(&mut self, most: usize) -> Vec<Frame> {
        let rest = self.pending.iter().skip(1);
        let joined = rest.take_while(|frame| !frame.is_break && !frame.unit.is_key);
        let count = (joined.count() + 1).min(most).min(self.pending.len());
        self.remove(count)
    }

    fn remove(&mut self, count: usize) -> Vec<Frame> {
        let removed: Vec<Frame> = self.pending.drain(..count).collect();
        let bytes: usize = removed.iter().map(|frame| frame.unit.data.len()).sum();
        self.bytes -= bytes;
        removed
    }

    /// Everything before the last key frame, if there is one behind the first picture.
    pub(crate) fn take_before_last_key(&mut self) -> Vec<Frame> {
        let key = self.pending.iter().rposition(|frame| frame.unit.is_key);
        let skipped = self.remove(key.unwrap_or(0));
        if let Some(first) = self.pending.front_mut() {
            first.is_break = true;
        }
        skipped
    }

    /// How many pictures from the front are settled: the largest such number up to `most`, else the
    /// smallest above it.
    fn settled(&self, most: usize) -> usize {
        let breaks = self.pending.iter().skip(1);
        let end = breaks.take_while(|frame| !frame.is_break).count() + 1;
        let end = end.min(self.pending.len());
        let Some(newest) = end.checked_sub(1).map(|last| self.pending[last].unit.dts) else {
            return 0;
        };
        let is_final = end < self.pending.len() || self.is_ended;
        // Of each suffix the smallest presentation time.
        let mut least = vec![i64::MAX; end + 1];
        for at in (0..end).rev() {
            least[at] = least[at + 1].min(self.pending[at].pts());
        }
        let (mut best, mut greatest) = (0, i64::MIN);
        for at in 0..end {
            if best > 0 && self.pending[at].unit.is_key {
                break;
            }
            greatest = greatest.max(self.pending[at].pts());
            let is_settled = greatest < least[at + 1] && (is_final || greatest <= newest.ticks);
            if is_settled {
                if at + 1 > most && best > 0 {
                    break;
                }
                best = at + 1;
            }
        }
        if best == 0 && (is_final || end >= MAX_UNSETTLED) {
            return end;
        }
        best
    }
}

/// Whether a piece that [`Frames::take`] gave has pictures behind its key frame that are shown before it;
/// they may refer to what came before it (open GOP, ITU-T H.265 section 3.81).
pub(crate) fn has_leading(block: &[Frame]) -> bool {
    let key = block
        .iter()
        .rfind(|frame| frame.unit.is_key)
        .map(Frame::pts);
    key.is_some_and(|key| block.last().is_some_and(|last| last.pts() < key))
}

/// Indices in presentation order.
pub(crate) fn in_order(frames: &[Frame]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..frames.len()).collect();
    order.sort_by_key(|index| frames[*index].pts());
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use framewell_live::EndReason;
    use framewell_media::{DtsEstimator, VideoCodec, VideoParameters};
    use framewell_model::{ClockSource, MediaTime, Timescale, WallTime};

    fn parameters(width: u32) -> Arc<StreamParameters> {
        Arc::new(StreamParameters {
            video: VideoParameters {
                codec: VideoCodec::H264,
                width,
                height: 240,
                config: Bytes::new(),
                reorder_depth: 1,
                rfc6381: String::new(),
            },
            audio: None,
        })
    }

    fn run(number: u32) -> RunId {
        format!("01900000-0000-7000-8000-{number:012}")
            .parse()
            .unwrap()
    }

    fn batch(gop: GopId, run_number: u32, units: Vec<AccessUnit>) -> Batch {
        Batch {
            gop,
            run: run(run_number),
            parameters: parameters(320),
            units,
            starts_gop: true,
            is_closed: false,
            missed_gops: 0,
            run_end: None,
        }
    }

    fn units(depth: u8, order: &[i64]) -> Vec<AccessUnit> {
        let mut dts = DtsEstimator::new(depth);
        let unit = |pts: &i64| AccessUnit {
            track: TrackKind::Video,
            pts: MediaTime::new(*pts, Timescale::HZ_90K),
            dts: MediaTime::new(dts.place(*pts), Timescale::HZ_90K),
            wall: WallTime::from_micros(*pts),
            clock: ClockSource::ServerArrival,
            is_key: *pts == order[0],
            data: Bytes::new(),
        };
        order.iter().map(unit).collect()
    }

    fn pts(frames: &[Frame]) -> Vec<i64> {
        frames.iter().map(Frame::pts).collect()
    }

    #[test]
    fn without_b_pictures_every_picture_is_settled_at_once() {
        let mut frames = Frames::default();
        for unit in units(0, &[0, 1, 2]) {
            let at = unit.pts.ticks;
            frames.push(batch(1, 1, vec![unit]));
            assert_eq!(pts(&frames.take(48)), [at]);
        }
        frames.push(batch(1, 1, units(0, &[3, 4, 5, 6])));
        frames.push(batch(2, 1, units(0, &[7, 8])));
        assert_eq!(pts(&frames.take(3)), [3, 4, 5]);
        assert_eq!(pts(&frames.take(3)), [6], "not over a key frame");
        assert_eq!(pts(&frames.take(3)), [7, 8]);
        assert!(!frames.is_ready());
    }

    #[test]
    fn a_picture_waits_for_the_ones_shown_before_it() {
        let mut frames = Frames::default();
        let order = [0, 3, 1, 2, 6, 4, 5];
        let mut taken = Vec::new();
        for unit in units(1, &order) {
            frames.push(batch(1, 1, vec![unit]));
            taken.push(pts(&frames.take(48)));
        }
        let none: &[i64] = &[];
        let expected = [none, &[0], none, none, &[3, 1, 2], none, none];
        assert_eq!(taken, expected);
        let mut end = batch(1, 1, Vec::new());
        end.run_end = Some(EndReason::CameraLost);
        frames.push(end);
        assert_eq!(pts(&frames.take(48)), [6, 4, 5]);
    }

    #[test]
    fn what_need_not_be_settled_comes_at_once_and_never_reaches_over_a_key_frame() {
        let mut frames = Frames::default();
        frames.push(batch(1, 1, units(1, &[0, 3])));
        assert_eq!(pts(&frames.take_unsettled(48)), [0, 3]);
        frames.push(batch(1, 1, vec![units(1, &[0, 3, 1])[2].clone()]));
        frames.push(batch(2, 1, units(1, &[6, 9])));
        frames.push(batch(3, 2, units(1, &[0])));
        assert_eq!(pts(&frames.take_unsettled(48)), [1]);
        assert_eq!(pts(&frames.take_unsettled(1)), [6]);
        assert_eq!(pts(&frames.take_unsettled(48)), [9]);
        assert!(frames.front().unwrap().is_break);
        assert_eq!(pts(&frames.take_unsettled(48)), [0]);
        assert!(frames.take_unsettled(48).is_empty());
    }

    #[test]
    fn a_gop_without_end_stays_in_the_ring_beyond_the_bound() {
        let mut frames = Frames::default();
        let one = |at: i64, len: usize| {
            let mut unit = units(0, &[0, at])[1].clone();
            unit.data = Bytes::from(vec![0; len]);
            batch(1, 1, vec![unit])
        };
        let mut next = 0;
        while frames.has_room() {
            next += 1;
            frames.push(one(next, 1 << 20));
        }
        assert_eq!(frames.len(), 64);
        assert_eq!(frames.take(16).len(), 16);
        assert!(frames.has_room());
        frames.clear();
        while frames.has_room() {
            next += 1;
            frames.push(one(next, 1));
        }
        assert_eq!(frames.len(), MAX_PENDING);
        while !frames.take(48).is_empty() {}
        assert_eq!(frames.bytes, 0);
    }

    #[test]
    fn a_piece_never_reaches_over_a_break() {
        let mut frames = Frames::default();
        frames.push(batch(1, 1, units(1, &[0, 3, 1, 2])));
        let mut missed = batch(9, 1, units(1, &[90, 93]));
        missed.missed_gops = 7;
        frames.push(missed);
        frames.push(batch(10, 2, units(1, &[0, 3])));
        let mut other = batch(11, 2, units(1, &[6]));
        other.parameters = parameters(640);
        frames.push(other);
        assert_eq!(pts(&frames.take(48)), [0, 3, 1, 2]);
        let next = frames.take(48);
        assert!(next[0].is_break);
        assert_eq!(pts(&next), [90, 93]);
        assert_eq!(pts(&frames.take(48)), [0, 3]);
        assert_eq!(frames.len(), 1);
    }

    #[test]
    fn skipping_leaves_the_last_key_frame_as_a_break() {
        let mut frames = Frames::default();
        frames.push(batch(1, 1, units(0, &[0, 1, 2])));
        frames.push(batch(2, 1, units(0, &[3, 4])));
        assert_eq!(pts(&frames.take_before_last_key()), [0, 1, 2]);
        assert!(frames.front().unwrap().is_break);
        assert!(frames.take_before_last_key().is_empty());
    }

    #[test]
    fn a_mark_covers_what_is_shown_up_to_it() {
        let mut frames = Frames::default();
        frames.push(batch(4, 1, units(1, &[100, 103, 101])));
        frames.push(batch(5, 2, units(0, &[0])));
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| frames.pending[at].clone());
        let mark = Mark::of(&c);
        assert!(mark.covers(&a) && mark.covers(&c));
        assert!(!mark.covers(&b) && !mark.covers(&d));
        assert!(Mark::of(&d).covers(&b));
    }
}
