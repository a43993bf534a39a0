//! RTP packets of one access unit (RFC 3550 section 5.1), made once and sent by every session.
//!
//! H.264: RFC 6184 packetization mode 1, single NAL units and FU-A. H.265: RFC 7798, the same with
//! FU. AAC: RFC 3640 mode AAC-hbr. G.711: RFC 3551.

use crate::clock::wall_now;
use crate::mark;
use framewell_media::{AudioCodec, StreamParameters, TrackKind, VideoCodec, nal};
use framewell_model::WallTime;

/// Bytes before the RTP header for interleaving (RFC 2326 section 10.12).
const PREFIX: usize = 4;
const RTP_HEADER: usize = 12;
/// Most payload bytes of a packet: what fits an Ethernet frame after IP, UDP and RTP headers.
const MAX_PAYLOAD: usize = 1_400;
const MARKER: u8 = 0x80;

/// RTP payload type of ONVIF metadata.
pub(crate) const METADATA_PAYLOAD_TYPE: u8 = 107;

/// RTP payload type of a track.
pub(crate) const fn payload_type(track: TrackKind, audio: Option<AudioCodec>) -> u8 {
    match (track, audio) {
        (TrackKind::Video, _) => 96,
        (TrackKind::Audio, Some(AudioCodec::Pcmu)) => 0,
        (TrackKind::Audio, Some(AudioCodec::Pcma)) => 8,
        (TrackKind::Audio, _) => 97,
    }
}

/// Packets of one access unit behind each other, with room for interleaving in front of each.
/// Sequence number, timestamp, SSRC and channel are filled in for each session.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    bytes: Vec<u8>,
    /// End of each packet in `bytes`.
    ends: Vec<usize>,
    /// Where the time of sending is written.
    clock_at: Option<usize>,
}

/// What a session fills in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addressing {
    pub(crate) channel: u8,
    pub(crate) sequence: u16,
    pub(crate) time: u32,
    pub(crate) ssrc: u32,
}

impl Packets {
    /// Packets of an access unit as ingest would deliver it; parameter sets go before key frames.
    pub(crate) fn new(
        parameters: &StreamParameters,
        track: TrackKind,
        is_key: bool,
        data: &bytes::Bytes,
    ) -> Self {
        let mut packets = Self::default();
        let audio = parameters.audio.as_ref().map(|a| a.codec);
        let kind = payload_type(track, audio);
        match track {
            TrackKind::Video => {
                let codec = parameters.video.codec;
                if is_key {
                    for set in parameters.video.parameter_sets() {
                        packets.push_nal(codec, kind, &set);
                    }
                }
                for unit in nal::split_length_prefixed(data) {
                    packets.push_nal(codec, kind, &unit);
                }
            }
            TrackKind::Audio if audio == Some(AudioCodec::Aac) => {
                // AU-headers-length in bits, then one header: size in 13 bits, index in 3.
                let size = u16::try_from(data.len()).unwrap_or(u16::MAX) << 3;
                packets.push(kind, &[&[0, 16], &size.to_be_bytes(), data]);
            }
            TrackKind::Audio => packets.push(kind, &[data]),
        }
        packets.mark_last();
        packets
    }

    fn push_nal(&mut self, codec: VideoCodec, kind: u8, unit: &[u8]) {
        if unit.len() <= MAX_PAYLOAD {
            self.push(kind, &[unit]);
            if let Some(at) = mark::find(unit) {
                self.clock_at = Some(self.bytes.len() - unit.len() + at);
            }
            return;
        }
        let header_length = match codec {
            VideoCodec::H264 => 1,
            VideoCodec::H265 => 2,
        };
        let (header, body) = unit.split_at(header_length);
        let chunks = body.chunks(MAX_PAYLOAD - 3);
        let last = chunks.len() - 1;
        for (index, chunk) in chunks.enumerate() {
            let place = if index == 0 { 0x80 } else { 0 } | if index == last { 0x40 } else { 0 };
            match codec {
                VideoCodec::H264 => {
                    let indicator = header[0] & 0xe0 | 28;
                    let fragment = place | header[0] & 0x1f;
                    self.push(kind, &[&[indicator, fragment], chunk]);
                }
                VideoCodec::H265 => {
                    let payload_header = [header[0] & 0x81 | 49 << 1, header[1]];
                    let fragment = place | header[0] >> 1 & 0x3f;
                    self.push(kind, &[&payload_header, &[fragment], chunk]);
                }
            }
        }
    }

    /// Packets of a metadata document (ONVIF Streaming Specification section 5.2.1.1), with or without
    /// the marker that ends it.
    pub(crate) fn metadata(document: &str, is_whole: bool) -> Self {
        let mut packets = Self::default();
        for chunk in document.as_bytes().chunks(MAX_PAYLOAD) {
            packets.push(METADATA_PAYLOAD_TYPE, &[chunk]);
        }
        if is_whole {
            packets.mark_last();
        }
        packets
    }

