//! Running one list of wanted pictures on a decoder.

use super::plan::plan;
use super::warm::Warm;
use super::{Answer, Core};
use crate::cache::ContentKey;
use framewell_decode::{Entry, Error, Exit, Job, JobSample, Output, Pick, Picture, Priority, Want};
use framewell_footage::CompressedGop;
use framewell_model::FrameId;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Pictures of a list that are still to be made, by their place in it.
type Missing = Vec<usize>;

impl Core {
    /// Makes the pictures with these places in the GOP; the answers are in the same order.
    pub(super) async fn decode(
        &self,
        warm: &mut Option<Warm>,
        gop: &CompressedGop,
        wanted: &[(usize, Output)],
    ) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = wanted.iter().map(|_| None).collect();
        let mut missing: Missing = (0..wanted.len()).collect();
        // Once from where the decoder stands, once from the key frame.
        for _ in 0..2 {
            let has_position = warm.is_some();
            let result = self.pass(warm, gop, wanted, &mut missing).await;
            let (pictures, error) = match result {
                Ok(pictures) => (pictures, None),
                Err((pictures, error)) => (pictures, Some(error)),
            };
            for picture in pictures {
                self.sort_in(gop, wanted, picture, &mut answers);
            }
            missing.retain(|place| answers[*place].is_none());
            let may_retry = has_position || matches!(error, Some(Error::PositionLost));
            if missing.is_empty() || (error.is_none() && !has_position) {
                break;
            }
            if let Some(error) = error.filter(|_| !may_retry) {
                self.explain(gop, wanted, &mut answers, &missing, error)
                    .await;
                break;
            }
            *warm = None;
        }
        let none = || Err(Error::Bitstream("no picture came out".into()));
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(none))
            .collect()
    }

    /// Puts a picture with its want; one that nobody has asked for yet is kept for those who will.
    fn sort_in(
        &self,
        gop: &CompressedGop,
        wanted: &[(usize, Output)],
        picture: Picture,
        answers: &mut [Option<Answer>],
    ) {
        let place = usize::try_from(picture.tag).unwrap_or(usize::MAX);
        if let Some(answer) = answers.get_mut(place) {
            *answer = Some(Ok(picture.into()));
        } else if let Some((_, output)) = wanted.last() {
            let frame = FrameId {
                run: gop.run,
                ticks: picture.pts,
            };
            let output = *output;
            self.cache
                .insert(ContentKey { frame, output }, picture.into());
        }
    }

    /// One way through the GOP for the missing pictures. An error comes with what was made before it.
    async fn pass(
        &self,
        warm: &mut Option<Warm>,
        gop: &CompressedGop,
        wanted: &[(usize, Output)],
        missing: &mut Missing,
    ) -> Result<Vec<Picture>, (Vec<Picture>, Error)> {
        let places: Vec<usize> = missing.iter().map(|place| wanted[*place].0).collect();
        let position = warm.as_ref().map(|warm| &warm.position);
        let plan = plan(gop, position, &places);
        let mut job = job_of(gop, &plan.feed, wanted, missing);
        job.wanted.extend(spare_wants(&plan.spare, wanted));
        self.count(plan.feed.len());
        // A key frame alone, or a way that ends in draining, leaves no position worth a session.
        let is_lone = plan.feed == [0] || plan.exit == Exit::Drain;
        if plan.entry == Entry::Key && is_lone {
            let alone = self.pool.decode(job).await;
            return alone.map_err(|error| (Vec::new(), error));
        }
        let mut session = match warm.take() {
            Some(warm) => warm.session,
            None => self.pool.open_session(),
        };
        let made = session.decode(job, plan.entry, plan.exit).await;
        let mut pictures = made.map_err(|error| (Vec::new(), error))?;
        if let Some(position) = plan.after {
            if pictures.len() < missing.len() {
                // The decoder holds more back than the parameters say.
                let rest = job_of(gop, &[], wanted, &Vec::new());
                match session.decode(rest, Entry::Continue, Exit::Drain).await {
                    Ok(rest) => pictures.extend(rest),
                    Err(error) => return Err((pictures, error)),
                }
            } else {
                *warm = Some(Warm { session, position });
            }
        }
        Ok(pictures)
    }

    /// Which of the pictures an error is about. After damaged video, or a form that cannot be made of
    /// it, each picture is tried alone: the others are good. Any other error is everybody's.
    async fn explain(
        &self,
        gop: &CompressedGop,
        wanted: &[(usize, Output)],
        answers: &mut [Option<Answer>],
        missing: &Missing,
        error: Error,
    ) {
        let is_of_one = matches!(error, Error::Bitstream(_) | Error::Invalid(_));
        let is_shared = is_of_one && missing.len() > 1;
        for place in missing {
            let answer = if is_shared {
                let plan = plan(gop, None, &[wanted[*place].0]);
                self.count(plan.feed.len());
                let job = job_of(gop, &plan.feed, wanted, &vec![*place]);
                let pictures = self.pool.decode(job).await;
                let none = || Error::Bitstream("no picture came out".into());
                pictures.and_then(|made| {
                    let picture = made.into_iter().next();
                    picture.map(Into::into).ok_or_else(none)
                })
            } else {
                Err(error.duplicate())
            };
            answers[*place] = Some(answer);
        }
    }

    fn count(&self, frames: usize) {
        let frames = frames as u64;
        self.counters.jobs.fetch_add(1, Ordering::Relaxed);
        self.counters.frames.fetch_add(frames, Ordering::Relaxed);
        metrics::counter!("framewell_image_decode_jobs_total").increment(1);
        metrics::counter!("framewell_image_decode_frames_total").increment(frames);
    }
}

/// Wants for pictures that nobody has asked for yet, in the form of the last one on the list; their
/// tags are no places of the list.
fn spare_wants(spare: &[i64], wanted: &[(usize, Output)]) -> Vec<Want> {
    let Some((_, output)) = wanted.last() else {
        return Vec::new();
    };
    let want = |(tag, pts): (u64, &i64)| Want {
        tag,
        pick: Pick::Pts(*pts),
        output: *output,
    };
    (wanted.len() as u64..).zip(spare).map(want).collect()
}

fn job_of(
    gop: &CompressedGop,
    feed: &[usize],
    wanted: &[(usize, Output)],
    missing: &Missing,
) -> Job {
    let samples = feed.iter().map(|index| &gop.samples[*index]);
    let want = |place: &usize| {
        let (index, output) = wanted[*place];
        Want {
            tag: *place as u64,
            pick: Pick::Pts(gop.samples[index].pts),
            output,
        }
    };
    Job {
        video: Arc::clone(&gop.video),
        samples: samples
            .map(|sample| JobSample {
                pts: sample.pts,
                data: sample.data.clone(),
            })
            .collect(),
        wanted: missing.iter().map(want).collect(),
        changes: None,
        priority: Priority::Interactive,
        render: None,
    }
}

/// The same answer for another caller.
pub(super) fn copy_of(answer: &Answer) -> Answer {
    match answer {
        Ok(picture) => Ok(picture.clone()),
        Err(error) => Err(error.duplicate()),
    }
}
