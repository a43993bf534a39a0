//! A push in the past: reads the ring at the receiver's pace with a decoder of its own, until it has
//! caught up with the running decoder.

use super::frames::{Frame, Frames, Mark, has_leading, in_order};
use super::line::Line;
use super::orders::image_of;
use super::picker::{Choice, Picker};
use super::queue::Queue;
use super::seat::{Attach, Info, Resume};
use super::trouble::Trouble;
use super::{Command, Context, Hub};
use crate::{Delivery, Error};
use framewell_decode::{Error as DecodeError, Exit, Output, Pick, Picture, Priority, Want};
use framewell_live::{Start, Subscriber, Track, Wake};
use framewell_model::WallTime;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Pictures decided on at a time; few, because all that are chosen of them wait for the receiver.
const MAX_BLOCK: usize = 12;
/// Pictures that are read ahead of that.
const READ_AHEAD: usize = 64;
/// A reader that is no further behind is at the live edge.
const EDGE_US: i64 = 1_000_000;
/// Pause before another try where the running decoder cannot be had.
const PAUSE: Duration = Duration::from_secs(1);

/// A push that asked the running decoder to go on with it.
#[derive(Debug)]
pub(crate) struct Asked {
    answer: oneshot::Receiver<bool>,
    back: oneshot::Receiver<Resume>,
}

impl Asked {
    /// Asks. The decoder hears of it before any picture that comes later.
    pub(crate) fn new(
        hub: &Hub,
        context: &Context,
        queue: &Arc<Queue>,
        output: Output,
        start: Resume,
        may_skip: bool,
    ) -> Result<Self, Error> {
        let (reply, answer) = oneshot::channel();
        let (sender, back) = oneshot::channel();
        let attach = Attach {
            queue: Arc::clone(queue),
            output,
            start,
            may_skip,
            reply,
            back: sender,
        };
        hub.send(context, Command::Attach(Box::new(attach)))?;
        Ok(Self { answer, back })
    }

    /// Where the push goes on by itself later, if the decoder goes on with it now.
    async fn seated(self) -> Option<oneshot::Receiver<Resume>> {
        let is_seated = self.answer.await.unwrap_or(false);
        is_seated.then_some(self.back)
    }
}

/// Serves a push until its end. One that has not asked the running decoder is read from the ring.
pub(crate) async fn drive(
    hub: Hub,
    context: Context,
    queue: Arc<Queue>,
    output: Output,
    mut start: Resume,
    mut asked: Option<Asked>,
) {
    while !queue.is_closed() {
        let back = match asked.take() {
            Some(asked) => asked.seated().await,
            None => {
                queue.set_reading(true);
                Reader::new(&hub, &context, &queue, output, start)
                    .run()
                    .await
            }
        };
        match back {
            Some(back) => {
                queue.set_reading(false);
                // Without an answer the running decoder ended, with this push or by a fault.
                if let Ok(resume) = back.await {
                    start = resume;
                }
            }
            None if queue.is_closed() => return,
            None => tokio::time::sleep(PAUSE).await,
        }
    }
}

struct Reader<'a> {
    hub: &'a Hub,
    context: &'a Context,
    queue: &'a Arc<Queue>,
    output: Output,
    subscriber: Subscriber,
    frames: Frames,
    line: Line,
    picker: Picker,
    /// Up to where choices were made.
    decided: Option<Mark>,
    /// Up to where the receiver has everything.
    safe: Resume,
    /// Pictures on their way.
    open: BTreeMap<u64, (Info, WallTime)>,
    is_over: bool,
    has_failed: bool,
    chase: Chase,
    /// Capture time of the last picture that was decided on.
    reached: Option<WallTime>,
}

/// Whether a reader gets nearer to the live edge: each time it reaches what was the edge before, it has
/// to be less far behind than then.
#[derive(Debug, Default)]
struct Chase {
    edge: Option<WallTime>,
    behind_us: i64,
}

impl Chase {
    fn gains(&mut self, reached: WallTime, newest: WallTime) -> bool {
        let behind_us = newest.micros_since(reached);
        let Some(edge) = self.edge else {
            self.edge = Some(newest);
            self.behind_us = behind_us;
            return true;
        };
        if reached < edge || behind_us == 0 {
            return true;
        }
        let gains = behind_us < self.behind_us.max(EDGE_US);
        self.edge = Some(newest);
        self.behind_us = behind_us;
        gains
    }
}

