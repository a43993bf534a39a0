//! Pictures pushed as they are taken.

use crate::hub::{Asked, Command, Context, Picker, Queue, Resume, Rule, drive};
use crate::{Error, Grid, Image, Imaging, Output};
use framewell_model::{ChannelId, WallTime};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A push ends so long after its end, and after the last picture at hand, if the camera sends nothing
/// that lies behind its end.
const END_GRACE: Duration = Duration::from_secs(3);

/// What happens when the receiver is slower than the pictures come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Only the newest finished picture waits; older ones are dropped and counted.
    #[default]
    Latest,
    /// This many finished pictures wait; then the oldest are dropped and counted.
    Bounded(usize),
    /// Nothing is dropped as long as the pictures are in the live ring: the receiver falls behind and
    /// catches up. What the ring has given up is counted as dropped.
    All,
}

/// Pictures of a channel from a moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveRequest {
    /// The channel.
    pub channel: ChannelId,
    /// Start before now, served from the live ring at the receiver's pace (nothing of it is dropped,
    /// whatever `delivery` says); what the ring no longer has is left out. `None`: the newest picture.
    pub from: Option<WallTime>,
    /// The end, exclusive; it may lie in the future. `None`: until the receiver goes.
    pub until: Option<WallTime>,
    /// Pictures per second, see [`Grid::new`]; `None`: every picture of the camera. The first picture
    /// comes at once; then for each instant of the [`Grid`] of this rate the picture captured nearest
    /// to it, so that pictures of several channels fit together.
    pub fps: Option<f64>,
    /// Only key frames; a rate then picks among them. When everybody who wants pictures of a channel
    /// says so, nothing else is decoded.
    pub is_keys_only: bool,
    /// Size, format, crop.
    pub output: Output,
    /// Back-pressure.
    pub delivery: Delivery,
}

/// A pushed picture.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveImage {
    /// The picture. [`Image::requested`] is the instant of the grid that it was chosen for; with no
    /// rate its capture time.
    pub image: Image,
    /// Counts the pictures chosen by the rate, delivered or dropped, from 0.
    pub sequence: u64,
    /// Pictures dropped since the last delivered one.
    pub dropped: u64,
}

/// A running push. Dropping it ends the interest; the decoder stops when the last one goes.
#[derive(Debug)]
pub struct LiveFeed {
    queue: Arc<Queue>,
    /// When its end has come by the clock.
    end: Option<Instant>,
    _driver: JoinSet<()>,
}

impl LiveFeed {
    /// The next picture; `None` at the end that was asked for, or when the channel was deleted
    /// ([`Error::Gone`] comes before). An error is not the end: a camera that comes back goes on.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<LiveImage, Error>> {
        let Some(end) = self.end else {
            return self.queue.next().await;
        };
        loop {
            // What is at hand is read for as long as it takes; then the camera has to be silent.
            let quiet = self.queue.quiet_since();
            let over = quiet.unwrap_or_else(Instant::now).max(end) + END_GRACE;
            tokio::select! {
                biased;
                next = self.queue.next() => return next,
                () = tokio::time::sleep_until(over) => {
                    if quiet.is_some() && self.queue.quiet_since() == quiet {
                        self.queue.finish();
                        return None;
                    }
                }
            }
        }
    }
}

impl Drop for LiveFeed {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Imaging {
    /// Starts pushing; every picture that the camera delivers from now on counts. Must be called within
    /// a tokio runtime.
    pub fn live(&self, request: LiveRequest) -> Result<LiveFeed, Error> {
        let LiveRequest {
            channel, output, ..
        } = request;
        output.check().map_err(Error::Invalid)?;
        let context = self.hub.context(channel)?;
        let rule = rule_of(&request, &context)?;
        let is_past = request.from.is_some() || request.is_keys_only;
        let queue = Arc::new(Queue::new(channel, request.delivery));
        let reserve = Command::Reserve(Arc::clone(&queue));
        self.hub.send(&context, reserve)?;
        let start = Resume {
            mark: None,
            picker: Picker::new(rule),
        };
        let asked = match is_past {
            true => None,
            false => Some(Asked::new(
                &self.hub, &context, &queue, output, start, false,
            )?),
        };
        let end = request.until.map(|until| {
            let left = until.micros_since(self.clock.now()).max(0);
            Instant::now() + Duration::from_micros(left.unsigned_abs())
        });
        let mut driver = JoinSet::new();
        driver.spawn(drive(
            self.hub.clone(),
            context,
            Arc::clone(&queue),
            output,
            start,
            asked,
        ));
        Ok(LiveFeed {
            queue,
            end,
            _driver: driver,
        })
    }
}

fn rule_of(request: &LiveRequest, context: &Context) -> Result<Rule, Error> {
    let bad_rate = |fps| {
        Error::Invalid(format!(
            "{fps} pictures per second are outside 0.00001 to 1000"
        ))
    };
    let grid = request
        .fps
        .map(|fps| Grid::new(fps).ok_or_else(|| bad_rate(fps)))
        .transpose()?;
    if let (Some(from), Some(until)) = (request.from, request.until)
        && from >= until
    {
        return Err(Error::Invalid(format!(
            "the start {from} is not before the end {until}"
        )));
    }
    let newest = || match request.is_keys_only {
        false => context.track.newest_capture(),
        true => context.track.newest_gop().and_then(|gop| gop.start()),
    };
    let long_ago = WallTime::from_micros(i64::MIN);
    Ok(Rule {
        from: request.from.or_else(newest).unwrap_or(long_ago),
        until: request.until,
        grid,
        is_keys_only: request.is_keys_only,
    })
}
