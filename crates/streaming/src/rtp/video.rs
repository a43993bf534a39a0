//! H.264 (RFC 6184) and H.265 (RFC 7798) payloads: single NAL units and fragmentation units.

use super::MAX_PAYLOAD_BYTES;
use super::sender::{PacketHead, Sender};
use bytes::Bytes;
use framewell_media::{VideoCodec, nal};

/// NAL unit type of an H.264 fragmentation unit (RFC 6184 section 5.8).
const FU_A: u8 = 28;
/// NAL unit type of an H.265 fragmentation unit (RFC 7798 section 4.4.3).
const FU_H265: u8 = 49;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;

/// Appends the packets of one access unit: `parameter_sets` (before key frames), then the NAL units
/// of the length-prefixed `data`. The last packet carries the marker bit.
pub(crate) fn packetize_video(
    sender: &mut Sender,
    out: &mut Vec<u8>,
    timestamp: u32,
    codec: VideoCodec,
    parameter_sets: &[Bytes],
    data: &Bytes,
) {
    let mut nals = parameter_sets
        .iter()
        .cloned()
        .chain(nal::split_length_prefixed(data))
        .filter(|nal| nal.len() > header_bytes(codec))
        .peekable();
    while let Some(nal) = nals.next() {
        let is_last = nals.peek().is_none();
        if nal.len() <= MAX_PAYLOAD_BYTES {
            let head = PacketHead {
                timestamp,
                is_marked: is_last,
            };
            sender.write(out, head, &[&nal]);
        } else {
            fragment(sender, out, timestamp, codec, &nal, is_last);
        }
    }
}

const fn header_bytes(codec: VideoCodec) -> usize {
    match codec {
        VideoCodec::H264 => 1,
        VideoCodec::H265 => 2,
    }
}

fn fragment(
    sender: &mut Sender,
    out: &mut Vec<u8>,
    timestamp: u32,
    codec: VideoCodec,
    nal: &[u8],
    is_last: bool,
) {
    let (header, payload) = nal.split_at(header_bytes(codec));
    let (indicator, kind) = match codec {
        VideoCodec::H264 => (vec![(header[0] & 0xe0) | FU_A], header[0] & 0x1f),
        VideoCodec::H265 => (
            vec![(header[0] & 0x81) | (FU_H265 << 1), header[1]],
            (header[0] >> 1) & 0x3f,
        ),
    };
    let room = MAX_PAYLOAD_BYTES - indicator.len() - 1;
    let count = payload.len().div_ceil(room);
    for (index, chunk) in payload.chunks(room).enumerate() {
        let starts = if index == 0 { FU_START } else { 0 };
        let ends = if index + 1 == count { FU_END } else { 0 };
        let head = PacketHead {
            timestamp,
            is_marked: is_last && ends != 0,
        };
        sender.write(out, head, &[&indicator, &[kind | starts | ends], chunk]);
    }
}
