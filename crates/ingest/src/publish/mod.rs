//! Video that is sent to us: devices behind NAT, encoders and browsers publish into a channel that has no
//! camera of its own to pull.
//!
//! Every protocol goes the same way: [`Publishers::open`] gives the right to write into the channel's
//! track, [`Publisher`] takes pictures and sound and gives them their wall-clock time exactly as a camera
//! session does. What does not belong here: sockets, credentials, and who may publish.
//!
//! A channel has one writer (docs/adr/0020-one-writer-of-a-channel.md): a channel with a camera source
//! takes no publisher, and of two publishers the first keeps the channel as long as it delivers. A
//! publisher that sends no picture for a while is ended by [`Publishers::run`].

mod error;
mod jumps;
mod picture;
mod slot;

pub use error::{Ended, PublishError};
pub(crate) use slot::Slot;

use crate::IngestConfig;
use crate::audio::Report;
use crate::writers::{Writer, Writers};
use bytes::Bytes;
use framewell_live::Registry;
use framewell_media::{AudioParameters, TrackKind, VideoCodec, VideoParameters};
use framewell_model::{ChannelId, StreamKind, WallClock, WallTime};
use slot::NewSlot;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often silent publishers are looked for.
const SWEEP: Duration = Duration::from_millis(500);

/// How video comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RTMP publish.
    Rtmp,
    /// RTSP `ANNOUNCE` and `RECORD` (RFC 2326 sections 10.3 and 10.11).
    Rtsp,
    /// WebRTC by WHIP (RFC 9725).
    Whip,
}

impl Protocol {
    /// The word in logs, metrics and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Rtsp => "rtsp",
            Self::Whip => "whip",
        }
    }
}

/// A coded picture as it came.
#[derive(Debug)]
pub struct Picture {
    /// Its coding.
    pub codec: VideoCodec,
    /// When to show it, in 90 kHz ticks of the publisher's clock, unwrapped.
    pub pts_ticks: i64,
    /// When to decode it, on the same clock, if the protocol says so.
    pub dts_ticks: Option<i64>,
    /// `pts_ticks` counted from a zero that all tracks of the publisher share: relates sound to pictures
    /// as long as no sender reports do.
    pub elapsed_ticks: i64,
    /// Its NAL units, each behind its length in 4 bytes big-endian. Parameter sets among them are taken up,
    /// and neither they nor delimiters are kept.
    pub data: Bytes,
}

/// An audio frame as it came.
#[derive(Debug)]
pub struct Sound {
    /// When to play it, in ticks of the sample rate, unwrapped.
    pub ticks: i64,
    /// The same from the zero that all tracks of the publisher share.
    pub elapsed_ticks: i64,
    /// One raw frame (AAC without ADTS).
    pub data: Bytes,
}

/// The publisher's wall clock and media clock at one instant (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy)]
pub struct SenderReport {
    /// The publisher's wall clock.
    pub wall: WallTime,
    /// Its media clock: 90 kHz for video, the sample rate for audio, unwrapped.
    pub ticks: i64,
}

/// All publishers of this node; cheap to clone.
#[derive(Debug, Clone)]
pub struct Publishers {
    registry: Registry,
    writers: Writers,
    config: Arc<IngestConfig>,
    clock: Arc<dyn WallClock>,
    stopped: CancellationToken,
}

impl Publishers {
    pub(crate) fn new(
        registry: Registry,
        writers: Writers,
        config: Arc<IngestConfig>,
        clock: Arc<dyn WallClock>,
    ) -> Self {
        Self {
            registry,
            writers,
            config,
            clock,
            stopped: CancellationToken::new(),
        }
    }

