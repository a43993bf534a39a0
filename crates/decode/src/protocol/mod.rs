//! What travels over the socket; shared by the pool and the worker.
//!
//! Here are the nouns ([`Job`], [`Picture`]); [`wire`] has the bytes.

pub mod render;
pub mod setup;
pub mod sound;
pub mod wire;

mod output;

pub use output::{
    Crop, Fit, MAX_PIXELS, MIN_MAX_BYTES, Output, PictureFormat, QUALITY, Rectangle, SIDE, WHOLE,
};

use bytes::Bytes;
use framewell_media::VideoParameters;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One compressed picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSample {
    /// Ticks; only compared with [`Pick::Pts`].
    pub pts: i64,
    /// Length-prefixed NAL units (4 bytes).
    pub data: Bytes,
}

/// Which decoded picture is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// The one with this presentation time.
    Pts(i64),
    /// The last one in presentation order that the decoder has given out when the job's samples are
    /// in; a job of a session ([`crate::Session`]) may have no samples at all and ask for this.
    Newest,
}

/// One finished picture that is wanted. The same decoded picture may be wanted in several forms: it is
/// decoded once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// Chosen by the caller, unique among wants that are open; comes back in [`Picture::tag`].
    pub tag: u64,
    /// Which picture.
    pub pick: Pick,
    /// In which form.
    pub output: Output,
}

/// Finish every picture of the job that has changed enough since the last one that was finished (or
/// since [`Changes::reference`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// Mean absolute difference of the small luma pictures that are compared, 0 (same) to 1 (black to
    /// white).
    pub threshold: f32,
    /// In which form.
    pub output: Output,
    /// Signature of the picture to compare the first one with; without it the first
    /// picture of the job counts as changed.
    pub reference: Option<Vec<u8>>,
    /// Pictures before this presentation time are not looked at (they are decoded for others).
    pub from_pts: i64,
}

/// Who waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Priority {
    /// Somebody waits for this one picture: goes before all batch jobs. When the queue is full the
    /// answer is [`crate::Error::Busy`].
    #[default]
    Interactive,
    /// One of many: waits for a place in the queue as long as it takes.
    Batch,
}

impl Priority {
    /// Metric label.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Batch => "batch",
        }
    }
}

/// Decode samples, return the wanted pictures.
#[derive(Debug, Clone)]
pub struct Job {
    /// Codec and decoder configuration record.
    pub video: Arc<VideoParameters>,
    /// From a key frame on, decoding order; in a session they may go on where the last job ended.
    pub samples: Vec<JobSample>,
    /// The pictures wanted, in any order.
    pub wanted: Vec<Want>,
    /// Besides them, pictures chosen by how much they changed; each comes back with [`Picture::tag`]
    /// [`CHANGED`].
    pub changes: Option<Changes>,
    /// Who waits.
    pub priority: Priority,
    /// Instead of finished pictures, video encoded anew; see [`crate::Pool::render`].
    pub render: Option<Arc<render::Render>>,
}

/// With more samples and wants than this, a job's header is measured before it is sent.
const LONG_JOB: usize = 1_000;

/// [`Picture::tag`] of pictures that [`Job::changes`] chose.
pub const CHANGED: u64 = u64::MAX;

impl Job {
    /// One picture out of samples that begin with a key frame.
    #[must_use]
    pub fn single(
        video: Arc<VideoParameters>,
        samples: Vec<JobSample>,
        pts: i64,
        output: Output,
    ) -> Self {
        let want = Want {
            tag: 0,
            pick: Pick::Pts(pts),
            output,
        };
        Self {
            video,
            samples,
            wanted: vec![want],
            changes: None,
            priority: Priority::Interactive,
            render: None,
        }
    }

    /// Payload bytes: configuration record and samples.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        let samples: usize = self.samples.iter().map(|sample| sample.data.len()).sum();
        self.video.config.len() + samples
    }

    /// Says what is wrong with the job, if anything is; a decoder need not see it to know.
    pub fn check(&self) -> Result<(), String> {
        for want in &self.wanted {
            want.output.check()?;
        }
        if let Some(changes) = &self.changes {
            changes.output.check()?;
            if !(0.0..=1.0).contains(&changes.threshold) {
                return Err(format!("threshold {} is outside 0 to 1", changes.threshold));
            }
        }
        if let Some(render) = &self.render {
            render.check()?;
        }
        if self.payload_len() > wire::MAX_PAYLOAD {
            return Err(format!("the job has {} bytes", self.payload_len()));
        }
        // Nothing else makes a long header: a sample or a want is some hundred bytes of it at most.
        let is_long = self.render.is_some() || self.samples.len() + self.wanted.len() > LONG_JOB;
        if is_long && !wire::fits(self) {
            return Err("the description of the job is too long".into());
        }
        Ok(())
    }

    /// What must hold for a job of a session besides [`Job::check`].
    pub(crate) fn check_entry(&self, entry: wire::Entry) -> Result<(), String> {
        if entry == wire::Entry::Key && self.samples.is_empty() {
            return Err("a session starts with a key frame, and the job has no samples".into());
        }
        Ok(())
    }

    /// What must hold for a job outside a session besides [`Job::check`]: something is wanted, and
    /// every wanted picture is among the samples.
    pub(crate) fn check_alone(&self) -> Result<(), String> {
        if self.wanted.is_empty() && self.changes.is_none() && self.render.is_none() {
            return Err("no picture is wanted".into());
        }
        let is_sample = |pts: i64| self.samples.iter().any(|sample| sample.pts == pts);
        for want in &self.wanted {
            if let Pick::Pts(pts) = want.pick
                && !is_sample(pts)
            {
                return Err(format!("no sample has the wanted presentation time {pts}"));
            }
        }
        Ok(())
    }
}

/// A finished picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Which [`Want`] it answers, or [`CHANGED`].
    pub tag: u64,
    /// Presentation time of the decoded picture.
    pub pts: i64,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The encoding, with the quality that was used (lower than asked if `max_bytes` demanded it).
    pub format: PictureFormat,
    /// The encoded file, or the raw pixels.
    pub data: Bytes,
    /// Of pictures that [`Job::changes`] chose: how much they changed (0 to 1), and the small picture
    /// to compare the next ones with.
    pub change: Option<Change>,
}

/// A form that its picture cannot be made in, such as a crop outside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which [`Want`] it answers.
    pub tag: u64,
    /// For who asked.
    pub why: String,
}

/// What came of a job that was done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Made {
    /// In the order in which they got ready.
    pub pictures: Vec<Picture>,
    /// Wants that no picture comes for; the other ones, and the decoder's position, are not affected.
    pub refused: Vec<Refusal>,
    /// What [`Job::render`] asked for, in presentation order.
    pub coded: Vec<render::Coded>,
}

impl Made {
    /// For callers to whom one bad form spoils the job.
    pub(crate) fn whole(self) -> Result<Vec<Picture>, crate::Error> {
        match self.refused.into_iter().next() {
            Some(refusal) => Err(crate::Error::Invalid(refusal.why)),
            None => Ok(self.pictures),
        }
    }
}

/// How a picture differs from the one chosen before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Mean absolute difference, 0 to 1; 1 for the first one.
    pub amount: f32,
    /// Its small luma picture, see [`Changes::reference`].
    pub signature: Vec<u8>,
}
