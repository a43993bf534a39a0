//! Finds motion in live video.
//!
//! A channel with enabled regions is looked at, others cost nothing. Only key frames are decoded, at
//! 192 x 144, through `imaging`'s one live decoder per channel: what an engine has decoded already is not
//! decoded again. What belongs here: the comparison of pictures and the beginning and end of motion. What
//! does not: what follows from an event. Entry point: [`Motion::run`].

mod detector;
mod episode;

use detector::{Detector, HEIGHT, Seen, WIDTH};
use episode::Episode;
use framewell_catalog::Catalog;
use framewell_decode::{Fit, Output, PictureFormat};
use framewell_imaging::{Delivery, Image, Imaging, LiveRequest};
use framewell_model::{ChannelId, MotionRegion, NewEvent};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A change of regions takes effect within this time.
const LOOK_FOR_CHANGES: Duration = Duration::from_secs(2);
/// Most key frames a second that are looked at: streams of key frames only exist.
const PICTURES_PER_SECOND: f64 = 2.0;
/// Before a stream that cannot be decoded is tried again.
const PAUSE: Duration = Duration::from_secs(10);
/// Events that may wait to be stored.
pub const MAX_WAITING: usize = 64;

/// The service.
#[derive(Debug, Clone)]
pub struct Motion {
    catalog: Catalog,
    imaging: Imaging,
    events: mpsc::Sender<NewEvent>,
    most_channels: usize,
}

type Regions = BTreeMap<ChannelId, Vec<MotionRegion>>;

impl Motion {
    /// Joins the parts; events go to `events` and are lost, with a word in the log, while it is full. No
    /// more than `most_channels` are looked at: each holds a live decoder, and clients need some too.
    #[must_use]
    pub const fn new(
        catalog: Catalog,
        imaging: Imaging,
        events: mpsc::Sender<NewEvent>,
        most_channels: usize,
    ) -> Self {
        Self {
            catalog,
            imaging,
            events,
            most_channels,
        }
    }

    /// Looks at every channel with enabled regions until `stop`, or at as many as it may.
    pub async fn run(self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut running: BTreeMap<ChannelId, (Vec<MotionRegion>, CancellationToken)> =
            BTreeMap::new();
        let mut left_out = 0;
        let mut rounds = tokio::time::interval(LOOK_FOR_CHANGES);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = rounds.tick() => {}
            }
            while tasks.try_join_next().is_some() {}
            let Some(wanted) = self.wanted().await else {
                continue;
            };
            running.retain(|channel, (regions, token)| {
                let stays = wanted.get(channel) == Some(regions);
                if !stays {
                    token.cancel();
                }
                stays
            });
            let room = self.most_channels.saturating_sub(running.len());
            let (new, excess) = admit(wanted, |channel| running.contains_key(channel), room);
            self.warn(excess, &mut left_out);
            for (channel, regions) in new {
                let token = stop.child_token();
                let this = self.clone();
                let (watched, end) = (regions.clone(), token.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        () = end.cancelled() => {}
                        () = this.watch(channel, &watched) => {}
                    }
                });
                running.insert(channel, (regions, token));
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Once for each change.
    fn warn(&self, excess: usize, before: &mut usize) {
        if std::mem::replace(before, excess) != excess && excess > 0 {
            tracing::warn!(
                left_out = excess,
                limit = self.most_channels,
                "more channels want motion than may be looked at; the rest waits for room"
            );
        }
    }

    /// `None` while the database cannot be asked: what runs goes on.
    async fn wanted(&self) -> Option<Regions> {
        match self.catalog.enabled_motion_regions().await {
            Ok(regions) => Some(regions),
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "regions are unknown"
                );
                None
            }
        }
    }

    /// Never ends.
    async fn watch(&self, channel: ChannelId, regions: &[MotionRegion]) {
        let mut detector = Detector::default();
        let mut episode = Episode::default();
        let mut is_failing = false;
        loop {
            let why = match self.imaging.live(request(channel)) {
                Ok(mut feed) => loop {
                    match feed.next().await {
                        Some(Ok(picture)) => {
                            is_failing = false;
                            let event = look(&mut detector, &mut episode, regions, &picture.image);
                            self.tell(event.map(|tags| tags.event(channel)));
                        }
                        // The push goes on: a camera comes back.
                        Some(Err(error)) => {
                            tracing::debug!(channel.id = %channel, %error, "no picture to look at")
                        }
                        None => break String::from("the stream ended"),
                    }
                },
                Err(error) => error.to_string(),
            };
            if !std::mem::replace(&mut is_failing, true) {
                tracing::warn!(channel.id = %channel, why, "motion cannot be looked for; trying again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn tell(&self, event: Option<NewEvent>) {
        if let Some(event) = event
            && let Err(error) = self.events.try_send(event)
        {
            tracing::warn!(%error, "an event of motion is lost");
        }
    }
}

/// The channels that are to be looked at from now on, and how many there is no room for.
fn admit(
    mut wanted: Regions,
    is_running: impl Fn(&ChannelId) -> bool,
    room: usize,
) -> (Regions, usize) {
    wanted.retain(|channel, _| !is_running(channel));
    let excess = wanted.len().saturating_sub(room);
    (wanted.into_iter().take(room).collect(), excess)
}

fn look(
    detector: &mut Detector,
    episode: &mut Episode,
    regions: &[MotionRegion],
    image: &Image,
) -> Option<episode::Begun> {
    let luma = image.data.get(..WIDTH * HEIGHT)?;
    match detector.look(luma) {
        Seen::NewScene => None,
        Seen::Cells(moving) => episode.take(&moving, regions, image.captured),
    }
}

fn request(channel: ChannelId) -> LiveRequest {
    let side = |pixels: usize| u32::try_from(pixels).ok();
    LiveRequest {
        channel,
        from: None,
        until: None,
        fps: Some(PICTURES_PER_SECOND),
        is_keys_only: true,
        output: Output {
            width: side(WIDTH),
            height: side(HEIGHT),
            fit: Fit::Fill,
            ..Output::new(PictureFormat::Nv12)
        },
        delivery: Delivery::Latest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_beyond_the_limit_wait_until_there_is_room() {
        let id = |n| ChannelId::new(n).unwrap();
        let wanted: Regions = (1..=4).map(|n| (id(n), Vec::new())).collect();
        let ids = |regions: Regions| regions.into_keys().collect::<Vec<_>>();
        // One of four is looked at already, and there is room for two more.
        let (new, excess) = admit(wanted.clone(), |channel| *channel == id(3), 2);
        assert_eq!((ids(new), excess), (vec![id(1), id(2)], 1));
        let (new, excess) = admit(wanted.clone(), |channel| *channel != id(4), 0);
        assert_eq!((ids(new), excess), (vec![], 1));
        let (new, excess) = admit(wanted, |channel| *channel != id(4), 1);
        assert_eq!((ids(new), excess), (vec![id(4)], 0));
    }
}
