//! H.264 (RFC 6184 section 5) and H.265 (RFC 7798 section 4.4): single NAL units, aggregates, fragments.

use super::{Clock, Frame, Output, Packet};
use bytes::{BufMut, Bytes, BytesMut};
use framewell_media::VideoCodec;

/// A longer access unit is left out. A key frame of a 4K camera at 50 Mbit/s has about 2 MiB.
const MAX_BYTES: usize = 8 << 20;
/// What is set aside for an access unit before its packets come.
const RESERVED: usize = 16 << 10;

/// Types of H.264 payloads (RFC 6184 table 1).
const H264_STAP_A: u8 = 24;
const H264_FU_A: u8 = 28;
/// Types of H.265 payloads (RFC 7798 section 4.4).
const H265_AGGREGATE: u8 = 48;
const H265_FRAGMENT: u8 = 49;

/// Puts the packets of a video stream together.
#[derive(Debug)]
pub struct VideoDepacketizer {
    codec: VideoCodec,
    clock: Clock,
    /// The open access unit: its RTP time, and its NAL units with lengths.
    timestamp: Option<u32>,
    unit: BytesMut,
    /// Where the length of the fragmented NAL unit is, while it is open.
    fragment: Option<usize>,
    is_damaged: bool,
}

/// One part of a payload.
enum Part {
    Whole(Bytes),
    Begin(u16, Bytes),
    Go(Bytes),
    End(Bytes),
}

impl VideoDepacketizer {
    /// For pictures of this coding.
    pub fn new(codec: VideoCodec) -> Self {
        Self {
            codec,
            clock: Clock::default(),
            timestamp: None,
            unit: BytesMut::new(),
            fragment: None,
            is_damaged: false,
        }
    }

    /// What it was made for.
    pub const fn codec(&self) -> VideoCodec {
        self.codec
    }

    /// Takes in the next packet.
    pub fn push(&mut self, packet: &Packet) -> Output {
        let mut output = Output::default();
        let Some(missing) = self.clock.missing_before(packet.sequence) else {
            return output;
        };
        output.lost = missing;
        if missing > 0 {
            // What is missing belongs to the open access unit, or to this one.
            self.is_damaged = true;
            self.fragment = None;
        }
        if self.timestamp.is_some_and(|open| open != packet.timestamp) {
            output.frames.extend(self.finish());
            // Packets lost between two access units may be the end of one or the start of the other.
            self.is_damaged = missing > 0;
        }
        self.timestamp = Some(packet.timestamp);
        match self.parts(&packet.payload) {
            Some(parts) => parts.into_iter().for_each(|part| self.add(part)),
            None => {
                output.lost += 1;
                self.is_damaged = true;
            }
        }
        if packet.is_marked {
            output.frames.extend(self.finish());
        }
        output
    }

    /// An RTP time on the clock of the frames.
    pub fn place(&mut self, timestamp: u32) -> i64 {
        self.clock.place(timestamp)
    }

    /// Ends the open access unit; `None` if something of it is missing.
    fn finish(&mut self) -> Option<Frame> {
        let timestamp = self.timestamp.take()?;
        let is_whole = !self.is_damaged && self.fragment.is_none() && !self.unit.is_empty();
        self.is_damaged = false;
        self.fragment = None;
        let ticks = self.clock.place(timestamp);
        let unit = std::mem::replace(&mut self.unit, BytesMut::new());
        is_whole.then(|| Frame {
            ticks,
            // A small access unit would hold all that was set aside for it.
            data: if unit.len() < unit.capacity() / 2 {
                Bytes::copy_from_slice(&unit)
            } else {
                unit.freeze()
            },
        })
    }

