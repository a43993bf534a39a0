//! One client's stream: what is sent next, whatever the transport.

use super::chunker::{Chunker, Grouping};
use super::cursor::Cursor;
use super::fanout::{LiveReader, Step};
use super::piece::{Init, Piece, Tracks};
use super::{Error, Live};
use crate::Playback;
use crate::catch_up::{Beginning, CatchUp, CatchUpItem, Role};
use crate::pace::{Pacer, Speed};
use framewell_model::{ChannelId, TimeRange, WallTime};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::Instant;

/// Recorded pictures are sent in fragments of this length when they are paced: the steps of a player's
/// buffer, far below what it keeps.
const PACED_SPAN_US: i64 = 200_000;
/// And of this length when the client's speed counts.
const UNPACED_SPAN_US: i64 = 1_000_000;

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request {
    /// Which tracks.
    pub tracks: Tracks,
    /// `None`: live.
    pub from: Option<Beginning>,
    /// First wall time that is not wanted; `None`: live without an end. Counts with `from` only.
    pub to: Option<WallTime>,
    /// Counts with `from` only.
    pub speed: Speed,
}

/// What is sent next.
#[derive(Debug, Clone)]
pub enum Part {
    /// Before the first fragment, and before one with other parameters.
    Init(Arc<Init>),
    /// A fragment.
    Fragment(Arc<Piece>),
    /// Words.
    Notice(Notice),
}

/// What a client is told beside the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Nothing is there of this time.
    Gap(TimeRange),
    /// The client was too slow: so many pictures were left out, and it goes on at a key frame.
    Behind {
        /// Pictures.
        missed: u64,
    },
    /// What follows is live.
    Live,
    /// The end that was asked for.
    End,
}

/// Where the parts come from.
#[derive(Debug)]
enum Source {
    Live(LiveReader),
    Recorded(Box<Recorded>),
    Ended,
}

/// A reader of what is recorded, until it has caught up.
#[derive(Debug)]
struct Recorded {
    units: CatchUp,
    chunker: Chunker,
    pacer: Pacer,
    /// Read, and not due yet.
    held: Option<CatchUpItem>,
    /// Goes over to the shared fragments as soon as it can.
    may_join: bool,
    has_caught_up: bool,
}

impl Recorded {
    fn new(units: CatchUp, request: &Request) -> Self {
        let (span_us, gains) = match request.speed {
            Speed::Unpaced => (UNPACED_SPAN_US, true),
            Speed::Times(speed) => (PACED_SPAN_US, speed > 1.0),
        };
        Self {
            units,
            chunker: Chunker::new(request.tracks, Grouping::Span(span_us)),
            pacer: Pacer::new(request.speed),
            held: None,
            may_join: gains && request.to.is_none(),
            has_caught_up: false,
        }
    }

    /// The next item when it is due. Cancel-safe.
    async fn next(&mut self) -> Result<Option<CatchUpItem>, Error> {
        if self.held.is_none() {
            self.held = self.units.next().await?;
        }
        let due = match &self.held {
            None => return Ok(None),
            Some(CatchUpItem::Unit { unit, role }) => {
                let is_shown = *role == Role::Shown;
                Some(self.pacer.due(unit, is_shown, Instant::now()))
            }
            Some(CatchUpItem::Begin { .. } | CatchUpItem::Gap(_)) => {
                // What comes behind a hole is not waited for.
                self.pacer.restart();
                None
            }
            Some(CatchUpItem::Live) => None,
        };
        if let Some(due) = due.filter(|due| *due > Instant::now()) {
            tokio::time::sleep_until(due).await;
        }
        Ok(self.held.take())
    }

    fn take(&mut self, item: CatchUpItem, out: &mut Vec<Piece>) {
        match item {
            CatchUpItem::Begin { run, parameters } => self.chunker.begin(run, &parameters, out),
            CatchUpItem::Unit { unit, role } => match role {
                Role::Known => self.chunker.pass(&unit),
                Role::Lead | Role::Shown => self.chunker.push(unit, out),
            },
            CatchUpItem::Gap(_) => {
                self.chunker.flush(None, out);
                self.chunker.forget_end();
            }
            CatchUpItem::Live => {
                if self.may_join {
                    self.chunker.flush(None, out);
                    self.chunker.set_grouping(Grouping::EachPicture);
                    self.pacer.set_speed(Speed::Unpaced);
                    self.has_caught_up = true;
                }
            }
        }
    }
}

