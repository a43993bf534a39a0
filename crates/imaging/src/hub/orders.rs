//! Who wants which picture: choices in presentation order, one decode and one encode for all who want
//! the same.

use super::frames::{Frame, Mark};
use super::picker::Choice;
use super::queue::Queue;
use super::seat::{Attach, Info, Seat};
use super::trouble::Trouble;
use crate::Image;
use crate::feed::Delivery;
use framewell_decode::{Output, Pick, Picture, Refusal, Want};
use framewell_live::{GopId, Track};
use framewell_model::{FrameId, WallTime};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Pictures decided on that are remembered: several seconds of any camera.
const HISTORY: usize = 256;

/// Whether a picture is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wanted {
    No,
    /// Only by pushes of key frames.
    Alone,
    Yes,
}

/// Somebody who gets a picture.
#[derive(Debug)]
struct Taker {
    seat: u64,
    sequence: u64,
    due: WallTime,
    /// The seat's choices behind this picture.
    after: super::picker::Picker,
}

/// A picture in one form, not finished yet.
#[derive(Debug)]
struct Order {
    info: Info,
    output: Output,
    takers: Vec<Taker>,
    is_sent: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    reserved: Vec<Arc<Queue>>,
    seats: Vec<Seat>,
    open: BTreeMap<u64, Order>,
    last_number: u64,
    /// Up to where choices were made.
    decided: Option<Mark>,
    history: VecDeque<Info>,
}

impl Orders {
    /// A push exists.
    pub(crate) fn reserve(&mut self, queue: Arc<Queue>) {
        self.reserved.push(queue);
    }

    /// Gives a push a seat, unless it would miss pictures that were decided on already. A push of now
    /// begins with the newest one if that can still be had (`is_at_hand`).
    pub(crate) fn attach(
        &mut self,
        mut attach: Attach,
        track: &Track,
        is_at_hand: impl Fn(FrameId) -> bool,
    ) {
        let is_seated = self.advance(&mut attach, track);
        if !is_seated {
            // The reader that asked may be gone; then nobody misses the answer.
            let _unheard = attach.reply.send(false);
            return;
        }
        let is_of_now = attach.start.mark.is_none();
        self.last_number += 1;
        let (mut seat, reply) = Seat::new(self.last_number, attach);
        if reply.send(true).is_err() {
            return;
        }
        let newest = self.history.back().copied();
        if let Some(info) = newest.filter(|info| is_of_now && is_at_hand(info.id()))
            && let Some((output, taker)) = choose(&mut seat, &info)
        {
            seat.open += 1;
            self.order(info, output, taker);
        }
        self.seats.push(seat);
    }

    /// Whether choices were made up to this picture: it passes the decoder once more.
    pub(crate) fn has_decided(&self, frame: &Frame) -> bool {
        self.decided.is_some_and(|mark| mark.covers(frame))
    }

    /// Whether something is wanted that the decoder has not heard of.
    pub(crate) fn has_news(&self) -> bool {
        self.open.values().any(|order| !order.is_sent)
    }

    /// Moves the start to the place of the decoder; false if a picture between is wanted.
    fn advance(&self, attach: &mut Attach, track: &Track) -> bool {
        let Some(mark) = attach.start.mark else {
            return true;
        };
        let Some(decided) = self.decided else {
            return attach.may_skip || is_at_edge(track, mark);
        };
        if mark.run == decided.run && mark.pts >= decided.pts || mark.gop > decided.gop {
            return true;
        }
        let at = self.history.iter().position(|info| info.mark == mark);
        let Some(at) = at.map(|at| at + 1).or(attach.may_skip.then_some(0)) else {
            return false;
        };
        for (index, info) in self.history.range(at..).enumerate() {
            let picker = &mut attach.start.picker;
            if index == 0 && at == 0 {
                picker.overrun(info.wall);
            }
            if picker.choose(info.wall, info.is_key) != Choice::Skip && !attach.may_skip {
                return false;
            }
        }
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reserved.is_empty() && self.seats.is_empty()
    }

    /// Forgets pushes whose receivers are gone.
    pub(crate) fn drop_closed(&mut self) {
        self.reserved.retain(|queue| !queue.is_closed());
        self.seats.retain(|seat| !seat.queue.is_closed());
    }

