//! One RTP source: sequence numbers, counters and the packet frame.

use super::MAX_PAYLOAD_BYTES;
use framewell_model::WallTime;

/// First byte of an RTP header: version 2, no padding, no extension, no contributors.
const VERSION: u8 = 0x80;

/// The sending side of one track. All readers of a channel share it and see one SSRC.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    ssrc: u32,
    payload_type: u8,
    /// Interleaved channel of RTP; RTCP uses the next one.
    channel: u8,
    next_sequence: u16,
    /// RTP time of stream time 0 (random, RFC 3550 section 5.1).
    base: u32,
    packets: u32,
    payload_bytes: u32,
    reported: Option<WallTime>,
}

/// The parts of a packet that are not constant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PacketHead {
    pub(crate) timestamp: u32,
    pub(crate) is_marked: bool,
}

impl Sender {
    /// A source with random SSRC, first sequence number and time base.
    pub(crate) fn new(payload_type: u8, channel: u8) -> Self {
        Self {
            ssrc: rand::random(),
            payload_type,
            channel,
            next_sequence: rand::random(),
            base: rand::random(),
            packets: 0,
            payload_bytes: 0,
            reported: None,
        }
    }

    /// Sequence number of the next packet.
    pub(crate) const fn next_sequence(&self) -> u16 {
        self.next_sequence
    }

    /// RTP time of a stream time in ticks of the track: 32 bits that wrap.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "RTP timestamps wrap by definition"
    )]
    pub(crate) const fn timestamp(&self, ticks: i64) -> u32 {
        self.base.wrapping_add(ticks as u32)
    }

    /// Appends one packet whose payload is the concatenation of `parts`.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, head: PacketHead, parts: &[&[u8]]) {
        let payload: usize = parts.iter().map(|part| part.len()).sum();
        debug_assert!(payload <= MAX_PAYLOAD_BYTES);
        begin_interleaved(out, self.channel, super::HEADER_BYTES + payload);
        out.push(VERSION);
        out.push(self.payload_type | if head.is_marked { 0x80 } else { 0 });
        out.extend_from_slice(&self.next_sequence.to_be_bytes());
        out.extend_from_slice(&head.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        for part in parts {
            out.extend_from_slice(part);
        }
        self.next_sequence = self.next_sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.payload_bytes = self
            .payload_bytes
            .wrapping_add(u32::try_from(payload).unwrap_or(0));
    }

    /// Appends a sender report that ties `timestamp` to `wall`, if one is due: at `is_due`, and when
    /// the last one is older than the interval.
    pub(crate) fn report(
        &mut self,
        out: &mut Vec<u8>,
        timestamp: u32,
        wall: WallTime,
        is_due: bool,
    ) {
        let waited_us = self
            .reported
            .map_or(i64::MAX, |last| wall.micros_since(last).saturating_abs());
        if !is_due && waited_us < super::report::INTERVAL_US {
            return;
        }
        self.reported = Some(wall);
        let packet = super::report::build(&super::report::Report {
            ssrc: self.ssrc,
            wall,
            timestamp,
            packets: self.packets,
            payload_bytes: self.payload_bytes,
        });
        begin_interleaved(out, self.channel + 1, packet.len());
        out.extend_from_slice(&packet);
    }
}

/// `$`, channel, length (RFC 2326 section 10.12).
fn begin_interleaved(out: &mut Vec<u8>, channel: u8, len: usize) {
    let len = u16::try_from(len).expect("packets are smaller than 64 KiB");
    out.push(b'$');
    out.push(channel);
    out.extend_from_slice(&len.to_be_bytes());
}
