//! From interleaved packets of a publisher to pictures and sound.

use super::announced::{Coding, Stream};
use crate::rtp::depacketize::{AacDepacketizer, Clock, Frame, Output, Packet, VideoDepacketizer};
use bytes::Bytes;
use framewell_ingest::publish::{Ended, Picture, Publisher, SenderReport, Sound};
use framewell_media::{AudioCodec, TrackKind, VideoCodec};
use framewell_model::WallTime;

/// Payload type of sender reports (RFC 3550 section 6.4.1).
const SENDER_REPORT: u8 = 200;

/// A publisher and its streams.
#[derive(Debug)]
pub(super) struct Inlet {
    publisher: Publisher,
    tracks: Vec<Track>,
}

/// One stream, under its channel number.
#[derive(Debug)]
struct Track {
    /// Of RTP; RTCP has the next one.
    channel: u8,
    payload_type: u8,
    parts: Parts,
    /// Time of the first frame: the zero that all tracks share, until reports say more.
    first: Option<i64>,
}

#[derive(Debug)]
enum Parts {
    Video(VideoCodec, VideoDepacketizer),
    Aac(AacDepacketizer),
    /// A packet is a frame.
    Plain(Clock),
}

impl Inlet {
    /// Announces the streams that were set up, each under its channel number.
    pub(super) fn new(publisher: Publisher, streams: Vec<(Stream, u8)>) -> Result<Self, Ended> {
        let mut tracks = Vec::new();
        for (stream, channel) in streams {
            let parts = match stream.coding {
                Coding::Video(codec, parameters) => {
                    if let Some(parameters) = parameters {
                        publisher.set_video(parameters)?;
                    }
                    Parts::Video(codec, VideoDepacketizer::new(codec))
                }
                Coding::Audio(parameters) => {
                    let is_aac = parameters.codec == AudioCodec::Aac;
                    publisher.set_audio(Some(parameters))?;
                    if is_aac {
                        Parts::Aac(AacDepacketizer::default())
                    } else {
                        Parts::Plain(Clock::default())
                    }
                }
            };
            tracks.push(Track {
                channel,
                payload_type: stream.payload_type,
                parts,
                first: None,
            });
        }
        Ok(Self { publisher, tracks })
    }

    pub(super) const fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    pub(super) fn end(self, ended: Ended) {
        self.publisher.end(ended);
    }

    /// Hands on what an interleaved packet completes. Channels that were not set up are passed over.
    pub(super) fn take(&mut self, channel: u8, data: &Bytes) -> Result<(), Ended> {
        let is_of = |track: &&mut Track| channel == track.channel || channel == track.channel + 1;
        let Some(track) = self.tracks.iter_mut().find(is_of) else {
            return Ok(());
        };
        if channel != track.channel {
            return track.report(&self.publisher, data);
        }
        let Some(packet) = Packet::parse(data) else {
            return self.publisher.count_lost(1);
        };
        if packet.payload_type != track.payload_type {
            return Ok(());
        }
        let output = track.parts.push(&packet);
        if output.lost > 0 {
            self.publisher.count_lost(output.lost)?;
        }
        for frame in output.frames {
            track.give(&self.publisher, frame)?;
        }
        Ok(())
    }
}

impl Parts {
    fn push(&mut self, packet: &Packet) -> Output {
        match self {
            Self::Video(_, stream) => stream.push(packet),
            Self::Aac(stream) => stream.push(packet),
            Self::Plain(clock) => {
                let Some(lost) = clock.missing_before(packet.sequence) else {
                    return Output::default();
                };
                let frame = Frame {
                    ticks: clock.place(packet.timestamp),
                    data: packet.payload.clone(),
                };
                Output {
                    frames: vec![frame],
                    lost,
                }
            }
        }
    }

    /// An RTP time on the clock of the frames.
    fn place(&mut self, timestamp: u32) -> i64 {
        match self {
            Self::Video(_, stream) => stream.place(timestamp),
            Self::Aac(stream) => stream.place(timestamp),
            Self::Plain(clock) => clock.place(timestamp),
        }
    }
}

impl Track {
    fn give(&mut self, publisher: &Publisher, frame: Frame) -> Result<(), Ended> {
        let elapsed_ticks = frame.ticks - *self.first.get_or_insert(frame.ticks);
        match self.parts {
            Parts::Video(codec, _) => publisher.picture(Picture {
                codec,
                pts_ticks: frame.ticks,
                dts_ticks: None,
                elapsed_ticks,
                data: frame.data,
            }),
            Parts::Aac(_) | Parts::Plain(_) => publisher.sound(Sound {
                ticks: frame.ticks,
                elapsed_ticks,
                // A slice of it would hold all that was read with it in memory.
                data: Bytes::copy_from_slice(&frame.data),
            }),
        }
    }

    /// The sender report at the start of a compound packet.
    fn report(&mut self, publisher: &Publisher, data: &Bytes) -> Result<(), Ended> {
        let Some((ntp, timestamp)) = sender_report(data) else {
            return Ok(());
        };
        let report = SenderReport {
            wall: WallTime::from_ntp(ntp),
            ticks: self.parts.place(timestamp),
        };
        let kind = match self.parts {
            Parts::Video(..) => TrackKind::Video,
            Parts::Aac(_) | Parts::Plain(_) => TrackKind::Audio,
        };
        publisher.report(kind, report)
    }
}

/// NTP and RTP time of a sender report.
fn sender_report(data: &[u8]) -> Option<(u64, u32)> {
    let head = data.get(..20)?;
    if head[0] >> 6 != 2 || head[1] != SENDER_REPORT {
        return None;
    }
    let ntp = u64::from_be_bytes(head[8..16].try_into().ok()?);
    let timestamp = u32::from_be_bytes(head[16..20].try_into().ok()?);
    (ntp != 0).then_some((ntp, timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_report_tells_both_clocks() {
        let mut bytes = vec![0x80, 200, 0, 6, 1, 2, 3, 4];
        bytes.extend(0x0102_0304_0506_0708_u64.to_be_bytes());
        bytes.extend(77_u32.to_be_bytes());
        bytes.extend([0; 8]);
        assert_eq!(sender_report(&bytes), Some((0x0102_0304_0506_0708, 77)));
        bytes[1] = 201;
        assert_eq!(sender_report(&bytes), None);
        assert_eq!(sender_report(&bytes[..10]), None);
    }
}
