//! Running one list of wanted pictures on a decoder.

use super::plan::plan;
use super::warm::Warm;
use super::{Answer, Core};
use framewell_decode::{Entry, Error, Exit, Job, JobSample, Output, Pick, Picture, Priority, Want};
use framewell_footage::CompressedGop;
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
                if let Some(answer) = place_of(picture.tag).and_then(|place| answers.get_mut(place))
                {
                    *answer = Some(Ok(picture.into()));
                }
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
        let job = job_of(gop, &plan.feed, wanted, missing);
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

    /// Which of the pictures an error is about. Damaged video is decoded again for each picture alone:
    /// those before the damage are good. Any other error is everybody's.
    async fn explain(
        &self,
        gop: &CompressedGop,
        wanted: &[(usize, Output)],
        answers: &mut [Option<Answer>],
        missing: &Missing,
        error: Error,
    ) {
        let is_one = missing
            .iter()
            .all(|place| wanted[*place].0 == wanted[missing[0]].0);
        let is_damage = matches!(error, Error::Bitstream(_));
        for place in missing {
            let answer = if is_damage && !is_one {
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
                Err(copy_of_error(&error))
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

/// The tag of a want is its place in the list.
fn place_of(tag: u64) -> Option<usize> {
    usize::try_from(tag).ok()
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
    }
}

/// The same answer for another caller.
pub(super) fn copy_of(answer: &Answer) -> Answer {
    match answer {
        Ok(picture) => Ok(picture.clone()),
        Err(error) => Err(copy_of_error(error)),
    }
}

fn copy_of_error(error: &Error) -> Error {
    match error {
        Error::Busy => Error::Busy,
        Error::Deadline(limit) => Error::Deadline(*limit),
        Error::Died(how) => Error::Died(how.clone()),
        Error::Bitstream(why) => Error::Bitstream(why.clone()),
        Error::Invalid(why) => Error::Invalid(why.clone()),
        Error::PositionLost => Error::PositionLost,
        Error::Start { program, source } => Error::Start {
            program: program.clone(),
            source: std::io::Error::new(source.kind(), source.to_string()),
        },
        other => Error::Died(other.to_string()),
    }
}
