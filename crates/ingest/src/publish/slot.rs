//! A publisher's place at a channel, seen from both sides: by the one who writes and by whoever ends it.

use super::jumps::JumpLimit;
use super::picture::{Unclean, clean, updated};
use super::{Ended, Picture, Protocol, Sound};
use crate::audio::Report;
use crate::delivery::{AudioInput, Delivery, VideoInput};
use crate::status::StatusBoard;
use bytes::Bytes;
use framewell_live::{EndReason, Track};
use framewell_media::{AudioParameters, TrackKind, VideoParameters};
use framewell_model::{ChannelId, ChannelStatus, WallClock, WallTime};
use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A larger picture ends its publisher. A key frame of a 4K camera at 50 Mbit/s has about 2 MiB.
const MAX_PICTURE_BYTES: usize = 16 << 20;
/// A larger audio frame ends its publisher. AAC frames have at most 6,144 bits per channel.
const MAX_SOUND_BYTES: usize = 64 << 10;

/// What a new place is for.
#[derive(Debug)]
pub(super) struct NewSlot {
    pub(super) channel: ChannelId,
    pub(super) protocol: Protocol,
    pub(super) peer: IpAddr,
    pub(super) track: Track,
    pub(super) clock: Arc<dyn WallClock>,
}

/// One publisher.
#[derive(Debug)]
pub(crate) struct Slot {
    channel: ChannelId,
    protocol: Protocol,
    peer: IpAddr,
    since: WallTime,
    status: StatusBoard,
    // Held for one unit, or to end the publisher: nothing is written after that.
    writing: Mutex<Option<Writing>>,
    ended: watch::Sender<Option<Ended>>,
    signs: Mutex<Signs>,
    gauge: metrics::Gauge,
}

/// Signs of life.
#[derive(Debug, Clone, Copy)]
struct Signs {
    has_delivered: bool,
    last: Instant,
}

impl Slot {
    pub(super) fn open(new: NewSlot) -> Arc<Self> {
        let status = StatusBoard::new(new.channel, new.track.clone(), Arc::clone(&new.clock));
        if new.track.stats().frames > 0 {
            new.track.count_reconnect();
        }
        status.failed(
            ChannelStatus::Offline,
            String::from("waiting for the publisher's pictures"),
        );
        let gauge = metrics::gauge!("framewell_publishers", "protocol" => new.protocol.as_str());
        gauge.increment(1.0);
        Arc::new(Self {
            channel: new.channel,
            protocol: new.protocol,
            peer: new.peer,
            since: new.clock.now(),
            writing: Mutex::new(Some(Writing {
                delivery: Delivery::new(new.track.clone(), status.clone(), None),
                track: new.track,
                jumps: JumpLimit::default(),
            })),
            status,
            ended: watch::Sender::new(None),
            signs: Mutex::new(Signs {
                has_delivered: false,
                last: Instant::now(),
            }),
            gauge,
        })
    }

    pub(crate) const fn channel(&self) -> ChannelId {
        self.channel
    }

    pub(super) const fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(super) const fn since(&self) -> WallTime {
        self.since
    }

    /// Since the last picture, or since it came.
    pub(super) fn silent_for(&self) -> Duration {
        self.signs.lock().last.elapsed()
    }

    /// Whether it is over, and its owner may not have noticed.
    pub(super) fn has_ended(&self) -> bool {
        // Not by `writing`, which is held for as long as a unit takes.
        self.ended.borrow().is_some()
    }

    /// Whether a picture came from which readers can begin.
    pub(super) fn has_delivered(&self) -> bool {
        self.signs.lock().has_delivered
    }

    /// Does one thing as the channel's writer. What cannot be used ends the publisher.
    pub(super) fn write(
        &self,
        what: impl FnOnce(&mut Writing) -> Result<Wrote, Ended>,
    ) -> Result<(), Ended> {
        let mut place = self.writing.lock();
        let Some(writing) = place.as_mut() else {
            return Err(self.ended.borrow().clone().unwrap_or(Ended::Lost));
        };
        match what(writing) {
            Ok(Wrote::Picture) => {
                let mut signs = self.signs.lock();
                signs.last = Instant::now();
                signs.has_delivered = true;
                Ok(())
            }
            Ok(Wrote::Other) => Ok(()),
            Err(ended) => {
                self.close(&mut place, ended.clone());
                Err(ended)
            }
        }
    }

