//! A channel's units as packets, once for all readers.

use super::{AudioPayload, Layout, PAYLOAD_VIDEO, ReplayMark, Sender, StreamClock, Warp};
use super::{packetize_audio, packetize_video};
use crate::fanout::{Frame, Pack};
use bytes::Bytes;
use framewell_live::Batch;
use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{RunId, Timescale, WallTime};

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

impl Frame for Packed {
    type Stream = Layout;

    fn bytes(&self) -> usize {
        self.wire.len()
    }

    fn is_key(&self) -> bool {
        self.starts.is_some()
    }

    fn is_video(&self) -> bool {
        self.track == TrackKind::Video
    }
}

/// Makes the packets of a stream. Sequence numbers and times go on over runs and parameter changes.
#[derive(Debug)]
pub(crate) struct Packetizer {
    layout: Layout,
    clock: StreamClock,
    warp: Warp,
    video: Sender,
    audio: Sender,
    is_video_report_due: bool,
    is_audio_report_due: bool,
}

impl Pack for Packetizer {
    type Frame = Packed;
    const MISSED_GOPS: &'static str = "framewell_rtsp_fanout_missed_gops_total";

    fn stream(&self) -> Layout {
        self.layout.clone()
    }

    /// Clients that were told another layout must describe again.
    fn goes_on(&self, batch: &Batch) -> bool {
        Layout::of(&batch.parameters) == self.layout
    }

    /// One entry per unit. The batch must have this packetizer's layout.
    fn pack(&mut self, batch: &Batch) -> Vec<Packed> {
        let mut is_key = batch.starts_gop;
        let units = batch.units.iter().map(|unit| {
            let starts_gop = std::mem::take(&mut is_key);
            self.pack_unit(batch.run, &batch.parameters, unit, starts_gop)
        });
        units.collect()
    }
}

impl Packetizer {
    pub(crate) fn new(layout: Layout) -> Self {
        let audio_type = layout.audio.as_ref().map_or(0, AudioPayload::payload_type);
        Self {
            layout,
            clock: StreamClock::default(),
            warp: Warp::default(),
            video: Sender::new(PAYLOAD_VIDEO, CHANNEL_VIDEO),
            audio: Sender::new(audio_type, CHANNEL_AUDIO),
            is_video_report_due: true,
            is_audio_report_due: true,
        }
    }

    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The packets of one unit of a run. `starts_gop`: it is the key frame of a GOP, and readers may
    /// begin with it.
    pub(crate) fn pack_unit(
        &mut self,
        run: RunId,
        parameters: &StreamParameters,
        unit: &AccessUnit,
        starts_gop: bool,
    ) -> Packed {
        match unit.track {
            TrackKind::Video if starts_gop => self.pack_key(run, parameters, unit),
            TrackKind::Video => self.pack_video(run, unit, &[]),
            TrackKind::Audio => self.pack_audio(run, unit),
        }
    }

    /// What the first packet of the next unit of a track says of it.
    pub(crate) const fn mark(&mut self, track: TrackKind, mark: ReplayMark) {
        match track {
            TrackKind::Video => self.video.mark(Some(mark)),
            TrackKind::Audio => self.audio.mark(Some(mark)),
        }
    }

    /// Capture time and sent time are not related as before: both tracks report with their next unit.
    pub(crate) const fn report_soon(&mut self) {
        self.is_video_report_due = true;
        self.is_audio_report_due = true;
    }

    /// The next unit is a key frame from elsewhere in time; what was captured at `key` is it. From there
    /// on time passes `times` as fast for the client.
    pub(crate) fn jump(&mut self, key: WallTime, times: f64) {
        self.clock.jump();
        self.set_speed(self.clock.stream_us(key, key), times);
    }

    /// Changes the speed for what was captured at `wall` or later.
    pub(crate) fn change_speed(&mut self, wall: WallTime, times: f64) {
        self.set_speed(self.clock.stream_us(wall, wall), times);
    }

    fn set_speed(&mut self, stream_us: i64, times: f64) {
        self.warp.set_times(times, stream_us);
        self.report_soon();
    }

    /// Next sequence numbers, and the RTP time of what was captured at `wall`. `key` is the capture time
    /// of the next key frame, if the next unit is one behind a jump.
    pub(crate) fn starts_at(&self, wall: WallTime, key: WallTime) -> [TrackStart; 2] {
        let stream_us = self.warp.apply_us(self.clock.stream_us(wall, key));
        let video_ticks = Timescale::HZ_90K.from_micros(stream_us);
        [
            TrackStart {
                sequence: self.video.next_sequence(),
                timestamp: self.video.timestamp(video_ticks),
            },
            TrackStart {
                sequence: self.audio.next_sequence(),
                timestamp: self.audio.timestamp(self.audio_ticks(stream_us)),
            },
        ]
    }

    /// The ends of both tracks, each as packets of its own.
    pub(crate) fn bye(&self) -> [Packed; 2] {
        [
            (TrackKind::Video, &self.video),
            (TrackKind::Audio, &self.audio),
        ]
        .map(|(track, sender)| {
            let mut wire = Vec::new();
            sender.bye(&mut wire);
            Packed {
                wire: wire.into(),
                track,
                starts: None,
            }
        })
    }

    fn audio_ticks(&self, stream_us: i64) -> i64 {
        self.layout.audio.as_ref().map_or(0, |audio| {
            audio.parameters.timescale().from_micros(stream_us)
        })
    }

    /// Ticks of a unit as they are sent.
    fn place(&mut self, run: RunId, unit: &AccessUnit) -> i64 {
        let ticks = self.clock.place(run, unit);
        self.warp.apply(ticks, unit.pts.scale)
    }

    fn pack_key(&mut self, run: RunId, parameters: &StreamParameters, key: &AccessUnit) -> Packed {
        self.report_soon();
        let video_sequence = self.video.next_sequence();
        let sets = parameters.video.parameter_sets();
        let mut packed = self.pack_video(run, key, &sets);
        let ticks = self.place(run, key);
        let audio_ticks = self.audio_ticks(key.pts.scale.to_micros(ticks));
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

    fn pack_video(&mut self, run: RunId, unit: &AccessUnit, sets: &[Bytes]) -> Packed {
        let ticks = self.place(run, unit);
        let timestamp = self.video.timestamp(ticks);
        let mut wire = Vec::with_capacity(wire_bytes(unit.data.len()));
        // Between two reports a client takes both clocks to pass alike; at another speed they do not.
        let is_due =
            std::mem::take(&mut self.is_video_report_due) || !self.warp.is_at_normal_speed();
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

    fn pack_audio(&mut self, run: RunId, unit: &AccessUnit) -> Packed {
        let ticks = self.place(run, unit);
        let timestamp = self.audio.timestamp(ticks);
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
