//! One decoder that follows a stream, and decodes no more of it than somebody wants.

use super::Counters;
use super::frames::Frame;
use framewell_decode::{
    Entry, Error, Exit, Job, JobSample, Made, Pick, Picture, Pool, Priority, Refusal, Session, Want,
};
use framewell_media::{StreamParameters, VideoParameters};
use framewell_model::FrameId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Samples of one job: others get their turn in between, and no job comes near its deadline.
const MAX_SAMPLES: usize = 48;
/// Bytes of one job, for the same reason.
const MAX_BYTES: usize = 8 << 20;
/// Most pictures that are held though nobody wants them, and their bytes: as many bytes as a ring keeps
/// beyond its two newest GOPs. A GOP that goes on for longer is decoded before somebody wants it, or
/// forgotten if only its end is waited for.
const MAX_HELD: usize = 2_048;
const MAX_HELD_BYTES: usize = 8 << 20;
/// How often a job tries to find a place in the queue of the pool: 5 s.
const BUSY_TRIES: u32 = 250;
/// Between two tries.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// Pictures that a decoder may hold back or have at hand: no stream reorders over more than 16.
const MAX_INSIDE: usize = 64;
/// After so many jobs the session begins anew at a key frame, so that the pool can replace its worker.
const MAX_JOBS: u32 = 5_000;

/// See the module. Pictures that are not needed yet are held, and forgotten when the next key frame makes
/// them useless. Whoever feeds it looks whether it is full, and has them decoded or forgotten.
#[derive(Debug)]
pub(crate) struct Line {
    session: Session,
    priority: Priority,
    counters: Arc<Counters>,
    /// As the ring has them, and as the decoder wants them.
    video: Option<(Arc<StreamParameters>, Arc<VideoParameters>)>,
    /// Whether the decoder stands right before the first held picture.
    has_position: bool,
    held: Vec<Frame>,
    held_bytes: usize,
    /// What the decoder got last, of a stream that is reordered.
    inside: VecDeque<FrameId>,
    /// Presentation time of the key frame at which it began, while leading pictures of it may follow.
    start: Option<i64>,
    /// The picture that the decoder gave out last, if that is known.
    newest: Option<FrameId>,
    /// Whether somebody wants one of the held pictures.
    is_wanted: bool,
    jobs: u32,
    /// Wants that cannot be had, not told yet.
    refused: Vec<Refusal>,
}

impl Line {
    pub(crate) fn new(pool: &Pool, priority: Priority, counters: Arc<Counters>) -> Self {
        Self {
            session: pool.open_session(),
            priority,
            counters,
            video: None,
            has_position: false,
            held: Vec::new(),
            held_bytes: 0,
            inside: VecDeque::new(),
            start: None,
            newest: None,
            is_wanted: false,
            jobs: 0,
            refused: Vec::new(),
        }
    }

