//! A session that publishes (WHIP): what a browser or an encoder sends becomes the channel's video.

use super::peer::Peer;
use super::viewer::{End, Order};
use framewell_access::sessions::Session;
use framewell_ingest::publish::{self, Ended, Picture, Sound};
use framewell_media::{AudioParameters, TrackKind, VideoCodec, nal};
use framewell_model::{ChannelId, WallTime};
use std::time::{Duration, Instant, UNIX_EPOCH};
use str0m::format::Codec;
use str0m::media::{KeyframeRequestKind, MediaData, MediaKind, Mid, SenderFeedback};
use str0m::{Event, IceConnectionState};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A client that does not connect in this time has gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Browsers send key frames only when asked; footage needs them, and viewers begin with them.
const KEY_FRAME_EVERY: Duration = Duration::from_secs(2);
/// After a loss one is asked for at once, but not more often than this.
const KEY_FRAME_AFTER_LOSS: Duration = Duration::from_millis(300);
/// Sound that was agreed on and is not sent in this time after the first picture is taken back: a track without samples
/// makes players of fragments wait for it.
const SOUND_WITHIN: Duration = Duration::from_secs(5);
/// Ticks of video a second.
const VIDEO_HZ: i64 = 90_000;

/// What a publishing session is made from.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) channel: ChannelId,
    pub(super) publisher: publish::Publisher,
    pub(super) session: Session,
    pub(super) orders: mpsc::Receiver<Order>,
    /// Whether Opus was agreed on.
    pub(super) expects_sound: bool,
}

/// The clock of one medium, from its first unit on.
#[derive(Debug, Clone, Copy)]
struct Origin {
    ticks: i64,
    /// Age of the session at the first unit: a zero that both media share until reports relate them.
    age_us: i64,
}

/// The session.
#[derive(Debug)]
pub(super) struct Publishing {
    peer: Peer,
    stage: Stage,
    video: Option<Mid>,
    origins: [Option<Origin>; 2],
    began: Instant,
    is_connected: bool,
    asked: Option<Instant>,
    has_sound: bool,
    end: Option<End>,
}

impl Publishing {
    pub(super) fn new(peer: Peer, stage: Stage, now: Instant) -> Self {
        Self {
            peer,
            stage,
            video: None,
            origins: [None; 2],
            began: now,
            is_connected: false,
            asked: None,
            has_sound: false,
            end: None,
        }
    }