impl<'a> Reader<'a> {
    fn new(
        hub: &'a Hub,
        context: &'a Context,
        queue: &'a Arc<Queue>,
        output: Output,
        start: Resume,
    ) -> Self {
        let counters = Arc::clone(&context.counters);
        Self {
            hub,
            context,
            queue,
            output,
            subscriber: subscribe(&context.track, &start),
            frames: Frames::default(),
            line: Line::new(&context.pool, Priority::Batch, counters),
            picker: start.picker,
            decided: start.mark,
            safe: start,
            open: BTreeMap::new(),
            is_over: false,
            has_failed: false,
            chase: Chase::default(),
            reached: None,
        }
    }

    /// Until the running decoder takes over, or the end.
    async fn run(mut self) -> Option<oneshot::Receiver<Resume>> {
        while self.queue.room().await {
            while self.frames.len() < READ_AHEAD
                && let Some(batch) = self.subscriber.try_next()
            {
                if batch.missed_gops > 0 {
                    let gops = batch.missed_gops;
                    self.queue.tell(Trouble::Overrun { gops });
                }
                self.frames.push(batch);
            }
            if self.is_hopeless()
                && let Some(back) = self.attach(true).await
            {
                return Some(back);
            }
            let block = self.frames.take(MAX_BLOCK);
            if !block.is_empty() {
                self.queue.set_reading(true);
                self.serve(block).await;
            } else if self.is_over {
                self.finish_line().await;
                self.queue.finish();
                return None;
            } else if let Some(back) = self.join().await {
                return Some(back);
            }
        }
        None
    }