    /// Gives a publisher the channel. The caller has checked that it may have it, and that the channel
    /// exists. `peer` is shown to whoever is refused meanwhile.
    ///
    /// # Errors
    /// The channel has a camera of its own, another publisher delivers, or the server stops.
    pub fn open(
        &self,
        channel: ChannelId,
        protocol: Protocol,
        peer: IpAddr,
    ) -> Result<Publisher, PublishError> {
        let opened = self.try_open(channel, protocol, peer);
        if let Err(error) = &opened {
            metrics::counter!("framewell_publish_refused_total", "reason" => error.label())
                .increment(1);
            tracing::info!(channel.id = %channel, protocol = protocol.as_str(), %peer, %error, "publisher refused");
        }
        opened
    }

    fn try_open(
        &self,
        channel: ChannelId,
        protocol: Protocol,
        peer: IpAddr,
    ) -> Result<Publisher, PublishError> {
        if channel.stream() != StreamKind::Main {
            return Err(PublishError::SubStream(channel.main()));
        }
        let mut channels = loop {
            let channels = self.writers.lock();
            if self.stopped.is_cancelled() {
                return Err(PublishError::Stopping);
            }
            let present = match channels.get(&channel) {
                Some(Writer::Camera) => return Err(PublishError::HasCamera(channel)),
                Some(Writer::Publisher(present)) if !present.has_ended() => Arc::clone(present),
                _ => break channels,
            };
            // Ended without the table; whoever has come meanwhile is looked at as this one was.
            drop(channels);
            if present.silent_for() < self.config.takeover {
                return Err(PublishError::Taken {
                    channel,
                    protocol: present.protocol(),
                    since: present.since(),
                });
            }
            present.end(Ended::Replaced(protocol));
        };
        let slot = Slot::open(NewSlot {
            channel,
            protocol,
            peer,
            track: self.registry.track(channel),
            clock: Arc::clone(&self.clock),
        });
        channels.insert(channel, Writer::Publisher(Arc::clone(&slot)));
        drop(channels);
        tracing::info!(channel.id = %channel, protocol = protocol.as_str(), %peer, "publisher connected");
        Ok(Publisher {
            slot,
            writers: self.writers.clone(),
            clock: Arc::clone(&self.clock),
        })
    }

    /// Channels that somebody publishes to, ascending.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelId> {
        let slots = self.writers.publishers();
        slots.iter().map(|slot| slot.channel()).collect()
    }

    /// Ends the publisher of a channel, if it has one.
    pub fn end(&self, channel: ChannelId, ended: Ended) {
        let slots = self.writers.publishers();
        if let Some(slot) = slots.iter().find(|slot| slot.channel() == channel) {
            self.writers.end(slot, ended);
        }
    }

    /// Ends publishers that fall silent, until `stop`; then ends all of them and opens no more.
    pub async fn run(self, stop: CancellationToken) {
        let mut sweep = tokio::time::interval(SWEEP.min(self.config.silence / 4));
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = sweep.tick() => self.end_silent(),
            }
        }
        self.stopped.cancel();
        for slot in self.writers.publishers() {
            self.writers.end(&slot, Ended::ServerStops);
        }
    }

    fn end_silent(&self) {
        for slot in self.writers.publishers() {
            let limit = if slot.has_delivered() {
                self.config.silence
            } else {
                self.config.connect
            };
            if slot.silent_for() >= limit {
                self.writers.end(&slot, Ended::Silent(limit));
            }
        }
    }
}

/// The right to write into a channel's track; given back on drop, which counts as the loss of the camera.
///
/// Every call fails once the publisher has been ended, with the reason.
#[derive(Debug)]
pub struct Publisher {
    slot: Arc<Slot>,
    writers: Writers,
    clock: Arc<dyn WallClock>,
}

impl Publisher {
    /// The channel that it writes to.
    #[must_use]
    pub fn channel(&self) -> ChannelId {
        self.slot.channel()
    }

    /// Says what the video is, valid from the next key frame on. Protocols that send parameter sets with
    /// the pictures need not call it.
    ///
    /// # Errors
    /// The publisher has been ended.
    pub fn set_video(&self, video: VideoParameters) -> Result<(), Ended> {
        self.slot.write(|writing| writing.set_video(video))
    }