/// One client's stream.
#[derive(Debug)]
pub struct Feed {
    live: Live,
    channel: ChannelId,
    tracks: Tracks,
    source: Source,
    /// What the client has been sent last, or will be from the queue.
    init: Option<Arc<Init>>,
    cursor: Option<Cursor>,
    queue: VecDeque<Part>,
}

impl Feed {
    pub(super) async fn open(
        playback: &Playback,
        channel: ChannelId,
        request: Request,
    ) -> Result<Self, Error> {
        let live = playback.live_fragments().clone();
        let (source, cursor) = match request.from {
            None => {
                let reader = live.ready(channel, request.tracks).await?;
                (Source::Live(reader), None)
            }
            Some(from) => {
                let units = playback.catch_up(channel, from, request.to).await?;
                let cursor = match from {
                    Beginning::Cursor(cursor) => Some(cursor),
                    Beginning::Time(_) => None,
                };
                let recorded = Recorded::new(units, &request);
                (Source::Recorded(Box::new(recorded)), cursor)
            }
        };
        Ok(Self {
            live,
            channel,
            tracks: request.tracks,
            source,
            init: None,
            cursor,
            queue: VecDeque::new(),
        })
    }

    /// Where the client is that has everything up to here; `None` before the first fragment.
    #[must_use]
    pub const fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// What is sent next; `None` behind [`Notice::End`]. Waits for it; cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Part>, Error> {
        loop {
            if let Some(part) = self.queue.pop_front() {
                if let Part::Fragment(piece) = &part {
                    self.cursor = Some(piece.cursor);
                }
                return Ok(Some(part));
            }
            match &mut self.source {
                Source::Ended => return Ok(None),
                Source::Live(reader) => {
                    let step = reader.next().await;
                    self.take_step(step);
                }
                Source::Recorded(recorded) => {
                    let item = recorded.next().await?;
                    self.take_item(item);
                }
            }
        }
    }

    fn take_step(&mut self, step: Step) {
        let Step { piece, missed } = step;
        if missed > 0 {
            self.notice(Notice::Behind { missed });
        } else if let Some(hole) = piece.hole.filter(|_| self.init.is_some()) {
            self.notice(Notice::Gap(hole));
        }
        self.send(piece);
    }

    fn take_item(&mut self, item: Option<CatchUpItem>) {
        let Source::Recorded(recorded) = &mut self.source else {
            return;
        };
        let mut pieces = Vec::new();
        let notice = match &item {
            None => Some(Notice::End),
            Some(CatchUpItem::Gap(gap)) => Some(Notice::Gap(*gap)),
            Some(CatchUpItem::Live) if recorded.may_join && !recorded.has_caught_up => {
                Some(Notice::Live)
            }
            Some(_) => None,
        };
        let is_end = item.is_none();
        match item {
            Some(item) => recorded.take(item, &mut pieces),
            None => recorded.chunker.flush(None, &mut pieces),
        }
        let live = recorded.has_caught_up.then(|| recorded.chunker.cursor());
        for piece in pieces {
            self.send(Arc::new(piece));
        }
        if let Some(notice) = notice {
            self.notice(notice);
        }
        if is_end {
            self.source = Source::Ended;
        } else if let Some(cursor) = live.flatten()
            && let Some(reader) = self.live.join(self.channel, self.tracks, &cursor)
        {
            self.source = Source::Live(reader);
        }
    }

    fn send(&mut self, piece: Arc<Piece>) {
        let is_same = |init: &Arc<Init>| Arc::ptr_eq(init, &piece.init) || **init == *piece.init;
        if !self.init.as_ref().is_some_and(is_same) {
            self.init = Some(Arc::clone(&piece.init));
            self.queue.push_back(Part::Init(Arc::clone(&piece.init)));
        }
        self.queue.push_back(Part::Fragment(piece));
    }

    fn notice(&mut self, notice: Notice) {
        self.queue.push_back(Part::Notice(notice));
    }
}