    pub(crate) fn tell(&self, trouble: &Trouble) {
        for seat in &self.seats {
            seat.queue.tell(trouble.clone());
        }
    }

    /// Ends all pushes.
    pub(crate) fn finish_all(&self) {
        for queue in &self.reserved {
            queue.finish();
        }
    }

    /// Pushes that may lose nothing go on by themselves from where they are.
    pub(crate) fn detach_all(&mut self) {
        let is_lossless = |seat: &mut Seat| seat.queue.delivery() == Delivery::All;
        for seat in self.seats.extract_if(.., is_lossless) {
            let _gone = seat.back.send(seat.delivered);
        }
    }

    /// Chooses for everybody; pictures come in presentation order. One that cannot be decoded is dropped
    /// for those who would get it.
    pub(crate) fn decide(&mut self, frame: &Frame, can_decode: bool) -> Wanted {
        if self.decided.is_some_and(|mark| mark.covers(frame)) {
            return self.again(frame, can_decode);
        }
        let info = Info::of(frame);
        self.decided = Some(info.mark);
        if self.history.len() >= HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(info);
        let mut wanted = Wanted::No;
        for at in 0..self.seats.len() {
            let seat = &mut self.seats[at];
            if seat.start.is_some_and(|mark| mark.covers(frame)) {
                continue;
            }
            if frame.missed > 0 {
                seat.picker.overrun(info.wall);
            }
            if let Some((output, taker)) = choose(seat, &info)
                && can_decode
            {
                let seat = &mut self.seats[at];
                seat.open += 1;
                let is_alone = seat.picker.is_keys_only();
                wanted = wanted.max(if is_alone { Wanted::Alone } else { Wanted::Yes });
                self.order(info, output, taker);
            }
            self.seats[at].finish_if_over();
        }
        wanted
    }

    /// A picture that was decided on and passes the decoder once more.
    fn again(&mut self, frame: &Frame, can_decode: bool) -> Wanted {
        let id = frame.id();
        let open: Vec<u64> = self.open_of(id).collect();
        if !can_decode {
            for tag in open {
                self.fail(tag);
            }
            return Wanted::No;
        }
        if open.is_empty() {
            Wanted::No
        } else {
            Wanted::Yes
        }
    }

    fn open_of(&self, id: FrameId) -> impl Iterator<Item = u64> {
        let open = self.open.iter();
        open.filter(move |(_, order)| order.info.id() == id)
            .map(|(tag, _)| *tag)
    }

    fn order(&mut self, info: Info, output: Output, taker: Taker) {
        let same = |order: &&mut Order| order.info.id() == info.id() && order.output == output;
        if let Some(order) = self.open.values_mut().rev().find(same) {
            order.takers.push(taker);
            return;
        }
        self.last_number += 1;
        let takers = vec![taker];
        let is_sent = false;
        let order = Order {
            info,
            output,
            takers,
            is_sent,
        };
        self.open.insert(self.last_number, order);
    }

    /// A number that no want has.
    pub(crate) const fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// The wants for these pictures that the decoder has not heard of.
    pub(crate) fn send(&mut self, is_here: impl Fn(FrameId) -> bool) -> Vec<Want> {
        let open = self.open.iter_mut();
        let news = open.filter(|(_, order)| !order.is_sent && is_here(order.info.id()));
        news.map(|(tag, order)| {
            order.is_sent = true;
            Want {
                tag: *tag,
                pick: Pick::Pts(order.info.mark.pts),
                output: order.output,
            }
        })
        .collect()
    }

    /// Whether a picture captured at or before `until` may be wanted that is not a lone key frame; with
    /// no time, at any time.
    pub(crate) fn may_want(&self, until: Option<WallTime>) -> bool {
        let is_due = |seat: &Seat| until.is_none_or(|until| seat.picker.next_due() <= until);
        let mut seats = self.seats.iter().filter(|seat| !seat.is_over);
        seats.any(|seat| !seat.picker.is_keys_only() && is_due(seat))
    }

    /// Whether nobody waits for a picture, nor will for one that is no key frame.
    pub(crate) fn wants_keys_only(&self) -> bool {
        self.open.is_empty() && !self.may_want(None)
    }

    /// What is known of a picture.
    pub(crate) fn info(&self, id: FrameId) -> Option<Info> {
        self.history.iter().rfind(|info| info.id() == id).copied()
    }