    /// Wants of the last jobs that no picture comes for.
    pub(crate) fn take_refused(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.refused)
    }

    /// Whether pictures that follow can be decoded; if not, it takes a key frame.
    pub(crate) fn is_ready(&self) -> bool {
        self.has_position || !self.held.is_empty()
    }

    /// Which pictures of a piece that follows can be decoded: without a position only those from a key
    /// frame on, and never the leading ones of the key frame at which it begins.
    pub(crate) fn can_decode(&self, block: &[Frame]) -> Vec<bool> {
        let key = block.iter().position(|frame| frame.unit.is_key);
        let (first, start) = match key {
            _ if self.is_ready() => (Some(0), self.start),
            key => (key, key.map(|key| block[key].pts())),
        };
        let is_usable = |(index, frame): (usize, &Frame)| {
            let is_leading = start.is_some_and(|start| frame.pts() < start);
            first.is_some_and(|first| index >= first) && !is_leading
        };
        block.iter().enumerate().map(is_usable).collect()
    }

    /// Whether no picture is held.
    pub(crate) const fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether so much is held that it is to be decoded or forgotten.
    pub(crate) const fn is_full(&self) -> bool {
        self.held.len() >= MAX_HELD || self.held_bytes >= MAX_HELD_BYTES
    }

    /// Whether this picture is held, or the decoder has it: it reorders, and gives it out later or has
    /// just done so.
    pub(crate) fn holds(&self, id: FrameId) -> bool {
        let is_inside = self.has_position && self.inside.contains(&id);
        is_inside || self.held.iter().any(|frame| frame.id() == id)
    }

    /// The picture that the decoder gave out last, if that is known.
    pub(crate) fn newest(&self) -> Option<FrameId> {
        self.newest.filter(|_| self.has_position)
    }

    /// Whether the decoder holds a position that [`Line::newest`] can use.
    pub(crate) const fn has_position(&self) -> bool {
        self.has_position
    }

    /// Whether the next key frame is to begin a new session.
    pub(crate) const fn is_due(&self) -> bool {
        self.jobs >= MAX_JOBS
    }

    /// Gives up the position; the next picture has to be a key frame.
    pub(crate) fn lose(&mut self) {
        self.has_position = false;
        self.is_wanted = false;
        self.held.clear();
        self.held_bytes = 0;
        self.inside.clear();
        self.start = None;
    }

    /// Takes a picture in that follows the ones before. A key frame makes held ones useless that nobody
    /// wants, unless pictures behind it refer to them (`has_leading`).
    pub(crate) fn hold(&mut self, frame: Frame, is_wanted: bool, has_leading: bool) {
        if frame.unit.is_key && !self.held.is_empty() && !self.is_wanted && !has_leading {
            self.lose();
        }
        if !self.is_ready() {
            self.start = Some(frame.pts());
        } else if self.start.is_some_and(|start| start < frame.pts()) {
            // Leading pictures come right behind their key frame.
            self.start = None;
        }
        self.is_wanted |= is_wanted;
        self.held_bytes += frame.unit.data.len();
        self.held.push(frame);
    }

    /// Decodes what is held. Wants are those among the pictures that it [holds](Line::holds), and
    /// [`Pick::Newest`].
    pub(crate) async fn run(&mut self, wanted: &[Want], exit: Exit) -> Result<Vec<Picture>, Error> {
        let held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        self.is_wanted = false;
        let mut pictures = Vec::new();
        let mut rest = &held[..];
        let is_held = |pts: i64| held.iter().any(|frame| frame.pts() == pts);
        let mut is_first = true;
        loop {
            let (now, later) = rest.split_at(piece(rest));
            rest = later;
            let is_last = rest.is_empty();
            let is_here = |want: &&Want| match want.pick {
                Pick::Pts(pts) if is_first && !is_held(pts) => true,
                Pick::Pts(pts) => now.iter().any(|frame| frame.pts() == pts),
                Pick::Newest => is_last,
            };
            let wanted = wanted.iter().filter(is_here).copied().collect();
            let exit = if is_last { exit } else { Exit::Keep };
            let entry = if self.has_position {
                Entry::Continue
            } else {
                Entry::Key
            };
            pictures.extend(self.job(now, wanted, entry, exit).await?);
            is_first = false;
            if is_last {
                return Ok(pictures);
            }
        }
    }

    /// Decodes one key frame by itself. The pictures behind it can still follow: it is held.
    pub(crate) async fn run_key(
        &mut self,
        key: Frame,
        wanted: Vec<Want>,
    ) -> Result<Vec<Picture>, Error> {
        self.lose();
        let result = self
            .job(std::slice::from_ref(&key), wanted, Entry::Key, Exit::Drain)
            .await;
        self.start = Some(key.pts());
        self.held_bytes = key.unit.data.len();
        self.held.push(key);
        result
    }

    async fn job(
        &mut self,
        frames: &[Frame],
        wanted: Vec<Want>,
        entry: Entry,
        exit: Exit,
    ) -> Result<Vec<Picture>, Error> {
        let video = match frames.first() {
            Some(first) => self.video_of(&first.parameters),
            None => match &self.video {
                Some((_, video)) => Arc::clone(video),
                None => return Err(Error::PositionLost),
            },
        };
        let sample = |frame: &Frame| JobSample {
            pts: frame.pts(),
            data: frame.unit.data.clone(),
        };
        let job = Job {
            video,
            samples: frames.iter().map(sample).collect(),
            wanted,
            changes: None,
            priority: self.priority,
            render: None,
        };
        self.counters.count(frames.len(), entry == Entry::Key);
        self.jobs = if entry == Entry::Key {
            1
        } else {
            self.jobs + 1
        };
        if entry == Entry::Key {
            self.inside.clear();
        }
        self.has_position = false;
        let result = self.patiently(job, entry, exit).await.map(|made| {
            self.refused.extend(made.refused);
            made.pictures
        });
        self.has_position = result.is_ok() && exit == Exit::Keep;
        if let Some(last) = frames.last() {
            // Of a decoder that reorders it is not known which one it gave out last.
            let is_direct = last.parameters.video.reorder_depth == 0;
            self.newest = is_direct.then(|| last.id());
            if !is_direct {
                self.inside.extend(frames.iter().map(Frame::id));
                let old = self.inside.len().saturating_sub(MAX_INSIDE);
                self.inside.drain(..old);
            }
        }
        if let Ok(pictures) = &result {
            self.counters.count_pictures(pictures.len());
        }
        result
    }

    /// A pool without a free place keeps the position, so the job is tried again.
    async fn patiently(&mut self, job: Job, entry: Entry, exit: Exit) -> Result<Made, Error> {
        for _ in 1..BUSY_TRIES {
            match self.session.decode_each(job.clone(), entry, exit).await {
                Err(Error::Busy) => tokio::time::sleep(BUSY_PAUSE).await,
                result => return result,
            }
        }
        self.session.decode_each(job, entry, exit).await
    }

    fn video_of(&mut self, parameters: &Arc<StreamParameters>) -> Arc<VideoParameters> {
        if let Some((known, video)) = &self.video
            && (Arc::ptr_eq(known, parameters) || known.video == parameters.video)
        {
            return Arc::clone(video);
        }
        let video = Arc::new(parameters.video.clone());
        self.video = Some((Arc::clone(parameters), Arc::clone(&video)));
        video
    }
}

/// How many of the frames make one job.
fn piece(frames: &[Frame]) -> usize {
    let mut bytes = 0;
    let fits = |frame: &&Frame| {
        bytes += frame.unit.data.len();
        bytes <= MAX_BYTES
    };
    let count = frames.iter().take(MAX_SAMPLES).take_while(fits).count();
    count.max(1).min(frames.len())
}