    /// Says what the sound is, valid from the next key frame on; `None`: there is none.
    ///
    /// # Errors
    /// The publisher has been ended.
    pub fn set_audio(&self, audio: Option<AudioParameters>) -> Result<(), Ended> {
        self.slot.write(|writing| writing.set_audio(audio))
    }

    /// A picture that came just now, in decoding order. Never waits. Pictures before the first key frame,
    /// and ones that cannot be read, are left out.
    ///
    /// # Errors
    /// The publisher has been ended.
    pub fn picture(&self, picture: Picture) -> Result<(), Ended> {
        let arrival = self.clock.now();
        self.slot.write(|writing| writing.picture(picture, arrival))
    }

    /// An audio frame that came just now. Left out before the first picture.
    ///
    /// # Errors
    /// The publisher has been ended.
    pub fn sound(&self, sound: Sound) -> Result<(), Ended> {
        let arrival = self.clock.now();
        self.slot.write(|writing| writing.sound(sound, arrival))
    }

    /// What the publisher says about its clock.
    ///
    /// # Errors
    /// The publisher has been ended.
    pub fn report(&self, track: TrackKind, report: SenderReport) -> Result<(), Ended> {
        let report = Report {
            ntp: report.wall,
            ticks: report.ticks,
            arrival: self.clock.now(),
        };
        self.slot.write(|writing| writing.report(track, report))
    }

    /// Counts packets that did not arrive.
    ///
    /// # Errors
    /// The publisher has been ended.
    pub fn count_lost(&self, packets: u64) -> Result<(), Ended> {
        self.slot.write(|writing| writing.count_lost(packets))
    }

    /// Waits until somebody else ends the publisher. Cancel-safe.
    pub async fn ended(&self) -> Ended {
        self.slot.ended().await
    }

    /// The publisher has ended by itself, for this reason.
    pub fn end(self, ended: Ended) {
        self.writers.end(&self.slot, ended);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.writers.end(&self.slot, Ended::Lost);
    }
}

#[cfg(test)]
mod tests {
    use super::slot::Wrote;
    use super::*;
    use framewell_live::{RingConfig, SystemClock};
    use std::net::Ipv4Addr;
    use std::sync::mpsc;
    use std::thread;

    fn publishers() -> Publishers {
        let clock: Arc<dyn WallClock> = Arc::new(SystemClock);
        Publishers::new(
            Registry::new(RingConfig::default(), Arc::clone(&clock)),
            Writers::default(),
            Arc::new(IngestConfig::default()),
            clock,
        )
    }

    fn open(publishers: &Publishers, channel: i64) -> Result<Publisher, PublishError> {
        let here = Ipv4Addr::LOCALHOST.into();
        publishers.open(ChannelId::new(channel).unwrap(), Protocol::Rtmp, here)
    }

    #[test]
    fn who_publishes_gives_the_main_stream() {
        let publishers = publishers();
        let here = Ipv4Addr::LOCALHOST.into();
        let sub = ChannelId::new(7).unwrap().of(StreamKind::Sub);
        let refused = publishers.open(sub, Protocol::Rtmp, here).map(drop);
        assert_eq!(refused, Err(PublishError::SubStream(sub.main())));
    }

    #[test]
    fn a_unit_that_takes_long_holds_up_no_other_channel() {
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            let publishers = publishers();
            let slow = open(&publishers, 1).unwrap();
            let (writers, channel) = (publishers.writers.clone(), slow.channel());
            let claim = slow.slot.write(|_writing| {
                let claim = thread::spawn(move || writers.claim_for_camera(channel));
                let is_claimed = || matches!(open(&publishers, 1), Err(PublishError::HasCamera(_)));
                while !is_claimed() {
                    thread::yield_now();
                }
                open(&publishers, 2).unwrap();
                assert!(!claim.is_finished(), "the unit is still being written");
                Ok(Wrote::Other)
            });
            claim.unwrap();
            done.send(()).unwrap();
        });
        is_done.recv_timeout(Duration::from_secs(20)).unwrap();
    }
}