    fn push(&mut self, kind: u8, payload: &[&[u8]]) {
        let length = RTP_HEADER + payload.iter().map(|part| part.len()).sum::<usize>();
        let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        self.bytes
            .extend([b'$', 0, length[0], length[1], 0x80, kind]);
        self.bytes.extend([0; 10]);
        for part in payload {
            self.bytes.extend_from_slice(part);
        }
        self.ends.push(self.bytes.len());
    }

    /// The marker bit says that the access unit is complete (audio: RFC 3640 section 3.3.1).
    fn mark_last(&mut self) {
        let count = self.ends.len();
        let start = if count > 1 { self.ends[count - 2] } else { 0 };
        if let Some(byte) = self.bytes.get_mut(start + PREFIX + 1) {
            *byte |= MARKER;
        }
    }

    /// How many packets.
    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }

    /// Payload bytes of all packets, as a sender report counts them.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.bytes.len() - self.ends.len() * (PREFIX + RTP_HEADER)
    }

    /// Appends all packets, addressed, interleaved, ready for the connection.
    pub(crate) fn write_interleaved(
        &self,
        to: &Addressing,
        mark: Option<WallTime>,
        out: &mut Vec<u8>,
    ) {
        let base = out.len();
        out.extend_from_slice(&self.bytes);
        if let Some(at) = self.clock_at {
            let time = mark.unwrap_or_else(wall_now);
            mark::write(out, base + at, time.micros());
        }
        let (mut start, mut sequence) = (base, to.sequence);
        for end in &self.ends {
            address(&mut out[start..base + end], to, sequence);
            sequence = sequence.wrapping_add(1);
            start = base + end;
        }
    }

    /// One packet, addressed, without the interleaving prefix.
    pub(crate) fn datagram(&self, index: usize, to: &Addressing, out: &mut Vec<u8>) {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        out.clear();
        out.extend_from_slice(&self.bytes[start..self.ends[index]]);
        address(out, to, to.sequence);
        out.drain(..PREFIX);
    }
}

fn address(packet: &mut [u8], to: &Addressing, sequence: u16) {
    packet[1] = to.channel;
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    packet[8..12].copy_from_slice(&to.time.to_be_bytes());
    packet[12..16].copy_from_slice(&to.ssrc.to_be_bytes());
}

/// An RTCP sender report (RFC 3550 section 6.4.1) without report blocks.
pub(crate) fn sender_report(
    ssrc: u32,
    ntp: u64,
    rtp_time: u32,
    packets: u32,
    octets: u32,
) -> [u8; 28] {
    let mut report = [0; 28];
    report[..4].copy_from_slice(&[0x80, 200, 0, 6]);
    report[4..8].copy_from_slice(&ssrc.to_be_bytes());
    report[8..16].copy_from_slice(&ntp.to_be_bytes());
    report[16..20].copy_from_slice(&rtp_time.to_be_bytes());
    report[20..24].copy_from_slice(&packets.to_be_bytes());
    report[24..].copy_from_slice(&octets.to_be_bytes());
    report
}

/// 32.32 fixed point seconds since 1900 of a time in microseconds since 1970 (rounded to nearest
/// where it is read back in microseconds).
pub(crate) fn ntp(micros: i64) -> u64 {
    const NTP_TO_UNIX_S: i64 = 2_208_988_800;
    let seconds = micros.div_euclid(1_000_000) + NTP_TO_UNIX_S;
    let fraction = (micros.rem_euclid(1_000_000) << 32).div_euclid(1_000_000) + 1;
    // Seconds beyond 32 bits wrap into the next NTP era.
    (seconds.cast_unsigned() << 32) | fraction.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_times_are_read_back_to_the_microsecond() {
        for micros in [0, 1, 999_999, 1_795_000_000_123_456, 1_795_000_000_999_999] {
            assert_eq!(WallTime::from_ntp(ntp(micros)).micros(), micros);
        }
    }

    #[test]
    fn a_long_nal_unit_is_fragmented_and_only_the_last_packet_is_marked() {
        let unit: Vec<u8> = (0..4_000u32).map(|i| i.to_le_bytes()[0] | 1).collect();
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            let mut packets = Packets::default();
            packets.push_nal(codec, 96, &unit);
            packets.mark_last();
            assert_eq!(packets.count(), 3);
            let to = Addressing {
                channel: 0,
                sequence: 65_535,
                time: 7,
                ssrc: 9,
            };
            let mut out = Vec::new();
            packets.datagram(2, &to, &mut out);
            assert_eq!(out[1], 96 | MARKER);
            packets.datagram(0, &to, &mut out);
            assert_eq!(out[1], 96);
            out.clear();
            packets.write_interleaved(&to, None, &mut out);
            assert_eq!(out.len(), packets.bytes.len());
            let second = packets.ends[0];
            assert_eq!(&out[second + 6..second + 8], &[0, 0], "sequence wraps");
        }
    }
}