    /// At the live edge: lets the running decoder take over once the receiver has everything, or waits
    /// for the next picture.
    async fn join(&mut self) -> Option<oneshot::Receiver<Resume>> {
        self.queue.set_reading(false);
        if self.queue.is_drained()
            && let Some(back) = self.attach(false).await
        {
            return Some(back);
        }
        let queue = Arc::clone(self.queue);
        tokio::select! {
            batch = self.subscriber.next(Wake::EveryUnit) => self.frames.push(batch),
            () = queue.drained(), if !queue.is_drained() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
        None
    }

    async fn attach(&mut self, may_skip: bool) -> Option<oneshot::Receiver<Resume>> {
        if !self.open.is_empty() {
            self.finish_line().await;
        }
        let mark = self.decided;
        let picker = self.picker;
        let start = Resume { mark, picker };
        let (hub, context) = (self.hub, self.context);
        let asked = Asked::new(hub, context, self.queue, self.output, start, may_skip);
        let back = match asked {
            Ok(asked) => asked.seated().await,
            Err(error) => {
                self.queue.tell(Trouble::Decoder(error.to_string()));
                tokio::time::sleep(PAUSE).await;
                None
            }
        };
        if back.is_none() && !self.line.is_ready() && mark.is_some() {
            self.restart(start);
        }
        back
    }

    /// Whether a receiver that wants the newest pictures is too slow to catch up.
    fn is_hopeless(&mut self) -> bool {
        let reached = self
            .reached
            .filter(|_| self.queue.delivery() != Delivery::All);
        match (reached, self.context.track.newest_capture()) {
            (Some(reached), Some(newest)) => !self.chase.gains(reached, newest),
            _ => false,
        }
    }

    async fn serve(&mut self, block: Vec<Frame>) {
        if block.first().is_some_and(|first| first.is_break) {
            self.finish_line().await;
        }
        let before = self.safe;
        let wanted = self.take_in(block);
        let result = match wanted.is_empty() && !self.line.is_full() {
            true => Ok(Vec::new()),
            false => self.line.run(&wanted, Exit::Keep).await,
        };
        self.settle(result, before).await;
    }

    /// Chooses, and hands the block to the line.
    fn take_in(&mut self, block: Vec<Frame>) -> Vec<Want> {
        let keep = self.line.can_decode(&block);
        let mut chosen = vec![None; block.len()];
        for index in in_order(&block) {
            let choice = self.choose(&block[index]);
            chosen[index] = choice.filter(|_| keep[index]);
        }
        let has_leading = has_leading(&block);
        let mut wanted = Vec::new();
        for (index, frame) in block.into_iter().enumerate() {
            if !keep[index] {
                continue;
            }
            if let Some((tag, due)) = chosen[index] {
                self.open.insert(tag, (Info::of(&frame), due));
                wanted.push(Want {
                    tag,
                    pick: Pick::Pts(frame.pts()),
                    output: self.output,
                });
            }
            self.line.hold(frame, chosen[index].is_some(), has_leading);
        }
        wanted
    }

    /// The picture's number and grid point if it is chosen.
    fn choose(&mut self, frame: &Frame) -> Option<(u64, WallTime)> {
        if self.is_over || self.decided.is_some_and(|mark| mark.covers(frame)) {
            return None;
        }
        self.decided = Some(Mark::of(frame));
        self.reached = Some(frame.unit.wall);
        if frame.missed > 0 {
            self.picker.overrun(frame.unit.wall);
        }
        match self.picker.choose(frame.unit.wall, frame.unit.is_key) {
            Choice::Skip => None,
            Choice::Over => {
                self.is_over = true;
                None
            }
            Choice::Take { sequence, due } => Some((sequence, due)),
        }
    }

    async fn finish_line(&mut self) {
        if !self.open.is_empty() && self.line.has_position() {
            let before = self.safe;
            let result = self.line.run(&[], Exit::Drain).await;
            self.settle(result, before).await;
        }
        self.open.clear();
        self.line.lose();
    }

    async fn settle(&mut self, result: Result<Vec<Picture>, DecodeError>, before: Resume) {
        if let Some(refusal) = self.line.take_refused().pop() {
            self.queue.tell(Trouble::Refused(refusal.why));
            self.queue.finish();
            return;
        }
        match result {
            Ok(pictures) => {
                for picture in pictures {
                    self.put(&picture);
                }
                if self.open.is_empty() {
                    self.safe = Resume {
                        mark: self.decided,
                        picker: self.picker,
                    };
                    self.has_failed = false;
                }
            }
            Err(error) => self.recover(error, before).await,
        }
    }

    fn put(&mut self, picture: &Picture) {
        if let Some((info, due)) = self.open.remove(&picture.tag) {
            self.queue.put(image_of(picture, &info, due), picture.tag);
        }
        // Whatever is shown before it and missing never comes.
        self.open = self.open.split_off(&picture.tag);
    }

    /// Damaged video goes on at the next key frame. A decoder that was lost is tried once more from
    /// where the receiver has everything.
    async fn recover(&mut self, error: DecodeError, before: Resume) {
        let is_damaged = matches!(error, DecodeError::Bitstream(_) | DecodeError::Invalid(_));
        if !is_damaged && !self.has_failed {
            self.has_failed = true;
            self.restart(before);
            return;
        }
        self.queue.tell(Trouble::of(&error));
        self.open.clear();
        self.line.lose();
        if !is_damaged {
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn restart(&mut self, from: Resume) {
        self.open.clear();
        self.line.lose();
        self.frames.clear();
        self.subscriber = subscribe(&self.context.track, &from);
        self.picker = from.picker;
        self.decided = from.mark;
        self.is_over = false;
    }
}

/// Reads from the GOP that the place lies in.
fn subscribe(track: &Track, start: &Resume) -> Subscriber {
    if let Some(mark) = start.mark {
        return track.subscribe(Start::Gop(mark.gop));
    }
    let from = start.picker.next_due();
    let gops = track.gops();
    let covers = |gop: &&framewell_live::Gop| gop.start().is_some_and(|start| start <= from);
    match gops.iter().rev().find(covers) {
        Some(gop) => track.subscribe(Start::Gop(gop.id)),
        None => track.subscribe(Start::Oldest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> WallTime {
        WallTime::from_secs(seconds)
    }

    #[test]
    fn a_chase_gains_as_long_as_the_distance_shrinks() {
        let mut chase = Chase::default();
        assert!(chase.gains(at(0), at(16)));
        assert!(chase.gains(at(8), at(20)), "on its way");
        assert!(chase.gains(at(16), at(24)));
        assert!(chase.gains(at(24), at(28)));
        assert!(chase.gains(at(28), at(28)));
        assert!(!chase.gains(at(30), at(40)));
    }
}