    /// Hands a finished picture out. Pictures shown before it that are still missing never come.
    pub(crate) fn deliver(&mut self, picture: Picture) {
        let Some(order) = self.open.remove(&picture.tag) else {
            return;
        };
        let info = order.info;
        let image = |due| image_of(&picture, &info, due);
        for taker in order.takers {
            let Some(at) = self.seats.iter().position(|seat| seat.id == taker.seat) else {
                continue;
            };
            let seat = &mut self.seats[at];
            seat.open -= 1;
            if seat.queue.offer(image(taker.due), taker.sequence) {
                seat.delivered.mark = Some(info.mark);
                seat.delivered.picker = taker.after;
                seat.finish_if_over();
            } else {
                let seat = self.seats.swap_remove(at);
                let _gone = seat.back.send(seat.delivered);
            }
        }
        let mark = info.mark;
        self.fail_where(|order| order.info.mark.run == mark.run && order.info.mark.pts < mark.pts);
    }

    /// Ends the pushes whose form cannot be made.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        let takers = self.open.remove(&refusal.tag).map(|order| order.takers);
        for taker in takers.unwrap_or_default() {
            if let Some(at) = self.seats.iter().position(|seat| seat.id == taker.seat) {
                let seat = self.seats.swap_remove(at);
                seat.queue.tell(Trouble::Refused(refusal.why.clone()));
                seat.queue.finish();
            }
        }
    }

    /// Nobody gets any of the pictures that are on their way.
    pub(crate) fn fail_all(&mut self) {
        self.fail_where(|_| true);
    }

    /// Nobody gets the pictures that the decoder was asked for.
    pub(crate) fn fail_sent(&mut self) {
        self.fail_where(|order| order.is_sent);
    }

    /// A decoder that begins again has passed the pictures that were decided on; those that it has not
    /// come by are gone.
    pub(crate) fn forget_unsent(&mut self, next: &Frame) {
        if self.decided.is_some_and(|mark| !mark.covers(next)) {
            self.fail_where(|order| !order.is_sent);
        }
    }

    fn fail_where(&mut self, is_lost: impl Fn(&Order) -> bool) {
        let lost = self.open.iter().filter(|(_, order)| is_lost(order));
        let lost: Vec<u64> = lost.map(|(tag, _)| *tag).collect();
        lost.into_iter().for_each(|tag| self.fail(tag));
    }

    fn fail(&mut self, tag: u64) {
        let takers = self.open.remove(&tag).map(|order| order.takers);
        for taker in takers.unwrap_or_default() {
            if let Some(seat) = self.seats.iter_mut().find(|seat| seat.id == taker.seat) {
                seat.open -= 1;
                seat.finish_if_over();
            }
        }
    }

    /// The decoder was lost: all wants have to be sent again. Returns the first GOP that is needed.
    pub(crate) fn unsend(&mut self) -> Option<GopId> {
        for order in self.open.values_mut() {
            order.is_sent = false;
        }
        self.open.values().map(|order| order.info.mark.gop).min()
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.open.is_empty()
    }
}

fn choose(seat: &mut Seat, info: &Info) -> Option<(Output, Taker)> {
    if seat.is_over {
        return None;
    }
    match seat.picker.choose(info.wall, info.is_key) {
        Choice::Skip => None,
        Choice::Over => {
            seat.is_over = true;
            None
        }
        Choice::Take { sequence, due } => {
            let taker = Taker {
                seat: seat.id,
                sequence,
                due,
                after: seat.picker,
            };
            Some((seat.output, taker))
        }
    }
}

/// Whether a decoder that starts at the newest key frame misses nothing behind the mark.
fn is_at_edge(track: &Track, mark: Mark) -> bool {
    let Some(newest) = track.newest_gop() else {
        return true;
    };
    newest.id <= mark.gop
}

/// A finished picture with the truth about it.
pub(crate) fn image_of(picture: &Picture, info: &Info, requested: WallTime) -> Image {
    Image {
        data: picture.data.clone(),
        format: picture.format,
        width: picture.width,
        height: picture.height,
        requested,
        captured: info.wall,
        clock: info.clock,
        frame: info.id(),
        is_key: info.is_key,
        is_live: true,
    }
}