    /// Ends the publisher, unless it has ended. It writes nothing more when this returns.
    pub(crate) fn end(&self, ended: Ended) {
        self.close(&mut self.writing.lock(), ended);
    }

    fn close(&self, place: &mut Option<Writing>, ended: Ended) {
        let Some(mut writing) = place.take() else {
            return;
        };
        writing.delivery.end(ended.reason());
        match ended.reason() {
            EndReason::Stopped => self.status.inactive(),
            _ => self
                .status
                .failed(ChannelStatus::Offline, ended.to_string()),
        }
        let (channel, peer) = (self.channel, self.peer);
        tracing::info!(channel.id = %channel, protocol = self.protocol.as_str(), %peer, reason = %ended, "publisher ended");
        self.ended.send_replace(Some(ended));
        self.gauge.decrement(1.0);
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) -> Ended {
        let mut news = self.ended.subscribe();
        let ended = news.wait_for(Option::is_some).await;
        ended
            .ok()
            .and_then(|ended| ended.clone())
            .unwrap_or(Ended::Lost)
    }
}

/// What became of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrote {
    /// A picture that readers get.
    Picture,
    Other,
}

/// What a publisher needs to write.
#[derive(Debug)]
pub(super) struct Writing {
    delivery: Delivery,
    track: Track,
    jumps: JumpLimit,
}

impl Writing {
    pub(super) fn set_video(&mut self, video: VideoParameters) -> Result<Wrote, Ended> {
        self.delivery.set_video(video);
        Ok(Wrote::Other)
    }

    pub(super) fn set_audio(&mut self, audio: Option<AudioParameters>) -> Result<Wrote, Ended> {
        self.delivery.set_audio(audio);
        Ok(Wrote::Other)
    }

    pub(super) fn report(&mut self, track: TrackKind, report: Report) -> Result<Wrote, Ended> {
        match track {
            TrackKind::Video => self.delivery.video_report(report),
            TrackKind::Audio => self.delivery.audio_report(report),
        }
        Ok(Wrote::Other)
    }

    pub(super) fn count_lost(&mut self, packets: u64) -> Result<Wrote, Ended> {
        self.track.count_lost(packets);
        Ok(Wrote::Other)
    }

    pub(super) fn picture(&mut self, picture: Picture, arrival: WallTime) -> Result<Wrote, Ended> {
        if picture.data.len() > MAX_PICTURE_BYTES {
            return Err(Ended::Unusable("a picture of more than 16 MiB"));
        }
        let cleaned = match clean(picture.codec, &picture.data) {
            Ok(cleaned) => cleaned,
            Err(Unclean::Lengths) => {
                // As if it had been lost on the way.
                self.track.count_lost(1);
                return Ok(Wrote::Other);
            }
            Err(Unclean::Sets) => {
                return Err(Ended::Unusable(
                    "a picture with more than 64 parameter sets or 64 KiB of them",
                ));
            }
        };
        if !cleaned.sets.is_empty() {
            let known = self.delivery.video_parameters();
            if let Some(video) = updated(picture.codec, &cleaned.sets, known)? {
                self.delivery.set_video(video);
            }
        }
        let codec = self.delivery.video_parameters().map(|video| video.codec);
        if codec != Some(picture.codec) || cleaned.data.is_empty() {
            return Ok(Wrote::Other);
        }
        self.delivery.video(VideoInput {
            ticks: picture.pts_ticks,
            npt_ticks: picture.elapsed_ticks,
            dts_ticks: picture.dts_ticks,
            data: cleaned.data,
            arrival,
        });
        if self.jumps.is_exceeded(self.delivery.runs(), Instant::now()) {
            return Err(Ended::Unusable(
                "times that jump again and again: 10 times in 10 s",
            ));
        }
        Ok(if self.delivery.is_active() {
            Wrote::Picture
        } else {
            Wrote::Other
        })
    }

    pub(super) fn sound(&mut self, sound: Sound, arrival: WallTime) -> Result<Wrote, Ended> {
        if sound.data.len() > MAX_SOUND_BYTES {
            return Err(Ended::Unusable("an audio frame of more than 64 KiB"));
        }
        if !sound.data.is_empty() {
            self.delivery.audio(AudioInput {
                ticks: sound.ticks,
                npt_ticks: sound.elapsed_ticks,
                // It may be a small slice of a large packet.
                data: Bytes::copy_from_slice(&sound.data),
                arrival,
            });
        }
        Ok(Wrote::Other)
    }
}