    fn add(&mut self, part: Part) {
        let added = match &part {
            Part::Whole(bytes) | Part::Begin(_, bytes) | Part::Go(bytes) | Part::End(bytes) => {
                bytes.len()
            }
        };
        if self.is_damaged || self.unit.len() + added + 6 > MAX_BYTES {
            self.is_damaged = true;
            return;
        }
        self.unit.reserve(added.max(RESERVED));
        match part {
            Part::Whole(bytes) if self.fragment.is_none() => {
                self.put_length(bytes.len());
                self.unit.put_slice(&bytes);
            }
            Part::Begin(header, bytes) if self.fragment.is_none() => {
                self.fragment = Some(self.unit.len());
                self.put_length(0);
                match self.codec {
                    VideoCodec::H264 => self.unit.put_u8(header.to_be_bytes()[1]),
                    VideoCodec::H265 => self.unit.put_u16(header),
                }
                self.unit.put_slice(&bytes);
            }
            Part::Go(bytes) if self.fragment.is_some() => self.unit.put_slice(&bytes),
            Part::End(bytes) => {
                self.unit.put_slice(&bytes);
                match self.fragment.take() {
                    Some(at) => self.set_length(at),
                    None => self.is_damaged = true,
                }
            }
            _ => self.is_damaged = true,
        }
    }

    fn put_length(&mut self, length: usize) {
        self.unit
            .put_u32(u32::try_from(length).expect("within the limit"));
    }

