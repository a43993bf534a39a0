//! Callers who want the newest picture of a channel.

use super::orders::image_of;
use super::seat::Info;
use crate::{Error, Image};
use framewell_decode::{Error as DecodeError, Output, Pick, Picture, Refusal, Want};
use framewell_model::{ChannelId, WallClock};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A caller.
#[derive(Debug)]
pub(crate) struct Now {
    pub(crate) output: Output,
    pub(crate) reply: oneshot::Sender<Result<Image, Error>>,
}

/// A form of the newest picture that is being made, and who waits for it.
#[derive(Debug)]
struct Open {
    tag: u64,
    output: Output,
    callers: Vec<Now>,
}

/// All of them. Callers with the same wish share one encode; a form that was made stays until the
/// decoder goes on.
#[derive(Debug)]
pub(crate) struct Nows {
    channel: ChannelId,
    clock: Arc<dyn WallClock>,
    waiting: Vec<Now>,
    open: Vec<Open>,
    fresh: Vec<(Output, Picture, Info)>,
    /// Why there is no newest picture.
    failure: Option<DecodeError>,
}

impl Nows {
    pub(crate) const fn new(channel: ChannelId, clock: Arc<dyn WallClock>) -> Self {
        Self {
            channel,
            clock,
            waiting: Vec::new(),
            open: Vec::new(),
            fresh: Vec::new(),
            failure: None,
        }
    }

    pub(crate) fn add(&mut self, now: Now) {
        self.waiting.push(now);
    }

    /// Whether nobody waits who was not asked for yet.
    pub(crate) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the decoder was asked for a picture that it has not given out.
    pub(crate) const fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Forgets callers who went away.
    pub(crate) fn drop_closed(&mut self) {
        self.waiting.retain(|now| !now.reply.is_closed());
        let is_heard = |open: &Open| open.callers.iter().any(|now| !now.reply.is_closed());
        self.open.retain(is_heard);
    }

    /// Whether there is a reason why no picture can be made before the next key frame.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// What the decoder has to make. With `is_new` it goes on first.
    pub(crate) fn wants(&mut self, is_new: bool, mut number: impl FnMut() -> u64) -> Vec<Want> {
        if is_new {
            self.fresh.clear();
        }
        let mut wants = Vec::new();
        for now in std::mem::take(&mut self.waiting) {
            let made = self.fresh.iter().find(|(output, ..)| *output == now.output);
            if let Some((_, picture, info)) = made {
                reply(now, Ok(image_of(picture, info, self.clock.now())));
                continue;
            }
            if let Some(open) = self.open.iter_mut().find(|open| open.output == now.output) {
                open.callers.push(now);
                continue;
            }
            let (tag, output) = (number(), now.output);
            let pick = Pick::Newest;
            wants.push(Want { tag, pick, output });
            let callers = vec![now];
            self.open.push(Open {
                tag,
                output,
                callers,
            });
        }
        wants
    }

    /// Whether the picture is for one of them.
    pub(crate) fn is_for(&self, picture: &Picture) -> bool {
        self.open.iter().any(|open| open.tag == picture.tag)
    }

    /// Hands a picture out.
    pub(crate) fn answer(&mut self, picture: &Picture, info: &Info) {
        self.failure = None;
        let Some(at) = self.open.iter().position(|open| open.tag == picture.tag) else {
            return;
        };
        let open = self.open.swap_remove(at);
        for now in open.callers {
            reply(now, Ok(image_of(picture, info, self.clock.now())));
        }
        self.fresh.push((open.output, picture.clone(), *info));
    }

    /// A form cannot be made; false if it is none of theirs.
    pub(crate) fn refuse_form(&mut self, refusal: &Refusal) -> bool {
        let Some(at) = self.open.iter().position(|open| open.tag == refusal.tag) else {
            return false;
        };
        for now in self.open.swap_remove(at).callers {
            let source = DecodeError::Invalid(refusal.why.clone());
            let channel = self.channel;
            reply(now, Err(Error::Decode { channel, source }));
        }
        true
    }

    /// The decoder was lost and begins again: so do they.
    pub(crate) fn retry(&mut self) {
        self.fresh.clear();
        let callers = self.open.drain(..).flat_map(|open| open.callers);
        self.waiting.extend(callers);
    }

    /// Everybody gets the error.
    pub(crate) fn fail(&mut self, error: &DecodeError) {
        self.retry();
        self.failure = Some(error.duplicate());
        self.refuse();
    }

    /// Nothing can be decoded before the next key frame.
    pub(crate) fn refuse(&mut self) {
        let none = || DecodeError::Bitstream("no key frame has come yet".into());
        for now in std::mem::take(&mut self.waiting) {
            let source = self
                .failure
                .as_ref()
                .map_or_else(none, DecodeError::duplicate);
            let channel = self.channel;
            reply(now, Err(Error::Decode { channel, source }));
        }
    }
}

fn reply(now: Now, result: Result<Image, Error>) {
    // A caller who went away does not want it.
    let _unheard = now.reply.send(result);
}