    /// Runs until one side has had enough.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let over = self.stage.session.end_token();
        let end = tokio::select! {
            ended = self.serve() => ended.unwrap_or_else(|end| end),
            () = stop.cancelled() => End::Stopped,
            () = over.cancelled() => End::Revoked,
        };
        let channel = self.stage.channel.get();
        tracing::debug!(channel.id = channel, reason = %end, "webrtc publisher ended");
        self.stage.publisher.end(match end {
            End::Asked => Ended::Finished,
            End::Stopped => Ended::ServerStops,
            End::Revoked => Ended::NotAllowed,
            End::Unpublished(ended) => ended,
            _ => Ended::Lost,
        });
        self.peer.close().await;
    }

    async fn serve(&mut self) -> Result<End, End> {
        if self.stage.expects_sound {
            // Before the first picture: who begins to watch with it is promised the sound too.
            self.announce_sound(true)?;
        }
        let mut events = Vec::new();
        loop {
            let now = Instant::now();
            self.ask_for_key_frame(now, KEY_FRAME_EVERY);
            self.peer.drive(now, &mut events)?;
            for event in std::mem::take(&mut events) {
                self.handle(event, now)?;
            }
            self.peer.flush().await?;
            if let Some(end) = self.end.take() {
                return Ok(end);
            }
            self.wait(&mut events).await?;
        }
    }

    async fn wait(&mut self, events: &mut Vec<Event>) -> Result<(), End> {
        let mut wake = self.peer.deadline();
        let due = self
            .asked
            .map_or(self.began + CONNECT_TIMEOUT, |at| at + KEY_FRAME_EVERY);
        wake = wake.min(due);
        let wake = tokio::time::Instant::from_std(wake);
        tokio::select! {
            ended = self.stage.publisher.ended() => self.end = Some(End::Unpublished(ended)),
            datagram = self.peer.receive() => match datagram {
                Some(datagram) => self.peer.take(datagram, Instant::now(), events)?,
                None => self.end = Some(End::Gone),
            },
            // Nothing but the end is ordered of a publisher.
            _ = self.stage.orders.recv() => self.end = Some(End::Asked),
            () = tokio::time::sleep_until(wake) => {
                if !self.is_connected && self.began.elapsed() >= CONNECT_TIMEOUT {
                    self.end = Some(End::NeverConnected);
                }
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: Event, now: Instant) -> Result<(), End> {
        match event {
            Event::Connected => self.is_connected = true,
            Event::Closed | Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                self.end = Some(End::Gone);
            }
            Event::MediaAdded(media) if media.kind == MediaKind::Video => {
                self.video = Some(media.mid);
            }
            Event::MediaData(data) => self.take(&data, now)?,
            Event::SenderFeedback(report) => self.report(&report)?,
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, data: &MediaData, now: Instant) -> Result<(), Ended> {
        self.stage.session.add_bytes(data.data.len());
        let ticks = i64::try_from(data.time.numer()).unwrap_or(i64::MAX);
        match data.params.spec().codec {
            Codec::H264 => self.picture(VideoCodec::H264, data, ticks, now),
            Codec::H265 => self.picture(VideoCodec::H265, data, ticks, now),
            Codec::Opus => self.sound(data, ticks, now),
            _ => Ok(()),
        }
    }

    fn picture(
        &mut self,
        codec: VideoCodec,
        data: &MediaData,
        ticks: i64,
        now: Instant,
    ) -> Result<(), Ended> {
        if !data.contiguous {
            self.stage.publisher.count_lost(1)?;
            self.ask_for_key_frame(now, KEY_FRAME_AFTER_LOSS);
        }
        let elapsed_ticks = self.elapsed(TrackKind::Video, ticks, VIDEO_HZ, now);
        if self.stage.expects_sound && !self.has_sound && self.is_silent_too_long(now) {
            self.stage.expects_sound = false;
            self.announce_sound(false)?;
        }
        let nals = nal::split_annex_b(&bytes::Bytes::copy_from_slice(&data.data));
        self.stage.publisher.picture(Picture {
            codec,
            pts_ticks: ticks,
            dts_ticks: None,
            elapsed_ticks,
            data: nal::join_length_prefixed(&nals),
        })
    }

    fn sound(&mut self, data: &MediaData, ticks: i64, now: Instant) -> Result<(), Ended> {
        if !std::mem::replace(&mut self.has_sound, true) {
            self.announce_sound(true)?;
        }
        let rate = i64::from(framewell_media::opus::RATE);
        let elapsed_ticks = self.elapsed(TrackKind::Audio, ticks, rate, now);
        self.stage.publisher.sound(Sound {
            ticks,
            elapsed_ticks,
            data: bytes::Bytes::copy_from_slice(&data.data),
        })
    }

    /// Says that Opus comes, or that none does; two channels, as RFC 7587 section 7 has every session declare.
    fn announce_sound(&self, comes: bool) -> Result<(), Ended> {
        let parameters = comes.then(|| AudioParameters::opus(2));
        self.stage.publisher.set_audio(parameters)
    }

    fn is_silent_too_long(&self, now: Instant) -> bool {
        let [first_picture, _] = self.origins;
        let age = now.duration_since(self.began);
        let began = |origin: Origin| Duration::from_micros(origin.age_us.unsigned_abs());
        first_picture.is_some_and(|origin| age.saturating_sub(began(origin)) > SOUND_WITHIN)
    }

    fn elapsed(&mut self, track: TrackKind, ticks: i64, rate: i64, now: Instant) -> i64 {
        let age_us = i64::try_from(now.duration_since(self.began).as_micros()).unwrap_or(i64::MAX);
        let origin = &mut self.origins[usize::from(track == TrackKind::Audio)];
        let origin = *origin.get_or_insert(Origin { ticks, age_us });
        origin.age_us.saturating_mul(rate) / 1_000_000 + (ticks - origin.ticks)
    }

    fn report(&mut self, report: &SenderFeedback) -> Result<(), Ended> {
        let since = report.sender_info.ntp_time.duration_since(UNIX_EPOCH);
        let Ok(since) = since else {
            return Ok(());
        };
        let track = if Some(report.mid) == self.video {
            TrackKind::Video
        } else {
            TrackKind::Audio
        };
        let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        let ticks = report.sender_info.rtp_time.numer();
        self.stage.publisher.report(
            track,
            publish::SenderReport {
                wall: WallTime::from_micros(micros),
                ticks: i64::try_from(ticks).unwrap_or(i64::MAX),
            },
        )
    }

    fn ask_for_key_frame(&mut self, now: Instant, at_most_every: Duration) {
        let is_recent = |last: Instant| now.duration_since(last) < at_most_every;
        let Some(mid) = self.video.filter(|_| self.is_connected) else {
            return;
        };
        if self.asked.is_some_and(is_recent) {
            return;
        }
        if let Some(mut writer) = self.peer.rtc.writer(mid) {
            // Before its first packet there is nobody to ask.
            if writer
                .request_keyframe(None, KeyframeRequestKind::Pli)
                .is_ok()
            {
                self.asked = Some(now);
            }
        }
    }
}
