//! One RTP source: sequence numbers, counters and the packet frame.

use super::MAX_PAYLOAD_BYTES;
use framewell_model::WallTime;

/// First byte of an RTP header: version 2, no padding, no extension, no contributors.
const VERSION: u8 = 0x80;

/// First byte of an RTP header with an extension.
const VERSION_AND_EXTENSION: u8 = 0x90;
/// Identifies the header extension of replays (ONVIF Streaming Specification section 6.3).
const REPLAY_EXTENSION: u16 = 0xabac;
/// 32-bit words of the extension behind its head.
const REPLAY_EXTENSION_WORDS: u16 = 3;
const REPLAY_CLEAN: u8 = 0x80;
const REPLAY_END: u8 = 0x40;
const REPLAY_DISCONTINUITY: u8 = 0x20;

/// What the first packet of an access unit says in a replay (ONVIF Streaming Specification section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplayMark {
    /// Capture time.
    pub(crate) wall: WallTime,
    /// Decoding can start here.
    pub(crate) is_clean: bool,
    /// The last one before a hole, or of all.
    pub(crate) is_end: bool,
    /// It does not follow what was sent before it.
    pub(crate) is_discontinuous: bool,
    /// Low byte of the sequence number of the PLAY that it answers.
    pub(crate) play: u8,
}

impl ReplayMark {
    fn to_bytes(self) -> [u8; 16] {
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&REPLAY_EXTENSION.to_be_bytes());
        bytes[2..4].copy_from_slice(&REPLAY_EXTENSION_WORDS.to_be_bytes());
        bytes[4..12].copy_from_slice(&super::report::to_ntp(self.wall).to_be_bytes());
        bytes[12] = flag(self.is_clean, REPLAY_CLEAN)
            | flag(self.is_end, REPLAY_END)
            | flag(self.is_discontinuous, REPLAY_DISCONTINUITY);
        bytes[13] = self.play;
        bytes
    }
}

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
    /// For the next packet.
    mark: Option<ReplayMark>,
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
            mark: None,
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
        let mark = self.mark.take().map(ReplayMark::to_bytes);
        let extension = mark.as_ref().map_or(&[][..], |bytes| bytes);
        let len = super::HEADER_BYTES + extension.len() + payload;
        begin_interleaved(out, self.channel, len);
        out.push(if extension.is_empty() {
            VERSION
        } else {
            VERSION_AND_EXTENSION
        });
        out.push(self.payload_type | if head.is_marked { 0x80 } else { 0 });
        out.extend_from_slice(&self.next_sequence.to_be_bytes());
        out.extend_from_slice(&head.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(extension);
        for part in parts {
            out.extend_from_slice(part);
        }
        self.next_sequence = self.next_sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.payload_bytes = self
            .payload_bytes
            .wrapping_add(u32::try_from(payload).unwrap_or(0));
    }

    /// What the next packet says of its access unit.
    pub(crate) const fn mark(&mut self, mark: Option<ReplayMark>) {
        self.mark = mark;
    }

    /// Appends the end of the source (RFC 3550 section 6.6).
    pub(crate) fn bye(&self, out: &mut Vec<u8>) {
        let packet = super::report::build_bye(self.ssrc);
        begin_interleaved(out, self.channel + 1, packet.len());
        out.extend_from_slice(&packet);
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
