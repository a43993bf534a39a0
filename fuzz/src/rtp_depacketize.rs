//! RTP packets of a publisher. The first byte of an input chooses the coding; packets follow behind their lengths in two
//! bytes.

use crate::within;
use bytes::Bytes;
use framewell_media::{VideoCodec, nal};
use framewell_wire::rtp::{AacDepacketizer, Clock, Depacketizer, Frame, Packet};

/// Access units are no longer than this.
const MAX_UNIT: usize = 8 << 20;

/// Packets that come twice are taken once, and what comes out is well formed and no more than what came in.
pub fn run(data: &[u8]) {
    let Some((&coding, rest)) = data.split_first() else {
        return;
    };
    let packets = packets(rest);
    let most = (64 << 10) + 16 * data.len() + packets.len() * (32 << 10);
    let once = within(most, || frames(coding, &packets, 1));
    let twice = frames(coding, &packets, 2);
    assert_eq!(once, twice);
    // Each NAL unit of an aggregate gets four bytes for two.
    let out: usize = once.iter().map(|frame| frame.data.len()).sum();
    assert!(out <= 4 * data.len(), "{out} of {}", data.len());
    if coding % 4 < 2 {
        once.iter().for_each(check_unit);
    }
}

fn packets(mut rest: &[u8]) -> Vec<Packet> {
    let mut packets = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
        let (packet, behind) = behind.split_at(length);
        packets.extend(Packet::parse(&Bytes::copy_from_slice(packet)));
        rest = behind;
    }
    packets
}

fn frames(coding: u8, packets: &[Packet], times: usize) -> Vec<Frame> {
    let mut stream = match coding % 4 {
        0 => Depacketizer::video(VideoCodec::H264),
        1 => Depacketizer::video(VideoCodec::H265),
        2 => Depacketizer::Aac(AacDepacketizer::default()),
        _ => Depacketizer::Plain(Clock::default()),
    };
    let mut frames = Vec::new();
    for packet in packets {
        for _ in 0..times {
            frames.extend(stream.push(packet).frames);
        }
    }
    frames
}

/// NAL units behind their lengths, to the last byte.
fn check_unit(frame: &Frame) {
    assert!(!frame.data.is_empty() && frame.data.len() <= MAX_UNIT);
    let units: usize = nal::split_length_prefixed(&frame.data)
        .map(|unit| unit.len() + 4)
        .sum();
    assert_eq!(units, frame.data.len());
}
