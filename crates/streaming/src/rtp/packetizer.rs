//! A channel's units as packets, once for all readers.

use super::{AudioPayload, Layout, PAYLOAD_VIDEO, Sender, StreamClock};
use super::{packetize_audio, packetize_video};
use bytes::Bytes;
use framewell_live::Batch;
use framewell_media::{AccessUnit, TrackKind};

/// Interleaved channel of the video track's RTP; its RTCP uses the next one.
pub(crate) const CHANNEL_VIDEO: u8 = 0;
/// Interleaved channel of the audio track's RTP.
pub(crate) const CHANNEL_AUDIO: u8 = 2;

/// Sequence number and RTP time that a track begins with, for `RTP-Info` (RFC 2326 section 12.33).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrackStart {
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
}

/// All packets of one access unit, reports included, in interleaved form.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub(crate) wire: Bytes,
    pub(crate) track: TrackKind,
    /// Set for a video key frame: what a reader that begins here sees first, of video and audio.
    pub(crate) starts: Option<[TrackStart; 2]>,
}

/// Makes the packets of a channel. Sequence numbers and times go on over runs and parameter changes.
#[derive(Debug)]
pub(crate) struct Packetizer {
    layout: Layout,
    clock: StreamClock,
    video: Sender,
    audio: Sender,
    is_video_report_due: bool,
    is_audio_report_due: bool,
}

impl Packetizer {
    pub(crate) fn new(layout: Layout) -> Self {
        let audio_type = layout.audio.as_ref().map_or(0, AudioPayload::payload_type);
        Self {
            layout,
            clock: StreamClock::default(),
            video: Sender::new(PAYLOAD_VIDEO, CHANNEL_VIDEO),
            audio: Sender::new(audio_type, CHANNEL_AUDIO),
            is_video_report_due: true,
            is_audio_report_due: true,
        }
    }

    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// One entry per unit. The batch must have this packetizer's layout.
    pub(crate) fn pack(&mut self, batch: &Batch) -> Vec<Packed> {
        let mut units = batch.units.iter();
        let mut packed = Vec::with_capacity(batch.units.len());
        if batch.starts_gop
            && let Some(key) = units.next()
        {
            packed.push(self.pack_key(batch, key));
        }
        packed.extend(units.map(|unit| match unit.track {
            TrackKind::Video => self.pack_video(batch, unit, &[]),
            TrackKind::Audio => self.pack_audio(batch, unit),
        }));
        packed
    }

    fn pack_key(&mut self, batch: &Batch, key: &AccessUnit) -> Packed {
        self.is_video_report_due = true;
        self.is_audio_report_due = true;
        let video_sequence = self.video.next_sequence();
        let sets = batch.parameters.video.parameter_sets();
        let mut packed = self.pack_video(batch, key, &sets);
        let ticks = self.clock.place(batch.run, key);
        let stream_us = key.pts.scale.to_micros(ticks);
        let audio_ticks = self.layout.audio.as_ref().map_or(0, |audio| {
            audio.parameters.timescale().from_micros(stream_us)
        });
        packed.starts = Some([
            TrackStart {
                sequence: video_sequence,
                timestamp: self.video.timestamp(ticks),
            },
            TrackStart {
                sequence: self.audio.next_sequence(),
                timestamp: self.audio.timestamp(audio_ticks),
            },
        ]);
        packed
    }

    fn pack_video(&mut self, batch: &Batch, unit: &AccessUnit, sets: &[Bytes]) -> Packed {
        let timestamp = self.video.timestamp(self.clock.place(batch.run, unit));
        let mut wire = Vec::with_capacity(wire_bytes(unit.data.len()));
        let is_due = std::mem::take(&mut self.is_video_report_due);
        self.video.report(&mut wire, timestamp, unit.wall, is_due);
        let codec = self.layout.video;
        packetize_video(
            &mut self.video,
            &mut wire,
            timestamp,
            codec,
            sets,
            &unit.data,
        );
        Packed {
            wire: wire.into(),
            track: TrackKind::Video,
            starts: None,
        }
    }

    fn pack_audio(&mut self, batch: &Batch, unit: &AccessUnit) -> Packed {
        let timestamp = self.audio.timestamp(self.clock.place(batch.run, unit));
        let mut wire = Vec::with_capacity(wire_bytes(unit.data.len()));
        if let Some(audio) = &self.layout.audio {
            let is_due = std::mem::take(&mut self.is_audio_report_due);
            self.audio.report(&mut wire, timestamp, unit.wall, is_due);
            packetize_audio(
                &mut self.audio,
                &mut wire,
                timestamp,
                &audio.parameters,
                &unit.data,
            );
        }
        Packed {
            wire: wire.into(),
            track: TrackKind::Audio,
            starts: None,
        }
    }
}

/// Room for a unit's packets and a report: 16 to 18 bytes of headers per 1,400.
const fn wire_bytes(payload: usize) -> usize {
    payload + payload / 64 + 256
}

/// A copy of `wire` with other channel numbers: `channel` instead of the track's own.
pub(crate) fn with_channel(wire: &[u8], track: TrackKind, channel: u8) -> Bytes {
    let own = match track {
        TrackKind::Video => CHANNEL_VIDEO,
        TrackKind::Audio => CHANNEL_AUDIO,
    };
    let mut copy = wire.to_vec();
    let mut at = 0;
    while let Some([b'$', number, high, low]) = copy.get_mut(at..at + 4) {
        *number = channel + (*number - own);
        at += 4 + usize::from(u16::from_be_bytes([*high, *low]));
    }
    copy.into()
}
