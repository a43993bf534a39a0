//! From interleaved packets of a publisher to pictures and sound.

use bytes::Bytes;
use framewell_ingest::publish::{Ended, Picture, Publisher, SenderReport, Sound};
use framewell_media::{AudioCodec, TrackKind};
use framewell_model::WallTime;
use framewell_wire::rtp::rtcp::sender_report;
use framewell_wire::rtp::{AacDepacketizer, Clock, Depacketizer, Frame, Packet};
use framewell_wire::rtsp::announced::{Coding, Stream};

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
    parts: Depacketizer,
    /// Time of the first frame: the zero that all tracks share, until reports say more.
    first: Option<i64>,
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
                    Depacketizer::video(codec)
                }
                Coding::Audio(parameters) => {
                    let is_aac = parameters.codec == AudioCodec::Aac;
                    publisher.set_audio(Some(parameters))?;
                    if is_aac {
                        Depacketizer::Aac(AacDepacketizer::default())
                    } else {
                        Depacketizer::Plain(Clock::default())
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

impl Track {
    fn give(&mut self, publisher: &Publisher, frame: Frame) -> Result<(), Ended> {
        let elapsed_ticks = frame.ticks - *self.first.get_or_insert(frame.ticks);
        match &self.parts {
            Depacketizer::Video(stream) => publisher.picture(Picture {
                codec: stream.codec(),
                pts_ticks: frame.ticks,
                dts_ticks: None,
                elapsed_ticks,
                data: frame.data,
            }),
            Depacketizer::Aac(_) | Depacketizer::Plain(_) => publisher.sound(Sound {
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
            Depacketizer::Video(_) => TrackKind::Video,
            Depacketizer::Aac(_) | Depacketizer::Plain(_) => TrackKind::Audio,
        };
        publisher.report(kind, report)
    }
}