    fn set_length(&mut self, at: usize) {
        let length = u32::try_from(self.unit.len() - at - 4).expect("within the limit");
        self.unit[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// `None` for a payload that cannot be read.
    fn parts(&self, payload: &Bytes) -> Option<Vec<Part>> {
        match self.codec {
            VideoCodec::H264 => h264(payload),
            VideoCodec::H265 => h265(payload),
        }
    }
}

fn h264(payload: &Bytes) -> Option<Vec<Part>> {
    let first = *payload.first()?;
    match first & 0x1f {
        1..=23 => Some(vec![Part::Whole(payload.clone())]),
        H264_STAP_A => aggregate(payload, 1),
        H264_FU_A => {
            let second = *payload.get(1)?;
            let header = u16::from(first & 0xe0 | second & 0x1f);
            Some(vec![fragment(second, header, payload.slice(2..))])
        }
        _ => None,
    }
}

fn h265(payload: &Bytes) -> Option<Vec<Part>> {
    let [first, second, ..] = *payload.get(..2)? else {
        return None;
    };
    match first >> 1 & 0x3f {
        0..=47 => Some(vec![Part::Whole(payload.clone())]),
        H265_AGGREGATE => aggregate(payload, 2),
        H265_FRAGMENT => {
            let third = *payload.get(2)?;
            let header = u16::from_be_bytes([first & 0x81 | (third & 0x3f) << 1, second]);
            Some(vec![fragment(third, header, payload.slice(3..))])
        }
        _ => None,
    }
}

/// By the start and end bits, which both standards have in the same place.
fn fragment(bits: u8, header: u16, bytes: Bytes) -> Part {
    match (bits & 0x80 != 0, bits & 0x40 != 0) {
        (true, _) => Part::Begin(header, bytes),
        (false, true) => Part::End(bytes),
        (false, false) => Part::Go(bytes),
    }
}

/// NAL units behind their lengths in two bytes.
fn aggregate(payload: &Bytes, header: usize) -> Option<Vec<Part>> {
    let mut at = header;
    let mut parts = Vec::new();
    while at < payload.len() {
        let length = payload.get(at..at + 2)?;
        let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
        at += 2;
        if length == 0 || at + length > payload.len() {
            return None;
        }
        parts.push(Part::Whole(payload.slice(at..at + length)));
        at += length;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_media::nal;
    use proptest::prelude::*;

    fn packet(sequence: u16, timestamp: u32, is_marked: bool, payload: &[u8]) -> Packet {
        Packet {
            is_marked,
            payload_type: 96,
            sequence,
            timestamp,
            payload: Bytes::copy_from_slice(payload),
        }
    }

    fn units(frame: &Frame) -> Vec<Vec<u8>> {
        nal::split_length_prefixed(&frame.data)
            .map(|nal| nal.to_vec())
            .collect()
    }

    #[test]
    fn every_form_of_h264_is_put_together() {
        let mut stream = VideoDepacketizer::new(VideoCodec::H264);
        let payloads: [&[u8]; 5] = [
            b"\x78\0\x02\x67\x01\0\x02\x68\x02",
            b"\x06sei",
            b"\x7c\x85ab",
            b"\x7c\x05cd",
            b"\x7c\x45ef",
        ];
        let mut frames = Vec::new();
        for (index, payload) in payloads.iter().enumerate() {
            let sequence = u16::try_from(index).unwrap();
            frames.extend(
                stream
                    .push(&packet(sequence, 900, index == 4, payload))
                    .frames,
            );
        }
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].ticks, 900);
        let expected: [&[u8]; 4] = [b"\x67\x01", b"\x68\x02", b"\x06sei", b"\x65abcdef"];
        assert_eq!(units(&frames[0]), expected);
    }

    #[test]
    fn every_form_of_h265_is_put_together() {
        let mut stream = VideoDepacketizer::new(VideoCodec::H265);
        let payloads: [&[u8]; 3] = [
            b"\x60\x01\0\x03\x40\x01v\0\x03\x42\x01s",
            b"\x62\x01\x93ab",
            b"\x62\x01\x53cd",
        ];
        let mut frames = Vec::new();
        for (index, payload) in payloads.iter().enumerate() {
            let sequence = u16::try_from(index).unwrap();
            frames.extend(
                stream
                    .push(&packet(sequence, 9, index == 2, payload))
                    .frames,
            );
        }
        let expected: [&[u8]; 3] = [b"\x40\x01v", b"\x42\x01s", b"\x26\x01abcd"];
        assert_eq!(units(&frames[0]), expected);
    }

    #[test]
    fn a_change_of_time_ends_an_access_unit_without_a_marker() {
        let mut stream = VideoDepacketizer::new(VideoCodec::H264);
        assert!(
            stream
                .push(&packet(1, 10, false, b"\x65a"))
                .frames
                .is_empty()
        );
        let frames = stream.push(&packet(2, 20, true, b"\x41b")).frames;
        assert_eq!(frames.len(), 2);
        assert_eq!((frames[0].ticks, frames[1].ticks), (10, 20));
    }

    #[test]
    fn a_small_access_unit_holds_little_memory() {
        let mut stream = VideoDepacketizer::new(VideoCodec::H264);
        let mut frames = stream.push(&packet(1, 10, true, b"\x65a")).frames;
        let frame = BytesMut::from(frames.remove(0).data);
        assert!(frame.capacity() < 100, "{}", frame.capacity());
    }

    #[test]
    fn a_lost_packet_costs_its_access_unit_and_no_other() {
        let mut stream = VideoDepacketizer::new(VideoCodec::H264);
        stream.push(&packet(1, 10, false, b"\x7c\x85a"));
        let output = stream.push(&packet(3, 10, true, b"\x7c\x45c"));
        assert_eq!((output.lost, output.frames.len()), (1, 0));
        let output = stream.push(&packet(4, 20, true, b"\x41d"));
        assert_eq!((output.lost, output.frames.len()), (0, 1));
        // Nothing says to which of two it belonged.
        stream.push(&packet(5, 30, false, b"\x41e"));
        let output = stream.push(&packet(7, 40, true, b"\x41f"));
        assert_eq!((output.lost, output.frames.len()), (1, 0));
        assert_eq!(stream.push(&packet(8, 50, true, b"\x41g")).frames.len(), 1);
    }

    #[test]
    fn an_access_unit_without_an_end_is_left_out() {
        let mut stream = VideoDepacketizer::new(VideoCodec::H264);
        let piece = [&b"\x7c\x05"[..], &[7; 60_000]].concat();
        stream.push(&packet(0, 10, false, b"\x7c\x85a"));
        for sequence in 1..200 {
            stream.push(&packet(sequence, 10, false, &piece));
        }
        assert!(stream.unit.len() <= MAX_BYTES);
        assert!(
            stream
                .push(&packet(200, 10, true, b"\x7c\x45z"))
                .frames
                .is_empty()
        );
    }

    proptest! {
        #[test]
        fn any_payloads_are_read_without_panic(
            payloads in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20),
            is_h265 in any::<bool>(),
        ) {
            let codec = if is_h265 { VideoCodec::H265 } else { VideoCodec::H264 };
            let mut stream = VideoDepacketizer::new(codec);
            for (sequence, (is_marked, payload)) in (0..).zip(payloads) {
                for frame in stream.push(&packet(sequence, 0, is_marked, &payload)).frames {
                    let total: usize = nal::split_length_prefixed(&frame.data).map(|nal| nal.len() + 4).sum();
                    prop_assert_eq!(total, frame.data.len());
                }
            }
        }
    }
}
