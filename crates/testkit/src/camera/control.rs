//! What a test can make a running camera do wrong.

use super::player::PacketizedClip;
use super::state::CameraState;
use crate::encode::EncodedClip;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Faults that stay until they are taken back.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    /// Every request gets 401, whatever its credentials.
    pub(super) refuses_everybody: bool,
    /// Connections are closed at the first request.
    pub(super) is_unplugged: bool,
    /// Video codec named in the SDP instead of the true one.
    pub(super) announced_codec: Option<String>,
    /// No RTCP sender reports.
    pub(super) is_silent_about_time: bool,
    /// Added to the NTP time of sender reports, in microseconds.
    pub(super) ntp_skew_us: i64,
    pub(super) marks_capture: bool,
    /// The SDP offers a metadata track.
    pub(super) offers_metadata: bool,
    /// Present sessions are reset when one more begins to play.
    pub(super) serves_one_session: bool,
    /// Video packets still to be lost.
    pub(super) packets_to_lose: u32,
}

/// Something that the sessions of a camera do now.
#[derive(Debug, Clone)]
pub(super) enum SessionCommand {
    /// Send nothing more, answer nothing, keep the socket open.
    Hang,
    /// End the connection in an orderly way.
    Close,
    /// End the connection with a TCP reset.
    Reset,
    /// Send bytes that are no RTSP.
    Garbage,
    /// Sessions that play the metadata track send this document; `false`: without its end.
    Metadata(Arc<str>, bool),
}

/// Scripts the faults of one camera; cheap to clone. Commands act on the sessions of the moment,
/// settings stay until changed.
#[derive(Debug, Clone)]
pub struct Control {
    pub(super) state: Arc<CameraState>,
}

impl Control {
    /// Present sessions stop sending and answering, but keep their sockets open. New sessions work.
    pub fn hang(&self) {
        self.command(SessionCommand::Hang);
    }

    /// Present sessions end in an orderly way (FIN).
    pub fn close(&self) {
        self.command(SessionCommand::Close);
    }

    /// Present sessions end with a TCP reset.
    pub fn reset(&self) {
        self.command(SessionCommand::Reset);
    }

    /// Present sessions send bytes that are no RTSP into the connection.
    pub fn send_garbage(&self) {
        self.command(SessionCommand::Garbage);
    }

    /// RTP timestamps of all tracks jump by this many seconds, either way, from the next frame on.
    pub fn jump_rtp_time(&self, seconds: i64) {
        self.state.jump_rtp(seconds.saturating_mul(1_000_000));
    }

    /// Whether the marks in the pictures of a clip with a clock say when they were captured, instead of when
    /// they are sent.
    pub fn mark_capture(&self, marks: bool) {
        self.state.faults().marks_capture = marks;
    }

    /// Sender reports say the truth plus this many seconds.
    pub fn skew_ntp_time(&self, seconds: i64) {
        self.state.faults().ntp_skew_us = seconds.saturating_mul(1_000_000);
    }

    /// Whether sender reports are sent (they are by default).
    pub fn set_sender_reports(&self, enabled: bool) {
        self.state.faults().is_silent_about_time = !enabled;
    }

    /// The next video packets vanish on the way, their sequence numbers are used up.
    pub fn lose_packets(&self, count: u32) {
        self.state.faults().packets_to_lose = count;
    }

    /// Whether every request is answered with 401, whatever its credentials.
    pub fn set_refuses_everybody(&self, refuses: bool) {
        self.state.faults().refuses_everybody = refuses;
    }

    /// Unplugged: present sessions are reset, new ones end at their first request.
    pub fn set_unplugged(&self, unplugged: bool) {
        self.state.faults().is_unplugged = unplugged;
        if unplugged {
            self.reset();
        }
    }

    /// Names another video codec in the SDP, `None` for the true one.
    pub fn announce_codec(&self, name: Option<&str>) {
        self.state.faults().announced_codec = name.map(str::to_owned);
    }

    /// Whether the SDP offers a track of ONVIF metadata; sessions that are there know nothing of it.
    pub fn offer_metadata(&self, offers: bool) {
        self.state.faults().offers_metadata = offers;
    }

    /// Sends a metadata document, such as that of a [`super::Notification`], to the sessions that play that track.
    pub fn send_metadata(&self, document: &str) {
        self.command(SessionCommand::Metadata(document.into(), true));
    }

    /// The same without the marker bit that ends a document.
    pub fn send_metadata_without_end(&self, document: &str) {
        self.command(SessionCommand::Metadata(document.into(), false));
    }

    /// Whether the camera has room for one session only: a new one ends those before it.
    pub fn set_serves_one_session(&self, one: bool) {
        self.state.faults().serves_one_session = one;
    }

    /// Goes on with another clip in the same sessions: new parameter sets in mid-stream. The codec
    /// and the audio track must stay the same. Does nothing to a live camera.
    pub fn switch_to(&self, clip: &EncodedClip) {
        let clip = Arc::new(PacketizedClip::new(clip));
        self.state.switch.send_replace(Some(clip));
    }

    /// Waits until this many sessions have begun to play since the start of the camera.
    pub async fn wait_for_plays(&self, count: u64, limit: Duration) -> anyhow::Result<()> {
        let what = format!("{count} sessions have played");
        wait_for(&self.state.plays, |plays| *plays >= count, limit, &what).await
    }

    /// Waits until this many sessions are in play.
    pub async fn wait_for_watchers(&self, count: u64, limit: Duration) -> anyhow::Result<()> {
        let what = format!("{count} sessions are in play");
        wait_for(&self.state.watchers, |now| *now == count, limit, &what).await
    }

    /// Sessions that have begun to play since the start of the camera.
    #[must_use]
    pub fn plays(&self) -> u64 {
        *self.state.plays.borrow()
    }

    fn command(&self, command: SessionCommand) {
        // No sessions, nothing to do.
        let _receivers = self.state.commands.send(command);
    }
}

async fn wait_for(
    counter: &watch::Sender<u64>,
    is_reached: impl FnMut(&u64) -> bool,
    limit: Duration,
    what: &str,
) -> anyhow::Result<()> {
    let mut counter = counter.subscribe();
    let reached = tokio::time::timeout(limit, counter.wait_for(is_reached)).await;
    match reached {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => anyhow::bail!("the camera is gone before {what}"),
        Err(_) => anyhow::bail!("after {limit:?}, not {what}"),
    }
}
