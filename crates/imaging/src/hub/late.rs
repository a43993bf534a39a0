//! Pictures that the decoder got before it was known which of them is shown next.

use super::frames::Frame;
use super::seat::Info;
use bytes::Bytes;
use framewell_live::GopId;
use framewell_model::FrameId;

/// Pictures that were not decided on yet, without their payload. Not more than the decoder reorders over,
/// unless the stream reorders over more than it says; see [`Late::is_within`].
#[derive(Debug, Default)]
pub(crate) struct Late {
    frames: Vec<Frame>,
}

impl Late {
    /// A picture goes to the decoder undecided.
    pub(crate) fn push(&mut self, frame: &Frame) {
        let mut frame = frame.clone();
        frame.unit.data = Bytes::new();
        self.frames.push(frame);
    }

    /// Takes out those that are shown at or before this presentation time, in presentation order.
    pub(crate) fn take_until(&mut self, pts: i64) -> Vec<Frame> {
        let settled = self.frames.extract_if(.., |frame| frame.pts() <= pts);
        let mut settled: Vec<Frame> = settled.collect();
        settled.sort_by_key(Frame::pts);
        settled
    }

    /// Whether a decoder that reorders over so many pictures still has all of them at hand.
    pub(crate) fn is_within(&self, reorder_depth: u8) -> bool {
        self.frames.len() <= usize::from(reorder_depth)
    }

    /// What is known of one of them.
    pub(crate) fn info(&self, id: FrameId) -> Option<Info> {
        self.frames.iter().find(|f| f.id() == id).map(Info::of)
    }

    /// The first GOP that one of them lies in.
    pub(crate) fn first_gop(&self) -> Option<GopId> {
        self.frames.iter().map(|frame| frame.gop).min()
    }

    pub(crate) fn clear(&mut self) {
        self.frames.clear();
    }
}
