//! Pictures of live streams, one per period.
//!
//! One task per channel that has a period. It takes the newest picture at whole multiples of the period
//! and stores it; when that takes longer than a period, the slots meanwhile are left out. A camera that
//! delivers nothing leaves its slots empty, without a word in the log.

use crate::Gallery;
use crate::slots::slot_after;
use crate::store::NewPicture;
use framewell_imaging::{Image, Match, Request, When};
use framewell_model::{ChannelId, ChannelStatus, ErrorKind, HasKind as _, ImageOrigin, WallTime};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

impl Gallery {
    /// Keeps one task per channel with a period, until `stop`.
    pub(crate) async fn follow_live(self, stop: CancellationToken) {
        let mut wanted = self.inner.wanted.subscribe();
        let mut tasks = JoinSet::new();
        let mut running: BTreeMap<ChannelId, (i64, CancellationToken)> = BTreeMap::new();
        loop {
            let periods: BTreeMap<ChannelId, i64> = wanted
                .borrow_and_update()
                .iter()
                .filter_map(|(channel, policy)| Some((*channel, policy.live_period_us?)))
                .collect();
            running.retain(|channel, (period, token)| {
                let stays = periods.get(channel) == Some(period);
                if !stays {
                    token.cancel();
                }
                stays
            });
            for (channel, period) in periods {
                running.entry(channel).or_insert_with(|| {
                    let token = stop.child_token();
                    let follow = self.clone().follow_channel(channel, period, token.clone());
                    tasks.spawn(follow);
                    (period, token)
                });
            }
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = wanted.changed() => {}
                Some(ended) = tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(error = %error, "a task that stores live pictures failed");
                    }
                }
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn follow_channel(self, channel: ChannelId, period_us: i64, stop: CancellationToken) {
        let mut is_failing = false;
        let mut last = None;
        loop {
            let now = self.inner.clock.now();
            let wait_us = slot_after(now, period_us).micros_since(now);
            let wait = Duration::from_micros(u64::try_from(wait_us).unwrap_or(0));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let result = tokio::select! {
                () = stop.cancelled() => return,
                result = self.store_newest(channel, last) => result,
            };
            match result {
                Ok(captured) => {
                    is_failing = false;
                    last = captured.or(last);
                }
                Err(reason) if is_failing => {
                    tracing::debug!(channel.id = %channel, reason, "still no live picture stored");
                }
                Err(reason) => {
                    is_failing = true;
                    tracing::warn!(channel.id = %channel, reason, "a live picture cannot be stored; trying again each period");
                }
            }
        }
    }

    /// The capture time of the stored picture; `None` while the camera delivers none but `last`.
    ///
    /// The picture is asked for by its capture time, not as "now": that would keep a decoder on the
    /// stream for a while, which costs more than a picture does.
    async fn store_newest(
        &self,
        channel: ChannelId,
        last: Option<WallTime>,
    ) -> Result<Option<WallTime>, String> {
        let Some(newest) = self.newest(channel).filter(|at| Some(*at) != last) else {
            return Ok(None);
        };
        let request = Request {
            channel,
            when: When::At(newest),
            matching: Match::Exact,
            output: self.inner.config.output,
        };
        let image = match self.inner.imaging.image(&request).await {
            Ok(image) => image,
            // The ring went on, and nothing is recorded: the next period has another picture.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(chain(&error)),
        };
        let origin = ImageOrigin::GeneratedFromLive;
        let stored = self.store(&new_picture(channel, origin, image)).await;
        stored.map(|_| Some(newest)).map_err(|error| chain(&error))
    }

    /// Capture time of the newest picture of a camera that delivers.
    fn newest(&self, channel: ChannelId) -> Option<WallTime> {
        let track = self.inner.registry.get(channel)?;
        let is_active = track.source_state().borrow().status == ChannelStatus::Active;
        let gop = track.newest_gop().filter(|_| is_active)?;
        gop.newest()
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn new_picture(channel: ChannelId, origin: ImageOrigin, image: Image) -> NewPicture {
    NewPicture {
        channel,
        origin,
        origin_id: None,
        captured: image.captured,
        clock: image.clock,
        frame: image.frame,
        width: image.width,
        height: image.height,
        data: image.data,
    }
}
