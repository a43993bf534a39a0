//! The pushes of a channel, as its decoder sees them.

use super::frames::{Frame, Mark};
use super::picker::Picker;
use super::queue::Queue;
use framewell_decode::Output;
use framewell_model::{ClockSource, FrameId, WallTime};
use std::sync::Arc;
use tokio::sync::oneshot;

/// What is known of a picture besides its pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Info {
    pub(crate) mark: Mark,
    pub(crate) wall: WallTime,
    pub(crate) clock: ClockSource,
    pub(crate) is_key: bool,
}

impl Info {
    pub(crate) const fn of(frame: &Frame) -> Self {
        Self {
            mark: Mark::of(frame),
            wall: frame.unit.wall,
            clock: frame.unit.clock,
            is_key: frame.unit.is_key,
        }
    }

    pub(crate) const fn id(&self) -> FrameId {
        FrameId {
            run: self.mark.run,
            ticks: self.mark.pts,
        }
    }
}

/// Where a push goes on: behind the mark, with the choices that follow from there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resume {
    /// `None`: where the picker begins.
    pub(crate) mark: Option<Mark>,
    pub(crate) picker: Picker,
}

/// A push that wants live pictures from a place on.
#[derive(Debug)]
pub(crate) struct Attach {
    pub(crate) queue: Arc<Queue>,
    pub(crate) output: Output,
    pub(crate) start: Resume,
    /// Pictures between there and the place of the decoder may be dropped.
    pub(crate) may_skip: bool,
    /// Says whether it worked. It does not if the decoder is past that place already.
    pub(crate) reply: oneshot::Sender<bool>,
    /// Where the push goes on by itself when its receiver does not keep up and nothing may be dropped.
    pub(crate) back: oneshot::Sender<Resume>,
}

/// A push that gets pictures from the running decoder.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) id: u64,
    pub(crate) queue: Arc<Queue>,
    pub(crate) output: Output,
    pub(crate) start: Option<Mark>,
    pub(crate) picker: Picker,
    /// Up to the last picture that its queue took.
    pub(crate) delivered: Resume,
    /// Pictures on their way.
    pub(crate) open: usize,
    pub(crate) is_over: bool,
    pub(crate) back: oneshot::Sender<Resume>,
}

impl Seat {
    pub(crate) fn new(id: u64, attach: Attach) -> (Self, oneshot::Sender<bool>) {
        let seat = Self {
            id,
            queue: attach.queue,
            output: attach.output,
            start: attach.start.mark,
            picker: attach.start.picker,
            delivered: attach.start,
            open: 0,
            is_over: false,
            back: attach.back,
        };
        (seat, attach.reply)
    }

    /// Ends the push if all its pictures are out.
    pub(crate) fn finish_if_over(&self) {
        if self.is_over && self.open == 0 {
            self.queue.finish();
        }
    }
}
