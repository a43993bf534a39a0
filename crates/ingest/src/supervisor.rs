//! Keeps one channel's camera connected.

use crate::backoff::Backoff;
use crate::session::CameraSession;
use crate::source::Target;
use crate::status::StatusBoard;
use crate::{IngestConfig, SessionError};
use framewell_live::Track;
use framewell_model::{CameraSource, ChannelId, ChannelStatus, StreamKind, WallClock};
use retina::client::SessionGroup;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// A camera that delivered for this long was healthy: its next failure is a first one.
const HEALTHY: Duration = Duration::from_secs(10);
/// Longest wait for the camera's answer to the last TEARDOWN.
const TEARDOWN: Duration = Duration::from_secs(2);
/// A camera whose pictures end this soon after it was asked for its metadata may have no room for two
/// sessions.
const TOO_SOON: Duration = Duration::from_secs(5);
/// So often in a row it is no accident, and its metadata is left alone: pictures matter more.
const ACCIDENTS: u32 = 3;

/// Owner of a channel's track as long as the channel has this source: the only one who writes.
#[derive(Debug)]
pub(crate) struct ChannelSupervisor {
    pub(crate) channel: ChannelId,
    pub(crate) source: CameraSource,
    pub(crate) config: Arc<IngestConfig>,
    pub(crate) track: Track,
    /// Of a sub stream, the track of its main stream: only looked at.
    pub(crate) main: Option<Track>,
    pub(crate) clock: Arc<dyn WallClock>,
}

impl ChannelSupervisor {
    /// Starts one session after the other until `stop`. The channel is inactive afterwards.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let status = StatusBoard::new(self.channel, self.track.clone(), Arc::clone(&self.clock));
        match Target::of(&self.source) {
            Ok(target) => {
                let group = Arc::new(SessionGroup::default().named(self.channel.to_string()));
                self.supervise(&target, &group, &status, &stop).await;
                // Otherwise a camera that sends by UDP would go on until the session expires. A
                // camera that does not answer has had its chance.
                let _answer = tokio::time::timeout(TEARDOWN, group.await_teardown()).await;
            }
            Err(error) => {
                // Trying again changes nothing until somebody corrects the URL.
                warn!(channel.id = %self.channel, %error, "camera source refused");
                status.failed(ChannelStatus::Offline, error.to_string());
                stop.cancelled().await;
            }
        }
        status.inactive();
    }

    async fn supervise(
        &self,
        target: &Target,
        group: &Arc<SessionGroup>,
        status: &StatusBoard,
        stop: &CancellationToken,
    ) {
        let mut session = CameraSession {
            config: &self.config,
            target,
            transport: self.source.transport,
            track: &self.track,
            main: self.main.as_ref(),
            status,
            clock: &self.clock,
            group,
            // A camera says the same of all its streams.
            wants_metadata: self.config.metadata && self.channel.stream() == StreamKind::Main,
        };
        let mut too_soon = 0;
        let mut backoff = Backoff::new(&self.config);
        status.failed(ChannelStatus::Offline, String::from("connecting"));
        loop {
            let outcome = Box::pin(session.run(stop)).await;
            let Some(error) = outcome.error else {
                info!(channel.id = %self.channel, "camera session stopped");
                return;
            };
            self.report(&error, status);
            if let Some(after) = outcome.metadata_for {
                too_soon = if after < TOO_SOON { too_soon + 1 } else { 0 };
                if too_soon >= ACCIDENTS {
                    warn!(channel.id = %self.channel, "the camera drops its pictures when its metadata is read: no more metadata");
                    session.wants_metadata = false;
                }
            }
            if outcome.delivered >= HEALTHY {
                backoff.reset();
            }
            let roll = rand::random();
            let pause = match error {
                SessionError::Unauthorized => backoff.long_pause(roll),
                _ => backoff.pause(roll),
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            self.track.count_reconnect();
        }
    }

    fn report(&self, error: &SessionError, status: &StatusBoard) {
        // A camera that stays away says the same for weeks: the first time is news.
        let is_known =
            self.track.source_state().borrow().detail.as_deref() == Some(&*error.to_string());
        if is_known {
            debug!(channel.id = %self.channel, %error, "camera session failed again");
        } else {
            warn!(channel.id = %self.channel, %error, "camera session failed");
        }
        let word = match error {
            SessionError::Unauthorized => ChannelStatus::Unauthorized,
            _ => ChannelStatus::Offline,
        };
        status.failed(word, error.to_string());
    }
}
