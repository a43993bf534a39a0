//! Generation tasks on recorded video, as their owners see them.

use crate::{Error, Gallery};
use framewell_catalog::{Catalog, Job, JobFilter, NewJob, Order, Page, Slice};
use framewell_imaging::batch::Rule;
use framewell_model::{AccountId, ChannelId, JobId, JobState, TimeRange, WallTime};
use serde::{Deserialize, Serialize};

/// [`framewell_catalog::NewJob::kind`] of generation tasks.
pub const TASK_KIND: &str = framewell_catalog::IMAGE_TASK_JOB;

/// What is asked for: the picture on screen at `start`, `start + period`, … before `end`, where there is
/// footage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRequest {
    /// First instant.
    pub start: WallTime,
    /// No instants from here on. What lies in the future is cut off.
    pub end: WallTime,
    /// Time between instants, in microseconds.
    pub period_us: i64,
}

/// [`Job::parameters`] of a task.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Parameters {
    pub(crate) start_us: i64,
    pub(crate) end_us: i64,
    pub(crate) period_us: i64,
}

/// [`Job::position`] of a task.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Text of the batch's cursor; `None` behind the end.
    pub(crate) cursor: Option<String>,
    pub(crate) images: u64,
    pub(crate) failed: u64,
}

/// A task.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Key; [`framewell_model::StoredImage::origin_id`] of its pictures.
    pub id: JobId,
    /// Whose footage.
    pub channel: ChannelId,
    /// What was asked for, the end cut to the moment of asking.
    pub request: TaskRequest,
    /// Where it stands.
    pub state: JobState,
    /// 0 to 1.
    pub progress: f64,
    /// Pictures stored so far.
    pub images: u64,
    /// Pictures that could not be made from damaged footage.
    pub failed: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was asked for.
    pub created: WallTime,
    /// When it ended.
    pub finished: Option<WallTime>,
}

impl TaskRequest {
    /// Refuses what makes no sense, and cuts off the future.
    fn check(self, now: WallTime, most: i64) -> Result<Self, Error> {
        if self.end <= self.start {
            return Err(Error::Invalid("end must lie after start".into()));
        }
        Rule::Every(self.period_us)
            .check()
            .map_err(Error::Invalid)?;
        if self.start >= now {
            let text = "start lies in the future: pictures are made from recorded video";
            return Err(Error::Invalid(text.into()));
        }
        let end = self.end.min(now);
        let length = end.micros_since(self.start);
        // `end` is no instant itself, so that the last one lies before it.
        let count = (length - 1).div_euclid(self.period_us) + 1;
        if count > most {
            return Err(Error::Invalid(format!(
                "the task asks for {count} pictures, {most} are allowed: choose a longer period or a shorter range"
            )));
        }
        Ok(Self { end, ..self })
    }

    const fn parameters(self) -> Parameters {
        Parameters {
            start_us: self.start.micros(),
            end_us: self.end.micros(),
            period_us: self.period_us,
        }
    }
}

impl Parameters {
    pub(crate) const fn request(self) -> TaskRequest {
        TaskRequest {
            start: WallTime::from_micros(self.start_us),
            end: WallTime::from_micros(self.end_us),
            period_us: self.period_us,
        }
    }

    pub(crate) fn range(self) -> Option<TimeRange> {
        let request = self.request();
        TimeRange::new(request.start, request.end)
    }
}

impl Task {
    /// Reads a job; `None` if it is of another kind.
    fn of(job: &Job) -> Option<Self> {
        if job.kind != TASK_KIND {
            return None;
        }
        let parameters = Parameters::deserialize(&job.parameters).ok()?;
        let position = match &job.position {
            Some(position) => Position::deserialize(position).unwrap_or_default(),
            None => Position::default(),
        };
        Some(Self {
            id: job.id,
            channel: job.channel?,
            request: parameters.request(),
            state: job.state,
            progress: job.progress,
            images: position.images,
            failed: position.failed,
            error: job.error.clone(),
            created: job.created,
            finished: job.finished,
        })
    }
}

const fn tasks_of(channel: ChannelId) -> JobFilter {
    JobFilter {
        kind: TASK_KIND,
        channel,
    }
}

fn missing(id: JobId) -> Error {
    Error::Catalog(framewell_catalog::Error::NotFound {
        what: format!("image generation task {id}"),
    })
}

impl Gallery {
    fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    /// Takes on a task: from here on it will be done, whatever happens to this process.
    ///
    /// [`Error::Invalid`] says which limit was passed, [`Error::TooManyTasks`] when as many are open as
    /// may be.
    pub async fn create_task(
        &self,
        account: AccountId,
        channel: ChannelId,
        request: TaskRequest,
    ) -> Result<Task, Error> {
        let (now, config) = (self.inner.clock.now(), &self.inner.config);
        let request = request.check(now, config.max_task_images)?;
        let most = config.max_open_tasks;
        let parameters = serde_json::to_value(request.parameters())
            .map_err(|error| Error::Invalid(error.to_string()))?;
        let new = NewJob {
            kind: TASK_KIND,
            account,
            channel: Some(channel),
            parameters,
            dedup: None,
            due: now,
        };
        let job = self.catalog().create_job_within(&new, most, now).await?;
        let job = job.ok_or(Error::TooManyTasks(most))?;
        Task::of(&job).ok_or_else(|| missing(job.id))
    }

    /// A task of any channel.
    pub async fn load_task(&self, id: JobId) -> Result<Task, Error> {
        let job = self
            .catalog()
            .load_job(id)
            .await
            .map_err(|error| match error {
                framewell_catalog::Error::NotFound { .. } => missing(id),
                other => other.into(),
            })?;
        Task::of(&job).ok_or_else(|| missing(id))
    }

    /// Tasks of a channel, by age.
    pub async fn list_tasks(
        &self,
        channel: ChannelId,
        order: Order,
        slice: Slice,
    ) -> Result<Page<Task>, Error> {
        let page = self
            .catalog()
            .list_jobs(tasks_of(channel), order, slice)
            .await?;
        Ok(Page {
            items: page.items.iter().filter_map(Task::of).collect(),
            total: page.total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_secs(1_000);

    fn check(start: i64, end: i64, period_us: i64) -> Result<TaskRequest, String> {
        let request = TaskRequest {
            start: WallTime::from_secs(start),
            end: WallTime::from_secs(end),
            period_us,
        };
        request.check(NOW, 100).map_err(|error| error.to_string())
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_limit() {
        assert!(check(10, 10, 1_000_000).unwrap_err().contains("end"));
        assert!(check(20, 10, 1_000_000).unwrap_err().contains("end"));
        for period in [i64::MIN, -1, 0, 999, i64::MAX] {
            assert!(
                check(0, 10, period).unwrap_err().contains("1 ms"),
                "{period}"
            );
        }
        assert!(
            check(0, 101, 1_000_000)
                .unwrap_err()
                .contains("101 pictures, 100")
        );
        assert!(
            check(1_000, 1_001, 1_000_000)
                .unwrap_err()
                .contains("future")
        );
        assert!(check(0, 100, 1_000_000).is_ok());
    }

    #[test]
    fn the_future_is_cut_off() {
        let request = check(990, 100_000, 1_000_000).unwrap();
        assert_eq!(request.end, NOW);
    }
}
